//! Collects the names of all events, as `event!` gives them in `events/`, so that no list of them is kept by hand.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=events");
    let mut files: Vec<PathBuf> = std::fs::read_dir("events")?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let mut names = Vec::new();
    for file in files {
        if file.extension().is_some_and(|extension| extension == "rs") && !file.ends_with("mod.rs") {
            names.extend(names_in(&std::fs::read_to_string(file)?));
        }
    }
    let list: String = names.iter().map(|name| format!("    {name:?},\n")).collect();
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("event_names.rs");
    std::fs::write(out, format!("&[\n{list}]\n"))?;
    Ok(())
}

/// The second argument of each `event!(Payload, "name")`.
fn names_in(source: &str) -> Vec<String> {
    source
        .split("\nevent!(")
        .skip(1)
        .filter_map(|rest| rest.split('"').nth(1).map(str::to_owned))
        .collect()
}
