//! What an observation, a deadline, or the owner's word does to a fact.
//!
//! Invariant: a row says what held from its position on, and only its end moves, only while it holds still, and only to
//! a moment that is yet to come; so what was answered as of a position is answered again. An expiry is told once.
//! Begin with [`observe`].

use chrono::{DateTime, TimeDelta, Utc};
use contracts::events::state::{FactChanged, FactExpired};
use contracts::{NewEvent, Position};
use serde_json::Value;
use spine::{HandleError, ScopedTx};

use crate::model::{CALL_ACTIVE, CLOCK_SKEW, KeptFact};
use crate::signal::{Belief, Observation, Signal, believed, is_late, valid_for_default};
use crate::store;

/// At a call's event whose position this divides, the calls that expired are forgotten.
const FORGET_EVERY: Position = 16;

/// The event because of which facts change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// From which position of the log on a fact of it holds.
    pub(crate) holds_from: Position,
    /// When it was written down: "now" for everything that is decided because of it.
    pub(crate) recorded_at: DateTime<Utc>,
}

/// Takes note of what was seen, and makes it the present if it is to be believed.
pub(crate) async fn observe(tx: &mut ScopedTx, at: Moment, mut seen: Observation) -> Result<(), HandleError> {
    if seen.taken_at > at.recorded_at + CLOCK_SKEW {
        return Ok(()); // of a clock that is wrong
    }
    // What is seen can't be later than now: by a clock that is a little fast it would outlast what others see meanwhile.
    seen.taken_at = seen.taken_at.min(at.recorded_at);
    let fact = lapse(tx, at, &seen.key).await?;
    let of_calls = seen.key == CALL_ACTIVE;
    let mut signals = if of_calls {
        store::signal_list_of_calls(tx, &seen.key, &seen.voice, at.recorded_at).await?
    } else {
        store::signal_list(tx, &seen.key).await?
    };
    let index = signals.iter().position(|signal| signal.voice == seen.voice);
    let before = index.and_then(|index| signals.get(index));
    if is_late(&seen, before, fact.as_ref().map(|fact| fact.observed_at)) {
        return Ok(());
    }
    let valid_for = valid_for(tx, &seen).await?;
    let signal = Signal::of(&seen, valid_for);
    // Each call is a source of its own: what expired is forgotten now and then, at the same events in a replay.
    let forget = (of_calls && at.holds_from % FORGET_EVERY == 0).then_some(at.recorded_at);
    store::signal_upsert(tx, &seen.key, &signal, forget).await?;
    match index.and_then(|index| signals.get_mut(index)) {
        Some(place) => *place = signal,
        None => signals.push(signal),
    }
    if let Some(belief) = believed(&seen.key, &signals, at.recorded_at, Some(&seen.voice)) {
        believe(tx, at, &seen.key, fact, belief, seen.taken_at).await?;
    }
    Ok(())
}

/// Notes that a fact is not known any more, if it expired by now: another source's word takes its place, or the log is
/// told. Answers with the newest row of the fact.
pub(crate) async fn lapse(tx: &mut ScopedTx, at: Moment, key: &str) -> Result<Option<KeptFact>, HandleError> {
    let Some(fact) = store::fact_newest(tx, key).await? else {
        return Ok(None);
    };
    if fact.holds_at(at.recorded_at) || fact.retracted || fact.expiry_told {
        return Ok(Some(fact));
    }
    let signals = store::signal_list(tx, key).await?;
    let expired_at = fact.expires_at.unwrap_or(at.recorded_at);
    if let Some(belief) = believed(key, &signals, at.recorded_at, None) {
        return believe(tx, at, key, Some(fact), belief, expired_at)
            .await
            .map(Some);
    }
    store::fact_expiry_told(tx, &fact).await?;
    store::deadline_set(tx, key, None).await?;
    let expired = FactExpired {
        key: key.to_owned(),
        last_known: fact.value.clone(),
        since: fact.since,
        observed_at: fact.observed_at,
        expired_at,
        source: fact.source.clone(),
    };
    tx.publish(NewEvent::of(&expired)?.about(key).occurred(expired_at))?;
    Ok(Some(KeptFact {
        expiry_told: true,
        ..fact
    }))
}

