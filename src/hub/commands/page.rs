//! Lists that come in pages: as many as are wanted, and how to get at the rest.

use clap::Args;
use serde_json::{Value, json};

use super::{CommandError, Session};
use crate::client::escape;
use crate::render;

/// The most that the hub gives at once.
const PAGE: usize = 200;

/// How much of a list.
#[derive(Debug, Clone, Args)]
pub(crate) struct Paging {
    /// How many at the most.
    #[arg(long, short = 'n', default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// Go on where a list ended: what it gave as the way to more.
    #[arg(long, conflicts_with = "all")]
    pub(crate) cursor: Option<String>,
    /// All of them.
    #[arg(long, conflicts_with = "limit")]
    pub(crate) all: bool,
}

impl Paging {
    /// The whole list.
    pub(super) fn everything() -> Self {
        Self {
            limit: 1,
            cursor: None,
            all: true,
        }
    }
}

/// What a list is asked for besides its page: names with values; those without one are left out.
#[derive(Debug, Default)]
pub(super) struct Query(String);

impl Query {
    pub(super) fn with(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.0.push_str(&format!("&{name}={}", escape(value)));
        }
        self
    }
}

impl std::fmt::Display for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Asks for page after page; the answer has `items` and, if there is more, `next_cursor`.
pub(super) async fn list(
    session: &Session,
    path: &str,
    query: &Query,
    paging: &Paging,
) -> Result<Value, CommandError> {
    // The queue calls its cursor otherwise.
    let name = if path == "/jobs" { "after" } else { "cursor" };
    let wanted = if paging.all {
        usize::MAX
    } else {
        paging.limit as usize
    };
    let (mut items, mut cursor, mut incomplete) = (Vec::new(), paging.cursor.clone(), false);
    loop {
        let size = (wanted - items.len()).min(PAGE);
        let at = cursor.as_deref().map(escape).map(|at| format!("&{name}={at}"));
        let path = format!("{path}?limit={size}{}{}", query.0, at.unwrap_or_default());
        let answer = session.client.get(&path).await?;
        items.extend_from_slice(render::list(&answer));
        incomplete |= answer["incomplete"] == true;
        let next = match (&answer["next_cursor"], &answer["next"]) {
            (Value::Null, Value::Null) => None,
            (Value::Null, next) | (next, _) => Some(render::text(next)),
        };
        if next.is_none() || items.len() >= wanted {
            let mut whole = json!({ "items": items });
            if incomplete {
                whole["incomplete"] = true.into();
            }
            if let Some(next) = next {
                whole["next_cursor"] = next.into();
            }
            return Ok(whole);
        }
        cursor = next;
    }
}

/// Prints a list as a table, and below it how to get at the rest.
pub(super) fn show(session: &Session, answer: &Value, columns: &[render::Column], empty: &str) {
    session.show(answer, |answer| {
        render::table(answer, columns, empty);
        more(answer);
    });
}

/// Says that there is more and what to type for it. It goes beside the data, so that `| wc -l` counts rows.
pub(super) fn more(answer: &Value) {
    if let Some(cursor) = answer["next_cursor"].as_str() {
        let count = render::list(answer).len();
        render::note(format!(
            "{count} shown, there are more: {}  (or --all)",
            going_on("--cursor", cursor)
        ));
    }
}

/// The command that was typed, from where its list ended on: `flag` says where.
pub(super) fn going_on(flag: &str, place: &str) -> String {
    retyped(std::env::args(), flag, place)
}

fn retyped(typed: impl Iterator<Item = String>, flag: &str, place: &str) -> String {
    let mut words = vec!["allod".to_owned()];
    let mut typed = typed.skip(1);
    let given = format!("{flag}=");
    while let Some(word) = typed.next() {
        if word == flag {
            typed.next();
        } else if !word.starts_with(&given) {
            words.push(quoted(&word));
        }
    }
    words.push(flag.to_owned());
    words.push(quoted(place));
    words.join(" ")
}

/// A word as a shell reads it as one.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@+,%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_more_is_what_was_typed_with_the_cursor_in_the_place_of_the_one_before() {
        let typed = "/opt/allod entity list --cursor 1_a --type Person";
        let typed = typed
            .split(' ')
            .map(str::to_owned)
            .chain(["--name".to_owned(), "Sam's \"bar\"".to_owned()]);
        assert_eq!(
            retyped(typed, "--cursor", "2_b"),
            "allod entity list --type Person --name 'Sam'\\''s \"bar\"' --cursor 2_b"
        );
    }
}
