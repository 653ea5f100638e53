//! What entities of several sources plan.

use contracts::EntityId;
use serde_json::json;

use super::*;

const ZONE: Tz = chrono_tz::Europe::Vienna;

fn read(props: Value) -> Intention {
    let entity = Entity {
        id: EntityId::new(),
        kind: "Task".to_owned(),
        title: Some("Water the plants".to_owned()),
        props: props.as_object().unwrap().clone(),
        version: 1,
        starts_at: None,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
    };
    Intention::read(&entity, ZONE).unwrap()
}

fn utc(text: &str) -> DateTime<Utc> {
    When::parse(text).unwrap().instant(Tz::UTC)
}

fn planned(props: Value) -> Vec<(MomentKind, DateTime<Utc>)> {
    moments(&read(props), ZONE)
        .into_iter()
        .map(|moment| (moment.kind, moment.at))
        .collect()
}

#[test]
fn a_task_is_told_of_when_it_is_due_and_an_hour_later() {
    assert_eq!(
        planned(json!({"due_at": "2026-05-01T09:00", "reminders": ["-PT15M", "-PT15M"]})),
        [
            (MomentKind::Reminder, utc("2026-05-01T06:45")),
            (MomentKind::Due, utc("2026-05-01T07:00")),
            (MomentKind::Overdue, utc("2026-05-01T08:00")),
        ]
    );
}

#[test]
fn a_task_due_on_a_day_is_overdue_when_the_day_is_over_however_long_it_is() {
    assert_eq!(
        planned(json!({"due_at": "2026-03-29"})),
        [
            (MomentKind::Due, utc("2026-03-28T23:00")),
            (MomentKind::Overdue, utc("2026-03-29T22:00"))
        ]
    );
}

#[test]
fn what_is_done_or_given_up_is_not_spoken_of() {
    for status in ["completed", "CANCELLED"] {
        assert!(planned(json!({"due_at": "2026-05-01", "status": status})).is_empty());
    }
    assert!(planned(json!({"due_at": "2026-05-01", "completed_at": "20260430T080000Z"})).is_empty());
    assert!(!planned(json!({"due_at": "2026-05-01", "status": "IN-PROCESS"})).is_empty());
}

#[test]
fn a_wrong_value_costs_itself_and_is_named() {
    let task = read(json!({
        "due_at": "next week", "recurrence": "FREQ=SOMETIMES", "status": "stuck", "priority": 99,
        "reminders": ["soon", "2026-05-01T08:00", 7],
    }));
    assert_eq!(
        (task.status, task.priority, task.due),
        (Status::NeedsAction, 9, None)
    );
    assert_eq!(task.reminders.len(), 1);
    assert_eq!(task.problems.len(), 5, "{:#?}", task.problems);
    assert!(
        task.problems
            .iter()
            .any(|problem| problem.starts_with("due_at: `next week` is not a time"))
    );
}

#[test]
fn the_next_occurrence_is_the_first_that_has_not_passed() {
    let task = read(
        json!({"due_at": "2026-03-27T09:00", "start_at": "2026-03-27T08:00", "recurrence": "FREQ=DAILY"}),
    );
    let next = |now| task.next(utc(now), ZONE).unwrap();
    // Done early, done on time over the change of the clocks, done days late.
    assert_eq!(
        next("2026-03-26T12:00").due,
        Some(When::parse("2026-03-28T09:00").unwrap())
    );
    assert_eq!(
        next("2026-03-28T08:30").due,
        Some(When::parse("2026-03-29T09:00").unwrap())
    );
    assert_eq!(
        next("2026-04-02T12:00").due,
        Some(When::parse("2026-04-03T09:00").unwrap())
    );
    assert_eq!(
        next("2026-04-02T12:00").start,
        Some(When::parse("2026-04-03T08:00").unwrap())
    );
    let daily = read(json!({"due_at": "2026-03-27", "recurrence": "FREQ=DAILY"}));
    assert_eq!(
        daily.next(utc("2026-03-29T20:00"), ZONE).unwrap().due,
        Some(When::parse("2026-03-29").unwrap())
    );
}

#[test]
fn a_finite_rule_ends_though_its_task_moves_on() {
    let task = read(json!({
        "due_at": "2026-05-03T09:00", "recurrence": "FREQ=DAILY;COUNT=3", "recurrence_start": "2026-05-01T09:00",
    }));
    assert_eq!(task.next(utc("2026-05-03T07:00"), ZONE), None);
    let second = read(json!({
        "due_at": "2026-05-02T09:00", "recurrence": "FREQ=DAILY;COUNT=3", "recurrence_start": "2026-05-01T09:00",
    }));
    assert_eq!(
        second.next(utc("2026-05-02T07:00"), ZONE).unwrap().anchor,
        When::parse("2026-05-01T09:00").unwrap()
    );
}

/// The next start and due of a series.
fn next_of(props: Value, now: &str) -> Option<(String, String)> {
    let next = read(props).next(utc(now), ZONE)?;
    Some((next.start?.to_string(), next.due?.to_string()))
}

fn pair(start: &str, due: &str) -> Option<(String, String)> {
    Some((start.to_owned(), due.to_owned()))
}

