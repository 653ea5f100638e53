//! Which part of a content is wanted (RFC 9110, section 14). Pure. Begin with [`wanted`].

use std::ops::Range;

/// What a `Range` header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: nothing was asked, or something that may be passed over.
    All,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that there aren't.
    Nothing,
}

/// One range of bytes is understood. Several at once are answered with the whole, as the RFC lets a server do.
pub(super) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(range) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else {
        return Wanted::All;
    };
    let Some((first, last)) = range.trim().split_once('-').filter(|_| !range.contains(',')) else {
        return Wanted::All;
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // More digits than a size can have: further than any end.
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let range = match (first, last) {
        ("", last) => number(last).map(|last| (size.saturating_sub(last), size, last > 0)),
        (first, "") => number(first).map(|first| (first, size, true)),
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => {
                Some((first, last.saturating_add(1).min(size), true))
            }
            _ => None,
        },
    };
    match range {
        None => Wanted::All,
        Some((first, end, true)) if first < end => Wanted::Part(first..end),
        Some(_) => Wanted::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_what_there_is() {
        for (header, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=2-4", 2..5),
            ("bytes=8-", 8..10),
            ("bytes=8-999999999999999999999", 8..10),
            ("bytes=-3", 7..10),
            ("bytes=-99", 0..10),
        ] {
            assert_eq!(wanted(Some(header), 10), Wanted::Part(part), "{header}");
        }
    }

    #[test]
    fn what_isnt_there_is_said_and_what_cant_be_read_is_passed_over() {
        for header in [
            "bytes=10-",
            "bytes=10-20",
            "bytes=-0",
            "bytes=99999999999999999999-",
        ] {
            assert_eq!(wanted(Some(header), 10), Wanted::Nothing, "{header}");
        }
        for header in [
            "bytes=",
            "bytes=x-1",
            "bytes=4-2",
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes=-",
            "bytes=+1-2",
        ] {
            assert_eq!(wanted(Some(header), 10), Wanted::All, "{header}");
        }
        assert_eq!(wanted(None, 10), Wanted::All);
    }
}
