//! What each source says about a key, and which of them is believed.
//!
//! A source is heard until its word expires. Of those heard, the surest is believed, and of equally sure ones the
//! newest: a source that is less sure says what is only once the surer ones have fallen silent. A source that changes
//! its mind is always believed as to itself. For `call.active` each call is a source: it is true while any runs.
//! Invariant: pure, and blind to time zones: moments and lengths only.
//! Begin with [`believed`].

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::model::{CALL_ACTIVE, ME_PLACE, PHONE_BATTERY};

/// As whom all positions are weighed: which device speaks for its owner is decided before, by `primary`.
pub(crate) const POSITIONS: &str = "positions";

/// Something that was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Observation {
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) unit: Option<String>,
    pub(crate) taken_at: DateTime<Utc>,
    pub(crate) confidence: f64,
    /// How long it holds by its own word; `None`: as the key's readings do.
    pub(crate) valid_for: Option<TimeDelta>,
    /// By whom it is weighed.
    pub(crate) voice: String,
    /// What people are told.
    pub(crate) source: String,
}

/// The newest word of a source about a key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Signal {
    pub(crate) voice: String,
    pub(crate) source: String,
    pub(crate) value: Value,
    pub(crate) unit: Option<String>,
    pub(crate) taken_at: DateTime<Utc>,
    pub(crate) confidence: f64,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

impl Signal {
    fn is_heard(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_none_or(|expires| now < expires)
    }

    fn says_the_same(&self, other: &Self) -> bool {
        self.value == other.value && self.unit == other.unit
    }

    /// What a source says by an observation that holds so long.
    pub(crate) fn of(seen: &Observation, valid_for: Option<TimeDelta>) -> Self {
        Self {
            voice: seen.voice.clone(),
            source: seen.source.clone(),
            value: seen.value.clone(),
            unit: seen.unit.clone(),
            taken_at: seen.taken_at,
            confidence: seen.confidence,
            expires_at: valid_for.and_then(|length| seen.taken_at.checked_add_signed(length)),
        }
    }
}

/// Who is believed.
#[derive(Debug)]
pub(crate) struct Belief<'a> {
    pub(crate) best: &'a Signal,
    /// When anybody last said so.
    pub(crate) observed_at: DateTime<Utc>,
    /// Until when somebody is heard who says so; `None`: for ever.
    pub(crate) until: Option<DateTime<Utc>>,
}

/// How long readings of a key hold when neither they nor the owner say.
pub(crate) fn valid_for_default(key: &str) -> Option<TimeDelta> {
    match key {
        // A phone that lies still may say nothing for a whole day at work.
        ME_PLACE | PHONE_BATTERY => Some(TimeDelta::hours(12)),
        // The end of a call may never be told, and few last longer.
        CALL_ACTIVE => Some(TimeDelta::hours(4)),
        _ => None,
    }
}

/// True if an observation comes too late to say what is: its source said something newer, or the fact was seen to
/// hold since.
pub(crate) fn is_late(
    seen: &Observation,
    before: Option<&Signal>,
    fact_observed_at: Option<DateTime<Utc>>,
) -> bool {
    if seen.key == CALL_ACTIVE {
        // Calls overlap, and a call that ended doesn't begin again.
        return before.is_some_and(|before| before.value == false || seen.taken_at < before.taken_at);
    }
    before.is_some_and(|before| seen.taken_at <= before.taken_at)
        || fact_observed_at.is_some_and(|observed| seen.taken_at < observed)
}

