//! The same over S3: a server of the wild on this machine, spoken to through the hub's own client.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use axum::body::Body;
use spine::{MediaSettings, S3Settings};

use super::World;
use crate::support::{eventually, http};

const BUCKET: &str = "hub-media";

/// PyPI's moto, as its users start it.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start() -> Self {
        let python =
            std::env::var("ALLOD_TEST_PYTHON").expect("ALLOD_TEST_PYTHON has PyPI's moto: run scripts/test");
        // Free a moment ago; whoever takes it meanwhile makes the test fail, not lie.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let child = Command::new(python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = format!("127.0.0.1:{port}");
        eventually("the store listens", || TcpStream::connect(&address).ok());
        let made = http(
            &address,
            "PUT",
            &format!("/{BUCKET}"),
            &[&format!("Host: {address}")],
            b"",
        );
        assert_eq!(made.status, 200, "{}", made.body);
        Self { child, address }
    }

    fn settings(&self) -> MediaSettings {
        MediaSettings {
            s3: Some(S3Settings {
                bucket: BUCKET.to_owned(),
                region: "us-east-1".to_owned(),
                endpoint: Some(format!("http://{}", self.address)),
                prefix: "hub/one".to_owned(),
                access_key_id: "key".to_owned(),
                secret_access_key: "secret".to_owned(),
                allowed_ranges: Vec::new(),
            }),
            ..MediaSettings::default()
        }
    }

    /// The keys of all objects.
    fn keys(&self) -> Vec<String> {
        let host = format!("Host: {}", self.address);
        let listed = http(
            &self.address,
            "GET",
            &format!("/{BUCKET}?list-type=2"),
            &[&host],
            b"",
        );
        let keys = listed.body.split("<Key>").skip(1);
        keys.map(|rest| rest.split("</Key>").next().unwrap().to_owned())
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_lie_in_a_bucket_when_the_configuration_says_so() {
    let server = tokio::task::spawn_blocking(Server::start).await.unwrap();
    let world = World::new(Some(server.settings())).await;
    let small = world.add(b"small").await;
    // More than a part: it comes in several, and is copied to its place.
    let large: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_be_bytes).collect();
    let stored = world.add(&large).await;
    assert_eq!(world.add(b"small").await, small, "once");
    world.kept().await;
    let keys = tokio::task::block_in_place(|| server.keys());
    assert_eq!(keys.len(), 2, "{keys:?}");
    let account = world.alice.account().0.simple().to_string();
    for key in &keys {
        assert!(key.starts_with(&format!("hub/one/{account}/blobs/")), "{key}");
    }
    assert!(world.files().is_empty(), "nothing lies here");

    let path = format!("/media/{stored}/content");
    let (status, whole) = world.call("GET", &path, &[], Body::empty()).await;
    assert!(status == 200 && whole == large);
    let (status, part) = world
        .call("GET", &path, &[("range", "bytes=7999999-8000002")], Body::empty())
        .await;
    assert_eq!((status, &part[..]), (206, &large[7_999_999..8_000_003]));
    let report = world.get("/media/check").await;
    assert_eq!(
        (&report["well"], &report["contents"]),
        (&true.into(), &2.into()),
        "{report}"
    );

    let (status, _) = world
        .call("DELETE", &path.replace("/content", ""), &[], Body::empty())
        .await;
    assert_eq!(status, 204);
    world
        .hub
        .eventually("the object is gone", async || {
            (tokio::task::block_in_place(|| server.keys()).len() == 1).then_some(())
        })
        .await;
    let by = world.hub.gate.operator(contracts::AccountId::INSTANCE);
    world
        .hub
        .admin
        .erase_account(&by, world.alice.account())
        .await
        .unwrap();
    world
        .hub
        .eventually("the bucket is empty", async || {
            tokio::task::block_in_place(|| server.keys())
                .is_empty()
                .then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_refuses_files_and_loses_none() {
    let server = tokio::task::spawn_blocking(Server::start).await.unwrap();
    let world = World::new(Some(server.settings())).await;
    let kept = world.add(b"kept").await;
    world.kept().await;
    drop(server);
    let (status, body) = world.call("POST", "/media", &[], "new").await;
    let told = String::from_utf8(body).unwrap();
    assert_eq!(status, 503, "{told}");
    assert!(told.contains("media store") && !told.contains("secret"), "{told}");
    assert_eq!(world.get("/media").await["items"].as_array().unwrap().len(), 1);
    assert_eq!(world.get(&format!("/media/{kept}")).await["bytes"], 4);
}
