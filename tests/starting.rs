//! A hub that is told to stop while it starts.

use std::path::Path;
use std::process::Command;

use crate::support::{Hub, eventually, spawn};

/// What the start leaves on the disk as it goes: the lock, the new cluster, the running server, the door of the CLI.
const MARKS: [&str; 4] = [
    "lock",
    "postgres/PG_VERSION",
    "postgres/postmaster.pid",
    "control.sock",
];

fn is_there(dir: &Path, mark: &str) -> bool {
    dir.join(mark).symlink_metadata().is_ok()
}

#[test]
fn a_hub_that_is_stopped_while_it_starts_ends_in_order_and_starts_again() {
    for mark in MARKS {
        let dir = std::env::temp_dir().join(format!("allod-story-{}", uuid::Uuid::new_v4().simple()));
        let mut child = spawn(&dir);
        eventually(&format!("the start has come to {mark}"), || {
            if let Some(ended) = child.try_wait().unwrap() {
                panic!("the hub ended at its start: {ended}");
            }
            is_there(&dir, mark).then_some(())
        });
        let pid = child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        let ended = child.wait().unwrap();
        assert!(ended.success(), "stopped at {mark}: {ended}");
        for left in ["postgres/postmaster.pid", "control.sock"] {
            assert!(!is_there(&dir, left), "stopped at {mark}, {left} is left");
        }
        let hub = Hub::start_in(&dir);
        assert!(
            hub.cli(&["status"])["hub"]["listen"].is_string(),
            "after a stop at {mark}"
        );
    }
}
