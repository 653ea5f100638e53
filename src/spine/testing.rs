//! A fresh, migrated database for each test.
//!
//! `ALLOD_TEST_POSTGRES` names the socket folder of a running cluster in which the tests may be superuser `postgres`
//! (`scripts/test` starts one). Without it a private server is started below the temporary directory and removed with
//! the last test database of the process. A test that fails or is killed leaves at most a database behind in a cluster
//! that is thrown away anyway.
//! Invariant: tests share no rows. The template is made once per set of migrations, by whichever process comes first.
//! Begin with [`database`].
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that has no database can only stop, and its message is all that its author reads"
)]

mod dump;
mod graph;
mod hub;
#[cfg(test)]
mod unprivileged;

pub use dump::dump;
pub use graph::MemoryGraph;
pub use hub::{TestHub, hub, hub_at, hub_on};
#[cfg(test)]
pub(crate) use unprivileged::{full_name, unprivileged};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection, Executor};
use tokio::sync::Mutex;

use crate::database::{
    Database, DatabaseConfig, EmbeddedPostgres, HubLock, RoleOptions, fingerprint, make_roles, migrate,
    migrate_to,
};

/// The running server's socket folder.
const SERVER_KEY: &str = "ALLOD_TEST_POSTGRES";
/// Any number that nothing else locks; advisory locks count per database, so all use the database `postgres`.
const TEMPLATE_LOCK: i64 = 0x616c_6c6f_6474;

/// A folder below the temporary directory, removed at the end.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Makes an empty folder that only this user may enter.
    #[expect(clippy::new_without_default, reason = "making a folder isn't a default")]
    pub fn new() -> Self {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("allod-{}", uuid::Uuid::new_v4().simple()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .expect("a temporary folder can be made");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A database of one test; dropping it drops the database.
#[derive(Debug)]
pub struct TestDatabase {
    /// The handle that the hub would have.
    pub db: Database,
    name: String,
    server: Arc<TestServer>,
}

/// Makes a migrated database that nobody else uses. Panics with the reason when there is no server to make it on.
pub async fn database() -> TestDatabase {
    let server = test_server().await;
    let template = template(&server).await;
    let name = format!("allod_t_{}", uuid::Uuid::new_v4().simple());
    let mut admin = server.admin("postgres").await;
    run(
        &mut admin,
        &format!("CREATE DATABASE {name} TEMPLATE {template} OWNER allod_owner"),
    )
    .await;
    admin.close().await.expect("the connection closes");
    connected(server, name).await
}

/// Makes a database as an earlier hub left it, with the migrations up to `last` and these rows, and brings it up to
/// date.
pub async fn database_since(last: i64, rows: &str) -> TestDatabase {
    let server = test_server().await;
    let name = format!("allod_t_{}", uuid::Uuid::new_v4().simple());
    let mut admin = server.admin("postgres").await;
    lock_template(&mut admin).await; // roles are made by one at a time
    let options = server.options.clone().username("postgres").database("postgres");
    make_roles(&mut admin, &options, &name, None)
        .await
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    admin.close().await.expect("the connection closes");
    let mut inside = server.admin(&name).await;
    let options = RoleOptions::all(&server.options.clone().database(&name));
    let mut owner = options.owner().connect().await.expect("the owner may enter");
    migrate_to(&mut owner, last)
        .await
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    owner.close().await.expect("the connection closes");
    run(&mut inside, rows).await;
    inside.close().await.expect("the connection closes");
    connected(server, name).await
}

/// Migrates what isn't yet, and connects as a hub does.
async fn connected(server: Arc<TestServer>, name: String) -> TestDatabase {
    let mut config = DatabaseConfig::new(std::env::temp_dir());
    // Many tests at once share one server.
    (config.app_connections, config.spine_connections) = (6, 4);
    let options = RoleOptions::all(&server.options.clone().database(&name));
    let db = Database::connect(options, None, &config)
        .await
        .unwrap_or_else(|e| panic!("test database {name}: {e}"));
    TestDatabase { db, name, server }
}

impl TestDatabase {
    /// In which tables each of these texts stands, in any column, as it is or as the bytes of a binary one: looked for
    /// as the superuser, whom no policy hides a row from. Partitions by their own names.
    pub async fn finds(&self, texts: &[impl AsRef<str>]) -> BTreeMap<String, Vec<String>> {
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let mut superuser = self.superuser().await;
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
             ORDER BY 1",
        )
        .fetch_all(&mut superuser)
        .await
        .expect("the catalogue can be read");
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for table in tables {
            // The name comes from the catalogue, quoted. No column ends in `_`, so that none is taken for its row.
            let look = format!(
                "SELECT sought_.text_ FROM unnest($1::text[]) AS sought_ (text_) WHERE EXISTS (
                    SELECT FROM ONLY {table} AS row_ WHERE strpos(lower(row_::text), lower(sought_.text_)) > 0
                        OR strpos(row_::text, encode(convert_to(sought_.text_, 'UTF8'), 'hex')) > 0)"
            );
            let here: Vec<String> = sqlx::query_scalar(&look)
                .bind(&texts)
                .fetch_all(&mut superuser)
                .await
                .expect("a table can be read");
            for text in here {
                found.entry(text).or_default().push(table.clone());
            }
        }
        found
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server's socket folder, for programs that connect by themselves.
    pub fn socket_dir(&self) -> &Path {
        self.server
            .options
            .get_socket()
            .map_or(Path::new("/"), PathBuf::as_path)
    }

    /// A superuser's connection, which sees every account's rows: for arranging and for looking behind the scenes.
    pub async fn superuser(&self) -> PgConnection {
        self.server.admin(&self.name).await
    }
}

impl Drop for TestDatabase {
    /// Works in a thread of its own, because the test's runtime may be ending.
    fn drop(&mut self) {
        let (options, name) = (
            self.server.options.clone().database("postgres"),
            self.name.clone(),
        );
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let mut admin = options.username("postgres").connect().await?;
                admin
                    .execute(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)").as_str())
                    .await?;
                admin.close().await
            })
        })
        .join();
        if !matches!(dropped, Ok(Ok(()))) && !std::thread::panicking() {
            tracing::warn!(name = self.name, ?dropped, "a test database could not be dropped");
        }
    }
}

