//! The bytes: whole or in part, the original for its owner or a rendition.
//!
//! Invariant: only what is harmless in a browser is shown in place, and even that in a sandbox.

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use contracts::{EntityId, Problem};
use serde::Deserialize;
use spine::edge::Caller;

use super::range::{Wanted, wanted};
use super::{Desk, found};
use crate::process::{PUBLIC, Rendition, renditions};
use crate::store::Blob;
use crate::{digest, sniff};

/// The content as it came.
const ORIGINAL: &str = "original";
/// No script, no frame of the hub, no request: whatever a browser takes it for.
const SANDBOX: &str =
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self'";

/// Which bytes.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ContentQuery {
    /// `original` (unless told), `public` (without metadata, for others), `thumb-320` or `thumb-1280`.
    rendition: Option<String>,
}

/// The bytes of a content, or of something that was made of it. Understands `Range`, `If-Range` and `If-None-Match`.
#[utoipa::path(get, path = "/media/{id}/content", tag = "media",
    params(("id" = EntityId, Path, description = "The MediaObject"), ContentQuery),
    responses((status = OK, content_type = "application/octet-stream", description = "The bytes"),
        (status = 206, description = "Some of the bytes"), (status = 304, description = "Nothing changed"),
        (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "It is still being looked into", body = Problem),
        (status = 416, description = "There are no such bytes", body = Problem), (status = 503, body = Problem)))]
pub(super) async fn get(
    State(keeper): Desk,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ContentQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut tx = keeper.begin_for(&caller).await?;
    let blob = found(&mut tx, &id).await?;
    let served = Served::of(&blob, query.rendition.as_deref().unwrap_or(ORIGINAL))?;
    let on = match &served.rendition {
        None => format!("media/{}", blob.entity),
        Some(name) => format!("media/{}?rendition={name}", blob.entity),
    };
    tx.audit("read", on, Some(1))?;
    tx.commit().await?;
    if is_known(&headers, &served.etag) {
        return Ok((StatusCode::NOT_MODIFIED, served.headers(&blob)).into_response());
    }
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    // A part is of use only beside what the caller has of the same bytes.
    let is_same = text(header::IF_RANGE).is_none_or(|tag| tag == served.etag);
    let range = text(header::RANGE).filter(|_| is_same);
    let (status, part) = match wanted(range, served.bytes) {
        Wanted::All => (StatusCode::OK, 0..served.bytes),
        Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        Wanted::Nothing => return Ok(no_such_bytes(served.bytes)),
    };
    let mut out = served.headers(&blob);
    out.insert(header::CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
    if status == StatusCode::PARTIAL_CONTENT {
        let of = format!("bytes {}-{}/{}", part.start, part.end - 1, served.bytes);
        insert(&mut out, header::CONTENT_RANGE, &of);
    }
    let bytes = keeper
        .blobs
        .read(caller.0.account(), &blob.key(), served.object.as_deref(), part);
    Ok((status, out, Body::from_stream(bytes)).into_response())
}

/// What is served.
struct Served {
    /// Its name; `None`: the original.
    rendition: Option<String>,
    /// The object; `None`: the content's own.
    object: Option<String>,
    media_type: String,
    bytes: u64,
    etag: String,
}

impl Served {
    fn of(blob: &Blob, name: &str) -> Result<Self, Problem> {
        let hash = hex::encode(&blob.hash);
        if name == ORIGINAL {
            return Ok(Self {
                rendition: None,
                object: None,
                media_type: blob.media_type.clone(),
                bytes: blob.bytes.unsigned_abs(),
                etag: format!("\"{hash}\""),
            });
        }
        let made = renditions(blob);
        let Some(rendition) = made.iter().find(|one| one.name == name) else {
            return Err(no_rendition(blob, name, &made));
        };
        Ok(Self {
            rendition: Some(name.to_owned()),
            object: (!rendition.same).then(|| name.to_owned()),
            media_type: rendition.media_type.clone(),
            bytes: rendition.bytes,
            etag: format!("\"{hash}-{name}\""),
        })
    }

    fn headers(&self, blob: &Blob) -> HeaderMap {
        let mut out = HeaderMap::new();
        let shown = sniff::may_be_shown(&self.media_type);
        insert(&mut out, header::CONTENT_TYPE, &served_type(&self.media_type));
        insert(&mut out, header::ETAG, &self.etag);
        out.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        // The bytes of a hash never change, but who may read them does.
        out.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, no-cache"),
        );
        out.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        out.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
        // Its name may tell what the public one must not.
        let name = blob
            .filename
            .as_deref()
            .filter(|_| self.rendition.as_deref() != Some(PUBLIC));
        insert(&mut out, header::CONTENT_DISPOSITION, &disposition(shown, name));
        if self.rendition.is_none() {
            insert_named(&mut out, "repr-digest", &digest::written(&blob.hash()));
        }
        out
    }
}

/// Text is UTF-8, or else nobody knows.
fn served_type(media_type: &str) -> String {
    if media_type == "text/plain" {
        "text/plain; charset=utf-8".to_owned()
    } else {
        media_type.to_owned()
    }
}

fn insert(out: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        out.insert(name, value);
    }
}

fn insert_named(out: &mut HeaderMap, name: &'static str, value: &str) {
    insert(out, header::HeaderName::from_static(name), value);
}

/// How a browser takes it (RFC 6266), with its name in UTF-8 (RFC 8187).
fn disposition(shown: bool, name: Option<&str>) -> String {
    let kind = if shown { "inline" } else { "attachment" };
    let Some(name) = name else {
        return kind.to_owned();
    };
    let mut escaped = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("{kind}; filename*=UTF-8''{escaped}")
}

fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn no_such_bytes(size: u64) -> Response {
    let detail = format!("there are {size} bytes; the range lies beyond");
    let mut response = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, detail).into_response();
    insert(
        response.headers_mut(),
        header::CONTENT_RANGE,
        &format!("bytes */{size}"),
    );
    response
}

fn no_rendition(blob: &Blob, name: &str, made: &[Rendition]) -> Problem {
    if blob.processed_at.is_none() {
        let mut problem = Problem::conflict("it is still being looked into").hint("ask again in a moment");
        problem.retry_after_s = Some(2);
        return problem;
    }
    let shown: String = name.chars().take(40).filter(|c| !c.is_control()).collect();
    let there: Vec<&str> = std::iter::once(ORIGINAL)
        .chain(made.iter().map(|one| one.name.as_str()))
        .collect();
    let why = blob
        .problem
        .as_deref()
        .map(|why| format!(": {why}"))
        .unwrap_or_default();
    Problem::not_found(format!("there is no rendition {shown:?}{why}"))
        .hint(format!("there are: {}", there.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_escaped_and_cant_add_a_header() {
        assert_eq!(
            disposition(false, Some("a\"b\r\nc ü.html")),
            "attachment; filename*=UTF-8''a%22b%0D%0Ac%20%C3%BC.html"
        );
        assert_eq!(disposition(true, None), "inline");
    }

    #[test]
    fn a_tag_is_known_among_others_and_weakly() {
        let of = |value: &str| HeaderMap::from_iter([(header::IF_NONE_MATCH, value.parse().unwrap())]);
        for known in ["\"a\"", "W/\"a\"", "\"x\", \"a\"", "*"] {
            assert!(is_known(&of(known), "\"a\""), "{known}");
        }
        assert!(!is_known(&of("\"b\""), "\"a\""));
    }
}
