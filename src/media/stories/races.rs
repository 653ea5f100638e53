//! Uploads of the same bytes against removals in a loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::http::Request;
use spine::Cause;
use tokio_util::sync::CancellationToken;

use super::world::{BROKEN_OFF, World};

/// Uploads at once, and how often each uploads.
const UPLOADERS: usize = 6;
const ROUNDS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn removing_never_takes_what_is_just_being_uploaded() {
    let world = Arc::new(World::new().await);
    let done = Arc::new(AtomicBool::new(false));
    let collector = {
        let (world, done) = (world.clone(), done.clone());
        tokio::spawn(async move {
            let (keeper, stop, mut removed) = (world.keeper.clone(), CancellationToken::new(), 0);
            while !done.load(Ordering::Relaxed) {
                let collected = keeper
                    .collect(&world.alice, Cause::outside(), &stop)
                    .await
                    .unwrap();
                removed += collected.removed;
                keeper.sweep(&world.alice, Cause::outside()).await.unwrap();
            }
            removed
        })
    };
    let contents = [b"one".to_vec(), b"two".to_vec(), vec![9; 200_000]];
    let uploaders = (0..UPLOADERS).map(|at| {
        let (world, content) = (world.clone(), contents[at % contents.len()].clone());
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                let media = world.kept(&content).await;
                // Whoever was told that it is kept can read it, until somebody removes it.
                let read = world.get(&format!("/media/{media}/content")).await;
                if read.status == 200 {
                    assert_eq!(read.body, content);
                } else {
                    assert!([404, BROKEN_OFF].contains(&read.status), "{read:?}");
                }
                if (round + at) % 2 == 0 {
                    let request = Request::delete(format!("/media/{media}"));
                    let gone = world.call(&world.alice, request, Body::empty()).await;
                    assert!([204, 404].contains(&gone.status), "{gone:?}");
                }
            }
        })
    });
    for uploader in uploaders.collect::<Vec<_>>() {
        uploader.await.unwrap();
    }
    // The last word is an upload: it must stand.
    for content in &contents {
        world.kept(content).await;
    }
    done.store(true, Ordering::Relaxed);
    assert!(collector.await.unwrap() > 0, "something was removed meanwhile");
    let keeper = world.keeper.clone();
    let collected = keeper
        .collect(&world.alice, Cause::outside(), &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(collected.removed, 0);
    let report = keeper.check(&world.alice).await.unwrap();
    assert_eq!(
        (report.contents, report.missing, report.orphans),
        (3, 0, 0),
        "{report:?}"
    );
    for content in &contents {
        let media = world.kept(content).await;
        assert_eq!(world.get(&format!("/media/{media}/content")).await.body, *content);
    }
}
