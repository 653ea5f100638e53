//! `allod import`: hands a file to the hub, and shows how far it is.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::Method;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::{CommandError, Session, id, import_folder};
use crate::cli::{Import, ImportCommand};
use crate::client::{Upload, escape};
use crate::render;

const CHUNK_BYTES: usize = 256 * 1024;
const LOOK_EVERY: Duration = Duration::from_millis(500);
const LIST: &str = "allod import list";
/// Imports that the hub lists.
const SHOWN_MAX: usize = 200;

pub(super) async fn run(session: &Session, import: Import) -> Result<(), CommandError> {
    match (import.command, import.file) {
        (Some(ImportCommand::List), _) => {
            let answer = session.client.get("/imports").await?;
            session.show(&answer, |answer| {
                let columns = [
                    ("ID", "id"),
                    ("FILE", "filename"),
                    ("STATE", "state"),
                    ("NEW", "new"),
                    ("KNOWN", "known"),
                    ("PARKED", "parked"),
                    ("CREATED", "created_at"),
                ];
                render::table(
                    answer,
                    &columns,
                    "nothing was imported yet: `allod import contacts.vcf`",
                );
                if render::list(answer).len() >= SHOWN_MAX {
                    render::note(format!(
                        "the newest {SHOWN_MAX}; `allod import show ID` shows older ones"
                    ));
                }
            });
            Ok(())
        }
        (Some(ImportCommand::Show { id }), _) => {
            let id = id::id("import", &id, LIST)?;
            let answer = session.client.get(&format!("/imports/{id}")).await?;
            session.show(&answer, told);
            Ok(())
        }
        (Some(ImportCommand::Cancel { id }), _) => {
            let id = id::id("import", &id, LIST)?;
            let answer = session
                .client
                .post(&format!("/imports/{id}/cancel"), &json!({}))
                .await?;
            session.show(&answer, |_| render::line("cancelled; what it took in stays"));
            Ok(())
        }
        (None, Some(file)) => file_import(session, &file, import.kind.as_deref(), import.wait).await,
        (None, None) => Err(CommandError::Usage(
            "name a file: `allod import contacts.vcf`, or say list, show or cancel".to_owned(),
        )),
    }
}

pub(super) async fn reprocess(session: &Session, source: Option<String>) -> Result<(), CommandError> {
    let answer = session
        .client
        .post("/raw-records/process", &json!({ "source": source }))
        .await?;
    session.show(&answer, |answer| match answer["job"].as_str() {
        Some(job) => render::line(format!(
            "every record is read again: `allod job show {job}` says how far it is"
        )),
        None => render::line("that is being done already"),
    });
    Ok(())
}

async fn file_import(
    session: &Session,
    path: &Path,
    kind: Option<&str>,
    wait: bool,
) -> Result<(), CommandError> {
    let kind = kind
        .map(|kind| format!("&type={}", escape(kind)))
        .unwrap_or_default();
    if path.is_dir() {
        return import_folder::run(session, path, &kind).await;
    }
    let mut import = upload(session, "/imports", path, &kind).await?;
    if wait {
        import = finished(session, import).await?;
    }
    session.show(&import, told);
    match import["state"].as_str() {
        Some("failed" | "cancelled") => Err(CommandError::Unwell),
        _ => Ok(()),
    }
}

/// Waits until an import has ended, and shows how far it is.
pub(super) async fn finished(session: &Session, mut import: Value) -> Result<Value, CommandError> {
    let path = format!("/imports/{}", render::cell(&import, "id"));
    while import["finished_at"].is_null() {
        progress(&import);
        tokio::time::sleep(LOOK_EVERY).await;
        import = session.client.get(&path).await?;
    }
    progress_end();
    Ok(import)
}

/// Hands a file over under its name; what the hub made of it.
pub(super) async fn upload(
    session: &Session,
    route: &str,
    path: &Path,
    query: &str,
) -> Result<Value, CommandError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let target = format!("{route}?filename={}{query}", escape(&name));
    hand_over(session, &target, pieces(path).await?).await
}

/// Hands bytes over to be imported under a name.
pub(super) async fn send(
    session: &Session,
    name: &str,
    query: &str,
    body: Upload,
) -> Result<Value, CommandError> {
    let target = format!("/imports?filename={}{query}", escape(name));
    hand_over(session, &target, body).await
}

async fn hand_over(session: &Session, target: &str, body: Upload) -> Result<Value, CommandError> {
    let answer = session.client.stream(Method::POST, target, Some(body)).await?;
    let broken = |error: String| CommandError::Failed(format!("the hub did not answer: {error}"));
    let bytes = answer
        .collect()
        .await
        .map_err(|error| broken(error.to_string()))?;
    serde_json::from_slice(&bytes.to_bytes()).map_err(|error| broken(error.to_string()))
}

/// The file as a body, piece by piece.
async fn pieces(path: &Path) -> Result<Upload, CommandError> {
    let unreadable =
        |error: std::io::Error| CommandError::Usage(format!("{} can't be read: {error}", path.display()));
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    if file.metadata().await.map_err(unreadable)?.is_dir() {
        return Err(CommandError::Usage(format!(
            "{} is a folder: name a file",
            path.display()
        )));
    }
    let chunks = stream::try_unfold(file, |mut file| async move {
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(read);
        let frame = (read > 0).then(|| Frame::data(Bytes::from(chunk)));
        Ok::<_, std::io::Error>(frame.map(|frame| (frame, file)))
    });
    Ok(StreamBody::new(chunks).boxed())
}

pub(super) fn told(import: &Value) {
    let cell = |name: &str| render::cell(import, name);
    render::line(format!(
        "{} ({}): {}",
        cell("filename"),
        cell("id"),
        cell("state")
    ));
    if let Some(reason) = import["reason"].as_str() {
        render::line(format!("  why: {reason}"));
    }
    render::line(format!(
        "  {} records: {} new, {} known before, {} parked; {} of {} bytes",
        cell("taken"),
        cell("new"),
        cell("known"),
        cell("parked"),
        cell("position"),
        cell("bytes")
    ));
    if import["parked"].as_i64().is_some_and(|parked| parked > 0) {
        render::line("  `allod record parked` says why");
    }
}

/// One line that is written over and over, for people only.
fn progress(import: &Value) {
    let mut err = std::io::stderr();
    if !err.is_terminal() {
        return;
    }
    let (position, bytes) = (
        import["position"].as_i64().unwrap_or(0),
        import["bytes"].as_i64().unwrap_or(0).max(1),
    );
    let line = format!(
        "\r{:>3} %, {} records ",
        position.saturating_mul(100) / bytes,
        render::cell(import, "taken")
    );
    let _ = err.write_all(line.as_bytes()).and_then(|()| err.flush());
}

fn progress_end() {
    let mut err = std::io::stderr();
    if err.is_terminal() {
        let _ = err
            .write_all(b"\r                              \r")
            .and_then(|()| err.flush());
    }
}
