//! A server elsewhere: reached, away, and prepared by its administrator.

use sqlx::{ConnectOptions, Executor};

use super::super::*;
use super::unprivileged;
use crate::testing::{self, TempDir};

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
    if !unprivileged(
        module_path!(),
        "an_administrator_who_is_no_superuser_prepares_a_server_and_the_hub_logs_in_by_password",
    ) {
        return;
    }
    let (theirs, data) = (TempDir::new(), TempDir::new());
    let server = EmbeddedPostgres::start(theirs.path(), None, 60).await.unwrap();
    let mut root = server
        .options()
        .username("postgres")
        .database("postgres")
        .connect()
        .await
        .unwrap();
    for sql in [
        "DROP DATABASE allod",
        "DROP OWNED BY allod_definer",
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
