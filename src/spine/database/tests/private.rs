//! The private server: begun, killed, opened again, and refused.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use sqlx::{ConnectOptions, Executor};

use super::super::*;

use crate::testing::{TempDir, full_name, unprivileged};

const CHILD_DIRECTORY: &str = "ALLOD_TEST_HELD_DIRECTORY";

async fn count(server: &EmbeddedPostgres, sql: &str) -> i64 {
    let mut conn = server.options().username("allod_app").connect().await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap()
}

async fn as_owner(server: &EmbeddedPostgres, sql: &str) {
    let mut conn = server.options().username("allod_owner").connect().await.unwrap();
    conn.execute(sql).await.unwrap();
}

#[tokio::test]
async fn a_fresh_directory_gets_a_database_that_a_second_start_opens_again() {
    if !unprivileged(
        module_path!(),
        "a_fresh_directory_gets_a_database_that_a_second_start_opens_again",
    ) {
        return;
    }
    let data = TempDir::new();
    let _lock = HubLock::acquire(data.path()).unwrap();
    assert!(!cluster::directory(data.path()).exists());
    let config = DatabaseConfig {
        app_connections: 200,
        spine_connections: 200,
        ..DatabaseConfig::new(data.path())
    };
    let db = Database::open(&config).await.unwrap();
    assert!(db.health().await.ready);
    assert!(db.describe().contains("private, in "), "{}", db.describe());
    let server = db.embedded().unwrap();
    as_owner(
        server,
        "CREATE SCHEMA t; CREATE TABLE t.t AS SELECT 1 AS a; GRANT USAGE ON SCHEMA t TO allod_app",
    )
    .await;
    as_owner(server, "GRANT SELECT ON t.t TO allod_app").await;
    for (setting, wanted) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("data_checksums", "on"),
        ("max_connections", "434"), // both pools can be full
    ] {
        let value: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(db.app())
            .await
            .unwrap();
        assert_eq!(value, wanted, "{setting}");
    }
    db.stop().await;
    assert!(
        !cluster::directory(data.path()).join("postmaster.pid").exists(),
        "it was stopped in good order"
    );
    assert!(!db.health().await.ready);

    let again = Database::open(&DatabaseConfig::new(data.path())).await.unwrap();
    assert_eq!(
        count(again.embedded().unwrap(), "SELECT count(*) FROM t.t").await,
        1
    );
    again.stop().await;
}

#[tokio::test]
async fn a_server_that_is_killed_is_started_again_and_the_hub_recovers() {
    if !unprivileged(
        module_path!(),
        "a_server_that_is_killed_is_started_again_and_the_hub_recovers",
    ) {
        return;
    }
    let data = TempDir::new();
    let db = Database::open(&DatabaseConfig::new(data.path())).await.unwrap();
    let killed = db.embedded().unwrap().pid().unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(killed).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    let recovered = async {
        while db.embedded().unwrap().pid().is_none_or(|pid| pid == killed) || !db.health().await.ready {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), recovered)
        .await
        .expect("the server comes back");
    db.stop().await;
}

/// Not a test of its own: the hub that the next test kills.
#[tokio::test]
async fn held_by_a_hub_until_it_is_killed() {
    let Some(directory) = std::env::var_os(CHILD_DIRECTORY).map(PathBuf::from) else {
        return;
    };
    let _lock = HubLock::acquire(&directory).unwrap();
    let db = Database::open(&DatabaseConfig::new(&directory)).await.unwrap();
    let server = db.embedded().unwrap();
    as_owner(
        server,
        "CREATE SCHEMA t; CREATE TABLE t.t AS SELECT 1 AS a; GRANT USAGE ON SCHEMA t TO allod_app",
    )
    .await;
    as_owner(server, "GRANT SELECT ON t.t TO allod_app").await;
    std::fs::write(directory.join("ready"), "").unwrap();
    std::future::pending::<()>().await;
}

fn hold(directory: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &full_name(module_path!(), "held_by_a_hub_until_it_is_killed"),
        ])
        .env(CHILD_DIRECTORY, directory)
        .spawn()
        .unwrap();
    for _ in 0..3000 {
        if directory.join("ready").exists() {
            return child;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    panic!("the hub did not come up: {:?}", child.wait());
}

#[tokio::test]
async fn after_a_kill_of_the_hub_the_next_start_waits_for_the_old_server_and_has_all_data() {
    if !unprivileged(
        module_path!(),
        "after_a_kill_of_the_hub_the_next_start_waits_for_the_old_server_and_has_all_data",
    ) {
        return;
    }
    let data = TempDir::new();
    let mut hub = hold(data.path());
    let refused = HubLock::acquire(data.path()).unwrap_err().to_string();
    assert!(refused.contains(&format!("pid {}", hub.id())), "{refused}");
    hub.kill().unwrap();
    hub.wait().unwrap();

    let _lock = HubLock::acquire(data.path()).expect("the kernel gave the lock back");
    let db = Database::open(&DatabaseConfig::new(data.path())).await.unwrap();
    assert_eq!(count(db.embedded().unwrap(), "SELECT count(*) FROM t.t").await, 1);
    db.stop().await;
}

#[tokio::test]
async fn data_of_a_newer_postgresql_is_refused_and_left_alone() {
    let data = TempDir::new();
    let directory = cluster::directory(data.path());
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("PG_VERSION"), "99\n").unwrap();
    let refused = Database::open(&DatabaseConfig::new(data.path()))
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("made by PostgreSQL 99"), "{refused}");
    assert_eq!(std::fs::read_dir(directory).unwrap().count(), 1);
}
