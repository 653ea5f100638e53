//! Recurrence rules as they are written. The parser's numbers wrap, so that the text is what is kept.
//!
//! Invariant: no rule is lost; of one that the hub can't plan by is said so. Pure. Begin with [`Rules::of`].

use calcard::icalendar::{ICalendar, ICalendarComponentType};

use super::super::text;

const RULE_CHARS_MAX: usize = 2_000;
/// Of what the hub plans by: characters, and occurrences a day.
const PLANNED_CHARS_MAX: usize = 500;
const A_DAY_MAX: usize = 48;
const KINDS: [&str; 2] = ["VEVENT", "VTODO"];

/// The rules of a calendar's events and tasks, in order.
pub(super) struct Rules(Vec<Option<String>>);

impl Rules {
    pub(super) fn of(source: &str, calendar: &ICalendar) -> Self {
        let mut found: Vec<Option<String>> = Vec::new();
        // Of each open component whether it is one of ours, and which.
        let mut open: Vec<Option<usize>> = Vec::new();
        for line in unfolded(source) {
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            let name = name
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_uppercase();
            let value = value.trim();
            match name.as_str() {
                "BEGIN" if KINDS.iter().any(|kind| kind.eq_ignore_ascii_case(value)) => {
                    open.push(Some(found.len()));
                    found.push(None);
                }
                "BEGIN" => open.push(None),
                "END" => drop(open.pop()),
                "RRULE" => {
                    let slot = open.last().copied().flatten().and_then(|at| found.get_mut(at));
                    if let Some(slot) = slot
                        && slot.is_none()
                    {
                        *slot = text::line(value, RULE_CHARS_MAX);
                    }
                }
                _ => {}
            }
        }
        let is_ours = |kind: &ICalendarComponentType| {
            matches!(
                kind,
                ICalendarComponentType::VEvent | ICalendarComponentType::VTodo
            )
        };
        let all = calendar
            .components
            .iter()
            .filter(|one| is_ours(&one.component_type))
            .count();
        // What the parser reads otherwise has no place in the order.
        found.truncate(if all == found.len() { all } else { 0 });
        Self(found)
    }

    pub(super) fn nth(&self, at: usize) -> Option<&str> {
        self.0.get(at)?.as_deref()
    }
}

fn unfolded(source: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in source.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some(last)) => last.push_str(rest),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

/// Why the hub doesn't plan by a rule; it is kept, and exported as it came.
pub(super) fn problem(rule: &str) -> Option<String> {
    let (mut frequency, mut a_day) = (None, 1_usize);
    if rule.len() > PLANNED_CHARS_MAX {
        return Some(format!(
            "recurrence: it has more than {PLANNED_CHARS_MAX} characters; it is kept and not planned by"
        ));
    }
    for part in rule.split(';') {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match key.trim().to_ascii_uppercase().as_str() {
            "FREQ" => frequency = Some(value.trim().to_ascii_uppercase()),
            "BYHOUR" | "BYMINUTE" | "BYSECOND" => a_day = a_day.saturating_mul(value.split(',').count()),
            key @ ("INTERVAL" | "COUNT") if !value.parse::<u16>().is_ok_and(|number| number > 0) => {
                return Some(format!(
                    "recurrence: {key} is beyond 1 to {}; it is kept and not planned by",
                    u16::MAX
                ));
            }
            _ => {}
        }
    }
    match frequency.as_deref() {
        Some("DAILY" | "WEEKLY" | "MONTHLY" | "YEARLY") if a_day > A_DAY_MAX => Some(format!(
            "recurrence: {a_day} times a day, where {A_DAY_MAX} is the most; it is kept and not planned by"
        )),
        Some("DAILY" | "WEEKLY" | "MONTHLY" | "YEARLY") => None,
        Some("HOURLY" | "MINUTELY" | "SECONDLY") => {
            Some("recurrence: more often than daily; it is kept and not planned by".to_owned())
        }
        _ => Some("recurrence: it names no FREQ that is known; it is kept and not planned by".to_owned()),
    }
}
