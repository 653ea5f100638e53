//! Named places where a test may kill the hub with a real SIGKILL (cargo feature `failpoints`; without it a
//! failpoint is nothing). `ALLOD_FAILPOINT=<name>` chooses the place. The kill happens once: a marker file
//! (`ALLOD_FAILPOINT_MARKER`) made before it tells the next start that it has happened.

/// Kills this process if the environment chose this place and it was not killed here before.
#[cfg(feature = "failpoints")]
pub fn hit(name: &str) {
    let (Ok(chosen), Some(marker)) =
        (std::env::var("ALLOD_FAILPOINT"), std::env::var_os("ALLOD_FAILPOINT_MARKER"))
    else {
        return;
    };
    let first = chosen == name && std::fs::OpenOptions::new().write(true).create_new(true).open(marker).is_ok();
    if first {
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
