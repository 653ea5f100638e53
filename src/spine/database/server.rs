//! The running server process: started from a thread that lives as long as it does, watched, started again.
//!
//! The parent-death signal of Linux fires when the *thread* that started the child ends, so one permanent thread does
//! all starting. A server that ends although nobody asked it to is started again with a growing pause.
//! Invariant: a signal is only ever sent to a process that has not been collected yet, so never to a stranger.
//! Begin with [`Server::start`].

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::watch;

use super::binaries::Binaries;
use super::error::DatabaseError;
use super::postmaster::wait_for_old_server;
use super::program::{command, has_parent_death_signal};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A server that ran this long was healthy: the next pause is short again.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// How long the first start is repeated while backends of a killed server still hold its memory.
const LEFTOVERS_MAX: Duration = Duration::from_secs(15);
const FAST_STOP_MAX: Duration = Duration::from_secs(30);
const IMMEDIATE_STOP_MAX: Duration = Duration::from_secs(5);

/// What to start, and where.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    pub(super) binaries: Binaries,
    pub(super) directory: PathBuf,
    /// Takes what the server says before its own log begins.
    pub(super) start_log: PathBuf,
}

/// A watched server.
#[derive(Debug)]
pub(super) struct Server {
    shared: Arc<Shared>,
    launch: Launch,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Becomes true when the thread has ended, and the server with it.
    ended: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    pid: Option<Pid>,
    /// The first start has succeeded: from here on, a server that ends is started again.
    supervised: bool,
    stopping: bool,
    failed: Option<String>,
}

impl Server {
    /// Starts the thread, which starts the server. Whether it came up is asked with [`Server::failure`] and by
    /// connecting.
    pub(super) fn start(launch: Launch) -> Result<Self, DatabaseError> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            ended: watch::Sender::new(false),
        });
        let (for_thread, theirs) = (Arc::clone(&shared), launch.clone());
        std::thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(move || {
                let shared = for_thread;
                keep_running(&shared, &theirs);
                shared.ended.send_replace(true);
            })
            .map_err(DatabaseError::file(
                "cannot start a thread for",
                &launch.directory,
            ))?;
        Ok(Self { shared, launch })
    }

    /// Why the first start failed, once it has.
    pub(super) fn failure(&self) -> Option<DatabaseError> {
        let status = self.shared.lock().failed.clone()?;
        let log = self.launch.directory.join("log");
        let said = std::fs::read_to_string(&self.launch.start_log).unwrap_or_default();
        let logged = newest_file(&log)
            .and_then(|file| std::fs::read_to_string(file).ok())
            .unwrap_or_default();
        let output = format!(
            "{}
{}",
            last_lines(&said, 8),
            last_lines(&logged, 8)
        );
        Some(DatabaseError::NotStarted { status, log, output })
    }

    /// From now on the server is started again when it ends.
    pub(super) fn supervise(&self) {
        self.shared.lock().supervised = true;
    }

    /// The server's process id while it runs.
    pub(super) fn pid(&self) -> Option<i32> {
        self.shared.lock().pid.map(Pid::as_raw_pid)
    }

    /// Fast shutdown (SIGINT: sessions are ended, a checkpoint is written); after 30 s immediate (SIGQUIT: the next
    /// start recovers from the log), then kill. Returns when the process is gone.
    pub(super) async fn stop(&self) {
        let mut ended = self.shared.ended.subscribe();
        for (signal, patience) in [
            (Signal::INT, FAST_STOP_MAX),
            (Signal::QUIT, IMMEDIATE_STOP_MAX),
            (Signal::KILL, IMMEDIATE_STOP_MAX),
        ] {
            self.shared.stop(signal);
            if tokio::time::timeout(patience, ended.wait_for(|ended| *ended))
                .await
                .is_ok()
            {
                return;
            }
            tracing::warn!(
                ?signal,
                "the database server has not stopped within {} s",
                patience.as_secs()
            );
        }
    }
}

