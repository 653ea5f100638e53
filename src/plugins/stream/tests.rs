//! Which reading comes next, when, and how far one is.

use serde_json::json;

use super::*;

fn spec(modes: &[Mode]) -> StreamSpec {
    StreamSpec {
        name: "mail".into(),
        description: String::new(),
        function: None,
        again: None,
        modes: modes.to_vec(),
        pushed: false,
        every: Some(Duration::from_secs(900)),
        reconcile_every: Some(Duration::from_secs(86_400)),
        lane: Lane::Live,
        found_by: None,
    }
}

fn stream() -> Stream {
    let name = Name {
        connection: ConnectionId::new(),
        stream: "mail".into(),
        part: String::new(),
    };
    Stream::new(name, at(0))
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn page(records: i64, cursor: i64, more: bool) -> Did {
    Did {
        records,
        taken: records,
        busy_ms: 1000,
        cursor: Some(json!(cursor)),
        more,
        estimate: Some(58_000),
        ..Did::default()
    }
}

#[test]
fn a_first_reading_is_history_and_what_comes_after_is_live_and_begins_at_its_cursor() {
    let spec = spec(&[Mode::Full, Mode::Incremental]);
    let first = stream().begun(&spec, "", at(0));
    assert_eq!(first.lane(&spec), Lane::Backfill);
    let half = first
        .after(&spec, &page(100, 1, true), at(1))
        .begun(&spec, "", at(2));
    assert_eq!((half.mode, half.lane(&spec)), (Mode::Full, Lane::Backfill));
    let whole = half.after(&spec, &page(100, 2, false), at(3));
    assert_eq!(
        (whole.mode, whole.cursor.clone()),
        (Mode::Incremental, Some(json!(2)))
    );
    assert_eq!((whole.done, whole.page, whole.next_at), (200, 2, Some(at(903))));
    let next = whole.begun(&spec, "", at(903));
    assert_eq!((next.lane(&spec), next.done), (Lane::Live, 0));
}

#[test]
fn all_is_read_again_once_in_a_while_but_never_in_the_middle_of_a_reading() {
    let spec = spec(&[Mode::Full, Mode::Incremental]);
    let whole = stream().after(&spec, &page(1, 1, false), at(0));
    let day = 86_400;
    let again = whole.clone().begun(&spec, "", at(day));
    assert_eq!((again.mode, again.cursor.clone()), (Mode::Reconcile, None));
    assert_eq!(again.lane(&spec), Lane::Backfill);
    let under_way = whole
        .after(&spec, &page(1, 2, true), at(1))
        .begun(&spec, "", at(2 * day));
    assert_eq!(
        (under_way.mode, under_way.cursor),
        (Mode::Incremental, Some(json!(2)))
    );
    let known = again
        .after(&spec, &page(1, 7, false), at(day))
        .begun(&spec, "", at(day + 1));
    assert_eq!((known.mode, known.cursor), (Mode::Incremental, Some(json!(7))));
}

#[test]
fn a_stream_without_increments_is_read_whole_each_time() {
    let spec = spec(&[Mode::Full]);
    let whole = stream().after(&spec, &page(1, 1, false), at(0));
    assert_eq!((whole.mode, whole.cursor.clone()), (Mode::Full, None));
    assert_eq!(whole.begun(&spec, "", at(86_400)).mode, Mode::Full);
}

#[test]
fn progress_is_told_as_a_person_would() {
    let spec = spec(&[Mode::Full]);
    let told = |done: i64, busy_ms: i64| {
        let did = Did {
            busy_ms,
            ..page(done, 1, true)
        };
        stream().after(&spec, &did, at(0)).progress().unwrap()
    };
    assert_eq!(told(12_400, 97_900), "12,400 of about 58,000, 6 min left");
    assert_eq!(told(57_000, 57_000), "57,000 of about 58,000, 1 s left");
    assert_eq!(told(100, 60_000), "100 of about 58,000, 10 h left");
    assert_eq!(
        told(60_000, 1),
        "60,000 of about 60,000, 0 s left",
        "an estimate may be too low"
    );
    let unknown = Did {
        estimate: None,
        ..page(1, 1, true)
    };
    assert_eq!(stream().after(&spec, &unknown, at(0)).progress().unwrap(), "1");
    assert_eq!(stream().after(&spec, &page(1, 1, false), at(0)).progress(), None);
}

#[test]
fn delays_grow_to_an_hour_or_a_day_and_what_the_source_says_comes_first() {
    let delays: Vec<u64> = [1, 2, 3, 20]
        .map(|n| Class::Transient.delay(n, 1.0).unwrap().as_secs())
        .into();
    assert_eq!(delays, [30, 60, 120, 3600]);
    assert_eq!(Class::Bug.delay(i32::MAX, 1.0).unwrap().as_secs(), 86_400);
    assert_eq!(Class::Configuration.delay(1, 1.0), None, "it waits for the owner");
    let error = SyncError::Transient {
        reason: "busy".into(),
        retry_after: Some(Duration::from_secs(7)),
    };
    let failed = stream().failed(&error, Class::Transient, at(0), 1.0);
    assert_eq!((failed.next_at, failed.failures), (Some(at(7)), 1));
    let refused = SyncError::Refused("no".into());
    let (class, health) = Class::of(&refused).unwrap();
    assert_eq!(health, Health::NeedsReauthorisation);
    assert_eq!(stream().failed(&refused, class, at(0), 1.0).next_at, None);
}

#[test]
fn what_parked_something_begins_anew_once_it_is_read_by_another_pack_and_only_then() {
    let spec = spec(&[Mode::Full, Mode::Incremental]);
    let read = |parked: i64| {
        let did = Did {
            parked,
            ..page(1, 1, false)
        };
        stream().begun(&spec, "old", at(0)).after(&spec, &did, at(0))
    };
    assert_eq!(read(1).begun(&spec, "old", at(9)).mode, Mode::Incremental);
    assert_eq!(read(0).begun(&spec, "new", at(9)).mode, Mode::Incremental);
    let anew = read(1).begun(&spec, "new", at(9));
    assert_eq!((anew.mode, anew.cursor.clone()), (Mode::Full, None));
    assert_eq!(anew.lane(&spec), Lane::Backfill);
    let again = anew.after(&spec, &page(1, 2, false), at(10));
    assert_eq!(again.begun(&spec, "new", at(11)).mode, Mode::Incremental, "once");
}
