//! What was stopped goes on, and what is understood again adds nothing.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_understood_again_without_doubles() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    for (format, file) in [
        ("vcard", CARDS.to_owned()),
        ("ical", CALENDAR.to_owned()),
        ("mbox", mailbox::mailbox(30)),
    ] {
        alice.import(format, file).await;
    }
    let (before, events) = (
        canonical(&alice.export("jsonld").await),
        data_events(&alice).await,
    );
    let body = json!({}).to_string();
    let request = Body::from(body);
    let (status, _) = alice.call("POST", "/raw-records/process", request).await;
    assert_eq!(status, 202);
    hub.eventually("all is understood again", async || {
        let mut behind = hub.database.superuser().await;
        let done: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pgboss.job WHERE name = 'reprocess-records' AND state = 'completed'",
        )
        .fetch_one(&mut behind)
        .await
        .unwrap();
        (done == 1).then_some(())
    })
    .await;
    assert_eq!(canonical(&alice.export("jsonld").await), before);
    assert_eq!(data_events(&alice).await, events, "nobody was told of anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_stopped_goes_on_where_it_stands_and_one_that_is_cancelled_does_not() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let file = mailbox::mailbox(120);
    let done = alice.import("mbox", file.clone()).await;
    let id: uuid::Uuid = done["id"].as_str().unwrap().parse().unwrap();
    let folder = hub
        .context
        .settings
        .data_dir
        .join("imports")
        .join(alice.scope.account().0.simple().to_string());
    let path = folder.join(id.simple().to_string());
    let again = async |state: &str, position: i64| {
        std::fs::write(&path, &file).unwrap();
        let mut behind = hub.database.superuser().await;
        sqlx::query(
            "UPDATE etl.import SET state = $1, position = $2, taken = 0, new = 0, known = 0, finished_at = null",
        )
        .bind(state)
        .bind(position)
        .execute(&mut behind)
        .await
        .unwrap();
        let mut tx = hub.begin(&alice.scope).await;
        tx.enqueue(
            &contracts::jobs::RunImport { import: id },
            spine::queue::JobOptions::default(),
        )
        .await
        .unwrap();
        tx.commit().await.unwrap();
        hub.eventually("the file is gone", async || (!path.exists()).then_some(()))
            .await;
        alice.get(&format!("/imports/{id}")).await
    };
    let half = i64::try_from(file.len() / 2).unwrap();
    let resumed = again("running", half).await;
    assert_eq!(
        (&resumed["state"], &resumed["new"]),
        (&json!("finished"), &json!(0))
    );
    let taken = resumed["taken"].as_i64().unwrap();
    assert!((50..=70).contains(&taken), "{taken}");
    let cancelled = again("cancelled", 0).await;
    assert_eq!(
        (&cancelled["state"], &cancelled["taken"]),
        (&json!("cancelled"), &json!(0))
    );
    assert_eq!(alice.entities("Message").await, 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn understanding_everything_again_goes_on_after_a_stop_where_it_was() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    assert_eq!(alice.import("mbox", mailbox::mailbox(150)).await["parked"], 0);
    let mut behind = hub.database.superuser().await;
    let ids: Vec<uuid::Uuid> = sqlx::query_scalar("SELECT id FROM graph.raw_record ORDER BY id")
        .fetch_all(&mut behind)
        .await
        .unwrap();
    assert_eq!(ids.len(), 150);
    // As a hub left it that was killed after its first page; the job waits for its next attempt.
    let mut tx = hub.begin(&alice.scope).await;
    let options = spine::queue::JobOptions {
        start_after: Some(tx.now() + chrono::Duration::seconds(1)),
        ..spine::queue::JobOptions::default()
    };
    let order = contracts::jobs::ReprocessRecords { source: None };
    let job = tx.enqueue(&order, options).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    sqlx::query(
        "INSERT INTO etl.reprocess (account, job, after, records, parked, at) VALUES ($1, $2, $3, 100, 7, now())",
    )
    .bind(alice.scope.account().0)
    .bind(job.0)
    .bind(ids[99])
    .execute(&mut behind)
    .await
    .unwrap();
    // What was done isn't done again: of these records nothing is left to read.
    sqlx::query("UPDATE graph.raw_record SET body = ''::bytea WHERE id = ANY($1)")
        .bind(&ids[..100])
        .execute(&mut behind)
        .await
        .unwrap();
    let done: Value = hub
        .eventually("all is understood again", async || {
            let mut behind = hub.database.superuser().await;
            sqlx::query_scalar("SELECT output FROM pgboss.job WHERE id = $1 AND state = 'completed'")
                .bind(job.0)
                .fetch_optional(&mut behind)
                .await
                .unwrap()
        })
        .await;
    assert_eq!(
        done,
        json!({ "records": 150, "parked": 7 }),
        "told as of the whole"
    );
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM etl.reprocess")
        .fetch_one(&mut behind)
        .await
        .unwrap();
    assert_eq!(left, 0);
}
