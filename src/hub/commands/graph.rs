//! `allod relation`, `allod timeline`, `allod upcoming` and `allod merges`.

use serde_json::{Value, json};

use super::entity::entity;
use super::entity_page::{by, phrase};
use super::page::{self, Query};
use super::{CommandError, Session, flag, id::id};
use crate::cli::{Merges, Relation, Timeline, Upcoming};
use crate::render;
use crate::times::Toward;

pub(super) async fn relation(session: &Session, command: Relation) -> Result<(), CommandError> {
    let client = &session.client;
    match command {
        Relation::List {
            id,
            predicate,
            paging,
        } => {
            let id = entity(&id)?;
            let query = Query::default()
                .with("entity", Some(id))
                .with("predicate", predicate.as_deref());
            let mut answer = page::list(session, "/relations", &query, &paging).await?;
            if !session.json {
                let whole = client.get(&format!("/entities/{id}")).await?;
                for row in answer["items"].as_array_mut().into_iter().flatten() {
                    let (is, other) = phrase(&whole, row);
                    (row["is"], row["other"]) = (is.into(), other.into());
                    row["source"] = by(row).into();
                }
            }
            let columns = [
                ("ID", "id"),
                ("IS", "is"),
                ("WHO OR WHAT", "other_title"),
                ("TYPE", "other_type"),
                ("ITS ID", "other"),
                ("SINCE", "recorded_at"),
                ("SAID BY", "source"),
            ];
            let empty = format!(
                "nothing is related to it like that: `allod relation add {id} friend ID` relates two"
            );
            page::show(session, &answer, &columns, &empty);
        }
        Relation::Add { from, predicate, to } => {
            let body = json!({ "from": entity(&from)?, "predicate": predicate, "to": entity(&to)? });
            let answer = client.post("/relations", &body).await?;
            session.show(&answer, |answer| {
                let id = render::cell(answer, "id");
                render::line(format!(
                    "related ({id}); to take it back: allod relation remove {id}"
                ));
            });
        }
        Relation::Remove { id: named } => {
            let id = id("relation", &named, "allod relation list me")?;
            client.delete(&format!("/relations/{id}")).await?;
            session.show(&json!({ "removed": id }), |_| {
                render::line("it doesn't hold any more");
            });
        }
    }
    Ok(())
}

/// What happens, with the days or the moment of it as `when`.
fn dated(mut answer: Value) -> Value {
    for row in answer["items"].as_array_mut().into_iter().flatten() {
        row["when"] = render::happens(row).into();
    }
    answer
}

pub(super) async fn timeline(session: &Session, asked: Timeline) -> Result<(), CommandError> {
    let about = asked.about.as_deref().map(entity).transpose()?;
    let query = Query::default()
        .with("about", about)
        .with("type", asked.kind.as_deref())
        .with(
            "since",
            flag::instant("--since", asked.since.as_deref(), Toward::Past)?.as_deref(),
        )
        .with(
            "until",
            flag::instant("--until", asked.until.as_deref(), Toward::Past)?.as_deref(),
        );
    let answer = page::list(session, "/timeline", &query, &asked.paging).await?;
    let answer = if session.json { answer } else { dated(answer) };
    let columns = [
        ("WHEN", "when"),
        ("TYPE", "type"),
        ("TITLE", "title"),
        ("FROM", "props.from"),
        ("ID", "id"),
    ];
    let empty = "nothing happened there and then that the graph knows of; without --since, --until and --type there may \
                 be more";
    page::show(session, &answer, &columns, empty);
    Ok(())
}

pub(super) async fn upcoming(session: &Session, asked: Upcoming) -> Result<(), CommandError> {
    // That something will be overdue follows from when it is due; it is told to who asks for it.
    let kinds = if asked.kind.is_empty() {
        "event,due,reminder,schedule".to_owned()
    } else {
        asked.kind.join(",")
    };
    let query = Query::default()
        .with(
            "until",
            flag::instant("--until", asked.until.as_deref(), Toward::Future)?.as_deref(),
        )
        .with("kind", Some(&kinds));
    let mut answer = page::list(session, "/intentions/upcoming", &query, &asked.paging).await?;
    if !session.json {
        for row in answer["items"].as_array_mut().into_iter().flatten() {
            row["when"] = render::to_come(row).into();
        }
        if answer["incomplete"] == true {
            render::note(
                "the calendar has more occurrences than are counted for one list: events are missing here; ask for less time \
                 at once, such as --until 2w",
            );
        }
    }
    let columns = [
        ("WHEN", "when"),
        ("WHAT", "kind"),
        ("TITLE", "title"),
        ("ID", "id"),
    ];
    let empty = "nothing is to come until then: `--until 4w` looks further, `allod task add \"Ring Sam\" --due tomorrow` \
                 adds a task";
    page::show(session, &answer, &columns, empty);
    Ok(())
}

pub(super) async fn merges(session: &Session, command: Merges) -> Result<(), CommandError> {
    let client = &session.client;
    let (named, standing, word) = match command {
        Merges::List { standing, paging } => {
            let query = Query::default().with("standing", Some(&standing));
            let answer = page::list(session, "/merges", &query, &paging).await?;
            let columns = [
                ("ID", "id"),
                ("ONE", "first.title"),
                ("OTHER", "second.title"),
                ("SCORE", "score"),
                ("WHY", "reason"),
            ];
            let empty = match standing.as_str() {
                "suggested" => "no open questions: nobody here looks like somebody else",
                "merged" => "nobody was merged: `allod entity merge ID OTHER` does",
                _ => "nobody was told apart: `allod entity distinct ID OTHER` does",
            };
            page::show(session, &answer, &columns, empty);
            return Ok(());
        }
        Merges::Accept { id } => (id, "merged", "they are one"),
        Merges::Refuse { id } => (id, "distinct", "remembered: they are not the same"),
    };
    let path = format!("/merges/{}", id("suggestion", &named, "allod merges list")?);
    let answer = client.patch(&path, &json!({ "standing": standing })).await?;
    session.show(&answer, |_| render::line(word));
    Ok(())
}
