//! The machine: without it a figure says nothing.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::measure::{Spread, ms};

const SYNCS: usize = 100;
/// As long as a file of PostgreSQL's log.
const FILE: usize = 16 << 20;
const BLOCK: usize = 8192;
/// While something else is measured, a sync is measured so often.
const EVERY: Duration = Duration::from_millis(100);

/// Processor, cores, memory and the cost of making a write durable.
#[derive(Debug)]
pub(crate) struct Machine {
    cores: usize,
    processor: String,
    memory: String,
    /// Milliseconds.
    sync: Spread,
    /// What a core does at this time, in milliseconds: the same machine may be slow today.
    sorted: Spread,
    load: String,
}

impl Machine {
    pub(crate) fn look() -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: field("/proc/cpuinfo", "model name"),
            memory: field("/proc/meminfo", "MemTotal"),
            sync: sync(),
            sorted: sorted(),
            load: load(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cores,
            processor,
            memory,
            sync,
            sorted,
            load,
        } = self;
        write!(
            f,
            "Machine: {cores} cores of {processor}, memory {memory}, fsync {:.2} ms (median of {SYNCS}; {:.2} to {:.2}). \
             A core sorts a million numbers in {:.0} ms ({:.0} to {:.0}). Load average at the beginning: {load}.",
            sync.median, sync.least, sync.most, sorted.median, sorted.least, sorted.most
        )
    }
}

/// How long one core needs to sort a million numbers in disorder.
fn sorted() -> Spread {
    let time = |seed: u64| {
        let mut next = seed;
        let mut numbers: Vec<u64> = std::iter::repeat_with(|| {
            next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            next >> 16
        })
        .take(1_000_000)
        .collect();
        let begun = Instant::now();
        numbers.sort_unstable();
        std::hint::black_box(&numbers);
        ms(begun.elapsed())
    };
    Spread::of((1..=15).map(time).collect())
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

/// A file that exists already and whose blocks are written anew and synced, as PostgreSQL does with its log; in the
/// temporary directory, where the databases are.
struct SyncedFile {
    path: PathBuf,
    file: File,
    written: u64,
}

impl SyncedFile {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("allod-bench-{}", uuid::Uuid::new_v4().simple()));
        let file = File::create(&path).unwrap();
        file.write_all_at(&vec![0; FILE], 0).unwrap();
        file.sync_all().unwrap();
        Self {
            path,
            file,
            written: 0,
        }
    }

    /// What a sync costs now, in milliseconds.
    fn sync(&mut self) -> f64 {
        let begun = Instant::now();
        self.written += 1;
        let text = [self.written.to_le_bytes()[0]; BLOCK];
        let blocks = (FILE / BLOCK) as u64;
        let at = self.written % blocks * BLOCK as u64;
        self.file.write_all_at(&text, at).unwrap();
        self.file.sync_data().unwrap();
        ms(begun.elapsed())
    }
}

impl Drop for SyncedFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn sync() -> Spread {
    let mut file = SyncedFile::new();
    Spread::of((0..SYNCS).map(|_| file.sync()).collect())
}

/// Measures what a sync costs while something else goes on: a disk that is busy, or shared, is slower.
#[derive(Debug)]
pub(crate) struct SyncWatch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<f64>>,
}

impl SyncWatch {
    pub(crate) fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let (mut file, mut times) = (SyncedFile::new(), Vec::new());
            while times.is_empty() || !stopped.load(Ordering::Relaxed) {
                times.push(file.sync());
                std::thread::sleep(EVERY);
            }
            times
        });
        Self { stop, thread }
    }

    /// What they cost, in milliseconds.
    pub(crate) fn stop(self) -> Spread {
        self.stop.store(true, Ordering::Relaxed);
        Spread::of(self.thread.join().unwrap())
    }
}
