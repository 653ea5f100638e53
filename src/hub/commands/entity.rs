//! `allod entity`: lists, adds, changes; merging, deleting and taking back.

use serde_json::{Map, Value, json};

use super::id::id;
use super::page::{self, Query};
use super::{CommandError, Session, assignment, entity_page};
use crate::cli::{Entity, EntityDeed, EntityList};
use crate::client::{ClientError, escape};
use crate::{render, terminal};

const ENTITIES: &str = "allod entity list";

/// The id of an entity, or `me`.
pub(super) fn entity(text: &str) -> Result<&str, CommandError> {
    if text == "me" {
        Ok(text)
    } else {
        id("entity", text, ENTITIES)
    }
}

pub(super) async fn run(session: &Session, command: Entity) -> Result<(), CommandError> {
    match command {
        Entity::List(asked) => list(session, asked).await,
        Entity::Show { id } => entity_page::show(session, entity(&id)?).await,
        Entity::Types { name } => types(session, name.as_deref()).await,
        Entity::Add {
            kind,
            name,
            tel,
            email,
            relation,
            props,
            anyway,
        } => {
            let fields = fields(session, &kind, &props, Vec::new()).await?;
            let mut body = json!({ "type": kind, "title": name, "props": fields,
                "identifiers": identifiers(tel, email) });
            body["props"]["name"] = name.as_str().into();
            if anyway {
                body["anyway"] = true.into();
            }
            if let Some(predicate) = relation {
                body["relation"] = near(session, &predicate).await?;
            }
            let answer = session.client.post("/entities", &body).await?;
            session.show(&answer, |answer| {
                let id = render::cell(answer, "id");
                render::line(format!("{kind} {name} is in the graph ({id})"));
            });
            Ok(())
        }
        Entity::Deed(deed) => do_it(session, deed).await,
    }
}

async fn list(session: &Session, asked: EntityList) -> Result<(), CommandError> {
    let query = Query::default()
        .with("type", asked.kind.as_deref())
        .with("name", asked.name.as_deref())
        .with("identifier", asked.identifier.as_deref())
        .with("deleted", asked.deleted.then_some("true"));
    let mut answer = page::list(session, "/entities", &query, &asked.paging).await?;
    if asked.deleted {
        for row in answer["items"].as_array_mut().into_iter().flatten() {
            if !session.json && row["deleted_by"] == "user" {
                row["deleted_by"] = "you".into();
            }
        }
        let columns = [
            ("ID", "id"),
            ("TYPE", "type"),
            ("TITLE", "title"),
            ("DELETED", "deleted_at"),
            ("BY", "deleted_by"),
        ];
        page::show(session, &answer, &columns, "nothing like that was deleted");
        return Ok(());
    }
    let is_filtered = asked.name.is_some() || asked.identifier.is_some();
    let empty = match asked.kind {
        _ if is_filtered => {
            "nothing like that is in the graph; `allod entity list --deleted` lists what was deleted"
                .to_owned()
        }
        Some(kind) => format!("no {kind} is here yet: `allod entity add {kind} NAME` adds one"),
        None => "nothing here yet: `allod entity add Person Sam --tel +1…` adds somebody".to_owned(),
    };
    let columns = [
        ("ID", "id"),
        ("TYPE", "type"),
        ("TITLE", "title"),
        ("UPDATED", "updated_at"),
    ];
    page::show(session, &answer, &columns, &empty);
    Ok(())
}

async fn types(session: &Session, name: Option<&str>) -> Result<(), CommandError> {
    let answer = session.client.get("/entity-types").await?;
    let Some(name) = name else {
        session.show(&answer, |answer| {
            for one in render::list(answer) {
                let fields = one["properties"].as_object().map_or(0, Map::len);
                render::line(format!("{:<14} {fields} fields", render::cell(one, "name")));
            }
            render::note("`allod entity types TYPE` lists the fields of one");
        });
        return Ok(());
    };
    let kind = kind_of(&answer, name).ok_or_else(|| {
        let names = render::list(&answer)
            .iter()
            .filter_map(|one| one["name"].as_str());
        let meant = names
            .clone()
            .find(|one| one.eq_ignore_ascii_case(name))
            .or_else(|| contracts::nearest(name, names));
        let hint = meant.map_or("`allod entity types` lists them".to_owned(), |near| {
            format!("did you mean {near}?")
        });
        CommandError::Usage(format!("there is no type `{name}`\n  hint: {hint}"))
    })?;
    session.show(kind, |kind| {
        let rows: Vec<Value> = kind["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, about)| {
                json!({ "field": name, "expected": about["expected"],
                "needed": if about["required"] == true { "yes" } else { "" } })
            })
            .collect();
        let columns = [("FIELD", "field"), ("WHAT", "expected"), ("NEEDED", "needed")];
        render::table(&rows.into(), &columns, "it has no fields of its own");
    });
    Ok(())
}

fn kind_of<'a>(types: &'a Value, name: &str) -> Option<&'a Value> {
    render::list(types).iter().find(|one| one["name"] == name)
}

/// The owner's end of a relation.
async fn near(session: &Session, predicate: &str) -> Result<Value, CommandError> {
    if render::list(&session.client.get("/accounts").await?).is_empty() {
        return Err(CommandError::Usage(
            "nobody lives here yet to whom somebody could be something\n  hint: make the first account with \
             `allod account create NAME`"
                .to_owned(),
        ));
    }
    Ok(json!({ "predicate": predicate, "from": "me" }))
}

fn identifiers(tel: Vec<String>, email: Vec<String>) -> Vec<Value> {
    let said = |scheme: &'static str, values: Vec<String>| {
        values
            .into_iter()
            .map(move |value| json!({ "scheme": scheme, "value": value }))
    };
    said("tel", tel).chain(said("email", email)).collect()
}

