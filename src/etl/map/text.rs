//! Text and addresses of strangers in the shape that the graph takes.
//!
//! Invariant: what comes out is bounded and free of control characters (texts of several lines keep their line ends).

use std::borrow::Cow;

use spine::ports::Identifier;

/// As the graph bounds identifiers.
const IDENTIFIER_BYTES_MAX: usize = 512;

/// Text of a file that doesn't say its encoding, or that names one in a CHARSET parameter: UTF-8 where it is that, else
/// the named one, else what Windows of the west wrote.
pub(super) fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    const CHARSET: &[u8] = b"CHARSET=";
    let named = bytes
        .windows(CHARSET.len())
        .position(|window| window.eq_ignore_ascii_case(CHARSET))
        .and_then(|at| {
            let rest = &bytes[at + CHARSET.len()..];
            let end = rest.iter().position(|byte| matches!(byte, b';' | b':' | b'\n'));
            encoding_rs::Encoding::for_label(&rest[..end?])
        })
        .filter(|encoding| *encoding != encoding_rs::UTF_8);
    let encoding = named.unwrap_or(encoding_rs::WINDOWS_1252);
    encoding.decode_without_bom_handling(bytes).0
}

/// One line of at most so many characters; `None`: nothing is left.
pub(super) fn line(text: &str, chars_max: usize) -> Option<String> {
    let mut out = String::new();
    let mut chars = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if chars > 0 && chars < chars_max {
            out.push(' ');
            chars += 1;
        }
        for c in word.chars().take(chars_max.saturating_sub(chars)) {
            out.push(c);
            chars += 1;
        }
        if chars >= chars_max {
            break;
        }
    }
    let out = out.trim_end();
    (!out.is_empty()).then(|| out.to_owned())
}

/// Text of several lines, at most so many characters; `None`: nothing is left.
pub(super) fn block(text: &str, chars_max: usize) -> Option<String> {
    let kept: String = text
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .take(chars_max)
        .collect();
    let kept = kept.trim();
    (!kept.is_empty()).then(|| kept.to_owned())
}

/// A title takes 2,048 bytes in the graph.
pub(super) fn title(text: &str) -> Option<String> {
    let mut title = line(text, 512)?;
    while title.len() > 2_000 {
        title.pop();
    }
    Some(title)
}

/// An address without the scheme of its URI, in whatever case.
pub(super) fn without_scheme<'t>(text: &'t str, scheme: &str) -> &'t str {
    let text = text.trim();
    match text.get(..scheme.len()) {
        Some(head) if head.eq_ignore_ascii_case(scheme) => &text[scheme.len()..],
        _ => text,
    }
}

/// Whether this is a day as vCard has it (RFC 6350 section 4.3.1) of which the end is missing, such as 1990-05.
pub(super) fn is_part_of_day(text: &str) -> bool {
    let (year, month) = match text.strip_prefix("--") {
        Some(month) => ("2000", Some(month)),
        None => text
            .split_once('-')
            .map_or((text, None), |(year, month)| (year, Some(month))),
    };
    let is_number =
        |part: &str, len: usize| part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_month = |month: &str| is_number(month, 2) && matches!(month.parse(), Ok(1..=12));
    is_number(year, 4) && month.is_none_or(is_month)
}

/// A day as people and programs write it: `1990-05-01`, or `--05-01` where the year isn't said. Of numbers between strokes
/// that may be either, the first is the day or the month.
pub(super) fn day(text: &str, is_day_first: bool) -> Option<String> {
    let text = text.trim().split(['T', ' ']).next().unwrap_or_default();
    let is_digits =
        |part: &str| (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = |separator: char| {
        let parts: Vec<&str> = text.trim_end_matches(separator).split(separator).collect();
        let numbers = parts
            .iter()
            .filter(|part| is_digits(part))
            .filter_map(|part| part.parse().ok());
        let numbers: Vec<i32> = numbers.collect();
        (numbers.len() == parts.len()).then_some(numbers)
    };
    let written = |year: Option<i32>, month: i32, day: i32| {
        let (month, day) = (u32::try_from(month).ok()?, u32::try_from(day).ok()?);
        // In a leap year each day of a year is there.
        let date = chrono::NaiveDate::from_ymd_opt(year.unwrap_or(2_000), month, day)?;
        let is_possible = year.is_none_or(|year| (1..=9_999).contains(&year));
        let year = year.map_or_else(|| "-".to_owned(), |year| format!("{year:04}"));
        is_possible.then(|| format!("{year}-{}", date.format("%m-%d")))
    };
    if let Some(rest) = text.strip_prefix("--") {
        let plain: String = rest.chars().filter(|c| *c != '-').collect();
        return match is_digits(&plain) && plain.len() == 4 {
            true => written(None, plain[..2].parse().ok()?, plain[2..].parse().ok()?),
            false => None,
        };
    }
    if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return written(
            Some(text[..4].parse().ok()?),
            text[4..6].parse().ok()?,
            text[6..].parse().ok()?,
        );
    }
    match (numbers('-'), numbers('.'), numbers('/')) {
        (Some(said), _, _) if said.len() == 3 && said[0] > 31 => written(Some(said[0]), said[1], said[2]),
        (_, Some(said), _) if said.len() == 3 && said[2] > 31 => written(Some(said[2]), said[1], said[0]),
        (_, Some(said), _) if said.len() == 2 => written(None, said[1], said[0]),
        (_, _, Some(said)) if said.len() == 3 && said[0] > 31 => written(Some(said[0]), said[1], said[2]),
        (_, _, Some(said)) if said.len() == 3 && said[2] > 31 => {
            let is_day_first = said[0] > 12 || is_day_first && said[1] <= 12;
            let (day, month) = if is_day_first {
                (said[0], said[1])
            } else {
                (said[1], said[0])
            };
            written(Some(said[2]), month, day)
        }
        _ => None,
    }
}

