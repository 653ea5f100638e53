//! `allod rule`.

use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};

use super::{CommandError, Session, assignments, trace};
use crate::cli::Rule;
use crate::client::escape;
use crate::render;

pub(super) async fn run(session: &Session, command: Rule) -> Result<(), CommandError> {
    let client = &session.client;
    let rule = |id: &str| format!("/rules/{}", escape(id));
    match command {
        Rule::List => {
            let answer = client.get("/rules").await?;
            session.show(&answer, |answer| {
                let columns = [
                    ("RULE", "id"),
                    ("ENABLED", "enabled"),
                    ("ON", "on"),
                    ("WHAT", "description"),
                    ("NOTE", "note"),
                ];
                render::table(
                    answer,
                    &columns,
                    "no rules yet: docs/guides/rules.md shows how to write one",
                );
            });
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
            let body = match (event, body) {
                (Some(event), _) => json!({ "event": event }),
                (None, Some(body)) => {
                    let body: Value = serde_json::from_str(&body)
                        .map_err(|error| CommandError::Usage(format!("--body is not JSON: {error}")))?;
                    json!({ "body": body })
                }
                (None, None) => {
                    return Err(CommandError::Usage("name an --event or give a --body".to_owned()));
                }
            };
            let answer = client.post(&format!("{}/run", rule(&id)), &body).await?;
            session.show(&answer, trace::show);
        }
        Rule::Runs { rule, limit } => {
            let rule = rule
                .map(|rule| format!("&rule={}", escape(&rule)))
                .unwrap_or_default();
            let answer = client.get(&format!("/runs?limit={limit}{rule}")).await?;
            session.show(&answer, |answer| {
                let columns = [
                    ("RUN", "id"),
                    ("RULE", "rule"),
                    ("STATUS", "status"),
                    ("WHY", "reason"),
                    ("STARTED", "started_at"),
                ];
                render::table(answer, &columns, "no runs yet");
            });
        }
        Rule::Trace { run } => {
            let answer = trace::of_run(client, &run).await?;
            session.show(&answer, trace::show);
        }
    }
    Ok(())
}

/// Checks files without a hub. Prints what is wrong; fails when something is.
pub(crate) fn check(session: &Session, files: &[std::path::PathBuf]) -> Result<(), CommandError> {
    let mut errors = 0;
    let mut all = Vec::new();
    for file in files {
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

fn read(file: &Path) -> Result<String, CommandError> {
    let failed = |error: std::io::Error| CommandError::Usage(format!("{}: {error}", file.display()));
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .lock()
            .read_to_string(&mut text)
            .map_err(failed)?;
        return Ok(text);
    }
    std::fs::read_to_string(file).map_err(failed)
}
