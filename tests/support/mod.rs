//! A real hub process, its command line, and plain HTTP to it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than anything that a story waits for takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// `scripts/test` builds the hub and says where it is, where its unprivileged user can run it.
pub(crate) fn binary() -> String {
    std::env::var("ALLOD_TEST_BINARY").expect("ALLOD_TEST_BINARY names the hub to test: run scripts/test")
}

/// Asks again and again until the answer is some.
pub(crate) fn eventually<T>(what: &str, mut question: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(Instant::now() < until, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A hub on a temporary directory, stopped at the end.
pub(crate) struct Hub {
    dir: PathBuf,
    child: Child,
    pub(crate) address: String,
}

impl Hub {
    /// Starts a fresh hub and waits until it is ready.
    pub(crate) fn start() -> Self {
        Self::start_in(&std::env::temp_dir().join(format!("allod-story-{}", uuid::Uuid::new_v4().simple())))
    }

    /// Starts a hub on a directory, which goes with it, and waits until it is ready.
    pub(crate) fn start_in(dir: &Path) -> Self {
        let child = spawn(dir);
        let mut hub = Self {
            dir: dir.to_owned(),
            child,
            address: String::new(),
        };
        hub.ready();
        hub
    }

    fn ready(&mut self) {
        let status = eventually("the hub is ready", || {
            if let Some(ended) = self.child.try_wait().unwrap() {
                panic!("the hub ended at its start: {ended}");
            }
            self.try_cli(&["status"], "").ok()
        });
        self.address = status["hub"]["listen"].as_str().unwrap().to_owned();
    }

    /// Stops it as a supervisor does, and starts it again.
    pub(crate) fn restart(&mut self) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        assert!(self.child.wait().unwrap().success(), "a stop is clean");
        self.child = spawn(&self.dir);
        self.ready();
    }

    /// The next time that it comes to a named place, it is killed there (`contracts::failpoint`).
    pub(crate) fn arm(&self, place: &str) {
        std::fs::write(failpoint(&self.dir), place).unwrap();
    }

    /// Waits until it was killed, and starts it again.
    pub(crate) fn revive(&mut self) {
        let ended = eventually("the hub is killed", || self.child.try_wait().unwrap());
        assert!(!ended.success(), "it was killed");
        self.child = spawn(&self.dir);
        self.ready();
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs `allod … --json`; its answer, or what it said went wrong.
    pub(crate) fn try_cli(&self, arguments: &[&str], input: &str) -> Result<Value, String> {
        let mut child = Command::new(binary())
            .args(arguments)
            .arg("--json")
            .arg("--data-dir")
            .arg(&self.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let ended = child.wait_with_output().unwrap();
        if !ended.status.success() {
            return Err(String::from_utf8_lossy(&ended.stderr).into_owned());
        }
        Ok(serde_json::from_slice(&ended.stdout).unwrap_or(Value::Null))
    }

    /// Runs `allod …` as a person does, without `--json`.
    pub(crate) fn person(&self, arguments: &[&str]) -> Shown {
        let ended = Command::new(binary())
            .args(arguments)
            .arg("--data-dir")
            .arg(&self.dir)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Shown {
            code: ended.status.code().unwrap(),
            out: String::from_utf8(ended.stdout).unwrap(),
            err: String::from_utf8(ended.stderr).unwrap(),
        }
    }

    pub(crate) fn cli(&self, arguments: &[&str]) -> Value {
        self.try_cli(arguments, "")
            .unwrap_or_else(|error| panic!("allod {}: {error}", arguments.join(" ")))
    }
}

/// What a person sees of a command.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Drop for Hub {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// In the hub's directory: its user must be able to remove it.
fn failpoint(dir: &Path) -> PathBuf {
    dir.join("failpoint")
}

pub(crate) fn spawn(dir: &Path) -> Child {
    Command::new(binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir)
        .env_remove("DATABASE_URL")
        .env("ALLOD_FAILPOINT_FILE", failpoint(dir))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// An answer over HTTP.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// One request over a connection of its own. Headers as `Name: value`.
pub(crate) fn http(address: &str, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    if !headers.iter().any(|header| header.starts_with("Host:")) {
        head.push_str("Host: hub.internal\r\n");
    }
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // A server that refuses a large body may close before it has read all of it.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no HTTP answer: {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}