/// The owner's word that a fact is unknown: nothing that was said before counts any more.
pub(crate) async fn retract(
    tx: &mut ScopedTx,
    at: Moment,
    key: &str,
    source: &str,
    since: DateTime<Utc>,
) -> Result<(), HandleError> {
    let Some(fact) = lapse(tx, at, key)
        .await?
        .filter(|fact| fact.holds_at(at.recorded_at))
    else {
        return Ok(()); // nothing was known
    };
    store::signals_end(tx, key, since).await?;
    store::deadline_set(tx, key, None).await?;
    let unknown = KeptFact {
        key: key.to_owned(),
        value: Value::Null,
        unit: None,
        since,
        source: source.to_owned(),
        confidence: 0.0,
        observed_at: since,
        position: at.holds_from,
        expires_at: None,
        expired_at: None,
        expiry_told: false,
        retracted: true,
    };
    store::fact_insert(tx, &unknown).await?;
    changed(tx, &unknown, fact.value.clone(), fact.value)
}

/// Makes what a source says the present, since a moment at the earliest. The same value only lasts longer.
async fn believe(
    tx: &mut ScopedTx,
    at: Moment,
    key: &str,
    fact: Option<KeptFact>,
    Belief {
        best,
        observed_at,
        until,
    }: Belief<'_>,
    since: DateTime<Utc>,
) -> Result<KeptFact, HandleError> {
    let holds = fact.as_ref().filter(|fact| fact.holds_at(at.recorded_at));
    if let Some(fact) = holds.filter(|fact| fact.value == best.value && fact.unit == best.unit) {
        store::fact_confirm(tx, fact, observed_at, until).await?;
        return Ok(KeptFact {
            expires_at: until,
            observed_at: fact.observed_at.max(observed_at),
            ..fact.clone()
        });
    }
    let new = KeptFact {
        key: key.to_owned(),
        value: best.value.clone(),
        unit: best.unit.clone(),
        since: fact.as_ref().map_or(since, |fact| since.max(fact.observed_at)),
        source: best.source.clone(),
        confidence: best.confidence,
        observed_at,
        position: at.holds_from,
        expires_at: until,
        expired_at: None,
        expiry_told: false,
        retracted: false,
    };
    store::deadline_set(tx, key, until).await?;
    store::fact_insert(tx, &new).await?;
    // A fact whose expiry nobody was told of went over into this one.
    let known = fact.as_ref().filter(|fact| !fact.retracted && !fact.expiry_told);
    let from = known.map_or(Value::Null, |fact| fact.value.clone());
    let last_known = fact.map_or(Value::Null, |fact| fact.value);
    changed(tx, &new, from, last_known)?;
    Ok(new)
}

fn changed(tx: &mut ScopedTx, now: &KeptFact, from: Value, last_known: Value) -> Result<(), HandleError> {
    if from == now.value {
        return Ok(()); // such as from unknown to "in no place": nothing that anybody waits for
    }
    let changed = FactChanged {
        key: now.key.clone(),
        from,
        to: now.value.clone(),
        last_known,
        unit: now.unit.clone(),
        since: now.since,
        source: now.source.clone(),
    };
    tx.publish(NewEvent::of(&changed)?.about(&now.key).occurred(now.since))?;
    Ok(())
}

/// How long an observation holds: by its own word, by the owner's, or as is usual for its key.
async fn valid_for(tx: &mut ScopedTx, seen: &Observation) -> Result<Option<TimeDelta>, HandleError> {
    if seen.valid_for.is_some() {
        return Ok(seen.valid_for);
    }
    Ok(match store::setting_by_key(tx, &seen.key).await? {
        Some(seconds) => seconds.and_then(TimeDelta::try_seconds),
        None => valid_for_default(&seen.key),
    })
}
