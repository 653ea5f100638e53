//! Whether a feed's bytes may be given to a parser: how deep and how many its elements are, and that it declares no
//! entities of its own. Pure.
//!
//! Invariant: one pass, no memory. Begin with [`refusal`].

const DEPTH_MAX: usize = 64;
const ELEMENTS_MAX: usize = 200_000;

/// Why the bytes aren't parsed; none if they may be. JSON is left to its parser, which bounds its depth.
pub(super) fn refusal(body: &[u8]) -> Option<&'static str> {
    if body.contains(&0) {
        return Some("the feed is in UTF-16, or no text at all: only what is like ASCII is read");
    }
    if body.trim_ascii_start().first() == Some(&b'{') {
        return None;
    }
    let (mut rest, mut depth, mut elements) = (body, 0usize, 0usize);
    while let Some(at) = rest.iter().position(|byte| *byte == b'<') {
        rest = &rest[at..];
        let skipped = if rest.starts_with(b"<![CDATA[") {
            after(rest, b"]]>")
        } else if rest.starts_with(b"<!--") {
            after(&rest[4..], b"-->")
        } else if rest.starts_with(b"<?") {
            after(rest, b"?>")
        } else if rest.starts_with(b"<!") {
            let end = after(rest, b">")?;
            let said = &rest[..rest.len() - end.len()];
            if said.contains(&b'[') || said[2..].to_ascii_uppercase().starts_with(b"ENTITY") {
                return Some(
                    "the feed declares entities of its own, which can grow without end: it isn't read",
                );
            }
            Some(end)
        } else {
            let (end, is_empty) = tag(rest)?;
            if rest.starts_with(b"</") {
                depth = depth.saturating_sub(1);
            } else {
                elements += 1;
                depth += usize::from(!is_empty);
            }
            Some(end)
        };
        if depth > DEPTH_MAX {
            return Some("the feed's elements lie deeper in each other than any feed's: it isn't read");
        }
        if elements > ELEMENTS_MAX {
            return Some("the feed has more elements than any feed: it isn't read");
        }
        rest = skipped?;
    }
    None
}

fn after<'a>(text: &'a [u8], end: &[u8]) -> Option<&'a [u8]> {
    let at = text.windows(end.len()).position(|some| some == end)?;
    text.get(at + end.len()..)
}

/// What comes after a tag, and whether it has no content. A `>` in quotes doesn't end it.
fn tag(text: &[u8]) -> Option<(&[u8], bool)> {
    let mut quote = None;
    for (at, byte) in text.iter().enumerate() {
        match (quote, byte) {
            (Some(open), _) if open == *byte => quote = None,
            (None, b'"' | b'\'') => quote = Some(*byte),
            (None, b'>') => return Some((&text[at + 1..], text[..at].ends_with(b"/"))),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_feeds_are_read() {
        for feed in [
            "<?xml version=\"1.0\"?><rss><channel><item><link/><title a='>'>x</title></item></channel></rss>",
            "<!DOCTYPE rss PUBLIC \"-//Netscape\" \"http://example.org/rss.dtd\"><rss></rss>",
            "<feed><!-- <a> --><entry><![CDATA[<b><b><b>]]></entry></feed>",
            " {\"version\": \"https://jsonfeed.org/version/1.1\"}",
        ] {
            assert_eq!(refusal(feed.as_bytes()), None, "{feed}");
        }
    }

    #[test]
    fn bombs_are_refused_before_they_are_parsed() {
        let laughs = "<!DOCTYPE lolz [<!ENTITY a \"lol\"><!ENTITY b \"&a;&a;\">]><rss>&b;</rss>";
        assert!(refusal(laughs.as_bytes()).is_some_and(|reason| reason.contains("entities")));
        let quoted = "<!DOCTYPE a SYSTEM \"x\" [ <!ENTITY % b '>'> ]><rss/>";
        assert!(refusal(quoted.as_bytes()).is_some());
        let deep = format!("<rss>{}", "<a>".repeat(1_000));
        assert!(refusal(deep.as_bytes()).is_some_and(|reason| reason.contains("deeper")));
        let wide = format!("<rss>{}", "<a/>".repeat(ELEMENTS_MAX + 1));
        assert!(refusal(wide.as_bytes()).is_some_and(|reason| reason.contains("more")));
        assert!(refusal(b"<\0r\0s\0s\0>\0").is_some());
    }
}
