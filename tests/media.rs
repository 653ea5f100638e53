//! Contents in the real graph: what mails and cards bring, what is erased, and where the bytes are then.

mod archive;
mod killed;
mod removing;
mod s3;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use base64::Engine as _;
use contracts::jobs::EraseEntity;
use contracts::{AccountId, EntityId};
use serde_json::Value;
use spine::edge::Caller;
use spine::queue::JobOptions;
use spine::testing::{TestHub, hub};
use spine::{Context, MediaSettings, Scope, Service, Settings};
use tower::ServiceExt;

/// A hub with graph, media and import, and Alice.
pub(crate) struct World {
    pub(crate) hub: TestHub,
    pub(crate) alice: Scope,
    api: Router,
}

fn services(context: &Context, settings: Option<MediaSettings>, api: &mut Router) -> Vec<Service> {
    let mut own = context.clone();
    if let Some(media) = settings {
        own.settings = Arc::new(Settings {
            media,
            ..context.settings.as_ref().clone()
        });
    }
    let mut services = vec![
        accounts::service(context),
        graph::service(context),
        media::service(&own).unwrap(),
        etl::service(context),
    ];
    for service in &mut services {
        *api = std::mem::take(api).merge(std::mem::take(&mut service.api).split_for_parts().0);
    }
    services
}

impl World {
    pub(crate) async fn new(settings: Option<MediaSettings>) -> Self {
        let mut api = Router::new();
        let hub = hub(|context| services(context, settings, &mut api)).await;
        let alice = hub.somebody();
        Self { hub, alice, api }
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> (u16, Vec<u8>) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.extension(Caller(self.alice.clone())).body(body.into());
        let response = self.api.clone().oneshot(request.unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, body.to_vec())
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, &[], Body::empty()).await;
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    /// Keeps a file; its id.
    pub(crate) async fn add(&self, bytes: &[u8]) -> String {
        let (status, body) = self.call("POST", "/media?filename=a", &[], bytes.to_vec()).await;
        assert!([200, 201].contains(&status), "{}", String::from_utf8_lossy(&body));
        let view: Value = serde_json::from_slice(&body).unwrap();
        view["id"].as_str().unwrap().to_owned()
    }

    /// What is kept, once all of it is looked into.
    pub(crate) async fn kept(&self) -> Vec<Value> {
        self.hub
            .eventually("everything is looked into", async || {
                let items = self.get("/media").await["items"].as_array().unwrap().clone();
                items.iter().all(|one| one["processed"] == true).then_some(items)
            })
            .await
    }

    async fn import(&self, format: &str, file: &str) {
        let path = format!("/imports?type={format}");
        let (status, body) = self.call("POST", &path, &[], file.to_owned()).await;
        assert_eq!(status, 202, "{}", String::from_utf8_lossy(&body));
        let import: Value = serde_json::from_slice(&body).unwrap();
        let path = format!("/imports/{}", import["id"].as_str().unwrap());
        let ended = self
            .hub
            .eventually("the import ends", async || {
                let now = self.get(&path).await;
                now["finished_at"].is_string().then_some(now)
            })
            .await;
        assert_eq!(
            (&ended["state"], &ended["parked"]),
            (&"finished".into(), &0.into()),
            "{ended}"
        );
    }

    async fn count(&self, of: &str) -> i64 {
        let mut behind = self.hub.database.superuser().await;
        sqlx::query_scalar(&format!("SELECT count(*) FROM {of}"))
            .fetch_one(&mut behind)
            .await
            .unwrap()
    }

    async fn ids(&self, kind: &str) -> Vec<EntityId> {
        let mut behind = self.hub.database.superuser().await;
        let ids: Vec<uuid::Uuid> = sqlx::query_scalar(
            "SELECT id FROM graph.entity WHERE type = $1 AND deleted_at IS NULL ORDER BY created_at, id",
        )
        .bind(kind)
        .fetch_all(&mut behind)
        .await
        .unwrap();
        ids.into_iter().map(EntityId).collect()
    }

