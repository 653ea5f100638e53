//! Hubs that stop, die, lose their database, or are too slow.

use super::*;

#[tokio::test]
async fn the_result_of_an_attempt_that_was_taken_over_is_dropped() {
    let db = Db::new().await;
    let mut rig = rig(&db, Act::Hang).await;
    let job = queue(&db, 1).await;
    rig.began().await;
    // Another process holds the attempt for lost and makes the next one.
    sqlx::query("UPDATE pgboss.job SET retry_count = retry_count + 1, started_on = now() WHERE id = $1")
        .bind(job.0)
        .execute(&db.spine)
        .await
        .unwrap();
    for _ in 0..100 {
        if rig.stopped.load(Ordering::SeqCst) == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        rig.stopped.load(Ordering::SeqCst),
        1,
        "the old attempt was not told"
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    let view = until(&db, job, JobState::Active).await;
    assert_eq!(view.attempts, 2);
}

#[tokio::test]
async fn jobs_of_a_hub_that_was_killed_run_again_within_seconds_and_those_of_a_living_one_do_not() {
    let db = Db::new().await;
    // One slot, and that is taken: what becomes free is the other's.
    let concurrency = Concurrency {
        interactive: 1,
        ..Concurrency::default()
    };
    let busy = RunnerOptions {
        concurrency,
        ..RunnerOptions::default()
    };
    let mut living = rig_with(&db, Act::Hang, busy, Arc::new(SystemClock)).await;
    let held = queue(&db, 1).await;
    assert_eq!(living.began().await.0, held);
    // A hub that left its row and an active job behind, and no session.
    let dead: i32 = sqlx::query_scalar("INSERT INTO mq.instance DEFAULT VALUES RETURNING number")
        .fetch_one(&db.spine)
        .await
        .unwrap();
    let lost = queue_as(
        &db.app,
        db.alice,
        &Errand { n: 2 },
        JobOptions {
            start_after: Some(SystemClock.now() + chrono::Duration::hours(1)),
            ..JobOptions::default()
        },
    );
    let lost = lost.await.unwrap();
    sqlx::query(
        "UPDATE pgboss.job SET state = 'active', started_on = now(),
            output = jsonb_build_object('hub', $2::int, 'attempt', 0) WHERE id = $1",
    )
    .bind(lost.0)
    .bind(dead)
    .execute(&db.spine)
    .await
    .unwrap();
    let mut next = rig(&db, Act::Succeed).await;
    assert_eq!(next.began().await, (lost, 2, 2));
    until(&db, lost, JobState::Completed).await;
    next.quiet(Duration::from_secs(3)).await;
    assert_eq!(until(&db, held, JobState::Active).await.attempts, 1);
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM mq.instance")
        .fetch_one(&db.spine)
        .await
        .unwrap();
    assert_eq!(rows, 2, "the dead hub is still listed, or a living one is not");
}

#[tokio::test]
async fn a_stopping_hub_gives_back_what_it_cannot_finish_and_the_attempt_does_not_count() {
    let db = Db::new().await;
    let mut stubborn = rig(&db, Act::Deaf).await;
    let job = queue_as(&db.app, db.alice, &Chore { n: 1 }, JobOptions::default())
        .await
        .unwrap();
    stubborn.began().await;
    assert_eq!(until(&db, job, JobState::Active).await.attempts, 1);
    assert_eq!(
        stubborn.runner.drain(Duration::from_millis(100)).await,
        DrainReport { given_back: 1 }
    );
    until(&db, job, JobState::Retry).await;
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM mq.instance")
        .fetch_one(&db.spine)
        .await
        .unwrap();
    assert_eq!(rows, 0, "a hub that drained is still listed");
    let mut next = rig(&db, Act::Succeed).await;
    assert_eq!(next.began().await, (job, 1, 1));
}

#[tokio::test]
async fn a_stopping_hub_takes_no_more_jobs_and_waits_for_those_that_run() {
    let db = Db::new().await;
    let mut slow = rig(&db, Act::Nap).await;
    let job = queue(&db, 1).await;
    slow.began().await;
    let (report, late) = tokio::join!(slow.runner.drain(Duration::from_secs(5)), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        queue(&db, 2).await
    });
    assert_eq!(report, DrainReport { given_back: 0 });
    until(&db, job, JobState::Completed).await;
    assert_eq!(until(&db, late, JobState::Created).await.attempts, 0);
}

#[tokio::test]
async fn a_job_that_takes_longer_than_it_may_is_tried_again_whether_its_runner_lives_or_not() {
    let db = Db::new().await;
    let short = || JobOptions {
        retry: Some(RetryPolicy {
            expire_in: Duration::from_secs(1),
            ..QUICK
        }),
        ..JobOptions::default()
    };
    let mut rig = rig(&db, Act::Hang).await;
    let job = queue_as(&db.app, db.alice, &Errand { n: 1 }, short())
        .await
        .unwrap();
    assert_eq!((rig.began().await.1, rig.began().await.1), (1, 2));
    // A foreign worker that took a job and died: no runner of ours knows of it.
    let foreign = queue_as(
        &db.app,
        db.alice,
        &Errand { n: 2 },
        JobOptions {
            start_after: Some(SystemClock.now() + chrono::Duration::hours(1)),
            ..short()
        },
    );
    let foreign = foreign.await.unwrap();
    sqlx::query(
        "UPDATE pgboss.job SET state = 'active', started_on = now() - interval '1 minute' WHERE id = $1",
    )
    .bind(foreign.0)
    .execute(&db.spine)
    .await
    .unwrap();
    loop {
        let (began, attempt, _) = rig.began().await;
        if began == foreign {
            assert_eq!(attempt, 2);
            break;
        }
        assert_eq!(began, job);
    }
}

#[tokio::test]
async fn the_queue_goes_on_after_the_database_threw_everybody_out() {
    let db = Db::new().await;
    let mut rig = rig(&db, Act::Succeed).await;
    let before = queue(&db, 1).await;
    until(&db, before, JobState::Completed).await;
    rig.began().await;
    db.throw_everybody_out().await;
    let after = db.retrying(|| support::queue_somehow(&db.app, db.alice, &Errand { n: 2 }));
    let after = after.await;
    assert_eq!(rig.began().await, (after, 1, 2));
    db.retrying(|| async { db.admin().counts(&db.operator()).await.ok() })
        .await;
    until(&db, after, JobState::Completed).await;
    // It has its lock again: another hub finds nobody to bury.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let silent: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM mq.instance i WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_locks l
            WHERE l.locktype = 'advisory' AND l.classid = 1634495599 AND l.objid = i.number::oid)",
    )
    .fetch_one(&db.spine)
    .await
    .unwrap();
    assert_eq!(silent, 0);
}
