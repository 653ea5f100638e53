//! When and how often a job starts.

use super::*;

#[tokio::test]
async fn a_job_of_a_transaction_that_is_rolled_back_never_was() {
    let db = Db::new().await;
    let mut rig = rig(&db, Act::Succeed).await;
    let mut tx = db.app.begin().await.unwrap();
    support::bind(&mut tx, db.alice).await;
    let job = enqueue(
        &mut tx,
        db.alice,
        Cause::outside(),
        &Errand { n: 1 },
        JobOptions::default(),
    )
    .await
    .unwrap();
    tx.rollback().await.unwrap();
    wake();
    rig.quiet(Duration::from_millis(700)).await;
    assert!(
        db.admin()
            .get(&db.operator(), job.unwrap())
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_commit_wakes_the_runners_of_those_classes_that_it_queued_for() {
    let hub = crate::testing::hub(|_| Vec::new()).await;
    let bells = [JobClass::Interactive, JobClass::Background].map(wake::listen);
    let rang = || bells.each_ref().map(|bell| bell.has_changed().unwrap());
    let mut tx = hub.begin(&hub.somebody()).await;
    for n in 0..2 {
        tx.enqueue(&Errand { n }, JobOptions::default()).await.unwrap();
    }
    assert_eq!(rang(), [false, false], "woken before the commit");
    tx.commit().await.unwrap();
    assert_eq!(rang(), [true, false]);
}

#[tokio::test]
async fn one_job_of_a_singleton_key_waits_or_runs_at_a_time_for_each_account() {
    let db = Db::new().await;
    let keyed = || JobOptions {
        singleton_key: Some("sync".to_owned()),
        ..JobOptions::default()
    };
    let first = queue_as(&db.app, db.alice, &Errand { n: 1 }, keyed())
        .await
        .unwrap();
    assert_eq!(queue_as(&db.app, db.alice, &Errand { n: 2 }, keyed()).await, None);
    assert!(
        queue_as(&db.app, db.mallory, &Errand { n: 3 }, keyed())
            .await
            .is_some()
    );
    let _rig = rig(&db, Act::Succeed).await;
    until(&db, first, JobState::Completed).await;
    assert!(
        queue_as(&db.app, db.alice, &Errand { n: 4 }, keyed())
            .await
            .is_some()
    );
}

#[tokio::test]
async fn a_throttled_slot_takes_one_job_and_a_debounced_one_keeps_the_last_word() {
    let db = Db::new().await;
    let hour = Duration::from_secs(3600);
    let slot = |slot, key: &str| JobOptions {
        slot: Some(slot),
        singleton_key: Some(key.to_owned()),
        ..JobOptions::default()
    };
    assert!(
        queue_as(
            &db.app,
            db.alice,
            &Errand { n: 1 },
            slot(Slot::Throttle(hour), "a")
        )
        .await
        .is_some()
    );
    assert!(
        queue_as(
            &db.app,
            db.alice,
            &Errand { n: 2 },
            slot(Slot::Throttle(hour), "a")
        )
        .await
        .is_none()
    );
    assert!(
        queue_as(
            &db.app,
            db.mallory,
            &Errand { n: 2 },
            slot(Slot::Throttle(hour), "a")
        )
        .await
        .is_some()
    );
    assert!(
        queue_as(
            &db.app,
            db.alice,
            &Errand { n: 3 },
            slot(Slot::Debounce(hour), "b")
        )
        .await
        .is_some()
    );
    let next = queue_as(
        &db.app,
        db.alice,
        &Errand { n: 4 },
        slot(Slot::Debounce(hour), "b"),
    )
    .await
    .unwrap();
    assert!(
        queue_as(
            &db.app,
            db.alice,
            &Errand { n: 5 },
            slot(Slot::Debounce(hour), "b")
        )
        .await
        .is_none()
    );
    let view = db.admin().get(&db.operator(), next).await.unwrap().unwrap();
    assert_eq!(view.start_after.timestamp() % 3600, 0);
    assert!(view.start_after > SystemClock.now());
}

#[tokio::test]
async fn no_more_jobs_of_a_key_start_in_a_period_than_its_limit_allows() {
    let db = Db::new().await;
    let limited = || JobOptions {
        rate_limit: Some(RateLimit {
            key: "sms".to_owned(),
            count: 2,
            period: Duration::from_secs(600),
        }),
        ..JobOptions::default()
    };
    let mut starts = Vec::new();
    for n in 0..5 {
        let job = queue_as(&db.app, db.alice, &Errand { n }, limited())
            .await
            .unwrap();
        starts.push(
            db.admin()
                .get(&db.operator(), job)
                .await
                .unwrap()
                .unwrap()
                .start_after,
        );
    }
    for pair in starts.windows(3) {
        assert!(pair[2] - pair[0] >= chrono::Duration::seconds(600), "{starts:?}");
    }
    assert!(
        starts[1] - starts[0] < chrono::Duration::seconds(60),
        "the first two may start at once"
    );
    let other = queue_as(&db.app, db.mallory, &Errand { n: 9 }, limited())
        .await
        .unwrap();
    let other = db.admin().get(&db.operator(), other).await.unwrap().unwrap();
    assert!(
        other.start_after <= SystemClock.now() + chrono::Duration::seconds(5),
        "limits are an account's own"
    );
}

#[tokio::test]
async fn the_most_urgent_job_starts_first_and_one_that_is_not_due_waits() {
    let db = Db::new().await;
    queue_as(&db.app, db.alice, &Errand { n: 1 }, JobOptions::default()).await;
    queue_as(
        &db.app,
        db.alice,
        &Errand { n: 2 },
        JobOptions {
            priority: 5,
            ..JobOptions::default()
        },
    )
    .await;
    let later = Some(SystemClock.now() + chrono::Duration::hours(1));
    let delayed = JobOptions {
        priority: 9,
        start_after: later,
        ..JobOptions::default()
    };
    queue_as(&db.app, db.alice, &Errand { n: 3 }, delayed).await;
    let concurrency = Concurrency {
        interactive: 1,
        ..Concurrency::default()
    };
    let one = RunnerOptions {
        concurrency,
        ..RunnerOptions::default()
    };
    let mut rig = rig_with(&db, Act::Succeed, one, Arc::new(SystemClock)).await;
    assert_eq!((rig.began().await.2, rig.began().await.2), (2, 1));
    rig.quiet(Duration::from_millis(700)).await;
}

#[tokio::test]
async fn a_class_that_is_full_does_not_stand_before_another() {
    let db = Db::new().await;
    let concurrency = Concurrency {
        background: 1,
        ..Concurrency::default()
    };
    let options = RunnerOptions {
        concurrency,
        ..RunnerOptions::default()
    };
    let mut rig = rig_with(&db, Act::Hang, options, Arc::new(SystemClock)).await;
    for n in 0..3 {
        queue_as(&db.app, db.alice, &Chore { n }, JobOptions::default()).await;
    }
    rig.began().await;
    let text = queue(&db, 42).await;
    assert_eq!(rig.began().await, (text, 1, 42));
    assert_eq!(rig.runner.running(), 2);
}

#[tokio::test]
async fn a_schedule_fires_each_occurrence_once_in_its_own_time_zone() {
    let db = Db::new().await;
    // 08:59:58 in Berlin, in winter.
    let clock = Arc::new(ManualClock::at("2026-01-15T07:59:58Z".parse().unwrap()));
    let mut conn = db.spine.acquire().await.unwrap();
    let when = ("morning", "0 9 * * *", "Europe/Berlin");
    let errand = Errand { n: 9 };
    schedule_put(&mut conn, db.alice, when, &errand, &JobOptions::default())
        .await
        .unwrap();
    assert_eq!(
        schedule_list(&mut conn, db.alice).await.unwrap()[0].key,
        "morning"
    );
    assert!(schedule_list(&mut conn, db.mallory).await.unwrap().is_empty());
    let mut rig = rig_with(&db, Act::Succeed, RunnerOptions::default(), clock.clone()).await;
    let mut second = rig_with(&db, Act::Succeed, RunnerOptions::default(), clock.clone()).await;
    rig.quiet(Duration::from_millis(1500)).await;
    clock.advance(chrono::Duration::seconds(3));
    let (job, attempt, n) = tokio::select! { one = rig.began() => one, two = second.began() => two };
    assert_eq!((attempt, n), (1, 9));
    assert_eq!(until(&db, job, JobState::Completed).await.account, db.alice);
    tokio::join!(
        rig.quiet(Duration::from_secs(3)),
        second.quiet(Duration::from_secs(3))
    );
    assert!(
        schedule_delete::<Errand>(&mut conn, db.alice, "morning")
            .await
            .unwrap()
    );
    assert!(
        !schedule_delete::<Errand>(&mut conn, db.alice, "morning")
            .await
            .unwrap()
    );
    clock.advance(chrono::Duration::days(1));
    rig.quiet(Duration::from_secs(2)).await;
    let bad = schedule_put(
        &mut conn,
        db.alice,
        ("x", "0 9 * *", "UTC"),
        &errand,
        &JobOptions::default(),
    )
    .await;
    assert!(matches!(bad, Err(QueueError::Schedule(_))));
}
