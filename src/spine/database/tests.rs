//! Stories about a whole database: the private server, and what each role may do on a shared one.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use sqlx::{ConnectOptions, Connection, Executor};

use super::*;
use crate::testing::{self, TempDir};

const CHILD_DIRECTORY: &str = "ALLOD_TEST_HELD_DIRECTORY";

/// PostgreSQL refuses to run as root, and CI runs as root in a container: there the test runs once more as `nobody`,
/// from a copy of this binary that `nobody` can read. False when the caller has nothing left to do.
fn unprivileged(test: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    if !rustix::process::geteuid().is_root() {
        return true;
    }
    let dir = TempDir::new();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    let copy = dir.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let status = Command::new("setpriv")
        .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"])
        .arg(copy)
        .args(["--exact", &format!("database::tests::{test}"), "--nocapture"])
        .current_dir("/")
        .status()
        .unwrap();
    assert!(status.success(), "as nobody: {status}");
    false
}

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
    if !unprivileged("a_fresh_directory_gets_a_database_that_a_second_start_opens_again") {
        return;
    }
    let data = TempDir::new();
    let _lock = HubLock::acquire(data.path()).unwrap();
    assert!(!has_embedded_data(data.path()));
    let db = Database::open(&DatabaseConfig::new(data.path())).await.unwrap();
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
    if !unprivileged("a_server_that_is_killed_is_started_again_and_the_hub_recovers") {
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
        .args(["--exact", "database::tests::held_by_a_hub_until_it_is_killed"])
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
    if !unprivileged("after_a_kill_of_the_hub_the_next_start_waits_for_the_old_server_and_has_all_data") {
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

#[tokio::test]
async fn each_test_has_its_own_database_though_they_are_made_at_once() {
    let (one, two, three) = tokio::join!(testing::database(), testing::database(), testing::database());
    assert_ne!(one.name(), two.name());
    one.superuser()
        .await
        .execute("CREATE TABLE public.only_in_one ()")
        .await
        .unwrap();
    for (test, there) in [(&one, true), (&two, false), (&three, false)] {
        let found: bool = sqlx::query_scalar("SELECT to_regclass('public.only_in_one') IS NOT NULL")
            .fetch_one(test.db.app())
            .await
            .unwrap();
        assert_eq!(found, there);
    }
}

#[tokio::test]
async fn a_test_database_is_gone_when_its_test_ends() {
    let stays = testing::database().await;
    let ends = testing::database().await;
    let name = ends.name().to_owned();
    drop(ends);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_catalog.pg_database WHERE datname = $1")
        .bind(&name)
        .fetch_one(&mut stays.superuser().await)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn the_hubs_roles_are_what_they_claim_to_be() {
    let test = testing::database().await;
    for (pool, role) in [(test.db.app(), Role::App), (test.db.spine(), Role::Spine)] {
        let (user, path, zone): (String, String, String) = sqlx::query_as(
            "SELECT current_user::text, current_setting('search_path'), current_setting('timezone')",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        assert_eq!((user.as_str(), zone.as_str()), (role.name(), "UTC"));
        assert_eq!(path, "pg_catalog,pg_temp");
        let refused = sqlx::query("CREATE TABLE public.mine ()")
            .execute(pool)
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{refused}");
    }
    let own_path = test
        .db
        .connect_options(Role::Spine)
        .options([("search_path", "mq")]);
    let mut conn = own_path.connect().await.unwrap();
    let path: String = sqlx::query_scalar("SELECT current_setting('search_path')")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(path, "mq", "the queue sets a path of its own");
}

#[tokio::test]
async fn a_new_function_is_not_for_everybody() {
    let test = testing::database().await;
    let mut owner = test.db.connect_options(Role::Owner).connect().await.unwrap();
    owner
        .execute(
            "CREATE SCHEMA t; GRANT USAGE ON SCHEMA t TO allod_app;
             GRANT CREATE, USAGE ON SCHEMA t TO allod_definer;
             CREATE FUNCTION t.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
             CREATE FUNCTION t.g() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 2';
             ALTER FUNCTION t.g() OWNER TO allod_definer;",
        )
        .await
        .unwrap();
    for call in ["SELECT t.f()", "SELECT t.g()"] {
        let refused = sqlx::query(call).execute(test.db.app()).await.unwrap_err();
        assert!(
            refused.to_string().contains("permission denied for function"),
            "{refused}"
        );
    }
    owner
        .execute("SET ROLE allod_definer; GRANT EXECUTE ON FUNCTION t.g() TO allod_app")
        .await
        .unwrap();
    let answer: i32 = sqlx::query_scalar("SELECT t.g()")
        .fetch_one(test.db.app())
        .await
        .unwrap();
    assert_eq!(answer, 2);
}

/// A role's attributes belong to the whole server, so this changes them in a transaction that is never committed.
#[tokio::test]
async fn a_start_with_a_role_that_could_bypass_row_level_security_is_refused_by_name() {
    let test = testing::database().await;
    let mut superuser = test.superuser().await;
    roles::verify(&mut superuser).await.unwrap();
    for (change, said) in [
        (
            "ALTER ROLE allod_app BYPASSRLS",
            "allod_app bypasses row-level security",
        ),
        ("ALTER ROLE allod_spine SUPERUSER", "allod_spine is a superuser"),
        ("ALTER ROLE allod_owner CREATEROLE", "allod_owner may make roles"),
        (
            "GRANT allod_owner TO allod_app",
            "allod_app is a member of allod_owner",
        ),
        (
            "GRANT pg_read_all_data TO allod_spine",
            "allod_spine is a member of pg_read_all_data",
        ),
        (
            "GRANT postgres TO allod_owner",
            "allod_owner is a member of postgres",
        ),
        (
            "CREATE TABLE public.t (); ALTER TABLE public.t OWNER TO allod_app",
            "allod_app owns t",
        ),
        ("CREATE SCHEMA s AUTHORIZATION allod_spine", "allod_spine owns s"),
    ] {
        let mut tx = superuser.begin().await.unwrap();
        tx.execute(change).await.unwrap();
        let refused = roles::verify(&mut tx).await.expect_err(change).to_string();
        assert!(refused.contains(said), "{change}: {refused}");
        tx.rollback().await.unwrap();
    }
    roles::verify(&mut superuser).await.unwrap();
}

#[tokio::test]
async fn a_newer_database_and_an_edited_migration_are_refused_and_a_second_run_changes_nothing() {
    let test = testing::database().await;
    let mut owner = test.db.connect_options(Role::Owner).connect().await.unwrap();
    migrate(&mut owner).await.unwrap();
    owner
        .execute(
            "INSERT INTO public._sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (999999, 'of the future', true, 'x', 0)",
        )
        .await
        .unwrap();
    let newer = migrate(&mut owner).await.unwrap_err().to_string();
    assert!(newer.contains("newer allod (migration 999999"), "{newer}");
    owner
        .execute(
            "DELETE FROM public._sqlx_migrations WHERE version = 999999;
             UPDATE public._sqlx_migrations SET checksum = 'x' WHERE version = 1",
        )
        .await
        .unwrap();
    let edited = migrate(&mut owner).await.unwrap_err().to_string();
    assert!(edited.contains("migration 1 differs"), "{edited}");
}

#[tokio::test]
async fn an_external_server_is_reached_by_the_address_of_each_role() {
    let test = testing::database().await;
    let url = |user: &str| {
        format!(
            "postgres://{user}@localhost/{}?host={}",
            test.name(),
            test.socket_dir().display()
        )
    };
    let mut config = DatabaseConfig::new(std::env::temp_dir());
    config.patience = Duration::ZERO;
    config.external = Some(ExternalDatabase {
        url: url("anyone"),
        owner_url: Some(url("allod_owner")),
        app_url: Some(url("allod_app")),
        spine_url: Some(url("allod_spine")),
    });
    let db = Database::open(&config).await.unwrap();
    assert!(db.health().await.ready);
    assert!(db.describe().contains(test.name()), "{}", db.describe());
    db.stop().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_as_something_that_may_pass() {
    let dir = TempDir::new();
    let url = |role: &str| {
        Some(format!(
            "postgres://{role}@localhost/x?host={}",
            dir.path().display()
        ))
    };
    let mut config = DatabaseConfig::new(dir.path());
    config.patience = Duration::ZERO;
    config.external = Some(ExternalDatabase {
        url: "postgres://localhost/x".to_owned(),
        owner_url: url("allod_owner"),
        app_url: url("allod_app"),
        spine_url: url("allod_spine"),
    });
    let error = Database::open(&config).await.unwrap_err();
    assert!(error.may_pass(), "{error}");
}

/// Roles belong to a whole server, so this one has a server of its own, which asks for passwords.
#[tokio::test]
async fn an_administrator_who_is_no_superuser_prepares_a_server_and_the_hub_logs_in_by_password() {
    if !unprivileged("an_administrator_who_is_no_superuser_prepares_a_server_and_the_hub_logs_in_by_password")
    {
        return;
    }
    let (theirs, data) = (TempDir::new(), TempDir::new());
    let server = EmbeddedPostgres::start(theirs.path(), None).await.unwrap();
    let mut root = server
        .options()
        .username("postgres")
        .database("postgres")
        .connect()
        .await
        .unwrap();
    for sql in [
        "DROP DATABASE allod",
        "DROP ROLE allod_owner, allod_app, allod_spine, allod_definer",
        "CREATE ROLE boss LOGIN CREATEROLE CREATEDB PASSWORD 'boss'",
    ] {
        root.execute(sql).await.unwrap();
    }
    let hba = "local all postgres peer map=allod\nlocal all all scram-sha-256\n";
    std::fs::write(server.directory().join("pg_hba.conf"), hba).unwrap();
    root.execute("SELECT pg_reload_conf()").await.unwrap();
    let url = |login: &str, database: &str| {
        format!(
            "postgres://{login}@localhost/{database}?host={}",
            server.socket_dir().display()
        )
    };
    let external = ExternalDatabase::at(url("ignored:ignored", "hub"));
    let mut order = DbInit {
        admin_url: url("boss:boss", "postgres"),
        external: external.clone(),
        data_dir: data.path().to_owned(),
        reset_passwords: false,
    };
    let mut config = DatabaseConfig::new(data.path());
    config.external = Some(external);
    assert!(matches!(
        Database::open(&config).await,
        Err(DatabaseError::NotInitialised(_))
    ));

    // The server may take a moment to read its new rules, and until then it lets boss in nowhere.
    let mut prepared = db_init(&order).await;
    for _ in 0..100 {
        if prepared.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        prepared = db_init(&order).await;
    }
    prepared.unwrap();
    let file = std::fs::read_to_string(data.path().join("database.toml")).unwrap();
    let db = Database::open(&config).await.unwrap();
    assert!(db.health().await.ready);
    db.stop().await;

    db_init(&order).await.unwrap();
    assert_eq!(
        std::fs::read_to_string(data.path().join("database.toml")).unwrap(),
        file,
        "a second run keeps them"
    );
    std::fs::remove_file(data.path().join("database.toml")).unwrap();
    assert!(
        matches!(db_init(&order).await, Err(DatabaseError::RolesExist(_))),
        "they may be another hub's"
    );
    order.reset_passwords = true;
    db_init(&order).await.unwrap();
    Database::open(&config).await.unwrap().stop().await;
    server.stop().await;
}
