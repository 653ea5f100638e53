//! What the workspace promises about itself, read from `cargo metadata` and the tree: who may import whom, which
//! licences come in, which crate wraps which library, who writes which table, and that the map names every crate.
//!
//! Begin with [`Workspace`]; a broken promise is reported with the crate or the line that broke it.

mod licence;
mod sql;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Everything that a service may import of ours.
const FOUNDATION: [&str; 4] = ["contracts", "spine", "sandbox", "fetch"];

/// Each wrapped library with the one member that may import it.
const WRAPPED: [(&str, &str); 10] = [
    ("activitypub_federation", "federation"),
    ("async-imap", "src/connectors"),
    ("async-nats", "src/spine"),
    ("cedar-policy", "src/policy"),
    ("feed-rs", "src/connectors"),
    ("image", "src/media"),
    ("meilisearch-sdk", "src/search"),
    ("object_store", "src/media"),
    ("reqwest", "src/fetch"),
    ("rhai", "src/sandbox"),
];

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// `cargo metadata`, once.
struct Workspace {
    packages: Vec<Value>,
}

/// A member: its folder (`src/graph`), and the folders of the members that it imports.
struct Member<'a> {
    folder: String,
    package: &'a Value,
    imports: Vec<String>,
}

impl Workspace {
    fn read() -> Self {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let version = String::from_utf8(Command::new(rustc).arg("-vV").output().unwrap().stdout).unwrap();
        let host = version
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .unwrap();
        // Offline: what was compiled is here, and for this platform only.
        let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args([
                "metadata",
                "--format-version",
                "1",
                "--locked",
                "--offline",
                "--filter-platform",
                host,
            ])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let Value::Array(packages) = metadata["packages"].take() else {
            panic!("no packages")
        };
        Self { packages }
    }

    fn members(&self) -> Vec<Member<'_>> {
        let ours = self.packages.iter().filter(|package| package["source"].is_null());
        ours.map(|package| Member {
            folder: folder(
                Path::new(package["manifest_path"].as_str().unwrap())
                    .parent()
                    .unwrap(),
            ),
            package,
            imports: dependencies(package)
                .filter_map(|dependency| dependency["path"].as_str())
                .map(|path| folder(Path::new(path)))
                .collect(),
        })
        .collect()
    }
}

fn dependencies(package: &Value) -> impl Iterator<Item = &Value> {
    package["dependencies"].as_array().unwrap().iter()
}

fn folder(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned()
}

/// Whether a member may import another. A member that isn't named here is a service.
fn may_import(importer: &str, imported: &str) -> bool {
    let foundation = |folder: &str| FOUNDATION.iter().any(|name| folder == format!("src/{name}"));
    match importer {
        "src/contracts" => false,
        "src/spine" | "src/sandbox" | "src/fetch" => imported == "src/contracts",
        "src/hub" | "tests" | "benches" => true,
        _service => foundation(imported),
    }
}

#[test]
fn a_service_imports_no_sibling_and_only_the_hub_imports_services() {
    let workspace = Workspace::read();
    let mut broken = Vec::new();
    for member in workspace.members() {
        broken.extend(
            member
                .imports
                .iter()
                .filter(|imported| !may_import(&member.folder, imported))
                .map(|imported| format!("{} imports {imported}", member.folder)),
        );
    }
    assert!(
        broken.is_empty(),
        "the dependency rule (ARCHITECTURE.md) is broken: {broken:#?}"
    );
}

#[test]
fn the_dependency_rule_refuses_what_it_should() {
    for (importer, imported) in [
        ("src/graph", "src/state"),
        ("src/spine", "src/fetch"),
        ("src/contracts", "src/spine"),
        ("rules", "src/hub"),
        ("src/plugins", "src/channels"),
    ] {
        assert!(!may_import(importer, imported), "{importer} -> {imported}");
    }
    assert!(may_import("rules", "src/sandbox") && may_import("src/hub", "rules"));
}

#[test]
fn each_wrapped_library_lives_in_one_crate() {
    let workspace = Workspace::read();
    let mut broken = Vec::new();
    for member in workspace.members() {
        for dependency in dependencies(member.package) {
            let name = dependency["name"].as_str().unwrap();
            let home = WRAPPED
                .iter()
                .find(|(library, _)| *library == name)
                .map(|(_, home)| *home);
            if home.is_some_and(|home| home != member.folder) {
                broken.push(format!("{} imports {name}", member.folder));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_dependency_may_be_part_of_an_agpl_program() {
    let workspace = Workspace::read();
    let mut refused = BTreeMap::new();
    for package in &workspace.packages {
        let licence = package["license"].as_str().unwrap_or("none named");
        if !licence::is_compatible(licence) {
            refused.insert(package["name"].to_string(), licence);
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
    assert!(
        workspace.packages.len() > 100,
        "the list is too short to be true: {}",
        workspace.packages.len()
    );
}

#[test]
fn every_member_is_agpl_of_the_same_edition_and_never_published() {
    for member in Workspace::read().members() {
        let package = member.package;
        assert_eq!(package["license"], "AGPL-3.0-or-later", "{}", member.folder);
        assert_eq!(package["edition"], "2024", "{}", member.folder);
        assert_eq!(package["publish"], Value::Array(Vec::new()), "{}", member.folder);
    }
}

#[test]
fn the_map_names_every_crate_and_no_other() {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for member in Workspace::read().members() {
        assert!(
            map.contains(&format!("`{}/`", member.folder)),
            "ARCHITECTURE.md does not name {}/",
            member.folder
        );
    }
    for named in map
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|text| text.starts_with("src/") && text.ends_with('/'))
    {
        assert!(
            root().join(named).is_dir(),
            "ARCHITECTURE.md names {named}, which isn't there"
        );
    }
}

#[test]
fn a_pack_holds_no_rust() {
    let rust = sql::files_below(&root().join("plugins"), &["rs"]);
    assert!(rust.is_empty(), "{rust:#?}");
}

#[test]
fn no_text_holds_the_marks_of_an_unfinished_merge() {
    let texts = ["md", "rs", "toml", "lock", "sql", "rhai", "sh", "json"];
    let marks = ["<".repeat(7) + " ", ">".repeat(7) + " "];
    let entries = std::fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries
        .filter(|path| !path.ends_with("target") && !path.ends_with(".git"))
        .partition(|path| path.is_dir());
    let below = folders.iter().flat_map(|folder| sql::files_below(folder, &texts));
    let mut read = 0;
    for path in files
        .into_iter()
        .chain(below)
        .filter(|path| !path.components().any(|part| part.as_os_str() == "node_modules"))
    {
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        read += 1;
        let marked = text
            .lines()
            .position(|line| marks.iter().any(|mark| line.starts_with(mark.as_str())));
        assert_eq!(
            marked,
            None,
            "{} holds a merge's mark in the line after this one",
            path.display()
        );
    }
    assert!(read > 100, "too few texts to be true: {read}");
}
