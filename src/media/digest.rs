//! What a sender says that the hash of a content is: `Content-Digest` and `Repr-Digest` (RFC 9530).
//!
//! Only SHA-256 is understood; other algorithms are passed over, as the RFC wants. Pure. Begin with [`said`].

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::blobs::Hash;

/// Without a content coding both mean the same bytes.
const HEADERS: [&str; 2] = ["content-digest", "repr-digest"];

/// The hash that the headers tell, if they do; an error if they can't be read, or contradict each other.
pub(crate) fn said(headers: &HeaderMap) -> Result<Option<Hash>, String> {
    let mut said = None;
    for name in HEADERS {
        for value in headers.get_all(name) {
            let text = value.to_str().map_err(|_| unreadable(name))?;
            for member in text.split(',') {
                let (key, value) = member.trim().split_once('=').ok_or_else(|| unreadable(name))?;
                if !key.eq_ignore_ascii_case("sha-256") {
                    continue;
                }
                let hash = hash(value).ok_or_else(|| unreadable(name))?;
                if said.replace(hash).is_some_and(|other| other != hash) {
                    return Err("the headers name two different SHA-256 of one content".to_owned());
                }
            }
        }
    }
    Ok(said)
}

fn hash(value: &str) -> Option<Hash> {
    let text = value
        .split(';')
        .next()?
        .trim()
        .strip_prefix(':')?
        .strip_suffix(':')?;
    STANDARD.decode(text).ok()?.try_into().ok()
}

fn unreadable(name: &str) -> String {
    format!("`{name}` can't be read: it looks like `sha-256=:<base64 of the hash>:`")
}

/// The value of a digest header.
pub(crate) fn written(hash: &Hash) -> String {
    format!("sha-256=:{}:", STANDARD.encode(hash))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn read(name: &'static str, value: &str) -> Result<Option<Hash>, String> {
        said(&HeaderMap::from_iter([(
            HeaderName::from_static(name),
            value.parse().unwrap(),
        )]))
    }

    #[test]
    fn a_hash_is_read_as_it_is_written_and_other_algorithms_are_passed_over() {
        let hash = [9; 32];
        for name in HEADERS {
            assert_eq!(read(name, &written(&hash)), Ok(Some(hash)));
            let many = format!("sha-512=:AAAA:, {}", written(&hash));
            assert_eq!(read(name, &many), Ok(Some(hash)));
            assert_eq!(read(name, "sha-512=:AAAA:"), Ok(None));
        }
        assert_eq!(said(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn what_cant_be_read_or_contradicts_itself_is_refused() {
        for bad in ["sha-256", "sha-256=abc", "sha-256=:AAAA:", "sha-256=:!:"] {
            assert!(read("content-digest", bad).is_err(), "{bad}");
        }
        let two = format!("{}, {}", written(&[1; 32]), written(&[2; 32]));
        assert!(read("repr-digest", &two).unwrap_err().contains("two different"));
    }
}
