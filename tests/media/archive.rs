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
    let mut files: Vec<_> = kept
        .iter()
        .map(|one| (text(one, "sha256"), text(one, "filename")))
        .collect();
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
    // Each source says it for itself.
    let pairs = format!("(SELECT DISTINCT r.from_entity, r.to_entity FROM {RELATED}) AS pairs");
    let first = archive(&world).await;
    assert_eq!(first.len() % 512, 0);
    world.alice = world.hub.somebody();
    let done = bring(&world, &first).await;
    assert_eq!(
        (&done["state"], &done["parked"]),
        (&"finished".into(), &0.into()),
        "{done}"
    );
    assert_eq!(files(&world).await, own);
    assert_eq!(world.count(&pairs).await, 4, "two of hers, two of his");
    let plan = world
        .kept()
        .await
        .into_iter()
        .find(|one| one["bytes"] == 15)
        .unwrap();
    let path = format!("/media/{}/content", plan["id"].as_str().unwrap());
    assert_eq!(
        world.call("GET", &path, &[], Body::empty()).await,
        (200, b"the secret plan".to_vec())
    );
    // Again here, and where it came from: nothing is there twice.
    for scope in [world.alice.clone(), alice] {
        world.alice = scope;
        let again = bring(&world, &first).await;
        assert_eq!(
            (&again["state"], &again["parked"]),
            (&"finished".into(), &0.into()),
            "{again}"
        );
        assert_eq!(files(&world).await, own);
    }
    assert_eq!(world.count(&pairs).await, 4);
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
    assert_eq!(
        (&done["state"], &done["parked"]),
        (&"finished".into(), &1.into()),
        "{done}"
    );
    assert_eq!(world.kept().await.len(), 0);
    let reason = "graph.raw_record WHERE status = 'parked' AND reason LIKE 'a file of the archive was not kept: its bytes%'";
    assert_eq!(world.count(reason).await, 1);
    // What the store has lost breaks no archive off.
    let (bob, alice) = (world.alice.clone(), world.hub.somebody());
    world.alice = alice;
    world.add(b"lost").await;
    for lost in world.files() {
        std::fs::remove_file(lost).unwrap();
    }
    assert_eq!(parts(&archive(&world).await).len(), 1, "the graph alone");
    world.alice = bob;
    let cut = &whole[..at + 3];
    for (bad, reason) in [
        (cut, "the archive is cut off"),
        (b"no archive".as_slice(), "this is no archive"),
        (&[b'x'; 2048], "this is no archive, or it is damaged"),
    ] {
        let failed = bring(&world, bad).await;
        assert_eq!(
            (&failed["state"], failed["reason"].as_str()),
            (&"failed".into(), Some(reason))
        );
    }
    // The whole one brings what was left out.
    let done = bring(&world, &whole).await;
    assert_eq!(
        (&done["parked"], world.kept().await.len()),
        (&0.into(), 1),
        "{done}"
    );
}

/// How long the file is whose header begins there.
fn size(header: &[u8]) -> usize {
    let octal = std::str::from_utf8(&header[124..135]).unwrap();
    usize::from_str_radix(octal, 8).unwrap()
}

/// The files of an archive, each with its header and filling.
fn parts(archive: &[u8]) -> Vec<Vec<u8>> {
    let (mut parts, mut at) = (Vec::new(), 0);
    while archive[at] != 0 {
        let size = size(&archive[at..]);
        let end = at + 512 + size.next_multiple_of(512);
        parts.push(archive[at..end].to_vec());
        at = end;
    }
    parts
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_was_packed_in_another_order_is_as_good_and_goes_on_after_a_stop() {
    let mut world = World::new(None).await;
    world.import("mbox", &mail(1, "the secret plan")).await;
    let own = files(&world).await;
    let mut packed = parts(&archive(&world).await);
    assert_eq!(packed.len(), 3, "the graph and two files");
    // What is read is counted: the graph, then the files.
    let graph = size(&packed[0]);
    let all: usize = packed.iter().map(|part| size(part)).sum();
    packed.reverse();
    let packed = [packed.concat(), vec![0; 1024]].concat();
    world.alice = world.hub.somebody();
    let done = bring(&world, &packed).await;
    assert_eq!(
        (&done["state"], &done["parked"]),
        (&"finished".into(), &0.into()),
        "{done}"
    );
    assert_eq!(files(&world).await, own);
    // As a hub left it that was killed within the graph, and between the files.
    let id: uuid::Uuid = done["id"].as_str().unwrap().parse().unwrap();
    let folder = world.hub.context.settings.data_dir.join("imports");
    let path = folder
        .join(world.alice.account().0.simple().to_string())
        .join(id.simple().to_string());
    for (position, taken) in [(graph / 2, 3..1_000), (all - 1, 1..2)] {
        let position = i64::try_from(position).unwrap();
        std::fs::write(&path, &packed).unwrap();
        let mut behind = world.hub.database.superuser().await;
        sqlx::query(
            "UPDATE etl.import SET state = 'running', position = $1, taken = 0, new = 0, known = 0, finished_at = null
            WHERE id = $2",
        )
        .bind(position)
        .bind(id)
        .execute(&mut behind)
        .await
        .unwrap();
        let mut tx = world.hub.begin(&world.alice).await;
        let order = contracts::jobs::RunImport { import: id };
        tx.enqueue(&order, JobOptions::default()).await.unwrap();
        tx.commit().await.unwrap();
        world
            .hub
            .eventually("the file is gone", async || (!path.exists()).then_some(()))
            .await;
        let resumed = world.get(&format!("/imports/{id}")).await;
        assert_eq!(
            (&resumed["state"], &resumed["new"]),
            (&"finished".into(), &0.into()),
            "{resumed}"
        );
        assert!(taken.contains(&resumed["taken"].as_i64().unwrap()), "{resumed}");
        assert_eq!(files(&world).await, own);
    }
}
