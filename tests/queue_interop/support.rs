//! A database, and a Node process with pg-boss on it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use contracts::{AccountId, JobId};
use serde_json::{Value, json};
use spine::testing::{TestDatabase, database};
use sqlx::postgres::{PgPool, PgRow};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A database of its own for each test.
pub(super) struct Db {
    pub(super) app: PgPool,
    pub(super) spine: PgPool,
    pub(super) alice: AccountId,
    test: TestDatabase,
}

impl Db {
    pub(super) async fn new() -> Self {
        let test = database().await;
        let (app, spine) = (test.db.app().clone(), test.db.spine().clone());
        Self {
            app,
            spine,
            alice: AccountId::new(),
            test,
        }
    }

    /// Every table, column, index and function of pg-boss's schema, as text.
    pub(super) async fn shape(&self) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT attrelid::regclass || ' ' || attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnum
            FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
            WHERE c.relnamespace = 'pgboss'::regnamespace AND NOT attisdropped
            UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'pgboss'
            UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'pgboss'::regnamespace
            UNION ALL SELECT 'version ' || version FROM pgboss.version
            ORDER BY 1",
        )
        .fetch_all(&self.spine)
        .await
        .unwrap()
    }

    pub(super) async fn until(&self, job: JobId, state: &str) -> PgRow {
        for _ in 0..200 {
            let row = sqlx::query(
                "SELECT output FROM pgboss.job WHERE id = $1 AND state = $2::text::pgboss.job_state",
            )
            .bind(job.0)
            .bind(state)
            .fetch_optional(&self.spine)
            .await
            .unwrap();
            if let Some(row) = row {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{job} did not become {state}");
    }
}

/// A Node process that runs tests/pgboss/client.mjs; killed when dropped.
pub(super) struct Boss {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Boss {
    pub(super) async fn start(db: &Db, role: &str, options: Value) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("pgboss");
        let node = folder.join("node_modules/.bin/node");
        assert!(
            node.exists(),
            "run `npm install` in tests/pgboss first (scripts/test does)"
        );
        let mut child = Command::new(node)
            .arg(folder.join("client.mjs"))
            .arg(db.test.socket_dir())
            .args([db.test.name(), role, &options.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self {
            child,
            input,
            output: BufReader::new(output).lines(),
        }
    }

    /// Started, as the role that runs the queue, without timekeeper and supervisor.
    pub(super) async fn connected(db: &Db) -> Self {
        let mut boss = Self::start(
            db,
            "allod_spine",
            json!({ "schedule": false, "supervise": false }),
        )
        .await;
        boss.call("start", json!([])).await;
        boss
    }

    /// Calls a method of PgBoss, or one that the script adds. Panics with pg-boss's own words when it refuses.
    pub(super) async fn call(&mut self, call: &str, args: Value) -> Value {
        let answer = self.ask(call, args).await;
        assert!(answer.get("error").is_none(), "{call}: {}", answer["error"]);
        answer["ok"].clone()
    }

    /// What pg-boss says when it refuses. Panics when it doesn't.
    pub(super) async fn refused(&mut self, call: &str, args: Value) -> String {
        let answer = self.ask(call, args).await;
        let words = answer["error"].as_str();
        words
            .unwrap_or_else(|| panic!("{call} was not refused: {answer}"))
            .to_owned()
    }

    async fn ask(&mut self, call: &str, args: Value) -> Value {
        let line = format!("{}\n", json!({ "call": call, "args": args }));
        self.input.write_all(line.as_bytes()).await.unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(30), self.output.next_line()).await;
        let answer = answer
            .unwrap_or_else(|_| panic!("pg-boss doesn't answer {call}"))
            .unwrap();
        serde_json::from_str(&answer.expect("the Node process ended")).unwrap()
    }

    pub(super) async fn stop(mut self) {
        self.call("stop", json!([])).await;
        let _ = tokio::time::timeout(Duration::from_secs(5), self.child.wait()).await;
    }
}
