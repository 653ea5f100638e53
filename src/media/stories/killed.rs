//! The hub is killed between object and row, in either order; rows and objects agree again afterwards.

use axum::body::Body;
use axum::http::Request;
use contracts::events::data::{EntityDeleted, EntityErased, EntityRestored};
use contracts::{EntityId, EventPayload, NewEvent};
use spine::Cause;
use spine::ports::{AssertedBy, EntityChange, KeepMedia, Target};
use tokio_util::sync::CancellationToken;

use super::world::World;
use crate::keep::{Keeper, Told};
use crate::strip::tests::jpeg;

async fn staged(world: &World, keeper: &Keeper, bytes: &[u8]) -> crate::staging::Staged {
    let mut upload = keeper
        .staging
        .begin(world.alice.account(), 0, u64::MAX)
        .await
        .unwrap();
    upload.write(bytes).await.unwrap();
    upload.finish().await.unwrap()
}

async fn collect(world: &World) -> crate::collect::Collected {
    world
        .keeper
        .collect(&world.alice, Cause::outside(), &CancellationToken::new())
        .await
        .unwrap()
}

/// Rows with their objects, objects without a row.
async fn agree(world: &World) -> (u64, u64, u64) {
    let report = world.keeper.check(&world.alice).await.unwrap();
    (report.contents, report.missing, report.orphans)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_row_never_came_is_found_and_removed() {
    let mut world = World::new().await;
    world.kept(b"one").await;
    let keeper = world.keeper.clone();
    let mut upload = staged(&world, &keeper, b"two").await;
    let mut tx = world.hub.begin(&world.alice).await;
    keeper
        .keep_staged(&mut tx, &mut upload, &Told::new(None, None, None))
        .await
        .unwrap();
    drop(tx); // killed before the commit
    drop(upload);
    world.restart().await;
    assert_eq!(agree(&world).await, (1, 0, 1));
    assert_eq!(collect(&world).await.orphans, 0, "not due yet");
    world
        .change("UPDATE media.account SET swept_at = now() - interval '25 hours'")
        .await;
    assert_eq!(collect(&world).await.orphans, 1);
    assert_eq!(agree(&world).await, (1, 0, 0));
    assert_eq!(collect(&world).await.orphans, 0);
    assert_eq!(world.upload(&world.alice, b"two").await.status, 201);
    assert_eq!(agree(&world).await, (2, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_was_killed_is_finished_and_an_upload_in_between_stands() {
    let mut world = World::new().await;
    for object_is_gone in [false, true] {
        for comes_again in [false, true] {
            let media = world.kept(&jpeg()).await;
            world.processed(media).await;
            // Marked, and killed before or after its objects went.
            world.change("UPDATE media.blob SET removing_at = now()").await;
            world.change("DELETE FROM media.reference").await;
            if object_is_gone {
                for file in world.files(&world.alice) {
                    std::fs::remove_file(file).unwrap();
                }
            }
            world.restart().await;
            assert_eq!(world.get(&format!("/media/{media}/content")).await.status, 404);
            assert_eq!(agree(&world).await.1, 0, "nothing that is promised is missing");
            if comes_again {
                assert_eq!(world.upload(&world.alice, &jpeg()).await.status, 201);
            }
            let removed = collect(&world).await.removed;
            assert_eq!(removed, u64::from(!comes_again));
            assert_eq!(agree(&world).await, (u64::from(comes_again), 0, 0));
            if comes_again {
                let again = world.kept(&jpeg()).await;
                world.processed(again).await;
                assert_eq!(world.get(&format!("/media/{again}/content")).await.body, jpeg());
                assert_eq!(agree(&world).await, (1, 0, 0));
                let path = format!("/media/{again}");
                world
                    .call(&world.alice, Request::delete(path), Body::empty())
                    .await;
            }
            world
                .hub
                .eventually("nothing is left", async || {
                    world.files(&world.alice).is_empty().then_some(())
                })
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_comes_late_finds_nothing_to_remove() {
    let world = World::new().await;
    let media = world.kept(b"one").await;
    let row = async || {
        let mut tx = world.hub.begin(&world.alice).await;
        let hash = sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(b"one"));
        crate::store::blob_by_hash(&mut tx, &hash.into())
            .await
            .unwrap()
            .unwrap()
    };
    let before = row().await;
    world.change("DELETE FROM media.reference").await;
    world.change("UPDATE media.blob SET removing_at = now()").await;
    // The order to remove it is on its way, and given up; meanwhile it comes again.
    let again = world.kept(b"one").await;
    let account = world.alice.account();
    world
        .keeper
        .blobs
        .remove(account, &before.key(), &[])
        .await
        .unwrap();
    assert_ne!(row().await.generation, before.generation);
    assert_eq!(world.get(&format!("/media/{again}/content")).await.body, b"one");
    assert_eq!(world.get(&format!("/media/{media}")).await.status, 200);
    assert_eq!(agree(&world).await, (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_object_is_told_and_an_upload_puts_it_back() {
    let world = World::new().await;
    let media = world.kept(b"precious").await;
    for file in world.files(&world.alice) {
        std::fs::write(file, "prec").unwrap();
    }
    let report = world.get("/media/check").await.json();
    assert_eq!((&report["well"], &report["missing"]), (&false.into(), &1.into()));
    assert_eq!(report["missing_media"][0], media.to_string());
    assert_eq!(world.upload(&world.alice, b"precious").await.status, 200);
    assert_eq!(agree(&world).await, (1, 0, 0));
    assert_eq!(
        world.get(&format!("/media/{media}/content")).await.body,
        b"precious"
    );
}

async fn happened<P: EventPayload>(world: &World, payload: P) {
    let mut tx = world.hub.begin(&world.alice).await;
    tx.publish(NewEvent::of(&payload).unwrap()).unwrap();
    tx.commit().await.unwrap();
    world.hub.settle().await;
}

fn deleted(entity: EntityId) -> EntityDeleted {
    EntityDeleted {
        entity,
        kind: "MediaObject".to_owned(),
        version: 2,
    }
}

/// Keeps what came with something.
async fn keep(world: &World, bytes: &[u8], holder: EntityId) -> EntityId {
    let mut tx = world.hub.begin(&world.alice).await;
    let media = KeepMedia {
        bytes: bytes.to_vec(),
        filename: None,
        declared_type: None,
        holder,
    };
    let kept = world
        .hub
        .context
        .ports
        .media_store()
        .keep(&mut tx, media)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    kept.media
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_can_be_taken_back_within_the_grace_and_not_after() {
    let world = World::new().await;
    let later = "UPDATE media.reference SET released_at = released_at - interval '8 days'";
    // The graph doesn't know the mail: it is deleted.
    let mail = EntityId::new();
    keep(&world, b"one", mail).await;
    happened(&world, deleted(mail)).await;
    assert_eq!(collect(&world).await.removed, 0, "within the grace");
    // It comes back; a deletion that is heard of only now says nothing of it.
    let mut tx = world.hub.begin(&world.alice).await;
    let back = EntityChange {
        target: Target::New(mail),
        kind: "Message".to_owned(),
        title: None,
        props: serde_json::Map::new(),
        identifiers: Vec::new(),
        starts_at: None,
    };
    world.keeper.write(&mut tx, AssertedBy::User, back).await.unwrap();
    tx.commit().await.unwrap();
    let restored = EntityRestored {
        entity: mail,
        kind: "Message".to_owned(),
        version: 3,
    };
    happened(&world, restored).await;
    happened(&world, deleted(mail)).await;
    world.change(later).await;
    assert_eq!(collect(&world).await.removed, 0, "it is needed again");

    let other = EntityId::new();
    keep(&world, b"two", other).await;
    happened(&world, deleted(other)).await;
    world.change(later).await;
    assert_eq!(
        crate::caretaker::Caretaker(world.hub.context.clone())
            .look()
            .await
            .unwrap(),
        1,
        "the caretaker sees it"
    );
    world
        .hub
        .eventually("it is removed", async || {
            // The object goes first, then its row.
            let is_gone = world.files(&world.alice).len() == 1 && agree(&world).await == (1, 0, 0);
            is_gone.then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_erased_goes_from_the_disk_and_what_others_hold_stays() {
    let world = World::new().await;
    let (mail, other) = (EntityId::new(), EntityId::new());
    keep(&world, b"only of the mail", mail).await;
    let shared = keep(&world, b"of both", mail).await;
    assert_eq!(keep(&world, b"of both", other).await, shared);
    assert_eq!(world.files(&world.alice).len(), 2);
    let erased = |entity| EntityErased {
        entity,
        merged: Vec::new(),
        kind: "Message".to_owned(),
        version: 2,
        rows: Default::default(),
        names: Vec::new(),
    };
    happened(&world, erased(mail)).await;
    world
        .hub
        .eventually("one is gone", async || {
            (world.files(&world.alice).len() == 1).then_some(())
        })
        .await;
    assert_eq!(
        world.get(&format!("/media/{shared}/content")).await.body,
        b"of both"
    );
    // The MediaObject itself: whoever refers to it.
    happened(&world, erased(shared)).await;
    world
        .hub
        .eventually("all is gone", async || {
            world.files(&world.alice).is_empty().then_some(())
        })
        .await;
}
