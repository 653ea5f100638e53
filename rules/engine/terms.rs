//! The terms of a `when` that is one chain of `&&`, for people who ask which of them held.
//!
//! Invariant: reads the text only; what a rule does never depends on it. A `when` of another shape has one term:
//! itself.

use serde_json::{Map, Value};

use super::path::Path;

/// One condition, as the rule's author wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    /// Its text.
    pub(crate) text: String,
    /// Its line in the file, from 1.
    pub(crate) line: u32,
}

/// The terms of the function whose body opens with the first `{` at or after `line` and `column` (from 1).
/// Empty if the body is not a single chain of `&&`.
pub(crate) fn split(source: &str, line: u32, column: u32) -> Vec<Condition> {
    body(source, line, column)
        .and_then(|(body, line)| chain(body, line))
        .unwrap_or_default()
}

/// The values of the fields of the event that the text of a condition names.
pub(crate) fn fields(text: &str, event_name: &str, body: &Value) -> Map<String, Value> {
    let mut found = Map::new();
    let prefix = format!("{event_name}.");
    for (at, _) in text.match_indices(&prefix) {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        if before.is_some_and(|c| is_word(c) || c == '.') {
            continue;
        }
        let rest = text.get(at + prefix.len()..).unwrap_or_default();
        let end = rest.find(|c: char| !is_word(c) && c != '.').unwrap_or(rest.len());
        let (path, after) = rest.split_at(end);
        // What stands before a bracket is a method, not a field.
        let path = if after.starts_with('(') {
            path.rsplit_once('.').map_or("", |(field, _)| field)
        } else {
            path
        };
        if let Some(path) = Path::parse(path) {
            let value = path.find(body).cloned().unwrap_or(Value::Null);
            found.insert(format!("{prefix}{}", path.as_str()), value);
        }
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The text from the opening bracket on, and its line.
fn body(source: &str, line: u32, column: u32) -> Option<(&str, u32)> {
    let start: usize = source
        .split_inclusive('\n')
        .take(line.checked_sub(1)? as usize)
        .map(str::len)
        .sum();
    let text = source.get(start..)?;
    let (skip, _) = text.char_indices().nth(column.saturating_sub(1) as usize)?;
    let text = text.get(skip..)?;
    let open = text.find('{')?;
    let line = line + u32::try_from(text.get(..open)?.matches('\n').count()).ok()?;
    Some((text.get(open..)?, line))
}

/// Splits at each `&&` directly within the outermost brackets.
fn chain(body: &str, mut line: u32) -> Option<Vec<Condition>> {
    let mut terms = Vec::new();
    let mut text = String::new();
    let mut text_line = None;
    let mut depth = 0usize;
    let mut chars = body.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        match (c, next) {
            ('/', Some('/')) => {
                while chars.next_if(|c| *c != '\n').is_some() {}
                continue;
            }
            ('/', Some('*')) => return None,
            ('"' | '`' | '\'', _) => {
                text_line.get_or_insert(line);
                text.push(c);
                line += quoted(c, &mut chars, &mut text)?;
                continue;
            }
            ('{', _) if depth == 0 => {
                depth = 1;
                continue;
            }
            ('(' | '[' | '{', _) => depth += 1,
            (')' | ']' | '}', _) => depth = depth.checked_sub(1)?,
            (';', _) | ('|', Some('|')) if depth == 1 => return None,
            ('&', Some('&')) if depth == 1 => {
                chars.next();
                terms.push(condition(&text, text_line.unwrap_or(line))?);
                text.clear();
                text_line = None;
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            terms.push(condition(&text, text_line.unwrap_or(line))?);
            return Some(terms);
        }
        if !c.is_whitespace() {
            text_line.get_or_insert(line);
        }
        line += u32::from(c == '\n');
        text.push(c);
    }
    None
}

/// Takes what stands in quotes; how many lines it spans.
fn quoted(
    quote: char,
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    text: &mut String,
) -> Option<u32> {
    let mut lines = 0;
    loop {
        let c = chars.next()?;
        text.push(c);
        lines += u32::from(c == '\n');
        match c {
            '\\' if quote != '`' => text.push(chars.next()?),
            // A text within a text is beyond what this reader follows.
            '$' if quote == '`' && chars.peek() == Some(&'{') => return None,
            c if c == quote => return Some(lines),
            _ => {}
        }
    }
}

fn condition(text: &str, line: u32) -> Option<Condition> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let first = text.split(|c: char| !is_word(c)).next().unwrap_or_default();
    let is_statement = [
        "if", "switch", "while", "for", "loop", "do", "try", "return", "throw", "let",
    ]
    .contains(&first);
    (!text.is_empty() && !is_statement).then_some(Condition { text, line })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(source: &str) -> Vec<String> {
        split(source, 1, 1).into_iter().map(|term| term.text).collect()
    }

    #[test]
    fn a_chain_is_split_at_its_own_ands_only() {
        assert_eq!(
            texts(
                r#"fn when(ev) { state("me.place") == "Work && more" && !ev.answered && (a || (b && c)) }"#
            ),
            [
                r#"state("me.place") == "Work && more""#,
                "!ev.answered",
                "(a || (b && c))"
            ]
        );
    }

    #[test]
    fn another_shape_has_no_terms() {
        for body in [
            "a || b && c",
            "let a = 1; a && b",
            "if a { b } else { c }",
            "return a && b",
            "",
            "`${a}` == b && c",
        ] {
            assert!(texts(&format!("fn when(ev) {{ {body} }}")).is_empty(), "{body}");
        }
    }

    #[test]
    fn a_term_knows_its_line() {
        let terms = split(
            "fn f() {}\nfn when(ev) {\n  // a comment && more\n  a\n  && b\n}",
            2,
            13,
        );
        assert_eq!(
            terms
                .iter()
                .map(|t| (t.text.as_str(), t.line))
                .collect::<Vec<_>>(),
            [("a", 4), ("b", 5)]
        );
    }

    #[test]
    fn the_fields_that_a_term_names_are_found_with_their_values() {
        let body = json!({ "answered": false, "from": { "name": "Sam" } });
        let found = fields(
            "!ev.answered && ev.from.name.contains(\"S\") && prev.x && ev.none",
            "ev",
            &body,
        );
        assert_eq!(
            Value::Object(found),
            json!({ "ev.answered": false, "ev.from.name": "Sam", "ev.none": null })
        );
    }
}
