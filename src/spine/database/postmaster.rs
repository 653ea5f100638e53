//! The server that an earlier hub left behind, as `postmaster.pid` tells of it.
//!
//! After a kill -9 of the hub the old server gets SIGINT from the kernel and shuts down; the new hub waits for that.
//! PostgreSQL itself takes any live process with the recorded id for a server. In a container small ids come again
//! soon, so on Linux the process is looked at: a server stands in its data directory.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::error::DatabaseError;

const POLL: Duration = Duration::from_millis(15);
/// An orphan that was not told to stop (no `setpriv`) is told after this long.
const ASK_AFTER: Duration = Duration::from_secs(1);
const ASK_AGAIN_HARDER_AFTER: Duration = Duration::from_secs(45);
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// Waits until no server runs on `directory`. Needs the hub's lock, which proves that such a server is an orphan.
pub(super) fn wait_for_old_server(directory: &Path) -> Result<(), DatabaseError> {
    let begun = Instant::now();
    let mut asked = 0;
    let mut announced = false;
    while let Some(pid) = old_server(directory) {
        let waited = begun.elapsed();
        if waited >= GIVE_UP_AFTER {
            return Err(DatabaseError::OldServerStays {
                pid: pid.as_raw_pid(),
                directory: directory.to_owned(),
                waited_s: waited.as_secs(),
            });
        }
        let (due, signal) = match waited {
            w if w >= ASK_AGAIN_HARDER_AFTER => (2, Some(Signal::QUIT)),
            w if w >= ASK_AFTER => (1, Some(Signal::INT)),
            _ => (0, None),
        };
        if due > asked
            && let Some(signal) = signal
        {
            asked = due;
            tracing::warn!(
                pid = pid.as_raw_pid(),
                ?signal,
                "the database server of an earlier hub still runs and is told to stop"
            );
            if let Err(errno) = kill_process(pid, signal) {
                tracing::debug!(%errno, "it has ended meanwhile, or may not be signalled");
            }
        }
        if !announced {
            announced = true;
            tracing::info!(
                pid = pid.as_raw_pid(),
                "waiting for the database server of an earlier hub to end"
            );
        }
        std::thread::sleep(POLL);
    }
    remove_stale(directory)
}

/// Whether the server of `directory` says that it takes connections. Asking it by connecting would write a line into
/// its log each time.
pub(super) fn is_ready(directory: &Path) -> bool {
    std::fs::read_to_string(directory.join("postmaster.pid"))
        .is_ok_and(|text| text.lines().nth(7).is_some_and(|status| status.trim() == "ready"))
}

/// The live server that holds `directory`, if any.
fn old_server(directory: &Path) -> Option<Pid> {
    let pid = recorded_pid(directory)?;
    if test_kill_process(pid).is_err() {
        return None;
    }
    match stands_in(pid, directory) {
        Some(stands) => stands.then_some(pid),
        // Without /proc the program's name decides.
        None => is_postgres(pid).then_some(pid),
    }
}

fn recorded_pid(directory: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(directory.join("postmaster.pid")).ok()?;
    // A standalone backend records its id as a negative number.
    let number: i32 = text.lines().next()?.trim().parse().ok()?;
    Pid::from_raw(number.checked_abs()?)
}

/// Whether the process works in `directory`; `None` where there is no /proc. A zombie works nowhere.
fn stands_in(pid: Pid, directory: &Path) -> Option<bool> {
    if !Path::new("/proc/self/cwd").exists() {
        return None;
    }
    let cwd = std::fs::read_link(format!("/proc/{}/cwd", pid.as_raw_pid()));
    Some(cwd.is_ok_and(|cwd| directory.canonicalize().is_ok_and(|directory| cwd == directory)))
}

fn is_postgres(pid: Pid) -> bool {
    std::process::Command::new("ps")
        .args(["-o", "comm=", "-p", &pid.as_raw_pid().to_string()])
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("postgres"))
}

/// Removes the record of a server that is gone. PostgreSQL would do so itself unless the id is in use again by
/// another process of this user. Its second guard, the shared memory keyed by the directory, still keeps it from
/// starting beside backends that outlived their server.
fn remove_stale(directory: &Path) -> Result<(), DatabaseError> {
    let path = directory.join("postmaster.pid");
    match std::fs::remove_file(&path) {
        Ok(()) => {
            tracing::info!(path = %path.display(), "removed the record of a database server that is gone");
            Ok(())
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(DatabaseError::file("cannot remove", &path)(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    fn with_pid_file(text: &str) -> TempDir {
        let dir = TempDir::new();
        std::fs::write(dir.path().join("postmaster.pid"), text).unwrap();
        dir
    }

    #[test]
    fn a_record_whose_process_id_another_program_got_does_not_keep_the_hub_from_starting() {
        // This test is that other program: alive, same user, and not working in the directory.
        let dir = with_pid_file(&format!("{}\n{}\n", std::process::id(), "/somewhere"));
        wait_for_old_server(dir.path()).unwrap();
        assert!(!dir.path().join("postmaster.pid").exists());
    }

    #[test]
    fn a_live_process_in_the_directory_is_waited_for_and_then_asked_to_end() {
        let dir = TempDir::new();
        let mut server = std::process::Command::new("sleep")
            .arg("60")
            .current_dir(dir.path())
            .spawn()
            .unwrap();
        std::fs::write(dir.path().join("postmaster.pid"), format!("{}\n", server.id())).unwrap();
        assert_eq!(old_server(dir.path()), Some(Pid::from_child(&server)));
        wait_for_old_server(dir.path()).unwrap();
        // Ended by SIGINT, the fast shutdown; a zombie until it is collected here.
        let status = server.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2));
    }

    #[test]
    fn a_broken_or_missing_record_is_no_server() {
        for text in ["", "not a number\n", "0\n", "-2147483648\n"] {
            assert_eq!(old_server(with_pid_file(text).path()), None, "{text:?}");
        }
        assert_eq!(old_server(TempDir::new().path()), None);
    }
}
