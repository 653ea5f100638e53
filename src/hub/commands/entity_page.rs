//! `allod entity show` and `history`: what is known of an entity, as a page for people.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{CommandError, Session, flag};
use crate::client::escape;
use crate::render::{self, cell, line};
use crate::times::Toward;

/// As many relations as the hub shows with an entity.
const RELATIONS_SHOWN: usize = 200;
/// Longer values are cut in a table; `--json` has them whole.
const VALUE_CHARS_MAX: usize = 70;

pub(super) async fn show(session: &Session, id: &str) -> Result<(), CommandError> {
    let detail = session.client.get(&format!("/entities/{id}")).await?;
    if session.json {
        render::json(&detail);
        return Ok(());
    }
    let known = session.client.get(&format!("/entities/{id}/history")).await?;
    head(&detail);
    let fields = fields(&known);
    if !fields.is_empty() {
        line("");
        let columns = [
            ("FIELD", "field"),
            ("VALUE", "value"),
            ("SAID BY", "by"),
            ("SINCE", "recorded_from"),
        ];
        render::table(&fields.into(), &columns, "");
    }
    section("IDENTIFIERS", &identifiers(&detail));
    section("RELATED", &relations(&detail));
    let merged = render::list(&detail["merged"]);
    if !merged.is_empty() {
        line("\nMERGED INTO IT");
        for one in merged {
            let one = render::text(one);
            line(format!("  {one}  (to part them: allod entity unmerge {one})"));
        }
    }
    Ok(())
}

fn head(detail: &Value) {
    let title = cell(detail, "title");
    let title = if title.is_empty() {
        "(without a name)".to_owned()
    } else {
        title
    };
    line(format!("{title}  ·  {}", cell(detail, "type")));
    let changed = match cell(detail, "version").as_str() {
        "1" => String::new(),
        version => format!(", changed {} (version {version})", cell(detail, "updated_at")),
    };
    line(format!(
        "{}  ·  since {}{changed}",
        cell(detail, "id"),
        cell(detail, "created_at")
    ));
    let when = render::happens(detail);
    if !when.is_empty() {
        line(format!("at {when}"));
    }
}

fn section(title: &str, lines: &[String]) {
    if !lines.is_empty() {
        line(format!("\n{title}"));
        for one in lines {
            line(format!("  {one}"));
        }
    }
}

/// Who said something: you, or through what it came.
pub(super) fn by(row: &Value) -> String {
    match row["asserted_by"].as_str() {
        Some("user") => "you".to_owned(),
        _ => cell(row, "source"),
    }
}

/// The fields of what is known, each with who said so; a title that is the name, and the moment, stand elsewhere.
fn fields(known: &Value) -> Vec<Value> {
    let said = known["fields"].as_object().into_iter().flatten();
    said.filter(|(name, field)| match name.as_str() {
        "title" => known["fields"]["name"]["value"] != field["value"],
        name => name != "starts_at",
    })
    .map(|(name, field)| {
        json!({ "field": name, "value": short(&render::named(name, &field["value"])), "by": by(field),
                "recorded_from": field["recorded_from"] })
    })
    .collect()
}

fn short(text: &str) -> String {
    let text = render::one(text);
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text;
    }
    let head: String = text.chars().take(VALUE_CHARS_MAX - 1).collect();
    format!("{head}…")
}

/// Each address once, with everybody who says it.
fn identifiers(detail: &Value) -> Vec<String> {
    let mut known: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for one in render::list(&detail["identifiers"]) {
        let key = (cell(one, "scheme"), cell(one, "value"));
        known.entry(key).or_default().insert(by(one));
    }
    let widest = known
        .keys()
        .map(|(scheme, _)| scheme.chars().count())
        .max()
        .unwrap_or_default();
    let row = |((scheme, value), said): ((String, String), BTreeSet<String>)| {
        let said: Vec<String> = said.into_iter().collect();
        render::one(&format!("{scheme:<widest$}  {value}  ({})", said.join(", ")))
    };
    known.into_iter().map(row).collect()
}

