//! `allod entity edit|merge|unmerge|distinct|delete|restore|erase|history|neighbours`, `allod timeline`, `allod merges`.

use serde_json::{Value, json};

use super::id::id;
use super::{CommandError, Session, assignments};
use crate::cli::{EntityDeed, Merges, Timeline};
use crate::client::{ClientError, escape};
use crate::{render, terminal};

const ENTITIES: &str = "allod entity list";

/// The id of an entity, or `me`.
fn entity(text: &str) -> Result<&str, CommandError> {
    if text == "me" {
        Ok(text)
    } else {
        id("entity", text, ENTITIES)
    }
}

pub(super) async fn run(session: &Session, command: EntityDeed) -> Result<(), CommandError> {
    let client = &session.client;
    match command {
        EntityDeed::Edit {
            id,
            set,
            unset,
            tel,
            email,
        } => edit(session, &id, &set, unset, tel, email).await,
        EntityDeed::Merge { id, other } => {
            let body = json!({ "other": entity(&other)? });
            let answer = client
                .post(&format!("/entities/{}/merge", entity(&id)?), &body)
                .await?;
            session.show(&answer, |answer| {
                render::line(format!(
                    "they are one: {} ({})",
                    render::cell(answer, "title"),
                    render::cell(answer, "id")
                ));
                render::line(format!("to take it back: allod entity unmerge {other}"));
            });
            Ok(())
        }
        EntityDeed::Unmerge { id } => {
            let path = format!("/entities/{}/unmerge", entity(&id)?);
            let answer = client.post(&path, &json!({})).await?;
            session.show(&answer, |answer| {
                render::line(format!(
                    "{} stands for itself again",
                    render::cell(answer, "title")
                ));
            });
            Ok(())
        }
        EntityDeed::Distinct { id, other } => {
            let body = json!({ "other": entity(&other)? });
            let answer = client
                .post(&format!("/entities/{}/distinct", entity(&id)?), &body)
                .await?;
            session.show(&answer, |_| render::line("remembered: they are not the same"));
            Ok(())
        }
        EntityDeed::Delete { id } => {
            let answer = client.delete(&format!("/entities/{}", entity(&id)?)).await?;
            session.show(&answer, |_| {
                render::line(format!("deleted; to take it back: allod entity restore {id}"));
            });
            Ok(())
        }
        EntityDeed::Erase {
            id,
            with_timeline,
            yes,
        } => erase(session, &id, with_timeline, yes).await,
        EntityDeed::Restore { id } => {
            let path = format!("/entities/{}/restore", entity(&id)?);
            let answer = client.post(&path, &json!({})).await?;
            session.show(&answer, |answer| {
                render::line(format!("{} is there again", render::cell(answer, "title")));
            });
            Ok(())
        }
        EntityDeed::History { id, at } => history(session, &id, at.as_deref()).await,
        EntityDeed::Neighbours { id, depth, limit } => {
            let path = format!(
                "/entities/{}/neighbours?depth={depth}&limit={limit}",
                entity(&id)?
            );
            let answer = client.get(&path).await?;
            session.show(&answer, |answer| {
                let columns = [
                    ("STEPS", "depth"),
                    ("ID", "id"),
                    ("TYPE", "type"),
                    ("TITLE", "title"),
                    ("IS", "outgoing"),
                    ("OF IT", "incoming"),
                ];
                render::table(answer, &columns, "nothing is related to it yet");
            });
            Ok(())
        }
    }
}

async fn erase(session: &Session, named: &str, with_timeline: bool, yes: bool) -> Result<(), CommandError> {
    let id = id("entity", named, ENTITIES)?;
    // What was deleted can be erased, and shows no title any more.
    let title = match session.client.get(&format!("/entities/{id}")).await {
        Ok(found) => render::printable(&render::cell(&found, "title")),
        Err(ClientError::Refused(problem)) if problem.status == 404 => format!("the deleted entity {id}"),
        Err(error) => return Err(error.into()),
    };
    if !yes && !terminal::confirmed(&title, "erase")? {
        return Err(CommandError::Usage("nothing was erased".to_owned()));
    }
    let body = json!({ "with_timeline": with_timeline });
    let answer = session
        .client
        .post(&format!("/entities/{id}/erase"), &body)
        .await?;
    session.show(&answer, |answer| {
        let job = render::cell(answer, "job");
        render::line(format!(
            "{title} is being erased; `allod job show {job}` tells what went"
        ));
    });
    Ok(())
}

