//! `allod import` of a folder: a Maildir is handed over as one mailbox, any other folder file by file.
//!
//! Links are not followed, and what begins with a dot is left alone, but for Maildir's own folders (`.Sent`).

use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};

use super::import::{finished, send, told, upload};
use super::{CommandError, Session};
use crate::client::Upload;
use crate::render;

/// What is read of a mail: more than a record has, so that the hub sees that it is too long.
const MAIL_BYTES_MAX: u64 = 33 * 1024 * 1024;
/// How the files that are imported end.
const ENDINGS: [&str; 11] = [
    "vcf", "ics", "mbox", "eml", "csv", "jsonld", "json", "gpx", "geojson", "tar", "vcard",
];

/// Imports a folder, and waits for it.
pub(super) async fn run(session: &Session, folder: &Path, query: &str) -> Result<(), CommandError> {
    let mut found = Found::default();
    found
        .look(folder)
        .map_err(|error| CommandError::Usage(format!("{} can't be read: {error}", folder.display())))?;
    found.files.sort();
    found.mails.sort();
    let (files, mails) = (found.files.len(), found.mails.len());
    if files + mails == 0 {
        return Err(CommandError::Usage(format!(
            "{} has no file that can be imported: those end in {}",
            folder.display(),
            ENDINGS.join(", ")
        )));
    }
    let mut imports = Vec::new();
    if mails > 0 {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let import = send(
            session,
            &format!("{name}.mbox"),
            "&type=mbox",
            mailbox(found.mails),
        )
        .await?;
        imports.push(ended(session, import).await?);
    }
    for file in &found.files {
        let import = upload(session, "/imports", file, query).await?;
        imports.push(ended(session, import).await?);
    }
    if found.others > 0 {
        render::note(format!("{} files of other kinds were left out", found.others));
    }
    let failed = imports.iter().any(|import| import["state"] != "finished");
    if session.json {
        render::json(&json!({ "items": imports }));
    }
    if failed { Err(CommandError::Unwell) } else { Ok(()) }
}

async fn ended(session: &Session, import: Value) -> Result<Value, CommandError> {
    let import = finished(session, import).await?;
    if !session.json {
        told(&import);
    }
    Ok(import)
}

/// What is in a folder.
#[derive(Debug, Default)]
struct Found {
    files: Vec<PathBuf>,
    mails: Vec<PathBuf>,
    others: usize,
}

impl Found {
    fn look(&mut self, folder: &Path) -> std::io::Result<()> {
        let is_maildir = folder.join("cur").is_dir() && folder.join("new").is_dir();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let name = entry.file_name().to_string_lossy().into_owned();
            if kind.is_dir() {
                match name.as_str() {
                    "cur" | "new" if is_maildir => self.mails(&path)?,
                    "tmp" if is_maildir => {}
                    name if name.starts_with('.') && !path.join("cur").is_dir() => {}
                    _ => self.look(&path)?,
                }
            } else if kind.is_file() && !is_maildir && !name.starts_with('.') {
                let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_lowercase());
                match ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
                    true => self.files.push(path),
                    false => self.others += 1,
                }
            }
        }
        Ok(())
    }

    fn mails(&mut self, folder: &Path) -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.file_type()?.is_file() {
                continue;
            }
            match begins_with_a_header(&entry.path())? {
                true => self.mails.push(entry.path()),
                false => self.others += 1,
            }
        }
        Ok(())
    }
}

fn begins_with_a_header(path: &Path) -> std::io::Result<bool> {
    let mut begin = Vec::new();
    std::fs::File::open(path)?.take(1_000).read_to_end(&mut begin)?;
    let name = begin.split(|byte| *byte == b':').next().unwrap_or_default();
    Ok(name.len() < begin.len() && !name.is_empty() && name.iter().all(u8::is_ascii_graphic))
}

/// The mails as one mailbox (mboxrd), one after the other.
fn mailbox(mails: Vec<PathBuf>) -> Upload {
    let chunks = stream::try_unfold(mails.into_iter(), |mut mails| async move {
        let Some(path) = mails.next() else {
            return Ok::<_, std::io::Error>(None);
        };
        let mail = tokio::task::spawn_blocking(move || letter(&path))
            .await
            .map_err(std::io::Error::other)??;
        Ok(Some((Frame::data(Bytes::from(mail)), mails)))
    });
    StreamBody::new(chunks).boxed()
}

/// A mail as it stands in a mailbox: below a separator, its own lines that look like one quoted.
fn letter(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut mail = Vec::new();
    std::fs::File::open(path)?
        .take(MAIL_BYTES_MAX)
        .read_to_end(&mut mail)?;
    let mut out = b"From maildir Thu Jan  1 00:00:00 1970\n".to_vec();
    for line in mail.split_inclusive(|byte| *byte == b'\n') {
        let quotes = line.iter().take_while(|byte| **byte == b'>').count();
        if line[quotes..].starts_with(b"From ") {
            out.push(b'>');
        }
        out.extend_from_slice(line);
    }
    out.extend_from_slice(b"\n\n");
    Ok(out)
}
