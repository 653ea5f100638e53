//! How PostgreSQL's programs are run: with nothing of the caller's environment, and not longer than the hub.

use std::path::Path;
use std::process::{Command, Stdio};

/// Whether the kernel can be asked to end a child with the hub. util-linux's setpriv can; busybox's can't, and macOS
/// has none.
pub(super) fn has_parent_death_signal() -> bool {
    clean(Command::new("setpriv"))
        .args(["--pdeathsig", "INT", "--", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The program, to get `signal` when the thread that starts it ends; plain when `signal` is `None`.
pub(super) fn command(program: &Path, signal: Option<&str>) -> Command {
    let Some(signal) = signal else {
        return clean(Command::new(program));
    };
    let mut command = clean(Command::new("setpriv"));
    command.args(["--pdeathsig", signal, "--"]).arg(program);
    command
}

/// Nothing of the caller's `PG*` variables or locale may reach the programs.
fn clean(mut command: Command) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    // The hub's working directory may be one that its user can't enter, of which initdb would complain.
    command
        .env_clear()
        .env("PATH", path)
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .current_dir("/");
    command
}
