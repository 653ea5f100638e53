//! A hub's private PostgreSQL, held still: it neither answers nor ends.

use std::process::Command;

use crate::support::Hub;

/// Goes on when dropped.
pub(super) struct Frozen(Vec<String>);

impl Frozen {
    pub(super) fn of(hub: &Hub) -> Self {
        let pid = std::fs::read_to_string(hub.dir().join("postgres/postmaster.pid")).unwrap();
        let postmaster = pid.lines().next().unwrap().to_owned();
        signal("STOP", std::slice::from_ref(&postmaster)); // it starts no more processes now
        let mut all = children(&postmaster);
        assert!(!all.is_empty(), "the server has processes");
        signal("STOP", &all);
        all.push(postmaster);
        Self(all)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("CONT", &self.0);
    }
}

/// Processes that another one started. In /proc/PID/stat the parent comes second after the name in brackets.
fn children(parent: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after_name.split_whitespace().nth(1) == Some(parent)
    })
    .collect()
}

fn signal(name: &str, pids: &[String]) {
    let sent = Command::new("kill")
        .arg(format!("-{name}"))
        .args(pids)
        .status()
        .unwrap();
    assert!(sent.success(), "kill -{name} {pids:?}");
}
