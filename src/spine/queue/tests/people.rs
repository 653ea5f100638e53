//! What people see and do.

use super::*;

#[tokio::test]
async fn mallory_can_neither_queue_for_alice_nor_see_or_touch_her_jobs() {
    let db = Db::new().await;
    let mut tx = db.app.begin().await.unwrap();
    support::bind(&mut tx, db.mallory).await;
    let theft = enqueue(
        &mut tx,
        db.alice,
        Cause::outside(),
        &Errand { n: 1 },
        JobOptions::default(),
    )
    .await;
    assert!(matches!(theft, Err(QueueError::Database(_))), "{theft:?}");
    drop(tx);
    let mut unbound = db.app.begin().await.unwrap();
    let nobody = enqueue(
        &mut unbound,
        db.alice,
        Cause::outside(),
        &Errand { n: 1 },
        JobOptions::default(),
    )
    .await;
    assert!(nobody.is_err(), "a transaction without an account queued a job");
    drop(unbound);
    for table in [
        "pgboss.job",
        "pgboss.job_common",
        "pgboss.queue",
        "mq.rate_limit",
        "mq.instance",
    ] {
        let seen = sqlx::query(&format!("SELECT FROM {table}"))
            .fetch_all(&db.app)
            .await;
        assert!(seen.is_err(), "allod_app reads {table}");
    }
    let job = queue(&db, 1).await;
    let (admin, mallory) = (db.admin(), Scope::new(db.mallory, Principal::Operator));
    assert!(admin.get(&mallory, job).await.unwrap().is_none());
    assert!(!admin.cancel(&mallory, job).await.unwrap());
    assert!(!admin.delete(&mallory, job).await.unwrap());
    assert_eq!(admin.retry(&mallory, job).await.unwrap(), RetryOutcome::NotFound);
    assert!(
        admin
            .list(
                &mallory,
                &JobFilter {
                    limit: 10,
                    ..JobFilter::default()
                }
            )
            .await
            .unwrap()
            .jobs
            .is_empty()
    );
    assert!(admin.counts(&mallory).await.unwrap().is_empty());
    let alice = Scope::new(db.alice, Principal::Operator);
    assert!(admin.get(&alice, job).await.unwrap().is_some());
    assert!(admin.delete(&alice, job).await.unwrap());
}

#[tokio::test]
async fn a_handler_that_panics_uses_up_its_tries_and_its_dead_letter_can_be_tried_again() {
    let db = Db::new().await;
    let mut panicking = rig(&db, Act::Panic).await;
    let job = queue_as(&db.app, db.alice, &Chore { n: 1 }, JobOptions::default())
        .await
        .unwrap();
    let view = until(&db, job, JobState::Failed).await;
    assert!(
        view.output.unwrap()["message"]
            .as_str()
            .unwrap()
            .contains("the handler tripped")
    );
    assert_eq!(panicking.began().await.1, 1);
    let dead = JobFilter {
        dead_letters: Some(true),
        limit: 10,
        ..JobFilter::default()
    };
    let letters = db.admin().list(&db.operator(), &dead).await.unwrap().jobs;
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (letters[0].failed_job, letters[0].failed_in.as_deref()),
        (Some(job), Some("do-chore"))
    );
    assert_eq!(letters[0].account, db.alice);
    panicking.drain().await;

    let mut good = rig(&db, Act::Succeed).await;
    let again = db.admin().retry(&db.operator(), letters[0].id).await.unwrap();
    assert_eq!(again, RetryOutcome::Queued(job));
    assert_eq!(good.began().await, (job, 2, 1));
    until(&db, job, JobState::Completed).await;
    assert!(
        db.admin()
            .list(&db.operator(), &dead)
            .await
            .unwrap()
            .jobs
            .is_empty()
    );
    assert_eq!(
        db.admin().retry(&db.operator(), letters[0].id).await.unwrap(),
        RetryOutcome::NotFound
    );
    assert_eq!(
        db.admin().retry(&db.operator(), job).await.unwrap(),
        RetryOutcome::Refused
    );
}

#[tokio::test]
async fn a_dead_letter_whose_job_is_gone_becomes_a_new_job() {
    let db = Db::new().await;
    let failing = rig(&db, Act::Fail).await;
    let job = queue_as(&db.app, db.alice, &Errand { n: 5 }, JobOptions::default())
        .await
        .unwrap();
    until(&db, job, JobState::Failed).await;
    failing.drain().await;
    assert!(db.admin().delete(&db.operator(), job).await.unwrap());
    let dead = JobFilter {
        dead_letters: Some(true),
        limit: 10,
        ..JobFilter::default()
    };
    let letter = db
        .admin()
        .list(&db.operator(), &dead)
        .await
        .unwrap()
        .jobs
        .remove(0);
    let mut good = rig(&db, Act::Succeed).await;
    let RetryOutcome::Queued(new) = db.admin().retry(&db.operator(), letter.id).await.unwrap() else {
        panic!("not queued");
    };
    assert_eq!(good.began().await, (new, 1, 5));
}

