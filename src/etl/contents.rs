//! The files of an archive, after its graph: each is kept as if its owner uploaded it.
//!
//! Invariant: a file that is not kept is told of as a parked record; one that is there adds nothing; how far the archive
//! is moves after each, so that whoever goes on after a stop begins with the one that was interrupted.
//! Begin with [`RunImportHandler::contents`].

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use futures::stream::{self, BoxStream, StreamExt};
use serde_json::{Value, json};
use spine::ports::{BringMedia, Identifier, MediaError, RawRecord};
use spine::queue::{JobContext, JobError};

use crate::archive::{Archive, Entry, Kind};
use crate::format::Format;
use crate::run_import::{Ended, RunImportHandler};
use crate::store::{self, ImportRow, Step};

const PIECE_BYTES: usize = 256 * 1024;

impl RunImportHandler {
    /// All files of the archive that weren't brought yet.
    pub(crate) async fn contents(
        &self,
        job: &JobContext,
        row: &ImportRow,
        path: &Path,
    ) -> Result<Ended, JobError> {
        let opened = path.to_owned();
        let archive = tokio::task::spawn_blocking(move || Archive::open(&opened))
            .await
            .map_err(JobError::retry)?
            .map_err(JobError::retry)?;
        for entry in archive.entries {
            let Kind::Content(sha256) = entry.kind else {
                continue;
            };
            if job.cancelled().is_cancelled() {
                return Err(JobError::retry("stopped; it goes on where it stands"));
            }
            let mut tx = self.begin(job).await?;
            let now = store::import_by_id(&mut tx, row.id)
                .await
                .map_err(JobError::retry)?;
            let Some(now) = now.filter(|now| now.state == "running") else {
                return Ok(Ended::Elsewhere);
            };
            if position(&entry) <= now.position {
                continue;
            }
            let known_by = Identifier::new("media.sha256", hex::encode(sha256));
            let read = self.context().ports.graph_read();
            let told = read
                .entity_by_identifier(&mut tx, "MediaObject", &known_by)
                .await
                .map_err(JobError::retry)?;
            drop(tx);
            let said = |name: &str| {
                let said = told.as_ref().and_then(|one| one.props.get(name));
                said.and_then(Value::as_str).map(ToOwned::to_owned)
            };
            let media = BringMedia {
                bytes: bytes(path.to_owned(), entry.clone()),
                sha256,
                filename: said("name"),
                declared_type: said("declared_type").or_else(|| said("media_type")),
            };
            self.content(job, row, &entry, media).await?;
            job.progress(json!({ "position": position(&entry), "bytes": row.bytes }))
                .await;
        }
        Ok(Ended::Finished)
    }

    async fn content(
        &self,
        job: &JobContext,
        row: &ImportRow,
        entry: &Entry,
        media: BringMedia,
    ) -> Result<(), JobError> {
        let context = self.context();
        let kept = context
            .ports
            .media_store()
            .bring(job.scope(), job.cause(), media)
            .await;
        let mut step = Step {
            position: position(entry),
            taken: 1,
            ..Step::default()
        };
        let mut tx = self.begin(job).await?;
        match kept {
            Ok(kept) if kept.created => step.new = 1,
            Ok(_) => step.known = 1,
            Err(MediaError::Access(away)) => return Err(JobError::retry(away)),
            Err(MediaError::Refused(reason)) => {
                step.parked = 1;
                let record = RawRecord {
                    connection: None,
                    stream: "media".to_owned(),
                    remote_id: entry.shown(),
                    revision: String::new(),
                    media_type: "application/octet-stream".to_owned(),
                    body: entry.shown().into_bytes(),
                };
                let source = Format::Archive.source();
                let graph = context.ports.graph_write();
                let reason = format!("a file of the archive was not kept: {reason}");
                graph
                    .park(&mut tx, &source, record, &reason)
                    .await
                    .map_err(JobError::retry)?;
            }
        }
        store::import_advance(&mut tx, row.id, step)
            .await
            .map_err(JobError::retry)?;
        tx.commit().await.map_err(JobError::retry)
    }
}

fn position(entry: &Entry) -> i64 {
    i64::try_from(entry.end()).unwrap_or(i64::MAX)
}

/// The bytes of a file in an archive, read off the async threads.
fn bytes(path: PathBuf, entry: Entry) -> BoxStream<'static, std::io::Result<axum::body::Bytes>> {
    let file = None::<BufReader<std::io::Take<std::fs::File>>>;
    let pieces = stream::try_unfold(file, move |file| {
        let (path, entry) = (path.clone(), entry.clone());
        async move {
            let read = tokio::task::spawn_blocking(move || {
                let mut file = match file {
                    Some(file) => file,
                    None => BufReader::new(entry.open(&path)?),
                };
                let mut piece = vec![0; PIECE_BYTES];
                let mut filled = 0;
                while filled < piece.len() {
                    match file.read(&mut piece[filled..])? {
                        0 => break,
                        count => filled += count,
                    }
                }
                piece.truncate(filled);
                Ok::<_, std::io::Error>((piece, file))
            });
            let (piece, file) = read.await.map_err(std::io::Error::other)??;
            Ok((!piece.is_empty()).then(|| (piece.into(), Some(file))))
        }
    });
    pieces.boxed()
}
