//! What comes of an attempt.

use super::*;

#[tokio::test]
async fn a_job_runs_once_with_its_commit_and_shows_its_result() {
    let db = Db::new().await;
    let mut rig = rig(&db, Act::Succeed).await;
    let job = queue(&db, 7).await;
    assert_eq!(rig.began().await, (job, 1, 7));
    let view = until(&db, job, JobState::Completed).await;
    assert_eq!(
        (view.output, view.attempts, view.account),
        (Some(json!({"n": 7})), 1, db.alice)
    );
    assert_eq!(view.payload, json!({"n": 7}));
    rig.quiet(Duration::from_millis(700)).await;
    assert_eq!(rig.drain().await.given_back, 0);
}

#[tokio::test]
async fn what_may_work_later_is_tried_until_the_tries_are_used_up_and_no_longer() {
    let db = Db::new().await;
    let mut rig = rig(&db, Act::Retry).await;
    let job = queue(&db, 1).await;
    for attempt in 1..=3 {
        assert_eq!(rig.began().await, (job, attempt, 1));
    }
    let view = until(&db, job, JobState::Failed).await;
    assert_eq!((view.attempts, view.attempts_max), (3, 3));
    rig.quiet(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn what_never_works_is_not_tried_again() {
    let db = Db::new().await;
    let mut rig = rig(&db, Act::Fail).await;
    let job = queue(&db, 1).await;
    until(&db, job, JobState::Failed).await;
    assert_eq!(rig.began().await.1, 1);
    rig.quiet(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn a_queue_without_a_handler_is_left_alone() {
    let db = Db::new().await;
    let _rig = rig(&db, Act::Succeed).await;
    sqlx::query("SELECT mq.queue_create('of-someone-else', 2, 1, 1, 60)")
        .execute(&db.spine)
        .await
        .unwrap();
    let id: uuid::Uuid =
        sqlx::query_scalar("INSERT INTO pgboss.job (name) VALUES ('of-someone-else') RETURNING id")
            .fetch_one(&db.spine)
            .await
            .unwrap();
    wake();
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(until(&db, JobId(id), JobState::Created).await.attempts, 0);
}

#[tokio::test]
async fn a_result_that_cannot_be_stored_fails_its_own_job_and_no_other() {
    let db = Db::new().await;
    let _rig = rig(&db, Act::BadOutput).await;
    let job = queue(&db, 1).await;
    let view = until(&db, job, JobState::Failed).await;
    assert!(
        view.output.unwrap()["message"]
            .as_str()
            .unwrap()
            .contains("can't be stored")
    );
}

#[tokio::test]
async fn a_payload_of_another_shape_fails_with_the_reason() {
    let db = Db::new().await;
    let _rig = rig(&db, Act::Succeed).await;
    let id: uuid::Uuid = sqlx::query_scalar(
        r#"INSERT INTO pgboss.job (name, data, dead_letter) VALUES ('run-errand', '{"payload": {"m": 1}}', 'run-errand-dead') RETURNING id"#,
    )
    .fetch_one(&db.spine)
    .await
    .unwrap();
    wake();
    let view = until(&db, JobId(id), JobState::Failed).await;
    assert!(
        view.output.unwrap()["message"]
            .as_str()
            .unwrap()
            .contains("missing field `n`")
    );
}

/// What is written to a job's row moves it away from where the fetch left it.
#[tokio::test]
async fn a_job_that_told_its_progress_completes_like_any_other() {
    let db = Db::new().await;
    let rig = rig(&db, Act::Tell).await;
    let job = queue(&db, 1).await;
    let view = until(&db, job, JobState::Completed).await;
    assert_eq!((view.output, view.attempts), (Some(json!({ "n": 1 })), 1));
    rig.drain().await;
}
