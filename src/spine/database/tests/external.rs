//! A server elsewhere: reached, away, and prepared by its administrator.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use sqlx::{ConnectOptions, Executor};

use super::super::*;
use crate::testing::{self, TempDir, unprivileged};

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

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server that takes connections of this machine's network, encrypted ones alone, with a certificate for the first of
/// two addresses.
async fn encrypting_server(dir: &Path, [known, other]: &[String; 2]) -> EmbeddedPostgres {
    let (authority, key) = (authority("ours"), KeyPair::generate().unwrap());
    let certificate = CertificateParams::new(vec![known.clone()]).unwrap();
    let certificate = certificate.signed_by(&key, &authority).unwrap();
    let private = dir.join("server.key");
    std::fs::write(dir.join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(dir.join("server.pem"), certificate.pem()).unwrap();
    std::fs::write(&private, key.serialize_pem()).unwrap();
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o600)).unwrap();
    let hba = "local all all peer map=allod\nhostssl all all 127.0.0.0/8 trust\n";
    std::fs::write(dir.join("hba"), hba).unwrap();

    let server = EmbeddedPostgres::start(dir, None, 60).await.unwrap();
    let mut root = server.options().username("postgres").connect().await.unwrap();
    let file = |name: &str| dir.join(name).display().to_string();
    for (setting, value) in [
        ("listen_addresses", format!("{known},{other}")),
        ("hba_file", file("hba")),
        ("ssl", "on".to_owned()),
        ("ssl_cert_file", file("server.pem")),
        ("ssl_key_file", file("server.key")),
    ] {
        let sql = format!("ALTER SYSTEM SET {setting} = '{value}'");
        root.execute(sql.as_str()).await.unwrap();
    }
    drop(root);
    server.stop().await;
    EmbeddedPostgres::start(dir, None, 60).await.unwrap()
}

#[tokio::test]
async fn over_a_network_the_hub_talks_to_a_server_that_proves_who_it_is_and_to_no_other() {
    if !unprivileged(
        module_path!(),
        "over_a_network_the_hub_talks_to_a_server_that_proves_who_it_is_and_to_no_other",
    ) {
        return;
    }
    let dir = TempDir::new();
    // Addresses of this machine that nothing else listens on.
    let net = uuid::Uuid::new_v4().as_bytes()[0];
    let addresses @ [known, other] = &[format!("127.88.{net}.1"), format!("127.88.{net}.2")];
    let server = encrypting_server(dir.path(), addresses).await;
    let open = async |address: &str, authority: &Path| {
        let url = |role: &str| {
            let authority = authority.display();
            format!("postgres://{role}@{address}/allod?sslmode=verify-full&sslrootcert={authority}")
        };
        let external = ExternalDatabase {
            url: url("anyone"),
            owner_url: Some(url("allod_owner")),
            app_url: Some(url("allod_app")),
            spine_url: Some(url("allod_spine")),
        };
        let mut config = DatabaseConfig::new(dir.path());
        config.external = Some(external);
        // A refusal is told at once, and not waited for as a server that is away is.
        let opened = tokio::time::timeout(config.patience / 2, Database::open(&config)).await;
        opened.expect("the answer comes at once")
    };
    let ours = dir.path().join("ca.pem");

    let db = open(known, &ours).await.unwrap();
    let encrypted: bool = sqlx::query_scalar("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        .fetch_one(db.app())
        .await
        .unwrap();
    assert!(encrypted);
    db.stop().await;

    for name in ["somebody else", "ours"] {
        let stranger = dir.path().join("stranger.pem");
        std::fs::write(&stranger, authority(name).pem()).unwrap();
        let untrusted = open(known, &stranger).await.unwrap_err().to_string();
        assert!(
            untrusted.contains("whom this machine trusts") && untrusted.contains("sslrootcert="),
            "{untrusted}"
        );
    }
    let misnamed = open(other, &ours).await.unwrap_err().to_string();
    assert!(
        misnamed.contains("for another name") && misnamed.contains(known),
        "{misnamed}"
    );

    let mut root = server.options().username("postgres").connect().await.unwrap();
    root.execute("ALTER SYSTEM SET ssl = off").await.unwrap();
    drop(root);
    server.stop().await;
    let server = EmbeddedPostgres::start(dir.path(), None, 60).await.unwrap();
    let open_way = open(known, &ours).await.unwrap_err().to_string();
    assert!(
        open_way.contains("does not encrypt") && open_way.contains("ssl = on"),
        "{open_way}"
    );
    server.stop().await;
}
