//! An archive has the graph and the files, and another hub's account is the same after it.

use super::*;

/// Waits until an import that is under way has ended.
async fn ended(world: &World, body: &[u8]) -> Value {
    let import: Value = serde_json::from_slice(body).unwrap();
    let path = format!("/imports/{}", import["id"].as_str().unwrap());
    world
        .hub
        .eventually("the import ends", async || {
            let now = world.get(&path).await;
            now["finished_at"].is_string().then_some(now)
        })
        .await
}

async fn bring(world: &World, archive: &[u8]) -> Value {
    let (status, body) = world
        .call("POST", "/imports?filename=allod.tar", &[], archive.to_vec())
        .await;
    assert_eq!(status, 202, "{}", String::from_utf8_lossy(&body));
    ended(world, &body).await
}

async fn archive(world: &World) -> Vec<u8> {
    let (status, archive) = world
        .call("GET", "/export?format=archive", &[], Body::empty())
        .await;
    assert_eq!(status, 200);
    archive
}

/// Hash and name of each file, in order.
async fn files(world: &World) -> Vec<(String, String)> {
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let kept = world.kept().await;
    let mut files: Vec<_> = kept.iter().map(|one| (text(one, "sha256"), text(one, "filename"))).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_brings_the_graph_with_its_files_to_another_account_and_nothing_twice() {
    let mut world = World::new(None).await;
    world.import("mbox", &mail(1, "the secret plan")).await;
    world.add(b"a file of her own").await;
    let (own, alice) = (files(&world).await, world.alice.clone());
    assert_eq!(own.len(), 3);
    let first = archive(&world).await;
    assert_eq!(first.len() % 512, 0);
    world.alice = world.hub.somebody();
    let done = bring(&world, &first).await;
    assert_eq!((&done["state"], &done["parked"]), (&"finished".into(), &0.into()), "{done}");
    assert_eq!(files(&world).await, own);
    assert_eq!(world.count(RELATED).await, 4, "two of hers, two of his");
    let plan = world.kept().await.into_iter().find(|one| one["bytes"] == 15).unwrap();
    let path = format!("/media/{}/content", plan["id"].as_str().unwrap());
    assert_eq!(world.call("GET", &path, &[], Body::empty()).await, (200, b"the secret plan".to_vec()));
    // Again here, and where it came from: nothing is there twice.
    for scope in [world.alice.clone(), alice] {
        world.alice = scope;
        let again = bring(&world, &first).await;
        assert_eq!((&again["state"], &again["parked"]), (&"finished".into(), &0.into()), "{again}");
        assert_eq!(files(&world).await, own);
    }
    assert_eq!(world.count(RELATED).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_damaged_archive_nothing_wrong_is_kept_and_what_is_left_out_is_told() {
    let mut world = World::new(None).await;
    world.add(b"a file of her own").await;
    let whole = archive(&world).await;
    world.alice = world.hub.somebody();
    let at = whole.windows(6).position(|bytes| bytes == b"a file").unwrap();
    let mut other_bytes = whole.clone();
    other_bytes[at] = b'b';
    let done = bring(&world, &other_bytes).await;
    assert_eq!((&done["state"], &done["parked"]), (&"finished".into(), &1.into()), "{done}");
    assert_eq!(world.kept().await.len(), 0);
    let reason = "graph.raw_record WHERE status = 'parked' AND reason LIKE 'a file of the archive was not kept: its bytes%'";
    assert_eq!(world.count(reason).await, 1);
    let cut = &whole[..at + 3];
    for (bad, reason) in [
        (cut, "the archive is cut off"),
        (b"no archive".as_slice(), "this is no archive"),
        (&[b'x'; 2048], "this is no archive, or it is damaged"),
    ] {
        let failed = bring(&world, bad).await;
        assert_eq!((&failed["state"], failed["reason"].as_str()), (&"failed".into(), Some(reason)));
    }
    // The whole one brings what was left out.
    let done = bring(&world, &whole).await;
    assert_eq!((&done["parked"], world.kept().await.len()), (&0.into(), 1), "{done}");
}
