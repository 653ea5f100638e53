//! What something cost in CPU time, by /proc (Linux): other programs on the machine hardly change it.

use std::path::Path;

/// A tick of /proc/<pid>/stat, in microseconds.
const TICK: f64 = 10_000.0;

/// CPU time up to now, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu {
    /// The program that works on the queue.
    pub(crate) client: f64,
    /// PostgreSQL with all its processes.
    pub(crate) postgres: f64,
}

impl Cpu {
    /// What it cost since `before`, a piece.
    pub(crate) fn since(self, before: Self, pieces: usize) -> Self {
        Self {
            client: (self.client - before.client) / pieces as f64,
            postgres: (self.postgres - before.postgres) / pieces as f64,
        }
    }

    pub(crate) fn both(self) -> f64 {
        self.client + self.postgres
    }

    /// Of this process and the server with its socket in this folder; zero where it can't be read.
    pub(crate) fn look(client: u32, socket_dir: &Path) -> Self {
        let file = std::fs::read_to_string(socket_dir.join("data/postmaster.pid")).unwrap_or_default();
        let server = file.lines().next().and_then(|line| line.parse().ok());
        Self {
            client: process(client).map_or(0.0, |stat| stat.own),
            postgres: server.map_or(0.0, with_children),
        }
    }
}

struct Stat {
    parent: u32,
    own: f64,
    /// Of children that have ended.
    ended: f64,
}

fn process(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |n: usize| fields.get(n)?.parse::<f64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own: (ticks(11)? + ticks(12)?) * TICK,
        ended: (ticks(13)? + ticks(14)?) * TICK,
    })
}

fn with_children(server: u32) -> f64 {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let children = pids.filter_map(process).filter(|stat| stat.parent == server);
    let running: f64 = children.map(|stat| stat.own).sum();
    process(server).map_or(0.0, |stat| stat.own + stat.ended) + running
}
