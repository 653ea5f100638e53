//! The machine: without it a figure says nothing.

use std::io::Write;
use std::time::Instant;

const SYNCS: u32 = 50;

/// Processor, cores, memory and the cost of making a write durable.
pub(crate) fn describe() -> String {
    let read = |file: &str, key: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text
            .lines()
            .find(|line| line.starts_with(key))
            .map(ToOwned::to_owned);
        line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
            .unwrap_or_else(|| "unknown".to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "machine: {cores} cores of {}, memory {}, fsync {:.2} ms (median of {SYNCS})",
        read("/proc/cpuinfo", "model name"),
        read("/proc/meminfo", "MemTotal"),
        sync_ms()
    )
}

/// Milliseconds for appending 8 KiB and syncing it, in the temporary directory.
fn sync_ms() -> f64 {
    let path = std::env::temp_dir().join(format!("allod-bench-{}", uuid::Uuid::new_v4().simple()));
    let mut file = std::fs::File::create(&path).unwrap();
    let mut times: Vec<f64> = (0..SYNCS)
        .map(|_| {
            let begun = Instant::now();
            file.write_all(&[0; 8192]).unwrap();
            file.sync_data().unwrap();
            begun.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    std::fs::remove_file(&path).unwrap();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
