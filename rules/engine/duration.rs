//! Durations as people write them in headers: `30s`, `10m`, `1h30m`, `2d`, `1w`.

use std::time::Duration;

/// Letters and their seconds, largest first: parts must come in this order, each once.
const UNITS: [(char, u64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
/// Nothing in a rule waits or counts longer than ten years.
const SECONDS_MAX: u64 = 10 * 366 * 86_400;

/// What is wrong with a duration, in a sentence for the rule's author.
pub(crate) const FORM: &str = "write a duration such as \"30s\", \"10m\", \"1h30m\", \"2d\" or \"1w\"";

/// The duration that `text` says; `None` if it says none, or one that is zero or longer than ten years.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut seconds: u64 = 0;
    let mut units = UNITS.iter();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        let unit = rest.get(digits..)?.chars().next()?;
        let (_, each) = units.find(|(letter, _)| *letter == unit)?;
        seconds = seconds.checked_add(number.checked_mul(*each)?)?;
        rest = rest.get(digits + unit.len_utf8()..)?;
    }
    (1..=SECONDS_MAX)
        .contains(&seconds)
        .then(|| Duration::from_secs(seconds))
}

/// The shortest way to write a duration of whole seconds.
pub(crate) fn write(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    let mut text = String::new();
    for (letter, each) in UNITS {
        if rest >= each {
            text.push_str(&format!("{}{letter}", rest / each));
            rest %= each;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("30s", 30),
            ("10m", 600),
            ("1h30m", 5_400),
            ("2d", 172_800),
            ("1w1d", 691_200),
        ] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "10",
            "m",
            "10 m",
            "-1m",
            "1m1h",
            "5m5m",
            "0s",
            "1y",
            "99999999999999999999s",
            "11000d",
            "1µ",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back_as_the_same() {
        for seconds in [1, 59, 60, 61, 3_600, 5_400, 86_400, 604_800, 694_861] {
            let duration = Duration::from_secs(seconds);
            assert_eq!(parse(&write(duration)), Some(duration));
        }
    }
}
