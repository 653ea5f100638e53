//! Tests that start a PostgreSQL of their own, which no root may.

use std::process::Command;

use super::TempDir;

/// PostgreSQL refuses to run as root, and CI runs as root in a container: there the test runs once more as `nobody`,
/// from a copy of this binary that `nobody` can read. False when the caller has nothing left to do.
pub(crate) fn unprivileged(module: &str, test: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    if !rustix::process::geteuid().is_root() {
        return true;
    }
    let dir = TempDir::new();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    let copy = dir.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let ran = Command::new("setpriv")
        .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"])
        .arg(copy)
        .args(["--exact", &full_name(module, test), "--nocapture"])
        .current_dir("/")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stdout);
    // A name that fits no test would succeed too.
    assert!(
        ran.status.success() && told.contains("1 passed"),
        "as nobody: {}\n{told}\n{}",
        ran.status,
        String::from_utf8_lossy(&ran.stderr)
    );
    false
}

/// What the test runner calls a test: its path without the crate.
pub(crate) fn full_name(module: &str, test: &str) -> String {
    let inner = module.split_once("::").map_or("", |(_, inner)| inner);
    format!("{inner}::{test}")
}