#[tokio::test]
async fn a_running_job_shows_its_progress_and_stops_when_it_is_cancelled() {
    let db = Db::new().await;
    let mut rig = rig(&db, Act::Progress).await;
    let job = queue(&db, 1).await;
    rig.began().await;
    for _ in 0..100 {
        if db
            .admin()
            .get(&db.operator(), job)
            .await
            .unwrap()
            .unwrap()
            .progress
            .is_some()
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        db.admin()
            .get(&db.operator(), job)
            .await
            .unwrap()
            .unwrap()
            .progress,
        Some(json!(40))
    );
    assert!(db.admin().cancel(&db.operator(), job).await.unwrap());
    for _ in 0..100 {
        if rig.runner.running() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(rig.runner.running(), 0, "the handler was not told");
    assert_eq!(until(&db, job, JobState::Cancelled).await.attempts, 1);
    assert!(
        !db.admin().cancel(&db.operator(), job).await.unwrap(),
        "what is over can't be cancelled"
    );
}

#[tokio::test]
async fn old_jobs_are_pruned_and_an_erased_account_leaves_none() {
    let db = Db::new().await;
    let old = queue(&db, 1).await;
    let kept = queue_as(&db.app, db.mallory, &Errand { n: 2 }, JobOptions::default())
        .await
        .unwrap();
    sqlx::query(
        "UPDATE pgboss.job SET state = 'completed', completed_on = now() - interval '8 days' WHERE id = $1",
    )
    .bind(old.0)
    .execute(&db.spine)
    .await
    .unwrap();
    assert_eq!(store::prune(&db.spine).await.unwrap(), 1);
    let another = queue(&db, 3).await;
    let mut conn = db.spine.acquire().await.unwrap();
    assert_eq!(erase_account(&mut conn, db.alice).await.unwrap(), 1);
    assert!(db.admin().get(&db.operator(), another).await.unwrap().is_none());
    assert!(db.admin().get(&db.operator(), kept).await.unwrap().is_some());
}

#[tokio::test]
async fn lists_go_page_by_page_newest_first() {
    let db = Db::new().await;
    for n in 0..5 {
        queue(&db, n).await;
    }
    let mut filter = JobFilter {
        limit: 2,
        queue: Some("run-errand".to_owned()),
        ..JobFilter::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = db.admin().list(&db.operator(), &filter).await.unwrap();
        seen.extend(page.jobs.iter().map(|job| job.payload["n"].as_u64().unwrap()));
        filter.after = page.next;
        if filter.after.is_none() {
            break;
        }
    }
    assert_eq!(seen, [4, 3, 2, 1, 0]);
    filter.after = Some("nonsense".to_owned());
    assert!(matches!(
        db.admin().list(&db.operator(), &filter).await,
        Err(QueueError::Options(_))
    ));
    let counts = db.admin().counts(&db.operator()).await.unwrap();
    let expected = QueueCount {
        queue: "run-errand".to_owned(),
        state: JobState::Created,
        jobs: 5,
    };
    assert_eq!(counts, [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_to_a_job_and_its_entry_in_the_audit_are_one_commit() {
    let hub = crate::testing::hub(|_| Vec::new()).await;
    let alice = hub.somebody();
    let mut tx = hub.begin(&alice).await;
    let later = JobOptions {
        start_after: Some(tx.now() + chrono::TimeDelta::days(1)),
        ..JobOptions::default()
    };
    let job = tx.enqueue(&Errand { n: 1 }, later).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let queue = hub.admin.queue();
    let acts = async || {
        hub.settle().await;
        let on = |event: &contracts::Event| {
            let body = event.body.as_ref().filter(|body| body["action"] == "act")?;
            Some(body["on"].as_str()?.to_owned())
        };
        hub.events(&alice).await.iter().filter_map(on).collect::<Vec<_>>()
    };
    // Nothing is done, so nothing is told.
    assert!(!queue.cancel(&alice, JobId::new()).await.unwrap());
    assert_eq!(queue.retry(&alice, job).await.unwrap(), RetryOutcome::Refused);
    assert!(acts().await.is_empty());
    // The entry can't be written, so nothing is done.
    let mut superuser = hub.database.superuser().await;
    let full = "ALTER TABLE spine.outbox ADD CONSTRAINT full_up CHECK (false) NOT VALID";
    sqlx::query(full).execute(&mut superuser).await.unwrap();
    queue.cancel(&alice, job).await.unwrap_err();
    queue.delete(&alice, job).await.unwrap_err();
    assert_eq!(
        queue.get(&alice, job).await.unwrap().unwrap().state,
        JobState::Created
    );
    let empty = "ALTER TABLE spine.outbox DROP CONSTRAINT full_up";
    sqlx::query(empty).execute(&mut superuser).await.unwrap();
    assert!(queue.cancel(&alice, job).await.unwrap());
    assert!(queue.delete(&alice, job).await.unwrap());
    assert_eq!(acts().await, [format!("job/{job}/cancel"), format!("job/{job}")]);
}