    async fn erase(&self, entity: EntityId) {
        let mut tx = self.hub.begin(&self.alice).await;
        let order = EraseEntity {
            entity,
            with_timeline: false,
        };
        tx.enqueue(&order, JobOptions::default()).await.unwrap();
        tx.commit().await.unwrap();
    }

    fn files(&self) -> Vec<PathBuf> {
        let folder = self.hub.context.settings.data_dir.join("media");
        below(&folder.join(self.alice.account().0.simple().to_string()))
    }

    /// How many files lie there with these bytes anywhere in them.
    fn files_with(&self, bytes: &[u8]) -> usize {
        let holds = |path: &&PathBuf| {
            let content = std::fs::read(path).unwrap_or_default();
            content.windows(bytes.len()).any(|window| window == bytes)
        };
        below(&self.hub.context.settings.data_dir)
            .iter()
            .filter(holds)
            .count()
    }
}

fn below(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(below(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

/// The smallest PNG that there is, nearly: one red pixel.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";

/// A mail with a picture in its text and a file attached to it.
fn mail(number: u32, attached: &str) -> String {
    let attached = base64::engine::general_purpose::STANDARD.encode(attached);
    format!(
        "From: Sam <sam@example.org>\nTo: alice@example.org\nSubject: Plans {number}\nMessage-ID: <p{number}@example.org>\n\
         Date: Fri, 1 May 2026 12:00:00 +0200\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=m\n\n\
         --m\nContent-Type: multipart/related; boundary=r\n\n--r\nContent-Type: text/html\n\n<p>See <img src=\"cid:x\"></p>\n\
         --r\nContent-Type: image/png\nContent-ID: <x>\nContent-Disposition: inline\nContent-Transfer-Encoding: base64\n\n\
         {PIXEL}\n--r--\n--m\nContent-Type: text/html; name=plan.html\n\
         Content-Disposition: attachment; filename=\"../plan.html\"\nContent-Transfer-Encoding: base64\n\n{attached}\n--m--\n"
    )
}

const RELATED: &str = "graph.relation AS r JOIN graph.entity AS m ON m.id = r.from_entity
    JOIN graph.entity AS o ON o.id = r.to_entity
    WHERE r.predicate = 'attachment' AND m.type = 'Message' AND o.type = 'MediaObject'";

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_with_a_mail_is_kept_once_and_belongs_to_it() {
    let world = World::new(None).await;
    world.import("mbox", &mail(1, "the secret plan")).await;
    world.import("mbox", &mail(2, "another plan")).await;
    let kept = world.kept().await;
    assert_eq!(kept.len(), 3, "the picture that both have is one: {kept:?}");
    assert_eq!(world.count(RELATED).await, 4);
    let plan = kept.iter().find(|one| one["bytes"] == 15).unwrap();
    assert_eq!(
        (&plan["filename"], &plan["media_type"], &plan["mismatch"]),
        (&"plan.html".into(), &"text/html".into(), &false.into())
    );
    let picture = kept.iter().find(|one| one["media_type"] == "image/png").unwrap();
    assert_eq!((&picture["width"], &picture["height"]), (&1.into(), &1.into()));
    // Read again, as after an upgrade: nothing doubles.
    let (status, _) = world
        .call("POST", "/raw-records/process", &[], "{\"source\":null}")
        .await;
    assert_eq!(status, 202);
    world
        .hub
        .eventually("all is read again", async || {
            (world
                .count("pgboss.job WHERE name = 'reprocess-records' AND state = 'completed'")
                .await
                == 1)
                .then_some(())
        })
        .await;
    world.import("mbox", &mail(1, "the secret plan")).await;
    assert_eq!((world.kept().await.len(), world.count(RELATED).await), (3, 4));
    assert_eq!(world.ids("MediaObject").await.len(), 3);

    let (status, export) = world
        .call("GET", "/export?format=jsonld", &[], Body::empty())
        .await;
    let export = String::from_utf8(export).unwrap();
    assert_eq!(status, 200);
    for one in &kept {
        let hash = format!("\"content_hash\":\"sha256:{}\"", one["sha256"].as_str().unwrap());
        assert!(export.contains(&hash), "{hash}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_a_mail_removes_what_it_alone_brought_from_the_disk() {
    let world = World::new(None).await;
    world.import("mbox", &mail(1, "the secret plan")).await;
    world.import("mbox", &mail(2, "another plan")).await;
    world.kept().await;
    assert_eq!(world.files_with(b"the secret plan"), 1);
    let first = world.ids("Message").await[0];
    world.erase(first).await;
    world
        .hub
        .eventually("its file and its MediaObject are gone", async || {
            (world.files_with(b"the secret plan") == 0 && world.ids("MediaObject").await.len() == 2)
                .then_some(())
        })
        .await;
    let left = world.kept().await;
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(world.files_with(b"another plan"), 1);
    assert_eq!(world.count(RELATED).await, 2);
    let report = world.get("/media/check").await;
    assert_eq!(
        (&report["missing"], &report["orphans"]),
        (&0.into(), &0.into()),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_of_a_card_belongs_to_its_person() {
    let world = World::new(None).await;
    let card = format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:sam\r\nFN:Sam Example\r\nEMAIL:sam@example.org\r\n\
         PHOTO;ENCODING=b;TYPE=PNG:{PIXEL}\r\nEND:VCARD\r\n"
    );
    world.import("vcard", &card).await;
    world.import("vcard", &card).await;
    let kept = world.kept().await;
    assert_eq!((kept.len(), &kept[0]["media_type"]), (1, &"image/png".into()));
    let related = "graph.relation AS r JOIN graph.entity AS p ON p.id = r.from_entity
        WHERE r.predicate = 'image' AND p.type = 'Person' AND p.title = 'Sam Example'";
    assert_eq!(world.count(related).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_removed_takes_its_media_object_along_and_brings_it_back() {
    let world = World::new(None).await;
    let media = world.add(b"once upon a time").await;
    world.kept().await;
    let (status, _) = world
        .call("DELETE", &format!("/media/{media}"), &[], Body::empty())
        .await;
    assert_eq!(status, 204);
    world
        .hub
        .eventually("it is gone", async || {
            (world.ids("MediaObject").await.is_empty() && world.files().is_empty()).then_some(())
        })
        .await;
    assert_eq!(
        world.add(b"once upon a time").await,
        media,
        "the same thing comes back"
    );
    assert_eq!(world.ids("MediaObject").await.len(), 1);
    // The owner deletes the MediaObject instead, and brings the file again.
    let (status, _) = world
        .call("DELETE", &format!("/entities/{media}"), &[], Body::empty())
        .await;
    assert_eq!(status, 204);
    world.hub.settle().await;
    assert_eq!(
        world.count("media.reference WHERE released_at IS NOT NULL").await,
        1
    );
    assert_eq!(world.add(b"once upon a time").await, media);
    world.hub.settle().await;
    assert_eq!(world.ids("MediaObject").await.len(), 1);
    assert_eq!(
        world.count("media.reference WHERE released_at IS NOT NULL").await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_erased_leaves_no_byte() {
    let world = World::new(None).await;
    world.import("mbox", &mail(1, "the secret plan")).await;
    world.add(b"my diary").await;
    world.kept().await;
    assert_eq!(world.files_with(b"my diary"), 1);
    let bob = world.hub.somebody();
    let mut tx = world.hub.begin(&bob).await;
    let bobs = spine::ports::KeepMedia {
        bytes: b"my diary".to_vec(),
        filename: None,
        declared_type: None,
        holder: EntityId::new(),
    };
    world
        .hub
        .context
        .ports
        .media_store()
        .keep(&mut tx, bobs)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.files_with(b"my diary"), 2);
    let by = world.hub.gate.operator(AccountId::INSTANCE);
    world
        .hub
        .admin
        .erase_account(&by, world.alice.account())
        .await
        .unwrap();
    world
        .hub
        .eventually("nothing of hers is left", async || {
            (world.files().is_empty() && world.files_with(b"the secret plan") == 0).then_some(())
        })
        .await;
    assert_eq!(world.files_with(b"my diary"), 1, "Bob's stays");
    let hers = format!("media.blob WHERE account = '{}'", world.alice.account());
    assert_eq!(world.count(&hers).await, 0);
}
