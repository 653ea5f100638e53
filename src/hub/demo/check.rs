//! `allod demo --check`: the story on a hub of its own, which is killed with SIGKILL and started again on the way.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use super::story::Story;
use super::{DemoError, hub_address};
use crate::client::Client;
use crate::render;

/// A first start makes a database; slow disks take their time.
const START: Duration = Duration::from_secs(120);

/// Settings that the demo's hub shares with the user's.
const KEPT: [&str; 3] = ["ALLOD_POSTGRES_BIN", "ALLOD_PACKS_DIR", "ALLOD_RECIPES_DIR"];

/// Plays the story; fails at the first step that doesn't hold.
pub(crate) async fn check() -> Result<(), DemoError> {
    let dir = temporary_directory()?;
    let mut hub = Hub::start(&dir).await?;
    let played = play(&mut hub, &dir).await;
    if played.is_err() {
        render::line(format!(
            "the hub's log is kept in {}",
            dir.join("hub.log").display()
        ));
    }
    hub.stop().await?;
    if played.is_ok() {
        std::fs::remove_dir_all(&dir)
            .map_err(|error| DemoError::new(format!("{}: {error}", dir.display())))?;
        render::line("demo --check: every step holds");
    }
    played
}

/// A new directory for a hub of the demo's own.
pub(super) fn temporary_directory() -> Result<PathBuf, DemoError> {
    let dir = std::env::temp_dir().join(format!("allod-demo-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir_all(&dir).map_err(|error| DemoError::new(format!("{}: {error}", dir.display())))?;
    Ok(dir)
}

async fn play(hub: &mut Hub, dir: &Path) -> Result<(), DemoError> {
    let mut story = Story::begin(&hub.client, hub.address).await?;
    story.arrive_at_work().await?;
    story.sam_calls().await?;
    render::line("· kill -9, the moment the call was answered");
    hub.restart().await?;
    story.hub_moved(hub.address);
    story.sam_is_texted().await?;
    story.text_is_delivered().await?;
    render::line("· kill -9 again, when all is done");
    hub.restart().await?;
    story.hub_moved(hub.address);
    story.same_call_again_changes_nothing().await?;
    story.show_trace().await?;
    super::erasure::prove(&story, dir).await?;
    let report = hub.client.get("/audit/verify").await?;
    if report["faults"]
        .as_array()
        .is_none_or(|faults| !faults.is_empty())
    {
        return Err(DemoError::new(format!("the log does not prove itself: {report}")));
    }
    render::line("· the log proves itself, through two kills and an erasure");
    Ok(())
}

/// A hub process on a temporary directory.
#[derive(Debug)]
pub(super) struct Hub {
    dir: PathBuf,
    pub(super) child: Child,
    pub(super) client: Client,
    pub(super) address: SocketAddr,
}

impl Hub {
    pub(super) async fn start(dir: &Path) -> Result<Self, DemoError> {
        let client = Client::new(dir.join("control.sock"), None);
        let child = spawn(dir)?;
        let mut hub = Self {
            dir: dir.to_owned(),
            child,
            client,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        hub.ready().await?;
        Ok(hub)
    }

    async fn ready(&mut self) -> Result<(), DemoError> {
        let started = Instant::now();
        loop {
            if let Ok(address) = hub_address(&self.client).await {
                self.address = address;
                render::line(format!(
                    "· the hub is ready after {} ms",
                    started.elapsed().as_millis()
                ));
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                let log = std::fs::read_to_string(self.dir.join("hub.log")).unwrap_or_default();
                return Err(DemoError::new(format!(
                    "the hub ended at its start ({status}):\n{log}"
                )));
            }
            if started.elapsed() > START {
                return Err(DemoError::new("the hub does not become ready"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn restart(&mut self) -> Result<(), DemoError> {
        let failed = |error: std::io::Error| DemoError::new(format!("the hub can't be killed: {error}"));
        self.child.start_kill().map_err(failed)?;
        self.child.wait().await.map_err(failed)?;
        self.start_again().await
    }

    /// The same hub, after it ended.
    pub(super) async fn start_again(&mut self) -> Result<(), DemoError> {
        self.child = spawn(&self.dir)?;
        self.ready().await
    }

    /// Asks it to stop, and waits until it did.
    pub(super) async fn stop(&mut self) -> Result<(), DemoError> {
        if let Some(pid) = self
            .child
            .id()
            .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()))
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let waited = tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await;
        match waited {
            Ok(Ok(status)) if status.success() => Ok(()),
            other => Err(DemoError::new(format!("the hub did not stop cleanly: {other:?}"))),
        }
    }
}

fn spawn(dir: &Path) -> Result<Child, DemoError> {
    let failed = |error: std::io::Error| DemoError::new(format!("the hub can't be started: {error}"));
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join("hub.log"))
        .map_err(failed)?;
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    // Only what tells where things are installed: the demo's hub has a directory, address and database of its own.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text == "DATABASE_URL" || (text.starts_with("ALLOD_") && !KEPT.contains(&text.as_ref())) {
            command.env_remove(&name);
        }
    }
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir)
        .env("ALLOD_FAILPOINT_FILE", dir.join("failpoint"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)
}