/// What it is to others and they to it, by kind, each once.
fn relations(detail: &Value) -> Vec<String> {
    let all = render::list(&detail["relations"]);
    let mut kinds: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for one in all {
        let (kind, other) = phrase(detail, one);
        let title = match one["other_title"].as_str() {
            Some(title) => format!("{title} ({other})"),
            None => other.clone(),
        };
        kinds.entry(kind).or_default().insert(other, render::one(&title));
    }
    let mut lines: Vec<String> = kinds
        .into_iter()
        .map(|(kind, others)| {
            let others: Vec<String> = others.into_values().collect();
            format!("{kind}: {}", others.join(", "))
        })
        .collect();
    if all.len() >= RELATIONS_SHOWN {
        let id = cell(detail, "id");
        lines.push(format!(
            "… the newest {RELATIONS_SHOWN}; all: allod relation list {id} --all"
        ));
    }
    lines
}

/// A relation as seen from the entity, and the id of its other end: `partner`, or `partner of`.
pub(super) fn phrase(entity: &Value, relation: &Value) -> (String, String) {
    let predicate = cell(relation, "predicate");
    if relation["from"] == entity["id"] {
        (predicate, cell(relation, "to"))
    } else {
        (format!("{predicate} of"), cell(relation, "from"))
    }
}

pub(super) async fn history(session: &Session, id: &str, at: Option<&str>) -> Result<(), CommandError> {
    if at.is_none() && !session.json {
        let detail = session.client.get(&format!("/entities/{id}")).await?;
        let known = session.client.get(&format!("/entities/{id}/history")).await?;
        changes(&detail, &known, id);
        return Ok(());
    }
    let at = flag::instant("--at", at, Toward::Past)?;
    let at = at.map(|at| format!("?at={}", escape(&at))).unwrap_or_default();
    let known = session.client.get(&format!("/entities/{id}/history{at}")).await?;
    session.show(&known, |known| {
        let title = cell(known, "title");
        let title = if title.is_empty() {
            cell(known, "id")
        } else {
            title
        };
        line(format!("{title}, as it was known at {}", cell(known, "at")));
        let columns = [
            ("FIELD", "field"),
            ("VALUE", "value"),
            ("SAID BY", "by"),
            ("SINCE", "recorded_from"),
        ];
        render::table(&fields(known).into(), &columns, "nothing was known of it then");
        let related: Vec<String> = render::list(&known["relations"])
            .iter()
            .map(|one| {
                let (kind, other) = phrase(known, one);
                format!(
                    "{kind}: {other}  ({}, since {})",
                    by(one),
                    cell(one, "recorded_at")
                )
            })
            .collect();
        section("KNOWN BY THEN", &identifiers(&then(known)));
        section("RELATED THEN", &related);
    });
    Ok(())
}

/// What was said of it, by whom, newest first.
fn changes(detail: &Value, known: &Value, id: &str) {
    let mut rows = steps(render::list(&detail["claims"]));
    rows.extend(comings(render::list(&known["identifiers"])));
    rows.sort_by_key(|row| std::cmp::Reverse(row["at"].as_str().and_then(instant)));
    let columns = [("WHEN", "at"), ("BY", "by"), ("WHAT", "what")];
    line(format!("{}  ·  {}", cell(detail, "title"), cell(detail, "type")));
    render::table(&rows.into(), &columns, "nothing was said of it");
    render::note(format!(
        "what was known at a time: allod entity history {id} --at yesterday"
    ));
}

/// What each claim says that the one before it of the same source didn't, oldest first.
fn steps(claims: &[Value]) -> Vec<Value> {
    let mut claims: Vec<&Value> = claims.iter().collect();
    claims.sort_by_key(|claim| claim["recorded_from"].as_str().and_then(instant));
    let mut before: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut rows = Vec::new();
    for claim in &claims {
        let who = by(claim);
        let now = said(claim);
        let old = before.insert(who.clone(), now.clone()).unwrap_or_default();
        let mut what: Vec<String> = now
            .iter()
            .filter(|(name, value)| old.get(*name) != Some(value))
            .map(|(name, value)| format!("{name}={}", short(&render::named(name, value))))
            .collect();
        let gone = old.keys().filter(|name| !now.contains_key(*name));
        what.extend(gone.map(|name| format!("{name} taken back")));
        if !what.is_empty() {
            rows.push(json!({ "at": claim["recorded_from"], "by": who, "what": what.join(", ") }));
        }
    }
    rows
}

/// When addresses and ids came and went.
fn comings(identifiers: &[Value]) -> Vec<Value> {
    let mut rows = Vec::new();
    for one in identifiers {
        let name = format!("{} {}", cell(one, "scheme"), short(&cell(one, "value")));
        let mut row = |at: &Value, what: String| rows.push(json!({ "at": at, "by": by(one), "what": what }));
        row(&one["recorded_at"], name.clone());
        if !one["gone_at"].is_null() {
            row(&one["gone_at"], format!("{name} taken back"));
        }
    }
    rows
}