/// The server that the tests of this process use.
#[derive(Debug)]
struct TestServer {
    /// Without role and database.
    options: PgConnectOptions,
    embedded: Option<(EmbeddedPostgres, HubLock, TempDir)>,
}

impl TestServer {
    async fn admin(&self, database: &str) -> PgConnection {
        let options = self.options.clone().username("postgres").database(database);
        options
            .connect()
            .await
            .unwrap_or_else(|e| panic!("the test server does not let postgres in: {e}"))
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let Some((server, lock, dir)) = self.embedded.take() else {
            return;
        };
        let stopped = std::thread::spawn(move || {
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                runtime.block_on(server.stop());
            }
            drop((lock, dir));
        })
        .join();
        drop(stopped);
    }
}

async fn test_server() -> Arc<TestServer> {
    static SHARED: Mutex<Weak<TestServer>> = Mutex::const_new(Weak::new());
    let mut shared = SHARED.lock().await;
    if let Some(server) = shared.upgrade() {
        return server;
    }
    let server = Arc::new(match std::env::var_os(SERVER_KEY) {
        Some(socket) => TestServer {
            options: socket_options(Path::new(&socket)),
            embedded: None,
        },
        None => start_server().await,
    });
    *shared = Arc::downgrade(&server);
    server
}

fn socket_options(socket: &Path) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(socket)
        .port(5432)
        .ssl_mode(PgSslMode::Disable)
}

async fn start_server() -> TestServer {
    assert!(
        !rustix::process::geteuid().is_root(),
        "PostgreSQL refuses to run as root: run scripts/test, or set {SERVER_KEY} to a running server's socket folder"
    );
    let dir = TempDir::new();
    let lock = HubLock::acquire(dir.path()).expect("the folder is new");
    let server = EmbeddedPostgres::start(dir.path(), None, 60)
        .await
        .unwrap_or_else(|e| panic!("no test server: {e}"));
    TestServer {
        options: socket_options(server.socket_dir()),
        embedded: Some((server, lock, dir)),
    }
}

/// The name of the template with this binary's migrations, made by the first who asks.
async fn template(server: &TestServer) -> String {
    let name = format!("allod_template_{}", fingerprint());
    let mut admin = server.admin("postgres").await;
    if is_finished(&mut admin, &name).await {
        return name;
    }
    lock_template(&mut admin).await;
    if !is_finished(&mut admin, &name).await {
        // What a process left behind that was killed on the way.
        run(
            &mut admin,
            &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        )
        .await;
        let options = server.options.clone().username("postgres").database("postgres");
        make_roles(&mut admin, &options, &name, None)
            .await
            .unwrap_or_else(|e| panic!("template: {e}"));
        let base = server.options.clone().database(&name);
        let options = RoleOptions::all(&base);
        let mut owner = options
            .owner()
            .connect()
            .await
            .unwrap_or_else(|e| panic!("template: {e}"));
        migrate(&mut owner)
            .await
            .unwrap_or_else(|e| panic!("template: {e}"));
        owner.close().await.expect("the connection closes");
        // The mark of a finished one, set last.
        run(
            &mut admin,
            &format!("ALTER DATABASE {name} IS_TEMPLATE true ALLOW_CONNECTIONS false"),
        )
        .await;
    }
    // Closing the connection gives the lock back.
    admin.close().await.expect("the connection closes");
    name
}

async fn is_finished(admin: &mut PgConnection, name: &str) -> bool {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1 AND datistemplate)",
    )
    .bind(name)
    .fetch_one(admin)
    .await
    .unwrap_or_else(|e| panic!("looking for the template: {e}"))
}

async fn lock_template(admin: &mut PgConnection) {
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(TEMPLATE_LOCK)
        .execute(admin)
        .await
        .unwrap_or_else(|e| panic!("waiting for the template: {e}"));
}

async fn run(admin: &mut PgConnection, sql: &str) {
    admin.execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
}
