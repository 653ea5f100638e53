//! The machine: without it a figure says nothing.

use std::fmt;
use std::io::Write;
use std::time::Instant;

use crate::measure::{Spread, ms};

const SYNCS: usize = 100;

/// Processor, cores, memory and the cost of making a write durable.
#[derive(Debug)]
pub(crate) struct Machine {
    cores: usize,
    processor: String,
    memory: String,
    /// Milliseconds.
    sync: Spread,
    load: String,
}

impl Machine {
    pub(crate) fn look() -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: field("/proc/cpuinfo", "model name"),
            memory: field("/proc/meminfo", "MemTotal"),
            sync: sync(),
            load: load(),
        }
    }

    /// The median cost of a sync, in milliseconds.
    pub(crate) fn sync_ms(&self) -> f64 {
        self.sync.median
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cores,
            processor,
            memory,
            sync,
            load,
        } = self;
        write!(
            f,
            "Machine: {cores} cores of {processor}, memory {memory}, fsync {:.2} ms (median of {SYNCS}; {:.2} to {:.2}). \
             Load average at the beginning: {load}.",
            sync.median, sync.least, sync.most
        )
    }
}

/// The load averages of 1, 5 and 15 minutes.
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn field(file: &str, key: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key));
    line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
        .unwrap_or_else(|| "unknown".to_owned())
}

/// What appending 8 KiB and syncing it costs, in the temporary directory, where the databases are.
fn sync() -> Spread {
    let path = std::env::temp_dir().join(format!("allod-bench-{}", uuid::Uuid::new_v4().simple()));
    let mut file = std::fs::File::create(&path).unwrap();
    let times = (0..SYNCS)
        .map(|_| {
            let begun = Instant::now();
            file.write_all(&[0; 8192]).unwrap();
            file.sync_data().unwrap();
            ms(begun.elapsed())
        })
        .collect();
    std::fs::remove_file(&path).unwrap();
    Spread::of(times)
}
