//! Uploads that are under way, and what a stop of the hub leaves of them.

use super::*;
use tokio_util::sync::CancellationToken;

impl Alice<'_> {
    fn folder(&self) -> std::path::PathBuf {
        let folder = self.hub.context.settings.data_dir.join("imports");
        folder.join(self.scope.account().0.simple().to_string())
    }

    /// Writes an import's row as an earlier hub left it.
    async fn row(&self, id: uuid::Uuid, state: &str) {
        let mut behind = self.hub.database.superuser().await;
        sqlx::query(
            "INSERT INTO etl.import (account, id, filename, format, state, bytes, created_at)
            VALUES ($1, $2, 'x', 'vcard', $3, 0, now() - interval '1 day')",
        )
        .bind(self.scope.account().0)
        .bind(id)
        .bind(state)
        .execute(&mut behind)
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_start_an_upload_that_was_cut_off_has_failed_and_files_of_no_import_are_gone() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let [cut_off, moved, waiting, nobodys] = [0; 4].map(|_| uuid::Uuid::now_v7());
    alice.row(cut_off, "uploading").await;
    alice.row(moved, "uploading").await;
    alice.row(waiting, "waiting").await;
    std::fs::create_dir_all(alice.folder()).unwrap();
    let file = |id: uuid::Uuid, end: &str| alice.folder().join(format!("{}{end}", id.simple()));
    let files = [
        file(cut_off, ".part"),
        // Killed between the file's name and the job.
        file(moved, ""),
        file(waiting, ""),
        file(nobodys, ""),
    ];
    for file in &files {
        std::fs::write(file, CARDS).unwrap();
    }
    for _ in 0..2 {
        let sweep = etl::service(&hub.context).tasks.remove(0);
        sweep(CancellationToken::new()).await;
        assert_eq!(
            files.each_ref().map(|file| file.exists()),
            [false, false, true, false]
        );
    }
    let now = alice.get(&format!("/imports/{cut_off}")).await;
    assert_eq!(now["state"], "failed");
    assert!(
        now["reason"].as_str().unwrap().contains("upload the file again"),
        "{now}"
    );
    assert_eq!(
        alice.get(&format!("/imports/{waiting}")).await["state"],
        "waiting"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_whose_job_was_given_up_has_failed_and_gives_its_place_back() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let done = alice.import("vcard", CARDS).await;
    let id: uuid::Uuid = done["id"].as_str().unwrap().parse().unwrap();
    let mut behind = hub.database.superuser().await;
    sqlx::query("UPDATE etl.import SET state = 'running', finished_at = NULL WHERE id = $1")
        .bind(id)
        .execute(&mut behind)
        .await
        .unwrap();
    let file = alice.folder().join(id.simple().to_string());
    std::fs::write(&file, CARDS).unwrap();
    sqlx::query("INSERT INTO pgboss.job (name, data) SELECT name || '-dead', data FROM pgboss.job WHERE name = 'run-import'")
        .execute(&mut behind)
        .await
        .unwrap();
    let stop = CancellationToken::new();
    let watch = etl::service(&hub.context).tasks.remove(1);
    let watch = tokio::spawn(watch(stop.clone()));
    let now = hub
        .eventually("it has failed", async || {
            let now = alice.get(&format!("/imports/{id}")).await;
            (now["state"] == "failed").then_some(now)
        })
        .await;
    assert!(
        now["reason"].as_str().unwrap().contains("import the file again"),
        "{now}"
    );
    hub.eventually("its file is gone", async || (!file.exists()).then_some(()))
        .await;
    stop.cancel();
    watch.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_under_way_count_among_the_imports_and_one_that_breaks_off_leaves_nothing() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let (senders, bodies): (Vec<_>, Vec<_>) = (0..20)
        .map(|_| futures::channel::mpsc::unbounded::<Result<&'static str, std::io::Error>>())
        .unzip();
    let uploads = bodies.into_iter().map(|body| {
        let (router, _) = etl::service(&hub.context).api.split_for_parts();
        let request = Request::post("/imports?type=vcard").extension(Caller(alice.scope.clone()));
        tokio::spawn(router.oneshot(request.body(Body::from_stream(body)).unwrap()))
    });
    let uploads: Vec<_> = uploads.collect();
    let under_way = async |count: usize| {
        hub.eventually("so many are under way", async || {
            let listed = alice.get("/imports").await;
            let states = listed["items"].as_array().unwrap().iter();
            (states.filter(|one| one["state"] == "uploading").count() == count).then_some(())
        })
        .await;
    };
    under_way(20).await;
    assert_eq!(alice.call("POST", "/imports?type=vcard", CARDS).await.0, 409);
    // Those who ask go away, and then what they send breaks off.
    for upload in uploads {
        upload.abort();
    }
    for sender in senders {
        sender.unbounded_send(Err(std::io::Error::other("gone"))).unwrap();
    }
    under_way(0).await;
    assert_eq!(alice.get("/imports").await["items"], json!([]));
    assert_eq!(std::fs::read_dir(alice.folder()).unwrap().count(), 0);
    assert_eq!(alice.import("vcard", CARDS).await["state"], "finished");
}
