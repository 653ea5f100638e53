//! Recompiles the crate when a migration is added: `sqlx::migrate!` itself sees only files that it knew.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
