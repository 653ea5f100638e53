//! XML that packs answer with: text made safe, and answers checked before they leave.

/// Text for an element or an attribute. Characters that XML 1.0 has no form for are left out.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // A parser would turn these into a plain space within an attribute, and a carriage return anywhere.
            '\t' | '\n' | '\r' => escaped.push_str(&format!("&#{};", u32::from(c))),
            c if is_xml(c) => escaped.push(c),
            _ => {}
        }
    }
    escaped
}

/// XML 1.0, production 2.
fn is_xml(c: char) -> bool {
    matches!(c, ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Why the text is no well-formed document (entity declarations are refused too); `None`: it is one.
pub(crate) fn problem(text: &str) -> Option<String> {
    roxmltree::Document::parse(text)
        .err()
        .map(|error| error.to_string())
}

/// As [`problem`], for bodies that say they are XML.
pub(crate) fn problem_of(content_type: &str, body: &str) -> Option<String> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let is_xml = media_type.ends_with("/xml") || media_type.ends_with("+xml");
    if is_xml { problem(body) } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_survives_as_element_and_attribute(text in any::<String>()) {
            let escaped = escape(&text);
            let document = format!("<Response><Say voice=\"{escaped}\">{escaped}</Say></Response>");
            let parsed = roxmltree::Document::parse(&document).unwrap();
            let say = parsed.descendants().find(|node| node.has_tag_name("Say")).unwrap();
            let kept: String = text.chars().filter(|c| matches!(c, '\t' | '\n' | '\r') || is_xml(*c)).collect();
            prop_assert_eq!(say.text().unwrap_or_default(), &kept);
            prop_assert_eq!(say.attribute("voice"), Some(kept.as_str()));
        }
    }

    #[test]
    fn what_is_no_document_is_named_and_entity_bombs_are_refused() {
        assert_eq!(problem("<Response><Say>hi</Say></Response>"), None);
        assert!(problem("<Response><Say>hi</Response>").is_some());
        assert!(problem("").is_some());
        assert!(problem("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>").is_some());
        assert_eq!(problem_of("text/plain", "not xml"), None);
        assert!(problem_of("application/xml; charset=utf-8", "not xml").is_some());
    }
}
