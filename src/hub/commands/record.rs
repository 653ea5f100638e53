//! `allod record`.

use serde_json::{Value, json};

use super::page::{self, Paging, Query};
use super::{CommandError, Session};
use crate::cli::Record;
use crate::client::escape;
use crate::render;

const PATH: &str = "/raw-records";

pub(super) async fn run(session: &Session, command: Record) -> Result<(), CommandError> {
    match command {
        Record::List {
            status,
            source,
            paging,
        } => {
            let columns = [
                ("ID", "id"),
                ("SOURCE", "source"),
                ("STREAM", "stream"),
                ("STATUS", "status"),
                ("RECEIVED", "received_at"),
                ("WHY", "reason"),
            ];
            let status = Some(status.as_str()).filter(|status| *status != "all");
            let query = Query::default()
                .with("status", status)
                .with("source", source.as_deref());
            let answer = page::list(session, PATH, &query, &paging).await?;
            page::show(
                session,
                &answer,
                &columns,
                "nothing came in yet: `allod import contacts.vcf` brings a file in",
            );
        }
        Record::Parked { source, paging } => {
            let columns = [
                ("ID", "id"),
                ("SOURCE", "source"),
                ("STREAM", "stream"),
                ("TRIES", "tries"),
                ("RECEIVED", "received_at"),
                ("WHY", "reason"),
            ];
            let query = Query::default()
                .with("status", Some("parked"))
                .with("source", source.as_deref());
            let answer = page::list(session, PATH, &query, &paging).await?;
            page::show(
                session,
                &answer,
                &columns,
                "no records are parked: everything that came in was understood",
            );
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

/// The parked record of this id, on whichever page it stands.
async fn parked(session: &Session, id: &str) -> Result<Value, CommandError> {
    let all = Paging::everything();
    let query = Query::default().with("status", Some("parked"));
    let parked = page::list(session, PATH, &query, &all).await?;
    let mut found = render::list(&parked).iter().filter(|record| record["id"] == id);
    found.next().cloned().ok_or_else(|| {
        CommandError::Failed(format!(
            "no parked record has the id {id}\n  hint: `allod record parked` lists them"
        ))
    })
}