async fn edit(
    session: &Session,
    id: &str,
    set: &[String],
    unset: Vec<String>,
    tel: Vec<String>,
    email: Vec<String>,
) -> Result<(), CommandError> {
    let mut props = assignments(set)?;
    props.extend(unset.into_iter().map(|key| (key, Value::Null)));
    let said = |scheme: &'static str, values: Vec<String>| {
        values
            .into_iter()
            .map(move |value| json!({ "scheme": scheme, "value": value }))
    };
    let identifiers: Vec<Value> = said("tel", tel).chain(said("email", email)).collect();
    if props.is_empty() && identifiers.is_empty() {
        return Err(CommandError::Usage(
            "nothing to change: give --set KEY=VALUE, --unset KEY, --tel or --email".to_owned(),
        ));
    }
    let body = json!({ "props": props, "identifiers": identifiers });
    let answer = session
        .client
        .patch(&format!("/entities/{}", entity(id)?), &body)
        .await?;
    session.show(&answer, |answer| {
        let (title, version) = (render::cell(answer, "title"), render::cell(answer, "version"));
        render::line(format!("{title} is at version {version}"));
    });
    Ok(())
}

async fn history(session: &Session, id: &str, at: Option<&str>) -> Result<(), CommandError> {
    let at = at.map(|at| format!("?at={}", escape(at))).unwrap_or_default();
    let path = format!("/entities/{}/history{at}", entity(id)?);
    let answer = session.client.get(&path).await?;
    session.show(&answer, |answer| {
        let fields = answer["fields"].as_object().into_iter().flatten();
        let rows: Vec<Value> = fields
            .map(|(name, known)| {
                let mut row = known.clone();
                row["field"] = name.as_str().into();
                row
            })
            .collect();
        let columns = [
            ("FIELD", "field"),
            ("VALUE", "value"),
            ("SAID BY", "asserted_by"),
            ("THROUGH", "source"),
            ("SINCE", "recorded_from"),
        ];
        render::table(&rows.into(), &columns, "nothing was known of it then");
    });
    Ok(())
}

pub(super) async fn timeline(session: &Session, asked: Timeline) -> Result<(), CommandError> {
    let mut path = format!("/timeline?limit={}", asked.limit);
    if let Some(about) = &asked.about {
        path += &format!("&about={}", entity(about)?);
    }
    let filters = [
        ("type", &asked.kind),
        ("since", &asked.since),
        ("until", &asked.until),
    ];
    for (name, value) in filters {
        if let Some(value) = value {
            path += &format!("&{name}={}", escape(value));
        }
    }
    let answer = session.client.get(&path).await?;
    session.show(&answer, |answer| {
        let columns = [
            ("WHEN", "starts_at"),
            ("TYPE", "type"),
            ("TITLE", "title"),
            ("FROM", "props.from"),
            ("ID", "id"),
        ];
        render::table(
            answer,
            &columns,
            "nothing happened there and then that the graph knows of",
        );
    });
    Ok(())
}

pub(super) async fn merges(session: &Session, command: Merges) -> Result<(), CommandError> {
    let client = &session.client;
    let (id, standing, word) = match command {
        Merges::List { standing, limit } => {
            let path = format!("/merges?standing={}&limit={limit}", escape(&standing));
            let answer = client.get(&path).await?;
            session.show(&answer, |answer| {
                let columns = [
                    ("ID", "id"),
                    ("ONE", "first.title"),
                    ("OTHER", "second.title"),
                    ("SCORE", "score"),
                    ("WHY", "reason"),
                ];
                render::table(answer, &columns, "nobody stands like that to anybody");
            });
            return Ok(());
        }
        Merges::Accept { id } => (id, "merged", "they are one"),
        Merges::Refuse { id } => (id, "distinct", "remembered: they are not the same"),
    };
    let path = format!(
        "/merges/{}",
        super::id::id("suggestion", &id, "allod merges list")?
    );
    let answer = client.patch(&path, &json!({ "standing": standing })).await?;
    session.show(&answer, |_| render::line(word));
    Ok(())
}
