//! The real npm pg-boss at the other end of a pipe: a Node process that runs tests/pgboss/client.mjs.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use spine::testing::TestDatabase;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const PATIENCE: Duration = Duration::from_secs(300);

/// A Node process; killed when dropped.
#[derive(Debug)]
pub(crate) struct Boss {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Boss {
    /// Connected as the role that runs the queue, with so many connections, without timekeeper and supervisor.
    pub(crate) async fn start(database: &TestDatabase, connections: usize) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/pgboss");
        let options = json!({ "schedule": false, "supervise": false, "max": connections });
        let mut child = Command::new(folder.join("node_modules/.bin/node"))
            .arg(folder.join("client.mjs"))
            .arg(database.socket_dir())
            .args([database.name(), "allod_spine", &options.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Node is installed in tests/pgboss (scripts/bench does it)");
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut boss = Self {
            child,
            input,
            output: BufReader::new(output).lines(),
        };
        boss.call("start", json!([])).await;
        boss
    }

    /// The Node process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Calls what the script offers; panics with its words when it refuses.
    pub(crate) async fn call(&mut self, call: &str, args: Value) -> Value {
        let line = format!("{}\n", json!({ "call": call, "args": args }));
        self.input.write_all(line.as_bytes()).await.unwrap();
        let answer = tokio::time::timeout(PATIENCE, self.output.next_line()).await;
        let answer = answer.expect("pg-boss answers").unwrap();
        let answer: Value = serde_json::from_str(&answer.expect("the Node process lives")).unwrap();
        assert!(answer.get("error").is_none(), "{call}: {}", answer["error"]);
        answer["ok"].clone()
    }
}
