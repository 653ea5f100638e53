//! Named places where a test may kill the hub with a real SIGKILL (cargo feature `failpoints`; without it a
//! failpoint is nothing). A test arms a place by writing its name into the file that `ALLOD_FAILPOINT_FILE` names;
//! the first hit removes the file, then kills. So the next start goes on undisturbed.

/// Kills this process if a test armed this place.
#[cfg(feature = "failpoints")]
pub fn hit(name: &str) {
    let Some(file) = std::env::var_os("ALLOD_FAILPOINT_FILE") else {
        return;
    };
    let armed = std::fs::read_to_string(&file).is_ok_and(|armed| armed.trim() == name);
    if armed && std::fs::remove_file(&file).is_ok() {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        loop {
            std::thread::park(); // the signal is on its way: nothing may happen after this line
        }
    }
}

/// Nothing: the feature `failpoints` is off.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn hit(_name: &str) {}
