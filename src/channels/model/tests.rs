use super::*;
use serde_json::json;

const GRACE: Duration = Duration::from_secs(60);

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn attempt(state: AttemptState) -> Attempt {
    Attempt {
        id: AttemptId::new(),
        connection: ConnectionId::new(),
        plugin: "scripted".to_owned(),
        created_at: at(0),
        state,
        remote_id: None,
        reason: None,
        finished_at: None,
    }
}

fn found(remote_id: &str, seconds: i64) -> Found {
    Found {
        remote_id: remote_id.to_owned(),
        created_at: at(seconds),
        status: "queued".to_owned(),
    }
}

fn taken(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[test]
fn a_request_is_made_only_when_no_earlier_one_can_have_arrived() {
    use AttemptState::{Accepted, Adopted, Disproved, Refused, Started, Unknown};
    let table: [(&[AttemptState], &str); 12] = [
        (&[], "attempt"),
        (&[Refused], "attempt"),
        (&[Disproved], "attempt"),
        (&[Refused, Disproved, Refused], "attempt"),
        (&[Started], "ask"),
        (&[Unknown], "ask"),
        (&[Refused, Unknown], "ask"),
        (&[Disproved, Started], "ask"),
        (&[Accepted], "done"),
        (&[Adopted], "done"),
        (&[Refused, Accepted], "done"),
        (&[Adopted, Disproved], "done"),
    ];
    for (states, expected) in table {
        let attempts: Vec<_> = states.iter().map(|state| attempt(*state)).collect();
        let step = match next_step(&attempts) {
            Step::Done(_) => "done",
            Step::Ask(_) => "ask",
            Step::Attempt => "attempt",
        };
        assert_eq!(step, expected, "{states:?}");
    }
}

#[test]
fn what_the_provider_made_since_the_attempt_is_adopted_oldest_first() {
    let asked = attempt(AttemptState::Started);
    let list = [found("SM2", 3), found("SM1", 1), found("SM3", 9)];
    assert_eq!(
        judge(&asked, &list, &taken(&[]), at(10), GRACE),
        Verdict::Adopt(&list[1])
    );
    assert_eq!(
        judge(&asked, &list, &taken(&["SM1"]), at(10), GRACE),
        Verdict::Adopt(&list[0])
    );
    assert_eq!(
        judge(&asked, &list, &taken(&[]), at(10_000), GRACE),
        Verdict::Adopt(&list[1]),
        "however late"
    );
}

#[test]
fn one_message_of_the_provider_is_not_adopted_twice() {
    let asked = attempt(AttemptState::Unknown);
    let list = [found("SM1", 1)];
    assert_eq!(
        judge(&asked, &list, &taken(&["SM1"]), at(90), GRACE),
        Verdict::Disproved
    );
}

#[test]
fn an_older_message_with_the_same_text_is_another_one() {
    let asked = attempt(AttemptState::Started);
    assert_eq!(
        judge(&asked, &[found("SM0", -6)], &taken(&[]), at(90), GRACE),
        Verdict::Disproved
    );
    let skewed = [found("SM0", -5)];
    assert_eq!(
        judge(&asked, &skewed, &taken(&[]), at(60), GRACE),
        Verdict::Adopt(&skewed[0]),
        "the provider's clock may be a little behind"
    );
}

#[test]
fn absence_counts_only_after_the_grace() {
    let asked = Attempt {
        finished_at: Some(at(0)),
        ..attempt(AttemptState::Unknown)
    };
    let none = taken(&[]);
    assert_eq!(judge(&asked, &[], &none, at(0), GRACE), Verdict::Wait(GRACE));
    assert_eq!(
        judge(&asked, &[], &none, at(59), GRACE),
        Verdict::Wait(Duration::from_secs(1))
    );
    assert_eq!(judge(&asked, &[], &none, at(60), GRACE), Verdict::Disproved);
    assert_eq!(
        judge(&asked, &[], &none, at(-3600), GRACE),
        Verdict::Wait(GRACE + REQUEST_MAX),
        "a clock that was set back"
    );
    assert_eq!(
        judge(&asked, &[], &none, at(0), Duration::ZERO),
        Verdict::Disproved
    );
}

#[test]
fn of_an_attempt_whose_hub_was_killed_the_request_may_have_left_as_late_as_it_was_allowed() {
    let killed = attempt(AttemptState::Started);
    let none = taken(&[]);
    let whole = GRACE + REQUEST_MAX;
    assert_eq!(judge(&killed, &[], &none, at(0), GRACE), Verdict::Wait(whole));
    assert_eq!(
        judge(&killed, &[], &none, at(60), GRACE),
        Verdict::Wait(REQUEST_MAX),
        "the grace alone is not enough"
    );
    assert_eq!(judge(&killed, &[], &none, at(90), GRACE), Verdict::Disproved);
    assert_eq!(
        judge(&killed, &[], &none, at(29), Duration::ZERO),
        Verdict::Wait(Duration::from_secs(1))
    );
}

#[test]
fn the_grace_begins_when_the_request_was_given_up() {
    let timed_out = Attempt {
        finished_at: Some(at(30)),
        ..attempt(AttemptState::Unknown)
    };
    let none = taken(&[]);
    assert_eq!(
        judge(&timed_out, &[], &none, at(60), GRACE),
        Verdict::Wait(Duration::from_secs(30))
    );
    assert_eq!(judge(&timed_out, &[], &none, at(90), GRACE), Verdict::Disproved);
}

#[test]
fn a_status_never_goes_backwards() {
    use MessageStatus::{Delivered, Failed, Sent, Undelivered};
    let table = [
        // from, proven, the statuses that may follow
        ("queued", false, vec![Sent, Delivered, Undelivered, Failed]),
        ("sending", false, vec![Sent, Delivered, Undelivered, Failed]),
        ("sent", true, vec![Delivered, Undelivered, Failed]),
        ("delivered", true, vec![]),
        ("undelivered", true, vec![Delivered]),
        ("failed", true, vec![Delivered]),
        ("failed", false, vec![Sent, Delivered, Undelivered, Failed]),
    ];
    for (from, proven, expected) in table {
        let possible: Vec<_> = [Sent, Delivered, Undelivered, Failed]
            .into_iter()
            .filter(|to| may_become(from, proven, *to))
            .collect();
        assert_eq!(possible, expected, "{from}, proven: {proven}");
    }
}

#[test]
fn what_the_provider_still_has_in_hand_is_sent() {
    for word in ["accepted", "scheduled", "queued", "sending", "sent"] {
        assert_eq!(MessageStatus::from_provider(word), Some(MessageStatus::Sent));
    }
    assert_eq!(
        MessageStatus::from_provider("read"),
        Some(MessageStatus::Delivered)
    );
    assert_eq!(MessageStatus::from_provider("partially_delivered"), None);
}

#[test]
fn states_keep_their_names() {
    for state in AttemptState::ALL {
        assert_eq!(AttemptState::from_name(state.as_str()), state);
    }
    assert_eq!(
        AttemptState::from_name("new in a later version"),
        AttemptState::Unknown
    );
}

fn message(props: serde_json::Value) -> Entity {
    Entity {
        id: contracts::EntityId::new(),
        kind: "Message".to_owned(),
        title: None,
        props: serde_json::from_value(props).unwrap(),
        version: 1,
        starts_at: None,
        created_at: at(0),
        updated_at: at(0),
    }
}

#[test]
fn a_message_that_can_not_be_sent_says_why() {
    let whole = json!({ "direction": "out", "channel": "sms", "to": "+14155550100", "text": "Hi" });
    assert_eq!(outgoing(&message(whole.clone())).unwrap().to, "+14155550100");
    let table = [
        ("direction", json!("in"), "the Message is not an outgoing one"),
        ("to", json!(""), "the Message has no to"),
        ("to", json!(7), "the Message has no to"),
        ("text", json!(null), "the Message has no text"),
        ("text", json!("  \n"), "the text is empty"),
        ("channel", json!(null), "the Message has no channel"),
        (
            "connection",
            json!("here"),
            "the Message's connection is not an id",
        ),
        (
            "text",
            json!("x".repeat(1601)),
            "the text has 1601 characters; sms takes 1600",
        ),
    ];
    for (name, value, reason) in table {
        let mut props = whole.clone();
        props[name] = value;
        assert_eq!(outgoing(&message(props)).unwrap_err(), reason);
    }
    let other = Entity {
        kind: "Call".to_owned(),
        ..message(whole)
    };
    assert_eq!(
        outgoing(&other).unwrap_err(),
        "the entity is a Call, not a Message"
    );
}

#[test]
fn texts_are_counted_in_characters() {
    assert!(text_check("sms", &"é".repeat(1600)).is_ok());
    assert!(text_check("sms", &"é".repeat(1601)).is_err());
    assert!(text_check("log", &"é".repeat(10_000)).is_ok());
    assert!(text_check("log", "a\0b").is_err());
}
