//! Lets the linker pack the list of what is relocated at each start: two megabytes less to read and to hold, where the
//! C library understands it (glibc 2.36 and newer).

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let said = |name: &str| std::env::var(name).unwrap_or_default();
    // A program for another system can't be asked for that system's library.
    let at_home = said("HOST") == said("TARGET");
    if at_home && said("CARGO_CFG_TARGET_OS") == "linux" && glibc() >= Some((2, 36)) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// `None`: another library than glibc.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}
