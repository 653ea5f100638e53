//! A real hub: the release binary on a directory of its own, with its private PostgreSQL.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::client::Client;

/// A first start makes a database.
const PATIENCE: Duration = Duration::from_secs(120);
/// Of the kernel's clock for processes.
const TICKS_PER_S: f64 = 100.0;
const READY: &str = "allod is ready at http://";

/// A directory for hubs to live in, removed at the end. The hub makes it itself, so that it may hand it to its user.
#[derive(Debug)]
pub(crate) struct Home(PathBuf);

impl Home {
    pub(crate) fn new() -> Self {
        Self(std::env::temp_dir().join(format!("allod-bench-{}", uuid::Uuid::new_v4().simple())))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running hub.
#[derive(Debug)]
pub(crate) struct Hub {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From the start of the program until it said that it is ready.
    pub(crate) ready_after: Duration,
    pub(crate) client: Client,
}

impl Hub {
    pub(crate) async fn start(home: &Home) -> Self {
        let begun = Instant::now();
        let mut child = command(&home.0).spawn().expect("the hub's binary can be started");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = tokio::time::timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(address) = line.strip_prefix(READY) {
                    return address.parse().unwrap();
                }
            }
            panic!("the hub ended at its start")
        });
        let address = address.await.expect("the hub becomes ready");
        let ready_after = begun.elapsed();
        // What it says later is read, so that it never waits for us.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            child,
            address,
            ready_after,
            client: Client::new(home.0.join("control.sock"), None),
        }
    }

    /// Its resident memory: all, and what is its own and of no file, in megabytes.
    pub(crate) fn memory(&self) -> (f64, f64) {
        let status = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(status).unwrap();
        let of = |key: &str| -> f64 {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
            kib * 1024.0 / 1_000_000.0
        };
        (of("VmRSS:"), of("RssAnon:"))
    }

    /// Processor time that it has used, and that its database has, in seconds.
    pub(crate) fn cpu_seconds(&self) -> (f64, f64) {
        let own = self.child.id().unwrap();
        let all: Vec<Process> = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| process(entry.ok()?.file_name().to_str()?.parse().ok()?))
            .collect();
        let mut family = vec![own];
        // A child may be listed before its parent: it is looked for until nobody is added.
        while let Some(child) = all
            .iter()
            .find(|one| family.contains(&one.parent) && !family.contains(&one.pid))
        {
            family.push(child.pid);
        }
        let seconds = |of: &dyn Fn(&Process) -> bool| {
            let ticks: u64 = all.iter().filter(|one| of(one)).map(|one| one.ticks).sum();
            ticks as f64 / TICKS_PER_S
        };
        let others = |one: &Process| one.pid != own && family.contains(&one.pid);
        (seconds(&|one| one.pid == own), seconds(&others))
    }

    /// Asks it to stop, and waits until it did.
    pub(crate) async fn stop(mut self) {
        let pid = Pid::from_raw(self.child.id().unwrap().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        assert!(ended.unwrap().unwrap().success(), "the hub stops cleanly");
    }
}

struct Process {
    pid: u32,
    parent: u32,
    /// Processor time of it and of its children that have ended.
    ticks: u64,
}

fn process(pid: u32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let times = fields.get(11..15)?.iter();
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        ticks: times.filter_map(|one| one.parse::<u64>().ok()).sum(),
    })
}

/// `ALLOD_BENCH_HUB`, or what was built beside this program.
fn binary() -> PathBuf {
    std::env::var_os("ALLOD_BENCH_HUB").map_or_else(
        || std::env::current_exe().unwrap().with_file_name("allod"),
        PathBuf::from,
    )
}

fn command(dir: &Path) -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text == "DATABASE_URL" || (text.starts_with("ALLOD_") && text != "ALLOD_POSTGRES_BIN") {
            command.env_remove(&name);
        }
    }
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir)
        .env("ALLOD_LOG_LEVEL", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}