/// `FIELD=VALUE` arguments in the form that the type has for each field, and nulls for what is taken back.
async fn fields(
    session: &Session,
    kind: &str,
    set: &[String],
    unset: Vec<String>,
) -> Result<Map<String, Value>, CommandError> {
    let mut fields: Map<String, Value> = unset.into_iter().map(|key| (key, Value::Null)).collect();
    if set.is_empty() {
        return Ok(fields);
    }
    let types = session.client.get("/entity-types").await?;
    let known = kind_of(&types, kind).map(|kind| &kind["properties"]);
    for argument in set {
        let (name, text) = assignment(argument)?;
        if text.is_empty() || text == "null" {
            return Err(CommandError::Usage(format!(
                "`--set {argument}` sets nothing\n  hint: `--unset {name}` takes back what you said of it"
            )));
        }
        let kind = known.and_then(|known| known[name]["type"].as_str());
        fields.insert(name.to_owned(), value(text, kind));
    }
    Ok(fields)
}

/// A text that was typed as a value of a type of JSON Schema; where that doesn't fit, the hub says so.
fn value(text: &str, kind: Option<&str>) -> Value {
    let as_text = || Value::String(text.to_owned());
    match kind {
        Some("string") => as_text(),
        Some("array") if !text.starts_with('[') => {
            text.split(',').map(|one| Value::from(one.trim())).collect()
        }
        _ => serde_json::from_str(text).unwrap_or_else(|_| as_text()),
    }
}

async fn do_it(session: &Session, command: EntityDeed) -> Result<(), CommandError> {
    let client = &session.client;
    match command {
        EntityDeed::Edit {
            id,
            set,
            unset,
            tel,
            email,
        } => {
            let id = entity(&id)?;
            let kind = if set.is_empty() {
                String::new()
            } else {
                render::cell(&client.get(&format!("/entities/{id}")).await?, "type")
            };
            let props = fields(session, &kind, &set, unset).await?;
            edit(session, id, props, identifiers(tel, email)).await?;
        }
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
        }
        EntityDeed::Unmerge { id } => {
            let path = format!("/entities/{}/unmerge", entity(&id)?);
            let answer = client.post(&path, &json!({})).await?;
            session.show(&answer, |answer| {
                let title = render::cell(answer, "title");
                render::line(format!("{title} stands for itself again"));
            });
        }
        EntityDeed::Distinct { id, other } => {
            let body = json!({ "other": entity(&other)? });
            let path = format!("/entities/{}/distinct", entity(&id)?);
            let answer = client.post(&path, &body).await?;
            session.show(&answer, |_| render::line("remembered: they are not the same"));
        }
        EntityDeed::Delete { id } => {
            let answer = client.delete(&format!("/entities/{}", entity(&id)?)).await?;
            session.show(&answer, |_| {
                render::line(format!("deleted; to take it back: allod entity restore {id}"));
            });
        }
        EntityDeed::Erase {
            id,
            with_timeline,
            yes,
        } => erase(session, &id, with_timeline, yes).await?,
        EntityDeed::Restore { id } => {
            let path = format!("/entities/{}/restore", entity(&id)?);
            let answer = client.post(&path, &json!({})).await?;
            session.show(&answer, |answer| {
                render::line(format!("{} is there again", render::cell(answer, "title")));
            });
        }
        EntityDeed::History { id, at } => entity_page::history(session, entity(&id)?, at.as_deref()).await?,
        EntityDeed::Neighbours { id, depth, paging } => {
            let path = format!("/entities/{}/neighbours", entity(&id)?);
            let query = Query::default().with("depth", Some(&depth.to_string()));
            let answer = page::list(session, &path, &query, &paging).await?;
            let columns = [
                ("STEPS", "depth"),
                ("ID", "id"),
                ("TYPE", "type"),
                ("TITLE", "title"),
                ("IS", "outgoing"),
                ("OF IT", "incoming"),
            ];
            let empty = "nothing is related to it yet: `allod relation add me friend ID` relates two";
            page::show(session, &answer, &columns, empty);
        }
    }
    Ok(())
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
        return Err(CommandError::Failed("nothing was erased".to_owned()));
    }
    let body = json!({ "with_timeline": with_timeline });
    let path = format!("/entities/{}/erase", escape(id));
    let answer = session.client.post(&path, &body).await?;
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
    props: Map<String, Value>,
    identifiers: Vec<Value>,
) -> Result<(), CommandError> {
    if props.is_empty() && identifiers.is_empty() {
        return Err(CommandError::Usage(
            "nothing to change: give --set FIELD=VALUE, --unset FIELD, --tel or --email".to_owned(),
        ));
    }
    let mut body = json!({ "props": props, "identifiers": identifiers });
    if let Some(name) = body["props"]["name"].as_str() {
        body["title"] = name.into();
    }
    let answer = session.client.patch(&format!("/entities/{id}"), &body).await?;
    session.show(&answer, |answer| {
        let (title, version) = (render::cell(answer, "title"), render::cell(answer, "version"));
        render::line(format!("{title} is at version {version}"));
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_takes_the_form_that_its_field_has() {
        assert_eq!(value("1984", Some("string")), json!("1984"));
        assert_eq!(value("true", Some("string")), json!("true"));
        assert_eq!(value("48.2", Some("number")), json!(48.2));
        assert_eq!(value("nine", Some("number")), json!("nine"));
        assert_eq!(value("a, b", Some("array")), json!(["a", "b"]));
        assert_eq!(value("[1]", None), json!([1]));
        assert_eq!(value("plain", None), json!("plain"));
    }
}
