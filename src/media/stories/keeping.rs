//! What comes in: once, within its limits, as it was sent.

use axum::body::Body;
use axum::http::Request;
use contracts::events::media::{MediaProcessed, MediaRemoved, MediaStored};
use contracts::{EntityId, EventPayload};
use spine::ports::{KeepMedia, MediaError};

use super::world::{FILE_BYTES_MAX, World, files_below, pieces};
use crate::blobs::FOLDER;
use crate::strip::tests::jpeg;

async fn told(world: &World, kind: &str) -> usize {
    world.hub.settle().await;
    let events = world.hub.events(&world.alice).await;
    events.into_iter().filter(|event| event.kind == kind).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_kept_once_however_often_it_comes_and_whoever_else_has_it() {
    let world = World::new().await;
    let first = world.upload(&world.alice, b"hello").await;
    assert_eq!(first.status, 201, "{first:?}");
    let view = first.json();
    assert_eq!(
        (&view["media_type"], &view["bytes"]),
        (&"text/plain".into(), &5.into())
    );
    assert_eq!(
        view["sha256"],
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    );
    assert_eq!(
        first.header("location"),
        format!("/api/v1/media/{}", view["id"].as_str().unwrap())
    );
    let again = world.upload(&world.alice, b"hello").await;
    assert_eq!((again.status, &again.json()["id"]), (200, &view["id"]));
    assert_eq!(world.files(&world.alice).len(), 1);
    assert_eq!(world.graph.all("MediaObject").len(), 1);
    assert_eq!(told(&world, MediaStored::TYPE).await, 1);

    let bob = world.hub.somebody();
    let path = format!("/media/{}", view["id"].as_str().unwrap());
    assert_eq!(
        world.call(&bob, Request::get(&path), Body::empty()).await.status,
        404
    );
    assert_eq!(
        world
            .call(&bob, Request::get(format!("{path}/content")), Body::empty())
            .await
            .status,
        404
    );
    let own = world.upload(&bob, b"hello").await;
    assert_eq!(own.status, 201, "nobody learns what others have");
    assert_ne!(own.json()["id"], view["id"]);
    assert_eq!(world.files(&bob).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_taken_only_as_its_digest_says() {
    let world = World::new().await;
    let right = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";
    let send = async |value: &str| {
        let request = Request::post("/media").header("content-digest", value);
        world.call(&world.alice, request, Body::from("hello")).await
    };
    let wrong = send("sha-256=:AAAAul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:").await;
    assert_eq!(wrong.status, 400);
    assert!(
        wrong.json()["detail"].as_str().unwrap().contains("digest"),
        "{wrong:?}"
    );
    assert_eq!(send("sha-256=hello").await.status, 400);
    let root = world.hub.context.settings.data_dir.clone();
    assert_eq!(files_below(&root.join(FOLDER)).len(), 0);
    assert_eq!(files_below(&root.join("front")).len(), 0);
    assert_eq!(send(right).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_too_large_ends_at_the_limit_announced_or_not() {
    let world = World::new().await;
    let announced = Request::post("/media").header("content-length", FILE_BYTES_MAX + 1);
    let refused = world.call(&world.alice, announced, Body::from("x")).await;
    assert_eq!(refused.status, 413);
    assert!(
        refused.json()["detail"].as_str().unwrap().contains("1048576"),
        "{refused:?}"
    );
    let silent = world
        .call(
            &world.alice,
            Request::post("/media"),
            pieces(17, vec![7; 1 << 16]),
        )
        .await;
    assert_eq!(silent.status, 413);
    assert_eq!(
        world
            .call(&world.alice, Request::post("/media"), Body::empty())
            .await
            .status,
        400
    );
    let most = world
        .call(
            &world.alice,
            Request::post("/media"),
            pieces(16, vec![7; 1 << 16]),
        )
        .await;
    assert_eq!(most.status, 201);
    assert_eq!(
        files_below(&world.hub.context.settings.data_dir.join("front")).len(),
        0
    );
    assert_eq!(world.files(&world.alice).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_keeps_all_that_it_may_is_told_so() {
    let world = World::new().await;
    world.kept(b"first").await;
    // As if it had kept nearly fifty gigabytes.
    world.change("UPDATE media.blob SET bytes = 53687091195").await;
    let full = world.upload(&world.alice, b"second").await;
    assert_eq!(full.status, 507, "{full:?}");
    assert!(
        full.json()["detail"].as_str().unwrap().contains("53687091200"),
        "{full:?}"
    );
    // What comes with a mail is refused likewise, but for what is there already.
    let store = world.hub.context.ports.media_store();
    let with_a_mail = |bytes: &[u8]| KeepMedia {
        bytes: bytes.to_vec(),
        filename: None,
        declared_type: None,
        holder: EntityId::new(),
    };
    let mut tx = world.hub.begin(&world.alice).await;
    let refused = store.keep(&mut tx, with_a_mail(b"second")).await.unwrap_err();
    assert!(matches!(refused, MediaError::Refused(_)), "{refused}");
    assert!(matches!(
        store.keep(&mut tx, with_a_mail(b"")).await,
        Err(MediaError::Refused(_))
    ));
    assert!(!store.keep(&mut tx, with_a_mail(b"first")).await.unwrap().created);
    drop(tx);
    assert_eq!(world.upload(&world.hub.somebody(), b"second").await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photograph_is_looked_into_and_only_what_is_harmless_is_for_others() {
    let world = World::new().await;
    let media = world.kept(&jpeg()).await;
    let view = world.processed(media).await;
    assert_eq!(
        (&view["media_type"], &view["width"], &view["height"]),
        (&"image/jpeg".into(), &32.into(), &48.into())
    );
    assert!(
        view["blurhash"].is_string() && view["problem"].is_null(),
        "{view}"
    );
    let content = async |rendition: &str| {
        let path = format!("/media/{media}/content?rendition={rendition}");
        world.get(&path).await
    };
    assert_eq!(
        content("original").await.body,
        jpeg(),
        "the owner has it as it came"
    );
    let public = content("public").await;
    assert_eq!(public.body, crate::strip::strip(&jpeg(), "image/jpeg").unwrap());
    assert_eq!(public.header("content-disposition"), "inline", "nor its name");
    assert_eq!(content("thumb-320").await.header("content-type"), "image/jpeg");
    let missing = content("thumb-9").await;
    assert_eq!(missing.status, 404);
    assert!(missing.json()["hint"].as_str().unwrap().contains("thumb-320"));
    let [object] = &world.graph.all("MediaObject")[..] else {
        panic!("one")
    };
    assert_eq!(
        (&object.props["width"], &object.props["height"]),
        (&32.into(), &48.into())
    );
    assert_eq!(told(&world, MediaProcessed::TYPE).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_picture_or_a_film_is_kept_with_the_reason_why_nothing_is_made_of_it() {
    let world = World::new().await;
    let broken = world.kept(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDRbroken").await;
    let view = world.processed(broken).await;
    assert_eq!(view["media_type"], "image/png");
    assert!(
        view["problem"].as_str().unwrap().contains("can't be decoded"),
        "{view}"
    );
    let film = world.kept(b"\0\0\0\x18ftypisom\0\0\0\0isommp42 film").await;
    let view = world.processed(film).await;
    assert_eq!(view["media_type"], "video/mp4");
    assert!(view["problem"].as_str().unwrap().contains("video/mp4"), "{view}");
    for media in [broken, film] {
        let public = world
            .get(&format!("/media/{media}/content?rendition=public"))
            .await;
        assert_eq!(public.status, 404);
        assert_eq!(world.get(&format!("/media/{media}/content")).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_goes_on_where_it_ended() {
    let world = World::new().await;
    let mut kept = Vec::new();
    for at in 0..5 {
        kept.push(world.kept(format!("text {at}").as_bytes()).await.to_string());
    }
    world.kept(&jpeg()).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world
            .get(&format!("/media?type=text/&limit=2{cursor}"))
            .await
            .json();
        let ids = page["items"].as_array().unwrap().iter();
        seen.extend(ids.map(|one| one["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    kept.reverse();
    assert_eq!(seen, kept);
    assert_eq!(world.get("/media?cursor=x").await.status, 400);
    assert_eq!(world.get("/media?limit=0").await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_is_gone_from_the_disk_and_may_come_again() {
    let world = World::new().await;
    let media = world.kept(&jpeg()).await;
    world.processed(media).await;
    assert_eq!(
        world.files(&world.alice).len(),
        3,
        "the original, a small one, the public one"
    );
    let path = format!("/media/{media}");
    let remove = async || {
        world
            .call(&world.alice, Request::delete(&path), Body::empty())
            .await
            .status
    };
    let bob = world.hub.somebody();
    assert_eq!(
        world
            .call(&bob, Request::delete(&path), Body::empty())
            .await
            .status,
        404
    );
    assert_eq!(remove().await, 204);
    assert_eq!(world.get(&path).await.status, 404, "at once");
    assert_eq!(remove().await, 404);
    world
        .hub
        .eventually("the bytes are gone", async || {
            world.files(&world.alice).is_empty().then_some(())
        })
        .await;
    assert_eq!(told(&world, MediaRemoved::TYPE).await, 1);
    let again = world.upload(&world.alice, &jpeg()).await;
    assert_eq!(again.status, 201);
    assert_eq!(
        world
            .get(&format!(
                "/media/{}/content",
                again.json()["id"].as_str().unwrap()
            ))
            .await
            .body,
        jpeg()
    );
}
