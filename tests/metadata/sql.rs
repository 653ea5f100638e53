//! Who writes and reads which table: the service that the schema's migration names, and nobody else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::root;

/// A migration's number and service, by its name `NNNN_<service>_<what>.sql`.
fn parse_name(name: &str) -> Option<(u32, &str)> {
    let mut parts = name.strip_suffix(".sql")?.splitn(3, '_');
    let (number, service, what) = (parts.next()?, parts.next()?, parts.next()?);
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    (number.len() == 4 && plain(service) && plain(what)).then_some(())?;
    Some((number.parse().ok()?, service))
}

/// Every file below a folder whose name ends in one of these, in order.
pub(super) fn files_below(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries.map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(files_below(&entry, extensions));
        } else if entry
            .extension()
            .is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
        {
            found.push(entry);
        }
    }
    found.sort();
    found
}

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Each schema with the service whose migration makes it.
fn owners() -> BTreeMap<String, String> {
    let mut owners = BTreeMap::new();
    for migration in files_below(&root().join("migrations"), &["sql"]) {
        let (_, service) = parse_name(file_name(&migration)).unwrap();
        let text = std::fs::read_to_string(&migration).unwrap().to_lowercase();
        for line in text.lines() {
            if let Some(schema) = line.trim().strip_prefix("create schema ") {
                let schema = schema.trim_start_matches("if not exists ");
                let end = schema
                    .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                    .unwrap_or(schema.len());
                owners.insert(schema[..end].to_owned(), service.to_owned());
            }
        }
    }
    owners
}

/// `(line, schema)` of each statement that writes a table named with its schema.
fn writes(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let words: Vec<(usize, &str)> = text
        .lines()
        .enumerate()
        .flat_map(|(at, line)| line.split_whitespace().map(move |word| (at + 1, word)))
        .collect();
    for (at, (_, word)) in words.iter().enumerate() {
        let verb = word
            .trim_start_matches(|c: char| !c.is_ascii_alphabetic())
            .to_ascii_lowercase();
        let verb = verb.rsplit(['"', '(']).next().unwrap_or_default();
        let next = |n: usize| {
            words
                .get(at + n)
                .map(|(line, word)| (*line, word.to_ascii_lowercase()))
        };
        let table = match (verb, next(1)) {
            ("insert", Some((_, into))) if into == "into" => next(2),
            ("delete", Some((_, from))) if from == "from" => next(2),
            ("update" | "truncate", Some((_, only))) if only == "only" || only == "table" => next(2),
            ("update" | "truncate", next) => next,
            _ => None,
        };
        if let Some((line, table)) = table
            && let Some((schema, _)) = table.split_once('.')
            && schema.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        {
            found.push((line, schema.to_owned()));
        }
    }
    found
}

/// `(line, schema)` of each statement that reads a table named with its schema. Functions are doors, made to be used.
fn reads(text: &str) -> Vec<(usize, String)> {
    let words: Vec<(usize, &str)> = text
        .lines()
        .enumerate()
        .flat_map(|(at, line)| line.split_whitespace().map(move |word| (at + 1, word)))
        .collect();
    let mut found = Vec::new();
    for pair in words.windows(2) {
        let verb = pair[0].1.trim_start_matches(['(', '"']).to_ascii_lowercase();
        let (line, table) = (pair[1].0, pair[1].1.to_ascii_lowercase());
        if matches!(verb.as_str(), "from" | "join")
            && !table.contains('(')
            && let Some((schema, _)) = table.split_once('.')
            && schema.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        {
            found.push((line, schema.to_owned()));
        }
    }
    found
}

/// The service that a source file belongs to: `src/graph/store/claim.rs` is of graph, `rules/store.rs` of rules.
fn service_of(path: &Path) -> Option<String> {
    let mut parts = path
        .strip_prefix(root())
        .ok()?
        .iter()
        .map(|part| part.to_str().unwrap());
    match parts.next()? {
        "src" => parts.next().map(str::to_owned),
        service @ ("rules" | "federation") => Some(service.to_owned()),
        _ => None,
    }
}

fn is_test(path: &Path) -> bool {
    path.iter().any(|part| {
        matches!(
            part.to_str(),
            Some("tests" | "tests.rs" | "testing" | "stories" | "stories.rs")
        )
    })
}