/// A mailbox in its one spelling, if it is one.
pub(super) fn email(text: &str) -> Option<String> {
    let text = text.trim();
    let text = without_scheme(text, "mailto:");
    let text = text.split('?').next().unwrap_or_default().trim().to_lowercase();
    let (mailbox, domain) = text.rsplit_once('@')?;
    let is_mailbox = (1..=64).contains(&mailbox.len())
        && !mailbox.contains(|c: char| c.is_whitespace() || c.is_control() || c == '@');
    let is_domain = domain.len() <= 253
        && domain.split('.').all(|label| {
            (1..=63).contains(&label.len()) && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        });
    (is_mailbox && is_domain).then_some(text)
}

/// A phone number in E.164: as written with its country code, else as a number of the country.
pub(super) fn tel(text: &str, country: Option<&str>) -> Option<String> {
    let text = text.trim();
    if text.len() > 64 {
        return None;
    }
    let text = without_scheme(text, "tel:");
    // An extension is not part of the number.
    let text = text.split([';', ',']).next().unwrap_or_default();
    if let Ok(number) = contracts::tel::normalise(text) {
        return Some(number);
    }
    let plain = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '-' | '.' | '/' | '(' | ')' | '\u{a0}');
    if text.starts_with('+') || !text.chars().all(plain) {
        return None;
    }
    let country = country?.parse::<phonenumber::country::Id>().ok()?;
    let number = phonenumber::parse(Some(country), text).ok()?;
    if !phonenumber::is_valid(&number) {
        return None;
    }
    contracts::tel::normalise(&number.format().mode(phonenumber::Mode::E164).to_string()).ok()
}

/// A web address that an entity can be known by.
pub(super) fn url(text: &str) -> Option<String> {
    let text = text.trim();
    let is_web = text.starts_with("https://") || text.starts_with("http://");
    (is_web
        && text.len() <= IDENTIFIER_BYTES_MAX
        && !text.chars().any(|c| c.is_control() || c.is_whitespace()))
    .then(|| text.to_owned())
}

/// A source's own id as an identifier; long ones by their hash.
pub(super) fn own_id(scheme: &str, id: &str) -> Option<Identifier> {
    let id = id.trim();
    if id.is_empty() {
        return None;
    }
    if id.len() > IDENTIFIER_BYTES_MAX || id.chars().any(char::is_control) {
        return Some(Identifier::new(scheme, hash(&[id.as_bytes()])));
    }
    Some(Identifier::new(scheme, id))
}

/// SHA-256 of a content, in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(bytes))
}

/// A hash that stands for an id where the source gives none.
pub(super) fn hash(parts: &[&[u8]]) -> String {
    use sha2::{Digest, Sha256};
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    format!("sha256:{}", hex::encode(hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_without_a_country_is_read_as_one_of_the_owners_country_only_if_it_can_be() {
        assert_eq!(tel("030 901820", Some("DE")).as_deref(), Some("+4930901820"));
        assert_eq!(tel("(415) 555-2671", Some("US")).as_deref(), Some("+14155552671"));
        assert_eq!(tel("tel:+49-30-901820", None).as_deref(), Some("+4930901820"));
        for (text, country) in [
            ("030 901820", None),
            ("12345", Some("DE")),
            ("FLOWERS", Some("US")),
            ("", None),
        ] {
            assert_eq!(tel(text, country), None, "{text}");
        }
    }

    #[test]
    fn a_day_is_read_as_programs_and_people_write_it() {
        for (said, is_day_first, day_read) in [
            ("1990-05-01", false, Some("1990-05-01")),
            ("19900501", false, Some("1990-05-01")),
            ("1990-05-01T00:00:00Z", false, Some("1990-05-01")),
            ("--02-29", false, Some("--02-29")),
            ("--0501", false, Some("--05-01")),
            ("1.5.1990", false, Some("1990-05-01")),
            ("01.05.", false, Some("--05-01")),
            ("5/1/1990", false, Some("1990-05-01")),
            ("1/5/1990", true, Some("1990-05-01")),
            ("31/5/1990", false, Some("1990-05-31")),
            ("5/31/1990", true, Some("1990-05-31")),
            ("0/0/00", false, None),
            ("1990-02-30", false, None),
            ("notadate", false, None),
            ("", false, None),
            ("--ä", false, None),
        ] {
            assert_eq!(day(said, is_day_first).as_deref(), day_read, "{said}");
        }
    }

    #[test]
    fn text_of_strangers_is_bounded_and_loses_its_control_characters() {
        assert_eq!(line(" a\u{0}b \r\n c ", 9).as_deref(), Some("a b c"));
        assert_eq!(line(&"é ".repeat(10_000), 7).as_deref(), Some("é é é é"));
        assert_eq!(line("\u{0}\n", 5), None);
        assert_eq!(block("a\r\nb\u{7}", 9).as_deref(), Some("a\nb"));
        assert!(title(&"€".repeat(9_000)).unwrap().len() <= 2_048);
    }

    #[test]
    fn a_mailbox_has_one_spelling_and_what_is_none_is_dropped() {
        assert_eq!(
            email(" MAILTO:Sam@Example.org?subject=x ").as_deref(),
            Some("sam@example.org")
        );
        for none in ["sam", "a@b@", "a b@example.org", "@x", "a@x..y"] {
            assert_eq!(email(none), None, "{none}");
        }
    }
}