impl Drop for Server {
    /// Asks the server to stop and doesn't wait: a clean end calls [`Server::stop`] first.
    fn drop(&mut self) {
        self.shared.stop(Signal::INT);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self, signal: Signal) {
        let mut state = self.lock();
        state.stopping = true;
        if let Some(pid) = state.pid
            && let Err(errno) = kill_process(pid, signal)
        {
            tracing::warn!(%errno, "the database server could not be told to stop");
        }
        self.changed.notify_all();
    }

    /// Waits out a pause; false when the server is to stop.
    fn pause(&self, pause: Duration) -> bool {
        let state = self.lock();
        let waited = self
            .changed
            .wait_timeout_while(state, pause, |state| !state.stopping);
        !waited.unwrap_or_else(PoisonError::into_inner).0.stopping
    }
}

/// The thread's life.
fn keep_running(shared: &Shared, launch: &Launch) {
    let with_death_signal = has_parent_death_signal();
    if !with_death_signal {
        tracing::warn!(
            "no setpriv with --pdeathsig here: should the hub be killed, its database server runs on until the next start stops it"
        );
    }
    let first = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        let end = match run_once(shared, launch, with_death_signal) {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let mut state = shared.lock();
        if state.stopping {
            return;
        }
        let worth_repeating = || first.elapsed() < LEFTOVERS_MAX && leftovers_are_in_the_way(launch);
        if !state.supervised && !worth_repeating() {
            state.failed = Some(end);
            return;
        }
        drop(state);
        if begun.elapsed() >= HEALTHY_AFTER {
            pause = FIRST_PAUSE;
        }
        tracing::error!(
            end,
            pause_ms = pause.as_millis(),
            "the database server ended by itself and is started again"
        );
        if !shared.pause(pause) {
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Starts the server and returns when it has ended.
fn run_once(shared: &Shared, launch: &Launch, with_death_signal: bool) -> Result<ExitStatus, DatabaseError> {
    wait_for_old_server(&launch.directory)?;
    let mut child = {
        let mut state = shared.lock();
        if state.stopping {
            return Ok(ExitStatus::default());
        }
        let child = spawn(launch, with_death_signal)?;
        state.pid = Some(Pid::from_child(&child));
        child
    };
    let pid = Pid::from_child(&child);
    // Waits without collecting, so that the id stays ours until `pid` is None.
    while let Err(rustix::io::Errno::INTR) =
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
    {}
    shared.lock().pid = None;
    collect(&mut child, launch)
}

fn collect(child: &mut Child, launch: &Launch) -> Result<ExitStatus, DatabaseError> {
    child.wait().map_err(DatabaseError::file(
        "cannot wait for the server of",
        &launch.directory,
    ))
}

fn spawn(launch: &Launch, with_death_signal: bool) -> Result<Child, DatabaseError> {
    let program = launch.binaries.program("postgres");
    let said =
        start_log(&launch.start_log).map_err(DatabaseError::file("cannot write", &launch.start_log))?;
    command(&program, with_death_signal.then_some("INT"))
        .arg("-D")
        .arg(&launch.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said)
        // A group of its own: Ctrl-C in the terminal is for the hub, which stops the database last.
        .process_group(0)
        .spawn()
        .map_err(DatabaseError::file("cannot start", &program))
}

/// Backends outlive a killed server for a moment; until they notice, PostgreSQL refuses to start beside them.
fn leftovers_are_in_the_way(launch: &Launch) -> bool {
    std::fs::read_to_string(&launch.start_log)
        .is_ok_and(|said| said.contains("pre-existing shared memory block"))
}

fn start_log(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

fn newest_file(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    entries
        .max_by_key(|entry| entry.metadata().and_then(|meta| meta.modified()).ok())
        .map(|entry| entry.path())
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(count)..)
        .unwrap_or_default()
        .join("\n")
}
