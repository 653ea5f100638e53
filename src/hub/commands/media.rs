//! `allod media`: files in and out of what the hub keeps.

use http::Method;
use serde_json::{Value, json};

use super::page::{self, Query};
use super::{CommandError, Session, export, id, import};
use crate::cli::Media;
use crate::client::escape;
use crate::render;

const LIST: &str = "allod media list";

pub(super) async fn run(session: &Session, command: Media) -> Result<(), CommandError> {
    match command {
        Media::Add { files } => {
            let mut kept = Vec::new();
            for file in &files {
                kept.push(import::upload(session, "/media", file, "").await?);
            }
            session.show(&Value::Array(kept), |kept| {
                for one in render::list(kept) {
                    let cell = |name: &str| render::cell(one, name);
                    render::line(format!(
                        "{}  {}, {} bytes",
                        cell("id"),
                        cell("media_type"),
                        cell("bytes")
                    ));
                }
            });
            Ok(())
        }
        Media::List { kind, paging } => {
            let query = Query::default().with("type", kind.as_deref());
            let answer = page::list(session, "/media", &query, &paging).await?;
            let columns = [
                ("ID", "id"),
                ("FILE", "filename"),
                ("TYPE", "media_type"),
                ("BYTES", "bytes"),
                ("CAME", "created_at"),
            ];
            page::show(
                session,
                &answer,
                &columns,
                "nothing like that is kept: `allod media add photo.jpg`",
            );
            Ok(())
        }
        Media::Show { id } => {
            let id = id::id("media", &id, LIST)?;
            let answer = session.client.get(&format!("/media/{id}")).await?;
            session.show(&answer, told);
            Ok(())
        }
        Media::Get {
            id,
            rendition,
            output,
        } => {
            let id = id::id("media", &id, LIST)?;
            let path = format!("/media/{id}/content?rendition={}", escape(&rendition));
            let body = session.client.stream(Method::GET, &path, None).await?;
            export::save(body, output.as_deref()).await
        }
        Media::Remove { id } => {
            let id = id::id("media", &id, LIST)?;
            session.client.delete(&format!("/media/{id}")).await?;
            session.show(&json!({ "removed": id }), |_| render::line("removed for good"));
            Ok(())
        }
        Media::Check => check(session).await,
    }
}

fn told(media: &Value) {
    let cell = |name: &str| render::cell(media, name);
    render::line(format!("{} ({})", cell("filename"), cell("id")));
    render::line(format!("  {}, {} bytes", cell("media_type"), cell("bytes")));
    if media["mismatch"] == true {
        render::line(format!("  it was said to be {}", cell("declared_type")));
    }
    render::line(format!("  sha256 {}", cell("sha256")));
    if media["width"].is_u64() {
        render::line(format!("  {} x {} pixels", cell("width"), cell("height")));
    }
    if media["processed"] == false {
        render::line("  it is still being looked into");
    }
    for rendition in media["renditions"].as_array().into_iter().flatten() {
        let cell = |name: &str| render::cell(rendition, name);
        render::line(format!(
            "  {}: {}, {} bytes",
            cell("name"),
            cell("media_type"),
            cell("bytes")
        ));
    }
    if let Some(problem) = media["problem"].as_str() {
        render::line(format!("  why not more: {problem}"));
    }
}

async fn check(session: &Session) -> Result<(), CommandError> {
    let answer = session.client.get("/media/check").await?;
    session.show(&answer, |answer| {
        let cell = |name: &str| render::cell(answer, name);
        render::line(format!(
            "{} files of {} bytes: {} missing, {} about to go; {} objects of nobody",
            cell("contents"),
            cell("bytes"),
            cell("missing"),
            cell("removing"),
            cell("orphans")
        ));
        for media in answer["missing_media"].as_array().into_iter().flatten() {
            render::line(format!("  missing: {}", render::text(media)));
        }
        if answer["well"] == false {
            render::line("  adding a missing file again puts it back");
        }
    });
    if answer["well"] == false {
        return Err(CommandError::Unwell);
    }
    Ok(())
}
