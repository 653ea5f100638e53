//! What is typed after a flag, read: times by the owner's clock.

use chrono::Utc;
use contracts::{Clock, SystemClock};

use super::CommandError;
use crate::render;
use crate::times::{Said, Toward, UNDERSTOOD, length_of, nearest, read};

/// A time, as `/api/v1` reads what is an instant, a local time or a day.
pub(super) fn time(flag: &str, text: &str, toward: Toward) -> Result<String, CommandError> {
    said(flag, text, toward).map(|said| said.to_string())
}

/// A time that may be left out.
pub(super) fn time_if(
    flag: &str,
    text: Option<&str>,
    toward: Toward,
) -> Result<Option<String>, CommandError> {
    text.map(|text| time(flag, text, toward)).transpose()
}

/// A time, as `/api/v1` reads what is an instant.
pub(super) fn instant(
    flag: &str,
    text: Option<&str>,
    toward: Toward,
) -> Result<Option<String>, CommandError> {
    let at = |said: Said| Said::Instant(said.instant(render::zone())).to_string();
    text.map(|text| said(flag, text, toward).map(at)).transpose()
}

fn said(flag: &str, text: &str, toward: Toward) -> Result<Said, CommandError> {
    read(
        text,
        render::zone(),
        SystemClock.now().with_timezone(&Utc),
        toward,
    )
    .ok_or_else(|| {
        let meant = nearest(text)
            .map(|word| format!("did you mean `{word}`? "))
            .unwrap_or_default();
        CommandError::Usage(format!(
            "{flag} can't be `{text}`, which is no time\n  hint: {meant}understood are {UNDERSTOOD}"
        ))
    })
}

/// When to remind: so long before (`15m`), as iCalendar has it (`-PT15M`), or a time.
pub(super) fn reminder(text: &str) -> Result<String, CommandError> {
    if text.trim_start_matches(['-', '+']).starts_with('P') {
        return Ok(text.to_owned());
    }
    match length_of(text.trim_start_matches('-').trim_end_matches(" before")) {
        Some(before) if before.num_seconds() % 86_400 == 0 => Ok(format!("-P{}D", before.num_days())),
        Some(before) => Ok(format!("-PT{}M", before.num_minutes())),
        None => time("--remind", text, Toward::Future),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_time_is_refused_with_the_flag_what_was_given_and_what_is_understood() {
        let refused = time("--since", "yesterdy", Toward::Past).unwrap_err().to_string();
        for part in [
            "--since",
            "`yesterdy`",
            "did you mean `yesterday`?",
            "2026-10-01 09:30",
        ] {
            assert!(refused.contains(part), "{refused}");
        }
        assert_eq!(
            instant("--at", Some("2026-10-01"), Toward::Past)
                .unwrap()
                .unwrap(),
            "2026-10-01T00:00:00Z"
        );
    }

    #[test]
    fn a_reminder_is_a_length_before_or_a_time() {
        assert_eq!(reminder("15m").unwrap(), "-PT15M");
        assert_eq!(reminder("1d").unwrap(), "-P1D");
        assert_eq!(reminder("-P1D").unwrap(), "-P1D");
        assert_eq!(reminder("2026-05-01 09:30").unwrap(), "2026-05-01T09:30:00");
        assert!(reminder("soon").unwrap_err().to_string().contains("--remind"));
    }
}
