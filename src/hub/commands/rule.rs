//! `allod rule`.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::page::{self, Query};
use super::{CommandError, Session, assignments, trace};
use crate::cli::Rule;
use crate::client::escape;
use crate::render;

/// The hub's own limit for a rule's text.
const RULE_BYTES_MAX: u64 = 64 * 1024;

const RULES: [render::Column; 5] = [
    ("RULE", "id"),
    ("ENABLED", "enabled"),
    ("ON", "on"),
    ("WHAT", "description"),
    ("NOTE", "note"),
];
const RUNS: [render::Column; 5] = [
    ("RUN", "id"),
    ("RULE", "rule"),
    ("STATUS", "status"),
    ("WHY", "reason"),
    ("STARTED", "started_at"),
];

pub(super) async fn run(session: &Session, command: Rule) -> Result<(), CommandError> {
    let client = &session.client;
    let rule = |id: &str| format!("/rules/{}", escape(id));
    match command {
        Rule::List => {
            let answer = client.get("/rules").await?;
            let empty = "no rules yet: docs/guides/rules.md shows how to write one";
            session.show(&answer, |answer| render::table(answer, &RULES, empty));
        }
        Rule::Check { files } => check(session, &files)?,
        Rule::Add { file } => {
            let source = read(&file)?;
            let name = file.display().to_string();
            let answer = client
                .post("/rules", &json!({ "source": source, "name": name }))
                .await?;
            session.show(&answer, |answer| {
                let cell = |path| render::cell(answer, path);
                render::line(format!(
                    "rule {} is stored; enable it with `allod rule enable {}`",
                    cell("id"),
                    cell("id")
                ));
            });
        }
        Rule::Show { id } => {
            let answer = client.get(&rule(&id)).await?;
            session.show(&answer, |answer| render::line(render::cell(answer, "source")));
        }
        Rule::Enable { id, inputs } => {
            let body = json!({ "inputs": assignments(&inputs)? });
            let answer = client.post(&format!("{}/enable", rule(&id)), &body).await?;
            session.show(&answer, |_| render::line(format!("rule {id} runs from now on")));
        }
        Rule::Disable { id } => {
            let answer = client.post(&format!("{}/disable", rule(&id)), &json!({})).await?;
            session.show(&answer, |_| render::line(format!("rule {id} is stopped")));
        }
        Rule::Remove { id } => {
            client.delete(&rule(&id)).await?;
            session.show(&json!({ "removed": id }), |_| {
                render::line(format!("rule {id} is removed"));
            });
        }
        Rule::Run { id, event, body } => {
            let body = tried(event.as_deref(), body.as_deref())?;
            let answer = client.post(&format!("{}/run", rule(&id)), &body).await?;
            session.show(&answer, trace::show);
        }
        Rule::Runs { rule, paging } => {
            let query = Query::default().with("rule", rule.as_deref());
            let answer = page::list(session, "/runs", &query, &paging).await?;
            let empty = "no runs yet: `allod rule list` says which rules are enabled";
            page::show(session, &answer, &RUNS, empty);
        }
        Rule::Trace { run } => {
            let run = super::id::id("run", &run, "allod rule runs")?;
            let answer = trace::of_run(client, run).await?;
            session.show(&answer, trace::show);
        }
    }
    Ok(())
}

/// On what a rule is tried: an event that was, or one with such a body.
fn tried(event: Option<&str>, body: Option<&str>) -> Result<Value, CommandError> {
    match (event, body) {
        (Some(event), _) => Ok(json!({ "event": super::id::id("event", event, "allod event tail")? })),
        (None, Some(body)) => {
            let body: Value = serde_json::from_str(body)
                .map_err(|error| CommandError::Usage(format!("--body is not JSON: {error}")))?;
            Ok(json!({ "body": body }))
        }
        (None, None) => Err(CommandError::Usage("name an --event or give a --body".to_owned())),
    }
}

/// Checks files without a hub. Prints what is wrong; fails when something is.
pub(crate) fn check(session: &Session, files: &[PathBuf]) -> Result<(), CommandError> {
    let mut errors = 0;
    let mut all = Vec::new();
    let files = spread(files)?;
    for file in &files {
        let source = read(file)?;
        for diagnostic in rules::check(&source, &file.display().to_string()) {
            errors += usize::from(diagnostic.is_error());
            if !session.json {
                render::line(&diagnostic);
            }
            all.push(json!(diagnostic));
        }
    }
    if session.json {
        render::json(&Value::Array(all));
    } else if errors == 0 {
        render::line(format!(
            "{} checked: no mistakes",
            if files.len() == 1 {
                "1 file".to_owned()
            } else {
                format!("{} files", files.len())
            }
        ));
    }
    if errors == 0 {
        Ok(())
    } else {
        Err(CommandError::Unwell)
    }
}

/// Folders become the rules in them, by name.
fn spread(named: &[PathBuf]) -> Result<Vec<PathBuf>, CommandError> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let failed = |error: std::io::Error| CommandError::Usage(format!("{}: {error}", path.display()));
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            if file.extension().is_some_and(|extension| extension == "rhai") {
                found.push(file);
            }
        }
        if found.is_empty() {
            return Err(CommandError::Usage(format!(
                "{}: there is no file *.rhai in this folder",
                path.display()
            )));
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}

/// A rule's text, of a regular file or the standard input, and no more of it than a rule may have.
fn read(file: &Path) -> Result<String, CommandError> {
    let refused = |why: &str| CommandError::Usage(format!("{}: {why}", file.display()));
    let failed = |error: std::io::Error| refused(&error.to_string());
    let mut text = Vec::new();
    let end = RULE_BYTES_MAX + 1;
    if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(end)
            .read_to_end(&mut text)
            .map_err(failed)?;
    } else {
        // Asked before opening, which would wait at a pipe.
        if !std::fs::metadata(file).map_err(failed)?.is_file() {
            return Err(refused("this is no regular file"));
        }
        let opened = std::fs::File::open(file).map_err(failed)?;
        opened.take(end).read_to_end(&mut text).map_err(failed)?;
    }
    if text.len() as u64 == end {
        return Err(refused(&format!(
            "a rule has at most {} KiB",
            RULE_BYTES_MAX / 1024
        )));
    }
    String::from_utf8(text).map_err(|_| refused("this is no text in UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stands_for_its_rules_and_other_files_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.rhai", "a.rhai", "notes.txt"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let found = spread(&[dir.path().to_owned()]).unwrap();
        assert_eq!(found, [dir.path().join("a.rhai"), dir.path().join("b.rhai")]);
        assert!(spread(&[dir.path().join("a.rhai")]).is_ok());
        std::fs::create_dir(dir.path().join("empty")).unwrap();
        assert!(spread(&[dir.path().join("empty")]).is_err());
    }

    #[test]
    fn what_has_no_end_or_is_too_long_is_no_rule() {
        assert!(
            read(Path::new("/dev/zero"))
                .unwrap_err()
                .to_string()
                .contains("regular")
        );
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rule.rhai");
        let most = usize::try_from(RULE_BYTES_MAX).unwrap();
        std::fs::write(&file, vec![b'/'; most]).unwrap();
        assert_eq!(read(&file).unwrap().len(), most);
        std::fs::write(&file, vec![b'/'; most + 1]).unwrap();
        assert!(read(&file).unwrap_err().to_string().contains("at most"));
        std::fs::write(&file, [0xff, 0xfe]).unwrap();
        assert!(read(&file).is_err());
    }
}
