//! What a content is, by how it begins. What its sender says is a hint, for what doesn't say it itself.
//!
//! Invariant: nothing that a browser would run is ever taken for something that may be shown in place. Pure.
//! Begin with [`media_type`].

/// So much of the beginning is looked at.
pub(crate) const HEAD_BYTES: usize = 8192;
pub(crate) const UNKNOWN: &str = "application/octet-stream";
const DECLARED_LEN_MAX: usize = 120;

/// The media type of a content that begins so.
pub(crate) fn media_type(head: &[u8], declared: Option<&str>) -> String {
    if let Some(kind) = marked_up(head) {
        return kind.to_owned();
    }
    if let Some(kind) = infer::get(head) {
        return kind.mime_type().to_owned();
    }
    let declared = declared.filter(|declared| *declared != UNKNOWN);
    if is_text(head) {
        let textual = declared.filter(|declared| is_textual(declared));
        return textual.unwrap_or("text/plain").to_owned();
    }
    // Bytes that nothing is known of may be what they are said to be, unless the content would show that.
    let tellable = |declared: &&str| {
        ["image/", "audio/", "video/", "text/"]
            .iter()
            .any(|family| declared.starts_with(family))
            || is_textual(declared)
    };
    declared
        .filter(|declared| !tellable(declared))
        .unwrap_or(UNKNOWN)
        .to_owned()
}

/// What somebody says that a content is, in its one spelling, without parameters; `None`: that is no media type.
pub(crate) fn declared(text: &str) -> Option<String> {
    let kind = text.split(';').next()?.trim().to_ascii_lowercase();
    let (family, subtype) = kind.split_once('/')?;
    let token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
    };
    (kind.len() <= DECLARED_LEN_MAX && token(family) && token(subtype)).then_some(kind)
}

/// HTML, SVG and other XML, however it begins.
fn marked_up(head: &[u8]) -> Option<&'static str> {
    let text = as_text(head);
    let start = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '\0');
    if !start.starts_with('<') {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    if lower.contains("<svg") {
        return Some("image/svg+xml");
    }
    let html = [
        "<!doctype html",
        "<html",
        "<head",
        "<body",
        "<script",
        "<iframe",
        "<!--",
        "<title",
        "<meta",
    ];
    if html.iter().any(|tag| lower.contains(tag)) {
        return Some("text/html");
    }
    // A browser tries harder than we do: whatever begins with a tag is treated as if it were a page.
    let tag = start.as_bytes().get(1).copied().unwrap_or_default();
    match tag {
        b'?' => Some("text/xml"),
        b'!' | b'/' => Some("text/html"),
        tag if tag.is_ascii_alphabetic() => Some("text/html"),
        _ => None,
    }
}

/// The beginning as text, whichever of the usual encodings it has.
fn as_text(head: &[u8]) -> String {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units)
            .map(|c| c.unwrap_or('\u{fffd}'))
            .collect()
    };
    match head {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [b'<', 0, ..] => wide(head, u16::from_le_bytes),
        [0, b'<', ..] => wide(head, u16::from_be_bytes),
        _ => String::from_utf8_lossy(head).into_owned(),
    }
}

fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // Cut off within a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}' | '\u{1b}'))
}

/// Types whose contents are text, so that being text doesn't speak against them.
fn is_textual(declared: &str) -> bool {
    declared.starts_with("text/")
        || declared.ends_with("+json")
        || declared.ends_with("+xml")
        || [
            "application/json",
            "application/xml",
            "application/javascript",
            "application/x-sh",
            "application/sql",
            "application/toml",
            "application/yaml",
            "application/pgp-signature",
            "application/pgp-keys",
        ]
        .contains(&declared)
}

/// Whether a browser may show it where it is asked for. Everything else is handed over as a file.
pub(crate) fn may_be_shown(media_type: &str) -> bool {
    const SHOWN: [&str; 7] = [
        "image/jpeg",
        "image/png",
        "image/gif",
        "image/webp",
        "image/avif",
        "text/plain",
        "image/bmp",
    ];
    SHOWN.contains(&media_type) || media_type.starts_with("audio/") || media_type.starts_with("video/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_decides_and_a_false_word_for_it_doesnt_help() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        assert_eq!(media_type(png, Some("text/html")), "image/png");
        assert_eq!(media_type(b"%PDF-1.7\n", Some("image/png")), "application/pdf");
        assert_eq!(media_type(b"\x00\x01\x02\x03", Some("image/png")), UNKNOWN);
        assert_eq!(
            media_type(b"\x00\x01\x02\x03", Some("application/x-own")),
            "application/x-own"
        );
    }

    #[test]
    fn text_is_what_it_is_said_to_be_only_where_that_is_text() {
        assert_eq!(media_type(b"a,b\n1,2\n", Some("text/csv")), "text/csv");
        assert_eq!(media_type(b"a,b\n1,2\n", Some("image/png")), "text/plain");
        assert_eq!(media_type("grün".as_bytes(), None), "text/plain");
        let cut = &"grü".as_bytes()[..3];
        assert_eq!(media_type(cut, None), "text/plain");
    }

    #[test]
    fn what_a_browser_would_run_is_never_shown_in_place() {
        let wide: Vec<u8> = "\u{feff}<script>alert(1)</script>"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let dangerous: [(&[u8], &str); 8] = [
            (b"  \n<!DOCTYPE html><p>", "text/html"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
            (b"<?xml version='1.0'?><!-- --><svg/>", "image/svg+xml"),
            (b"<?xml version='1.0'?><feed/>", "text/xml"),
            (b"<img src=x onerror=alert(1)>", "text/html"),
            (b"<a href=x>", "text/html"),
            (b"\xef\xbb\xbf<html>", "text/html"),
            (&wide, "text/html"),
        ];
        for (bytes, kind) in dangerous {
            assert_eq!(media_type(bytes, Some("text/plain")), kind);
            assert!(!may_be_shown(kind));
        }
        assert_eq!(
            media_type(b"alert(1)", Some("text/javascript")),
            "text/javascript"
        );
        for kind in ["text/javascript", "application/pdf", "application/json", UNKNOWN] {
            assert!(!may_be_shown(kind), "{kind}");
        }
        assert!(may_be_shown("image/png") && may_be_shown("video/mp4") && may_be_shown("text/plain"));
    }

    #[test]
    fn a_declared_type_is_a_media_type_or_nothing() {
        assert_eq!(declared("Text/HTML; charset=utf-8").as_deref(), Some("text/html"));
        for none in [
            "",
            "image",
            "image/",
            "a b/c",
            "image/png\r\nx: y",
            &"x/".repeat(200),
        ] {
            assert_eq!(declared(none), None, "{none}");
        }
    }
}
