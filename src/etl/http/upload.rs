//! An upload on its way to the disk: what it is, how large it may be, how it is called.

use std::path::Path;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use contracts::Problem;
use futures::StreamExt;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;

use crate::format::Format;

/// Who uploads says something at least this often.
const PATIENCE: Duration = Duration::from_secs(30);
/// Slower than this, in bytes a second after the first minute, nobody uploads who means it.
const PACE_MIN: u64 = 16 * 1024;
const FIRST_MINUTE: Duration = Duration::from_secs(60);
const FILENAME_CHARS_MAX: usize = 200;

/// What is uploaded.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Upload {
    /// The file's name, for people; its ending tells the format if nothing else does.
    pub(super) filename: Option<String>,
    /// `vcard`, `ical`, `mbox`, `csv`, `jsonld`, `gpx`, `geojson` or `archive`, or a media type.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    pub(super) kind: Option<String>,
}

/// What the caller says first, then what the file is called, then what the request says of its body.
pub(super) fn format(upload: &Upload, headers: &HeaderMap) -> Result<Format, Problem> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let found = match &upload.kind {
        Some(kind) => Format::recognise(kind),
        None => upload
            .filename
            .as_deref()
            .and_then(Format::recognise)
            .or_else(|| Format::recognise(content_type?)),
    };
    found.ok_or_else(|| {
        Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "nothing says which format the file has",
        )
        .hint("say `type`: vcard, ical, mbox, csv, jsonld, gpx, geojson or archive (a tar of `allod export`); other archives are unpacked first")
    })
}

/// Writes an upload down. Gives its size.
pub(super) async fn receive(path: &Path, body: Body, bytes_max: u64) -> Result<u64, Problem> {
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder)
            .await
            .map_err(|error| disk(&error))?;
    }
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(path).await.map_err(|error| disk(&error))?;
    let (mut stream, mut bytes, begun) = (body.into_data_stream(), 0_u64, Instant::now());
    let late = |detail| Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail));
    loop {
        let next = tokio::time::timeout(PATIENCE, stream.next()).await;
        if is_too_slow(begun.elapsed(), bytes) {
            return late("the upload is too slow: less than 16 KiB a second");
        }
        let chunk = match next {
            Err(_) => return late("the upload stopped on its way"),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(Problem::bad_request("the upload was cut off")),
            Ok(Some(Ok(chunk))) => chunk,
        };
        bytes += chunk.len() as u64;
        if bytes > bytes_max {
            return Err(too_large(bytes_max));
        }
        file.write_all(&chunk).await.map_err(|error| disk(&error))?;
    }
    file.flush().await.map_err(|error| disk(&error))?;
    file.sync_all().await.map_err(|error| disk(&error))?;
    if bytes == 0 {
        return Err(Problem::bad_request("the file is empty"));
    }
    Ok(bytes)
}

fn is_too_slow(elapsed: Duration, bytes: u64) -> bool {
    elapsed > FIRST_MINUTE + Duration::from_secs(bytes / PACE_MIN)
}

/// Too large for this hub.
pub(super) fn too_large(bytes_max: u64) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("a file has at most {bytes_max} bytes here"),
    )
    .hint("split it (what is imported twice adds nothing), or set `upload_bytes_max` in [imports] of allod.toml")
}

pub(super) fn disk(error: &std::io::Error) -> Problem {
    tracing::error!(%error, "an upload could not be written");
    Problem::unavailable("the upload could not be written to the hub's disk", 60)
}

/// The last part of what may be a path, printable and bounded.
pub(super) fn shown_name(name: Option<&str>) -> String {
    let name = name
        .unwrap_or_default()
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or_default();
    let name: String = name
        .chars()
        .filter(|c| !c.is_control())
        .take(FILENAME_CHARS_MAX)
        .collect();
    if name.trim().is_empty() {
        "unnamed".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_may_take_its_time_but_not_for_ever() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        assert!(!is_too_slow(minutes(1), 0));
        assert!(is_too_slow(minutes(2), 4), "a byte each half minute");
        assert!(!is_too_slow(minutes(60), 60 * 1024 * 1024));
        assert!(!is_too_slow(minutes(24 * 60), 16 << 30));
    }

    #[test]
    fn a_filename_is_shown_without_its_path() {
        assert_eq!(shown_name(Some("../../etc/passwd")), "passwd");
        assert_eq!(shown_name(Some("C:\\Users\\me\\x.vcf")), "x.vcf");
        assert_eq!(shown_name(Some("..")), "..");
        assert_eq!(shown_name(Some("a\u{0}\n/ ")), "unnamed");
        assert_eq!(shown_name(None), "unnamed");
        assert_eq!(shown_name(Some(&"x".repeat(900))).len(), 200);
    }
}