/// Who is believed at a moment. `told` is the voice that spoke just now, if one did.
pub(crate) fn believed<'a>(
    key: &str,
    signals: &'a [Signal],
    now: DateTime<Utc>,
    told: Option<&str>,
) -> Option<Belief<'a>> {
    let heard = || signals.iter().filter(|signal| signal.is_heard(now));
    let surest = |a: &&Signal, b: &&Signal| {
        let by_confidence = a.confidence.total_cmp(&b.confidence);
        by_confidence.then(a.taken_at.cmp(&b.taken_at))
    };
    let best = if key == CALL_ACTIVE {
        // That a call ended says what is now only when it is said, not hours later.
        let ended = || heard().find(|signal| told == Some(signal.voice.as_str()));
        let running = heard().filter(|signal| signal.value == true);
        running.min_by_key(|signal| signal.taken_at).or_else(ended)
    } else {
        heard().max_by(surest)
    }?;
    let agree = || heard().filter(|signal| signal.says_the_same(best));
    let ends: Option<Vec<_>> = agree().map(|signal| signal.expires_at).collect();
    Some(Belief {
        best,
        observed_at: agree()
            .map(|signal| signal.taken_at)
            .fold(best.taken_at, DateTime::max),
        until: ends.and_then(|ends| ends.into_iter().max()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
    }

    fn seen(key: &str, voice: &str, value: Value, minute: i64, confidence: f64) -> Observation {
        Observation {
            key: key.to_owned(),
            value,
            unit: None,
            taken_at: at(minute),
            confidence,
            valid_for: None,
            voice: voice.to_owned(),
            source: voice.to_owned(),
        }
    }

    fn signal(voice: &str, value: Value, minute: i64, confidence: f64, minutes: Option<i64>) -> Signal {
        let seen = seen("a.b", voice, value, minute, confidence);
        Signal::of(&seen, minutes.map(TimeDelta::minutes))
    }

    #[test]
    fn the_surest_is_believed_then_the_newest_and_the_others_once_it_falls_silent() {
        let signals = [
            signal("hall", json!(20), 0, 0.9, Some(10)),
            signal("roof", json!(25), 5, 0.5, None),
            signal("porch", json!(24), 6, 0.5, None),
        ];
        let belief = believed("a.b", &signals, at(9), None).unwrap();
        assert_eq!((belief.best.voice.as_str(), belief.until), ("hall", Some(at(10))));
        let belief = believed("a.b", &signals, at(10), None).unwrap();
        assert_eq!((belief.best.voice.as_str(), belief.until), ("porch", None));
        assert!(believed("a.b", &signals[..1], at(10), None).is_none());
    }

    #[test]
    fn who_says_the_same_makes_it_hold_longer() {
        let signals = [
            signal("hall", json!(20), 0, 0.9, Some(10)),
            signal("roof", json!(20), 5, 0.5, Some(60)),
        ];
        let belief = believed("a.b", &signals, at(6), None).unwrap();
        assert_eq!(belief.best.voice, "hall");
        assert_eq!((belief.observed_at, belief.until), (at(5), Some(at(65))));
    }

    #[test]
    fn a_source_is_late_by_its_own_word_and_by_what_was_seen_since() {
        let newest = signal("hall", json!(20), 10, 1.0, None);
        let is_late = |voice_before: Option<&Signal>, minute| {
            is_late(
                &seen("a.b", "hall", json!(1), minute, 1.0),
                voice_before,
                Some(at(20)),
            )
        };
        assert!(is_late(Some(&newest), 10), "the same reading again");
        assert!(is_late(Some(&newest), 19), "another source was seen since");
        assert!(is_late(None, 19));
        assert!(!is_late(Some(&newest), 20));
        assert!(!is_late(None, 21));
    }

    #[test]
    fn a_call_is_active_while_any_runs() {
        let mut calls = vec![
            signal("call/a", json!(true), 0, 1.0, Some(240)),
            signal("call/b", json!(true), 5, 1.0, Some(240)),
        ];
        let now = |calls: &[Signal], minute, told| {
            believed(CALL_ACTIVE, calls, at(minute), told).map(|belief| belief.best.value.clone())
        };
        assert_eq!(now(&calls, 6, None), Some(json!(true)));
        calls[0] = signal("call/a", json!(false), 7, 1.0, Some(240));
        assert_eq!(
            now(&calls, 7, Some("call/a")),
            Some(json!(true)),
            "the other one goes on"
        );
        calls[1] = signal("call/b", json!(false), 8, 1.0, Some(240));
        assert_eq!(now(&calls, 8, Some("call/b")), Some(json!(false)));
        assert_eq!(now(&calls, 9, None), None, "silence says nothing");
        let start = seen(CALL_ACTIVE, "call/a", json!(true), 9, 1.0);
        assert!(
            is_late(&start, Some(&calls[0]), None),
            "what ended doesn't begin again"
        );
        assert!(
            !is_late(&start, None, Some(at(99))),
            "another call is another matter"
        );
    }
}
