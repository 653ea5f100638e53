use super::*;
use serde_json::json;

fn now() -> DateTime<Utc> {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

fn report() -> Value {
    json!({
        "_type": "location", "lat": 47.3769, "lon": 8.5417, "acc": 12, "tst": now().timestamp() - 5,
        "batt": 40, "tid": "al", "conn": "m", "vel": 0, "_id": "1b3a9c0e"
    })
}

fn read_json(value: &Value) -> Report {
    read(value.to_string().as_bytes(), now())
}

fn with(name: &str, value: Value) -> Value {
    let mut report = report();
    report[name] = value;
    report
}

fn without(name: &str) -> Value {
    let mut report = report();
    report.as_object_mut().unwrap().remove(name);
    report
}

fn location_of(value: &Value) -> Location {
    match read_json(value) {
        Report::Location(location) => location,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_location_is_understood() {
    let expected = Location {
        latitude: 47.3769,
        longitude: 8.5417,
        accuracy_m: Some(12.0),
        battery_percent: Some(40),
        taken_at: now() - TimeDelta::seconds(5),
        tid: Some("al".to_owned()),
        id: Some("1b3a9c0e".to_owned()),
    };
    assert_eq!(location_of(&report()), expected);
}

#[test]
fn what_is_optional_may_be_missing_or_odd() {
    for name in ["acc", "batt", "tid", "_id", "conn"] {
        location_of(&without(name));
    }
    for odd in [json!(-1), json!(101), json!("full"), Value::Null] {
        assert_eq!(
            location_of(&with("batt", odd.clone())).battery_percent,
            None,
            "{odd}"
        );
    }
    assert_eq!(location_of(&with("batt", json!(99.6))).battery_percent, Some(100));
    assert_eq!(location_of(&with("acc", Value::Null)).accuracy_m, None);
    assert_eq!(
        location_of(&with("acc", json!(1e300))).accuracy_m,
        Some(ACCURACY_MAX_M)
    );
    assert_eq!(location_of(&with("tid", json!("\u{0}"))).tid, None);
    for id in [json!("a\u{0}b"), json!("x".repeat(65)), json!(""), json!(7)] {
        assert_eq!(location_of(&with("_id", id.clone())).id, None, "{id}");
    }
}

#[test]
fn the_edges_of_the_earth_and_of_time_are_in() {
    location_of(&with("lat", json!(-90)));
    location_of(&with("lon", json!(180)));
    location_of(&with("tst", json!(EARLIEST_S)));
    location_of(&with("tst", json!(now().timestamp() + 86_400)));
}

#[test]
fn a_malformed_location_says_why_and_repeats_nothing_of_it() {
    let table = [
        (with("lat", json!(91)), "the field lat is beyond ±90 degrees"),
        (
            with("lat", json!(-90.000_001)),
            "the field lat is beyond ±90 degrees",
        ),
        (with("lat", json!("47.3")), "the field lat is not a number"),
        (with("lat", Value::Null), "the field lat is not a number"),
        (without("lat"), "the field lat is missing"),
        (with("lon", json!(180.5)), "the field lon is beyond ±180 degrees"),
        (without("lon"), "the field lon is missing"),
        (
            with("acc", json!(-1)),
            "the field acc is negative: the device says that it has no position",
        ),
        (with("acc", json!("near")), "the field acc is not a number"),
        (without("tst"), "the field tst is missing"),
        (
            with("tst", json!("now")),
            "the field tst is not a whole number of seconds",
        ),
        (
            with("tst", json!(1.5)),
            "the field tst is not a whole number of seconds",
        ),
        (
            with("tst", json!(0)),
            "the field tst is before 2000 or no time at all",
        ),
        (
            with("tst", json!(-1)),
            "the field tst is before 2000 or no time at all",
        ),
        (
            with("tst", json!(i64::MAX)),
            "the field tst is before 2000 or no time at all",
        ),
        (
            with("tst", json!(now().timestamp() * 1000)),
            "the field tst is more than a day ahead",
        ),
    ];
    for (value, reason) in table {
        let expected = Report::Malformed {
            stream: "location",
            reason: reason.to_owned(),
        };
        assert_eq!(read_json(&value), expected, "{value}");
    }
}

#[test]
fn a_body_of_nothing_is_legal() {
    assert_eq!(read(b"", now()), Report::Empty);
    assert_eq!(read(b" \r\n", now()), Report::Empty);
}

#[test]
fn other_types_are_kept_without_a_meaning() {
    for kind in [
        "transition",
        "waypoint",
        "waypoints",
        "lwt",
        "status",
        "card",
        "steps",
    ] {
        assert_eq!(
            read_json(&json!({ "_type": kind })),
            Report::Other { stream: kind }
        );
    }
}

#[test]
fn what_is_no_report_at_all_is_parked_under_a_name_of_ours() {
    let streams = [
        (&b"{"[..], "unreadable"),
        (b"\xff\xfe", "unreadable"),
        (b"[]", "unreadable"),
        (b"null", "unreadable"),
        (b"{}", "unreadable"),
        (br#"{"_type":7}"#, "unreadable"),
        (br#"{"_type":"location\u0000; DROP"}"#, "unknown"),
        (br#"{"_type":"encrypted","data":"x"}"#, "encrypted"),
        (br#"{"_type":"location","lat":1e999}"#, "unreadable"),
        (br#"{"_type":"location","lat":NaN}"#, "unreadable"),
    ];
    for (body, expected) in streams {
        match read(body, now()) {
            Report::Malformed { stream, .. } => assert_eq!(stream, expected, "{body:?}"),
            other => panic!("{body:?}: {other:?}"),
        }
    }
    let deep = "[".repeat(60_000);
    assert!(
        matches!(read(deep.as_bytes(), now()), Report::Malformed { .. }),
        "nesting is bounded"
    );
}