#[test]
fn a_series_counts_from_its_start_and_its_due_keeps_the_distance() {
    let mondays = json!({
        "start_at": "2026-11-23T07:00:00", "due_at": "2026-11-24T08:00:00",
        "recurrence": "FREQ=WEEKLY;BYDAY=MO;COUNT=4", "time_zone": "Europe/Berlin",
    });
    assert_eq!(
        next_of(mondays.clone(), "2026-11-23T12:00"),
        pair("2026-11-30T07:00:00", "2026-12-01T08:00:00")
    );
    // What has begun and isn't due yet hasn't passed.
    assert_eq!(
        next_of(mondays.clone(), "2026-11-30T12:00"),
        pair("2026-11-30T07:00:00", "2026-12-01T08:00:00")
    );
    let mut last = mondays;
    last["recurrence_start"] = json!("2026-11-23T07:00:00");
    for (start, due, next) in [
        (
            "2026-12-07T07:00:00",
            "2026-12-08T08:00:00",
            pair("2026-12-14T07:00:00", "2026-12-15T08:00:00"),
        ),
        ("2026-12-14T07:00:00", "2026-12-15T08:00:00", None),
    ] {
        (last["start_at"], last["due_at"]) = (json!(start), json!(due));
        assert_eq!(
            next_of(last.clone(), "2026-11-23T12:00"),
            next,
            "the fourth is the last"
        );
    }
    let days = json!({
        "start_at": "2026-05-01", "due_at": "2026-05-05", "recurrence": "FREQ=MONTHLY;BYMONTHDAY=1",
    });
    assert_eq!(
        next_of(days, "2026-05-02T12:00"),
        pair("2026-06-01", "2026-06-05")
    );
}

#[test]
fn exceptions_and_additions_name_starts() {
    let series = json!({
        "start_at": "2026-11-23T06:00:00Z", "due_at": "2026-11-24T07:00:00Z", "time_zone": "Europe/Berlin",
        "recurrence": "FREQ=WEEKLY;BYDAY=MO",
        "recurrence_exceptions": ["2026-11-30T07:00:00"], "recurrence_dates": ["2026-12-02T07:00:00"],
    });
    assert_eq!(
        next_of(series.clone(), "2026-11-23T12:00"),
        pair("2026-12-02T06:00:00Z", "2026-12-03T07:00:00Z")
    );
    assert_eq!(
        next_of(series, "2026-12-04T12:00"),
        pair("2026-12-07T06:00:00Z", "2026-12-08T07:00:00Z")
    );
}

#[test]
fn a_count_that_was_kept_as_of_a_due_moment_goes_on_from_the_start_that_belonged_to_it() {
    let moved = json!({
        "start_at": "2026-11-29T07:00:00", "due_at": "2026-11-30T08:00:00", "recurrence_start": "2026-11-24T08:00:00",
        "recurrence": "FREQ=WEEKLY;BYDAY=MO;COUNT=4", "time_zone": "Europe/Berlin",
    });
    assert_eq!(
        next_of(moved, "2026-11-30T12:00"),
        pair("2026-11-30T07:00:00", "2026-12-01T08:00:00")
    );
}

#[test]
fn an_instant_recurs_by_the_owners_clock() {
    let task = read(json!({"due_at": "2026-03-28T08:00:00Z", "recurrence": "FREQ=DAILY"}));
    let next = task.next(utc("2026-03-28T08:30"), ZONE).unwrap();
    assert_eq!(next.due.unwrap().to_string(), "2026-03-29T07:00:00Z");
}

#[test]
fn a_series_recurs_by_its_own_clock_and_leaves_its_exceptions_out() {
    let series = |more: Value| {
        let mut props = json!({"due_at": "2026-03-01T14:00:00Z", "recurrence": "FREQ=WEEKLY"});
        props
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        read(props)
            .next(utc("2026-03-02T00:00"), ZONE)
            .unwrap()
            .due
            .unwrap()
            .instant(ZONE)
    };
    // The clocks of New York change on the eighth, those of Vienna on the 29th.
    assert_eq!(series(json!({})), utc("2026-03-08T14:00"));
    let new_york = json!({"time_zone": "America/New_York"});
    assert_eq!(series(new_york), utc("2026-03-08T13:00"));
    let left_out = json!({
        "time_zone": "America/New_York", "recurrence_exceptions": ["2026-03-08T09:00:00", "2026-03-15T13:00:00Z", "x"],
    });
    assert_eq!(series(left_out), utc("2026-03-22T13:00"));
}

#[test]
fn a_series_has_the_dates_that_are_added_to_its_rule_or_stand_alone() {
    let next = |props: Value, now: &str| {
        let next = read(props).next(utc(now), ZONE)?;
        Some(next.due?.instant(ZONE))
    };
    let ruled = json!({
        "due_at": "2026-05-01T07:00:00Z", "recurrence": "FREQ=WEEKLY",
        "recurrence_dates": ["2026-05-04T09:00:00", "2026-05-05T09:00:00"], "recurrence_exceptions": ["2026-05-05T09:00:00"],
    });
    assert_eq!(
        next(ruled.clone(), "2026-05-01T08:00"),
        Some(utc("2026-05-04T07:00"))
    );
    assert_eq!(next(ruled, "2026-05-05T08:00"), Some(utc("2026-05-08T07:00")));
    let alone = json!({ "due_at": "2026-05-01T07:00:00Z", "recurrence_dates": ["2026-05-04T09:00:00"] });
    assert_eq!(
        next(alone.clone(), "2026-05-01T08:00"),
        Some(utc("2026-05-04T07:00"))
    );
    assert_eq!(next(alone, "2026-05-04T08:00"), None, "there are no more");
}
