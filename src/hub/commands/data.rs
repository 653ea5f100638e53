//! `allod entity` and `allod record`.

use serde_json::{Value, json};

use super::{CommandError, Session, assignments, graph, one_line};
use crate::cli::{Entity, Record};
use crate::client::escape;
use crate::render;

pub(super) async fn run(session: &Session, command: Entity) -> Result<(), CommandError> {
    let client = &session.client;
    match command {
        Entity::List { kind, limit } => {
            let kind = kind
                .map(|kind| format!("&type={}", escape(&kind)))
                .unwrap_or_default();
            let answer = client.get(&format!("/entities?limit={limit}{kind}")).await?;
            session.show(&answer, |answer| {
                let columns = [
                    ("ID", "id"),
                    ("TYPE", "type"),
                    ("TITLE", "title"),
                    ("UPDATED", "updated_at"),
                ];
                render::table(
                    answer,
                    &columns,
                    "nothing here yet: `allod entity add Person Sam --tel +1…` adds somebody",
                );
            });
        }
        Entity::Show { id } => {
            let answer = client.get(&format!("/entities/{}", escape(&id))).await?;
            session.show(&answer, |answer| {
                for (key, value) in answer.as_object().into_iter().flatten() {
                    match value {
                        Value::Array(rows) => {
                            render::line(format!("{key}:"));
                            for row in rows {
                                render::line(format!("  {}", one_line(row)));
                            }
                        }
                        Value::Object(_) => render::line(format!("{key}: {}", one_line(value))),
                        other => render::line(format!("{key}: {}", render::text(other))),
                    }
                }
            });
        }
        Entity::Add {
            kind,
            name,
            tel,
            email,
            relation,
            props,
            anyway,
        } => {
            let mut set = assignments(&props)?;
            set.insert("name".to_owned(), Value::String(name.clone()));
            let schemes = [("tel", tel), ("email", email)];
            let identifiers: Vec<Value> = schemes
                .into_iter()
                .flat_map(|(scheme, values)| {
                    values
                        .into_iter()
                        .map(move |value| json!({ "scheme": scheme, "value": value }))
                })
                .collect();
            let mut body = json!({ "type": kind, "title": name, "props": set, "identifiers": identifiers });
            if anyway {
                body["anyway"] = true.into();
            }
            if let Some(predicate) = relation {
                if render::list(&client.get("/accounts").await?).is_empty() {
                    return Err(CommandError::Usage(
                        "nobody lives here yet to whom somebody could be something\n  hint: make the first account with \
                         `allod account create NAME`"
                            .to_owned(),
                    ));
                }
                body["relation"] = json!({ "predicate": predicate, "from": "me" });
            }
            let answer = client.post("/entities", &body).await?;
            session.show(&answer, |answer| {
                render::line(format!(
                    "{kind} {name} is in the graph ({})",
                    render::cell(answer, "id")
                ));
            });
        }
        Entity::Deed(deed) => graph::run(session, deed).await?,
    }
    Ok(())
}

pub(super) async fn records(session: &Session, command: Record) -> Result<(), CommandError> {
    match command {
        Record::Parked => {
            let parked = session.client.get(&format!("{PARKED}&limit=200")).await?;
            session.show(&parked, |parked| {
                let columns = [
                    ("ID", "id"),
                    ("SOURCE", "source"),
                    ("STREAM", "stream"),
                    ("TRIES", "tries"),
                    ("RECEIVED", "received_at"),
                    ("WHY", "reason"),
                ];
                render::table(parked, &columns, "no records are parked");
            });
        }
        Record::Retry { id } => {
            let record = parked(session, &id).await?;
            let (connection, source) = (record["connection"].as_str(), record["source"].as_str());
            let path = match (connection, source) {
                (Some(connection), _) => format!("/connections/{connection}/records/{}/retry", escape(&id)),
                (None, Some(source)) if source.starts_with("import/") => {
                    format!("/raw-records/{}/process", escape(&id))
                }
                (None, _) => format!("/device-records/{}/retry", escape(&id)),
            };
            let answer = session.client.post(&path, &json!({})).await?;
            session.show(&answer, |answer| match answer["parked"].as_str() {
                Some(reason) => render::line(format!("it stays parked: {reason}")),
                None => render::line("it is understood now"),
            });
        }
    }
    Ok(())
}

const PARKED: &str = "/raw-records?status=parked";

/// The parked record of this id, on whichever page it stands.
async fn parked(session: &Session, id: &str) -> Result<Value, CommandError> {
    let mut next = Some(String::new());
    while let Some(cursor) = next {
        let page = session.client.get(&format!("{PARKED}&limit=200{cursor}")).await?;
        if let Some(record) = render::list(&page).iter().find(|record| record["id"] == id) {
            return Ok(record.clone());
        }
        next = page["next_cursor"]
            .as_str()
            .map(|cursor| format!("&cursor={}", escape(cursor)));
    }
    Err(CommandError::Usage(format!("no parked record has the id {id}")))
}