#[test]
fn migrations_are_one_ordered_list_and_each_names_its_service() {
    let mut seen = BTreeMap::new();
    for migration in files_below(&root().join("migrations"), &["sql"]) {
        let name = file_name(&migration);
        let (number, service) =
            parse_name(name).unwrap_or_else(|| panic!("migrations/{name} is not NNNN_<service>_<what>.sql"));
        let is_service =
            root().join("src").join(service).is_dir() || ["rules", "federation"].contains(&service);
        assert!(is_service, "migrations/{name}: there is no service {service}");
        if let Some(other) = seen.insert(number, name.to_owned()) {
            panic!("migrations/{name} has the number of {other}");
        }
    }
    assert!(!seen.is_empty());
}

#[test]
fn a_migration_without_number_service_or_subject_is_refused() {
    assert_eq!(parse_name("0020_graph_graph.sql"), Some((20, "graph")));
    for bad in [
        "20_graph_graph.sql",
        "0020_graph.sql",
        "0020_Graph_x.sql",
        "0020_graph_x.txt",
        "002a_graph_x.sql",
    ] {
        assert_eq!(parse_name(bad), None, "{bad}");
    }
}

#[test]
fn a_table_is_written_only_by_the_service_whose_schema_it_is() {
    let owners = owners();
    let mut checked = 0;
    let mut broken = Vec::new();
    let folders = ["src", "rules", "federation", "migrations"].map(|folder| root().join(folder));
    for file in folders
        .iter()
        .flat_map(|folder| files_below(folder, &["rs", "sql"]))
    {
        let migration = parse_name(file_name(&file)).map(|(_, service)| service.to_owned());
        let Some(service) = migration
            .or_else(|| service_of(&file))
            .filter(|_| !is_test(&file))
        else {
            continue;
        };
        for (line, schema) in writes(&std::fs::read_to_string(&file).unwrap()) {
            let Some(owner) = owners.get(&schema) else {
                continue;
            };
            checked += 1;
            if *owner != service {
                let shown = file.strip_prefix(root()).unwrap().display();
                broken.push(format!(
                    "{shown}:{line}: {service} writes {schema}, which is {owner}'s"
                ));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(
        checked > 30,
        "too few statements were found to believe it: {checked}"
    );
}

#[test]
fn a_table_is_read_only_by_the_service_whose_schema_it_is() {
    let owners = owners();
    let mut checked = 0;
    let mut broken = Vec::new();
    let folders = ["src", "rules", "federation"].map(|folder| root().join(folder));
    for file in folders.iter().flat_map(|folder| files_below(folder, &["rs"])) {
        // The hub's demo looks into every table of a database of its own, to find what is left of it.
        let service = service_of(&file).filter(|service| service != "hub" && !is_test(&file));
        let Some(service) = service else { continue };
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for (line, schema) in reads(text) {
            let Some(owner) = owners.get(&schema) else {
                continue;
            };
            checked += 1;
            if *owner != service {
                let shown = file.strip_prefix(root()).unwrap().display();
                broken.push(format!(
                    "{shown}:{line}: {service} reads {schema}, which is {owner}'s"
                ));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(
        checked > 100,
        "too few statements were found to believe it: {checked}"
    );
}

#[test]
fn every_way_of_reading_is_found_and_asking_a_door_is_not() {
    let text = "SELECT a FROM graph.entity e\nJOIN rules.run r ON true\n LEFT JOIN\n state.fact\n\
                FROM accounts.account_lookup($1) (FROM spine.outbox)";
    let found: Vec<_> = reads(text)
        .into_iter()
        .map(|(line, schema)| format!("{line} {schema}"))
        .collect();
    assert_eq!(found, ["1 graph", "2 rules", "4 state", "5 spine"]);
}

#[test]
fn every_way_of_writing_is_found_and_reading_is_not() {
    let text = "query!(\"INSERT INTO graph.entity (a)\n WITH x AS (DELETE FROM rules.run\nUPDATE\n state.fact SET\n\
                SELECT 1 FROM graph.claim FOR UPDATE OF claim\n ON CONFLICT DO UPDATE SET a = 1\nTRUNCATE ONLY spine.x";
    let found: Vec<_> = writes(text)
        .into_iter()
        .map(|(line, schema)| format!("{line} {schema}"))
        .collect();
    assert_eq!(found, ["1 graph", "2 rules", "4 state", "7 spine"]);
}
