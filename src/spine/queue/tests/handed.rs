//! Jobs that a transaction hands on to the runner beside, which has a slot for them.

use super::*;
use crate::access::Access;
use crate::queue::enqueue_seated;

/// One slot, and nobody looks for jobs by himself.
fn one_slot() -> RunnerOptions {
    RunnerOptions {
        concurrency: Concurrency {
            interactive: 1,
            ..Concurrency::default()
        },
        poll: Duration::from_secs(3600),
        ..RunnerOptions::default()
    }
}

async fn desk(db: &Db, act: Act) -> (Access, Rig) {
    let (access, desks) = db.access();
    // Fetched at the start, in the one slot; once it is free, the runner has looked for more and rests.
    let first = queue(db, 0).await;
    let mut rig = rig_at(desks, db, act, one_slot(), Arc::new(SystemClock)).await;
    assert_eq!(rig.began().await, (first, 1, 0));
    free(&access).await;
    (access, rig)
}

/// Until nobody holds the slot.
async fn free(access: &Access) {
    for _ in 0..1000 {
        if !taken(access) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the slot is not given back");
}

/// Whether nobody gets a slot now.
fn taken(access: &Access) -> bool {
    access.wake().desks().seat(Errand::QUEUE).is_none()
}

async fn begin(access: &Access, db: &Db) -> crate::ScopedTx {
    let alice = Scope::new(db.alice, Principal::Operator);
    access.begin(&alice, Cause::outside()).await.unwrap()
}

async fn order(tx: &mut crate::ScopedTx, n: u32) -> JobId {
    let job = tx.enqueue(&Errand { n }, JobOptions::default()).await.unwrap();
    job.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_as_soon_as_it_is_committed_and_nobody_looks_for_it() {
    let db = Db::new().await;
    let (access, mut rig) = desk(&db, Act::Succeed).await;
    let mut tx = begin(&access, &db).await;
    let job = order(&mut tx, 7).await;
    assert!(taken(&access), "the slot waits for the commit");
    rig.quiet(Duration::from_millis(100)).await;
    tx.commit().await.unwrap();
    assert_eq!(rig.began().await, (job, 1, 7));
    until(&db, job, JobState::Completed).await;
    assert_eq!(rig.drain().await.given_back, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rolled_back_never_runs_and_leaves_its_slot_to_the_next() {
    let db = Db::new().await;
    let (access, mut rig) = desk(&db, Act::Succeed).await;
    let mut tx = begin(&access, &db).await;
    order(&mut tx, 1).await;
    assert!(taken(&access));
    drop(tx);
    free(&access).await;
    let mut tx = begin(&access, &db).await;
    order(&mut tx, 2).await;
    db.throw_everybody_out().await;
    tx.commit().await.unwrap_err();
    // By then the pool asks its connections whether they still live.
    rig.quiet(Duration::from_millis(1200)).await;
    let mut tx = begin(&access, &db).await;
    free(&access).await;
    let job = order(&mut tx, 3).await;
    assert!(taken(&access));
    tx.commit().await.unwrap();
    assert_eq!(rig.began().await, (job, 1, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_free_slot_waits_as_ever() {
    let db = Db::new().await;
    let (access, mut rig) = desk(&db, Act::Nap).await;
    let mut tx = begin(&access, &db).await;
    let first = order(&mut tx, 1).await;
    let second = order(&mut tx, 2).await;
    tx.commit().await.unwrap();
    assert_eq!(rig.began().await, (first, 1, 1));
    let view = db.admin().get(&db.operator(), second).await.unwrap().unwrap();
    assert_eq!(view.state, JobState::Created);
    until(&db, first, JobState::Completed).await;
    assert_eq!(
        rig.began().await,
        (second, 1, 2),
        "it was queued, and the bell rang"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_commit_nobody_heard_of_is_given_back_and_loses_no_attempt() {
    let db = Db::new().await;
    let (access, mut rig) = desk(&db, Act::Succeed).await;
    let mut tx = db.app.begin().await.unwrap();
    support::bind(&mut tx, db.alice).await;
    let plain = JobOptions::default();
    let how = (&plain, access.wake().desks());
    let seated = enqueue_seated(&mut tx, db.alice, Cause::outside(), &Errand { n: 5 }, how).await;
    let seated = seated.unwrap().unwrap();
    let (job, unheard) = (seated.id(), seated.committing());
    tx.commit().await.unwrap();
    drop(unheard);
    assert_eq!(rig.began().await, (job, 1, 5));
    until(&db, job, JobState::Completed).await;
    rig.quiet(Duration::from_millis(1500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_while_the_hub_stops_is_run_before_it_ends() {
    let db = Db::new().await;
    let (access, mut rig) = desk(&db, Act::Succeed).await;
    let mut tx = begin(&access, &db).await;
    let job = order(&mut tx, 9).await;
    assert!(taken(&access));
    let late = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        tx.commit().await.unwrap();
    };
    let (report, ()) = tokio::join!(rig.runner.drain(Duration::from_secs(5)), late);
    assert_eq!(report.given_back, 0);
    assert_eq!(rig.began.recv().await, Some((job, 1, 9)));
    until(&db, job, JobState::Completed).await;
    let mut tx = begin(&access, &db).await;
    let later = order(&mut tx, 10).await;
    tx.commit().await.unwrap();
    let view = db.admin().get(&db.operator(), later).await.unwrap().unwrap();
    assert_eq!(view.state, JobState::Created, "it waits for the next hub");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hands_on_a_job_for_another_account_and_a_queue_with_a_policy_takes_none() {
    let db = Db::new().await;
    let (access, _rig) = desk(&db, Act::Succeed).await;
    let (plain, how) = (JobOptions::default(), access.wake().desks().clone());
    let mut tx = db.app.begin().await.unwrap();
    support::bind(&mut tx, db.mallory).await;
    let theft = enqueue_seated(
        &mut tx,
        db.alice,
        Cause::outside(),
        &Errand { n: 1 },
        (&plain, &how),
    )
    .await;
    assert!(matches!(theft, Err(QueueError::Database(_))), "{theft:?}");
    drop(tx);
    sqlx::query("UPDATE pgboss.queue SET policy = 'singleton' WHERE name = $1")
        .bind(Errand::QUEUE)
        .execute(&db.spine)
        .await
        .unwrap();
    let mut tx = db.app.begin().await.unwrap();
    support::bind(&mut tx, db.alice).await;
    let mine = enqueue_seated(
        &mut tx,
        db.alice,
        Cause::outside(),
        &Errand { n: 1 },
        (&plain, &how),
    )
    .await;
    assert!(mine.unwrap().is_none());
}
