//! Many jobs in one call, whose queue is looked up once.

use super::*;

const MANY: u32 = 250;

async fn send_many(conn: &mut sqlx::PgConnection, db: &Db) -> Vec<JobId> {
    let errands: Vec<Errand> = (0..MANY).map(|n| Errand { n }).collect();
    support::bind(conn, db.alice).await;
    enqueue_all(conn, db.alice, Cause::outside(), &errands, JobOptions::default())
        .await
        .unwrap()
}

#[tokio::test]
async fn the_queue_of_many_jobs_stays_until_they_are_committed_and_cannot_go_while_they_are_there() {
    let db = Db::new().await;
    let _rig = rig(&db, Act::Succeed).await;
    let mut tx = db.app.begin().await.unwrap();
    assert_eq!(send_many(&mut tx, &db).await.len(), MANY as usize);
    let role: String = sqlx::query_scalar("SELECT current_setting('session_replication_role')")
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    assert_eq!(role, "origin", "what comes after is checked again");

    let remove = || async {
        let mut spine = db.spine.begin().await?;
        sqlx::query("SET LOCAL lock_timeout = '200ms'")
            .execute(&mut *spine)
            .await?;
        sqlx::query("DELETE FROM pgboss.queue WHERE name = $1")
            .bind(Errand::QUEUE)
            .execute(&mut *spine)
            .await?;
        spine.commit().await
    };
    let code = |error: sqlx::Error| error.into_database_error().unwrap().code().unwrap().into_owned();
    assert_eq!(code(remove().await.unwrap_err()), "55P03", "the queue is held");
    tx.commit().await.unwrap();
    // A broken foreign key; PostgreSQL 18 has a code of its own for one that restricts.
    let refused = code(remove().await.unwrap_err());
    assert!(
        ["23503", "23001"].contains(&refused.as_str()),
        "jobs refer to the queue: {refused}"
    );
}

#[tokio::test]
async fn many_jobs_of_one_call_run_once_each_and_for_their_own_account_only() {
    let db = Db::new().await;
    // So many slots that two fetches are under way together.
    let options = RunnerOptions {
        concurrency: Concurrency {
            interactive: 128,
            ..Concurrency::default()
        },
        ..RunnerOptions::default()
    };
    let mut rig = rig_with(&db, Act::Succeed, options, Arc::new(SystemClock)).await;
    let mut tx = db.app.begin().await.unwrap();
    support::bind(&mut tx, db.mallory).await;
    let errands: Vec<Errand> = (0..MANY).map(|n| Errand { n }).collect();
    let refused = enqueue_all(
        &mut tx,
        db.alice,
        Cause::outside(),
        &errands,
        JobOptions::default(),
    )
    .await;
    assert!(refused.is_err(), "for somebody else");
    tx.rollback().await.unwrap();

    let mut tx = db.app.begin().await.unwrap();
    send_many(&mut tx, &db).await;
    tx.commit().await.unwrap();
    wake();
    let mut begun: Vec<u32> = Vec::new();
    for _ in 0..MANY {
        begun.push(rig.began().await.2);
    }
    begun.sort_unstable();
    assert_eq!(begun, (0..MANY).collect::<Vec<_>>());
    rig.quiet(Duration::from_millis(700)).await;
}
