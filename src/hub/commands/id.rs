//! Names and ids as people type them.

use serde_json::Value;

use super::{CommandError, Session};
use crate::client::escape;
use crate::render;

/// An id that was typed; `list` is the command that shows which there are.
pub(super) fn id<'a>(what: &str, text: &'a str, list: &str) -> Result<&'a str, CommandError> {
    if text.parse::<uuid::Uuid>().is_ok() {
        return Ok(text);
    }
    Err(CommandError::Usage(format!(
        "`{text}` is no {what}'s id, which looks like 0197b4a2-7c1e-7d30-9a55-1f2e3d4c5b6a\n  hint: `{list}` shows them"
    )))
}

/// The id of a task or goal (`what`): itself, or that of the only one of this title.
pub(super) async fn titled(session: &Session, what: &str, text: &str) -> Result<String, CommandError> {
    if text.parse::<uuid::Uuid>().is_ok() {
        return Ok(text.to_owned());
    }
    let path = format!("/{what}s?status=all&limit=200&name={}", escape(text));
    let found = session.client.get(&path).await?;
    of_title(render::list(&found), what, text)
}

fn of_title(found: &[Value], what: &str, text: &str) -> Result<String, CommandError> {
    let is_it = |one: &&Value| {
        let title = one["title"].as_str().unwrap_or_default();
        title.trim().to_lowercase() == text.trim().to_lowercase()
    };
    let list = format!("`allod {what} list --status all` shows them with their ids");
    let mut same = found.iter().filter(is_it);
    let problem = match (same.next(), same.next()) {
        (Some(one), None) => return Ok(render::cell(one, "id")),
        (Some(_), Some(_)) => format!("several {what}s are called `{text}`: name one by its id"),
        (None, _) => {
            let alike = found
                .first()
                .map(|one| format!("; `{}` is one", render::cell(one, "title")));
            format!(
                "no {what} is called `{text}`{}: give its title or its id",
                alike.unwrap_or_default()
            )
        }
    };
    Err(CommandError::Usage(format!("{problem}\n  hint: {list}")))
}

/// A connection's id: itself, or that of the only connection of this name, or else of this plugin.
pub(super) async fn connection(session: &Session, text: &str) -> Result<String, CommandError> {
    if text.parse::<uuid::Uuid>().is_ok() {
        return Ok(text.to_owned());
    }
    let all = session.client.get("/connections").await?;
    named(render::list(&all), text)
}

fn named(connections: &[Value], text: &str) -> Result<String, CommandError> {
    for key in ["name", "plugin"] {
        let mut found = connections.iter().filter(|one| one[key] == text);
        match (found.next(), found.next()) {
            (Some(one), None) => return Ok(render::cell(one, "id")),
            (Some(_), Some(_)) => {
                return Err(CommandError::Usage(format!(
                    "several connections have the {key} `{text}`: name one by its id\n  hint: `allod connection list` shows them"
                )));
            }
            (None, _) => {}
        }
    }
    Err(CommandError::Usage(format!(
        "no connection has the name or id `{text}`\n  hint: `allod connection list` shows them"
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_word_in_the_place_of_an_id_is_told_what_an_id_is_and_where_they_are() {
        let refused = id("run", "nope", "allod rule runs").unwrap_err().to_string();
        assert!(
            refused.contains("`nope`") && refused.contains("allod rule runs"),
            "{refused}"
        );
        assert!(id("run", "0197b4a2-7c1e-7d30-9a55-1f2e3d4c5b6a", "").is_ok());
    }

    #[test]
    fn a_goal_goes_by_its_title_while_that_is_the_only_one() {
        let all = [
            json!({ "id": "1", "title": "Move house" }),
            json!({ "id": "2", "title": "Home" }),
            json!({ "id": "3", "title": "home " }),
        ];
        assert_eq!(of_title(&all, "goal", "move HOUSE").unwrap(), "1");
        for (text, part) in [
            ("Home", "several goals"),
            ("House", "`Move house` is one"),
            ("nope", "no goal"),
        ] {
            let refused = of_title(&all, "goal", text).unwrap_err().to_string();
            assert!(
                refused.contains(part) && refused.contains("allod goal list"),
                "{refused}"
            );
        }
        assert!(
            of_title(&[], "task", "x")
                .unwrap_err()
                .to_string()
                .contains("no task")
        );
    }

    #[test]
    fn a_connection_goes_by_its_name_while_that_is_the_only_one() {
        let all = [
            json!({ "id": "1", "name": "home", "plugin": "twilio" }),
            json!({ "id": "2", "name": "work", "plugin": "feed" }),
            json!({ "id": "3", "name": "work", "plugin": "mail" }),
        ];
        assert_eq!(named(&all, "home").unwrap(), "1");
        assert_eq!(named(&all, "twilio").unwrap(), "1");
        assert!(named(&all, "work").unwrap_err().to_string().contains("several"));
        assert!(
            named(&all, "nope")
                .unwrap_err()
                .to_string()
                .contains("connection list")
        );
    }
}