/// Of what was known at a moment, the identifiers that held then.
fn then(known: &Value) -> Value {
    let held = render::list(&known["identifiers"]).iter();
    let held: Vec<&Value> = held.filter(|one| one["gone_at"].is_null()).collect();
    json!({ "identifiers": held })
}

fn instant(text: &str) -> Option<chrono::DateTime<chrono::FixedOffset>> {
    chrono::DateTime::parse_from_rfc3339(text).ok()
}

/// The fields of a claim, its title among them unless it is the name.
fn said(claim: &Value) -> Map<String, Value> {
    let mut fields = claim["props"].as_object().cloned().unwrap_or_default();
    for name in ["title", "starts_at"] {
        let value = &claim[name];
        if !value.is_null() && fields.get("name") != Some(value) {
            fields.insert(name.to_owned(), value.clone());
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail() -> Value {
        json!({
            "id": "1", "type": "Person", "title": "Sam",
            "identifiers": [
                {"scheme": "tel", "value": "+1", "asserted_by": "user", "source": "user"},
                {"scheme": "tel", "value": "+1", "asserted_by": "connector", "source": "import/vcard"},
                {"scheme": "email", "value": "s@example.org\u{1b}[2J", "asserted_by": "connector", "source": "import/vcard"},
            ],
            "relations": [
                {"from": "2", "predicate": "partner", "to": "1", "other_title": "Alice"},
                {"from": "1", "predicate": "friend", "to": "4", "other_title": "Kim"},
                {"from": "1", "predicate": "friend", "to": "3", "other_title": null},
                {"from": "1", "predicate": "friend", "to": "4", "other_title": "Kim"},
            ],
        })
    }

    #[test]
    fn an_address_stands_once_with_all_who_say_it_and_moves_no_cursor() {
        assert_eq!(
            identifiers(&detail()),
            [
                "email  s@example.org\\u{1b}[2J  (import/vcard)",
                "tel    +1  (import/vcard, you)"
            ]
        );
    }

    #[test]
    fn relations_are_grouped_by_kind_and_way_each_once() {
        assert_eq!(
            relations(&detail()),
            ["friend: 3, Kim (4)", "partner of: Alice (2)"]
        );
    }

    #[test]
    fn a_history_tells_when_addresses_came_and_went() {
        let one = |value: &str, gone: Value| {
            json!({"scheme": "tel", "value": value, "asserted_by": "user", "source": "user",
                "recorded_at": "2026-05-01T00:00:00Z", "gone_at": gone})
        };
        let known =
            json!({"identifiers": [one("+1", Value::Null), one("+2", json!("2026-05-02T00:00:00Z"))]});
        let told: Vec<String> = comings(render::list(&known["identifiers"]))
            .iter()
            .map(|row| format!("{} {}", cell(row, "at"), cell(row, "what")))
            .collect();
        assert_eq!(
            told,
            [
                "2026-05-01 00:00 +00:00 tel +1",
                "2026-05-01 00:00 +00:00 tel +2",
                "2026-05-02 00:00 +00:00 tel +2 taken back"
            ]
        );
        assert_eq!(identifiers(&then(&known)), ["tel  +1  (you)"]);
    }

    #[test]
    fn a_history_tells_what_each_said_anew_and_took_back() {
        let claim = |from: &str, by: &str, props: Value| json!({"asserted_by": by, "source": "import/vcard", "title": props["name"], "props": props, "recorded_from": from});
        let claims = [
            claim(
                "2026-05-03T00:00:00Z",
                "connector",
                json!({"name": "Sam M", "note": "x"}),
            ),
            claim("2026-05-02T00:00:00Z", "user", json!({"nickname": "Sammy"})),
            claim(
                "2026-05-01T00:00:00Z",
                "connector",
                json!({"name": "Sam", "note": "x", "job_title": "Clerk"}),
            ),
        ];
        let told: Vec<String> = steps(&claims)
            .iter()
            .map(|row| format!("{}: {}", cell(row, "by"), cell(row, "what")))
            .collect();
        assert_eq!(
            told,
            [
                "import/vcard: job_title=Clerk, name=Sam, note=x",
                "you: nickname=Sammy",
                "import/vcard: name=Sam M, job_title taken back",
            ]
        );
    }
}
