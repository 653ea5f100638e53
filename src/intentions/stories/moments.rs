//! Due, overdue and reminders: told once, at the right moment, whatever happens to the hub.

use chrono::Duration;
use serde_json::json;
use spine::Cause;

use super::world::{World, utc};
use crate::planner::Done;

#[tokio::test]
async fn a_task_is_told_of_by_reminder_due_and_overdue_and_each_once() {
    let world = World::at("2026-05-01T06:00").await;
    let goal = world
        .ok("POST", "/goals", json!({"title": "A green balcony"}))
        .await;
    let task = world
        .task(json!({
            "title": "Water the plants", "due_at": "2026-05-01T09:00", "reminders": ["-PT15M"], "priority": 2,
            "goal": goal["id"],
        }))
        .await;
    world.until("2026-05-01T06:44").await;
    assert!(
        world
            .told(&["TaskDue", "ReminderDue", "TaskOverdue"])
            .await
            .is_empty()
    );
    world.until("2026-05-01T06:46").await;
    world.until("2026-05-01T07:00").await;
    assert_eq!(world.show(&task).await["state"], "due");
    world.until("2026-05-01T08:30").await;
    world.until("2026-05-02T08:30").await;
    let told = world.told(&["TaskDue", "ReminderDue", "TaskOverdue"]).await;
    let names: Vec<_> = told.iter().map(|(name, at, _)| (name.as_str(), *at)).collect();
    assert_eq!(
        names,
        [
            ("ReminderDue", utc("2026-05-01T06:45")),
            ("TaskDue", utc("2026-05-01T07:00")),
            ("TaskOverdue", utc("2026-05-01T08:00")),
        ]
    );
    let due = &told[1].2;
    assert_eq!(
        (
            &due["title"],
            &due["due"],
            &due["priority"],
            &due["goal"]["title"]
        ),
        (
            &json!("Water the plants"),
            &json!("2026-05-01T09:00:00"),
            &json!(2),
            &json!("A green balcony")
        )
    );
    assert_eq!(told[0].2["reminder"], "-PT15M");
    assert_eq!(world.show(&task).await["state"], "overdue");
}

#[tokio::test]
async fn a_local_time_is_due_by_the_owners_clock_on_the_day_the_clocks_change() {
    let world = World::at("2026-03-28T00:00").await;
    for (title, due) in [
        ("before", "2026-03-28T09:00"),
        ("jumped over", "2026-03-29T02:30"),
        ("after", "2026-03-29T09:00"),
        ("day", "2026-03-29"),
    ] {
        world.task(json!({"title": title, "due_at": due})).await;
    }
    world.until("2026-03-31T00:00").await;
    let told = world.told(&["TaskDue", "TaskOverdue"]).await;
    let mut due: Vec<_> = told
        .iter()
        .map(|(name, at, body)| (*at, format!("{name} {}", body["title"].as_str().unwrap())))
        .collect();
    due.sort();
    let expected = [
        ("2026-03-28T08:00", "TaskDue before"),
        ("2026-03-28T09:00", "TaskOverdue before"),
        ("2026-03-28T23:00", "TaskDue day"),
        ("2026-03-29T01:30", "TaskDue jumped over"),
        ("2026-03-29T02:30", "TaskOverdue jumped over"),
        ("2026-03-29T07:00", "TaskDue after"),
        ("2026-03-29T08:00", "TaskOverdue after"),
        // That day has 23 hours.
        ("2026-03-29T22:00", "TaskOverdue day"),
    ];
    assert_eq!(due, expected.map(|(at, what)| (utc(at), what.to_owned())));
}

#[tokio::test]
async fn what_passed_while_the_hub_was_off_for_a_day_is_told_once_with_its_own_time() {
    let world = World::at("2026-05-01T06:00").await;
    world
        .task(json!({"title": "Ring Sam", "due_at": "2026-05-01T09:00"}))
        .await;
    world.sleep(Duration::hours(30));
    world.wait_until_told().await;
    world.wait_until_told().await;
    assert_eq!(
        world.moments().await,
        [
            ("TaskDue".to_owned(), utc("2026-05-01T07:00")),
            ("TaskOverdue".to_owned(), utc("2026-05-01T08:00"))
        ]
    );
}

#[tokio::test]
async fn a_hub_that_is_killed_while_it_tells_tells_once() {
    let world = World::without_timekeeper("2026-05-01T06:00").await;
    let task = world
        .task(json!({"title": "Ring Sam", "due_at": "2026-05-01T09:00"}))
        .await;
    let id = task.parse().unwrap();
    world.hub.settle().await;
    world.sleep(Duration::minutes(61));
    // Told, and killed before the commit.
    let other = world.timekeeper();
    let mut tx = world
        .hub
        .context
        .access
        .begin(&world.alice, Cause::outside())
        .await
        .unwrap();
    other.planner.fold(&mut tx, id, Done::Stays).await.unwrap();
    drop(tx);
    assert!(world.moments().await.is_empty());
    for _ in 0..2 {
        world.timekeeper().look().await.unwrap();
    }
    assert_eq!(
        world.moments().await,
        [("TaskDue".to_owned(), utc("2026-05-01T07:00"))]
    );
}

#[tokio::test]
async fn two_processes_that_look_at_once_tell_once() {
    let world = World::without_timekeeper("2026-05-01T06:00").await;
    for number in 0..20 {
        world
            .task(json!({"title": format!("Task {number}"), "due_at": "2026-05-01T09:00"}))
            .await;
    }
    world.hub.settle().await;
    world.sleep(Duration::hours(30));
    let (one, two) = (world.timekeeper(), world.timekeeper());
    let (one, two) = tokio::join!(one.look(), two.look());
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(world.told(&["TaskDue"]).await.len(), 20);
    assert_eq!(world.told(&["TaskOverdue"]).await.len(), 20);
}

#[tokio::test]
async fn reading_the_log_again_tells_nothing_again() {
    let world = World::at("2026-05-01T06:00").await;
    let goal = world.ok("POST", "/goals", json!({"title": "Tidy"})).await;
    let task = world
        .task(json!({"title": "Sort", "due_at": "2026-05-01T09:00", "goal": goal["id"]}))
        .await;
    world.until("2026-05-01T09:00").await;
    world
        .ok("POST", &format!("/tasks/{task}/complete"), json!({}))
        .await;
    let before = world.moments().await;
    world.replay().await;
    world.wait_until_told().await;
    assert_eq!(world.moments().await, before);
    assert_eq!(before.len(), 4, "due, overdue, completed, progressed: {before:?}");
}

#[tokio::test]
async fn a_task_that_is_done_or_moved_in_time_is_not_told_as_due() {
    let world = World::at("2026-05-01T06:00").await;
    let done = world
        .task(json!({"title": "Done", "due_at": "2026-05-01T09:00", "reminders": ["-PT10M"]}))
        .await;
    let moved = world
        .task(json!({"title": "Moved", "due_at": "2026-05-01T09:00"}))
        .await;
    let dropped = world
        .task(json!({"title": "Deleted", "due_at": "2026-05-01T09:00"}))
        .await;
    world
        .ok("POST", &format!("/tasks/{done}/complete"), json!({}))
        .await;
    world
        .ok(
            "PATCH",
            &format!("/tasks/{moved}"),
            json!({"due_at": "2026-05-02T09:00"}),
        )
        .await;
    world.delete(&dropped, 2).await;
    world.until("2026-05-01T12:00").await;
    assert!(
        world
            .told(&["TaskDue", "ReminderDue", "TaskOverdue"])
            .await
            .is_empty()
    );
    let upcoming = world.ok("GET", "/intentions/upcoming", json!(null)).await;
    let planned: Vec<_> = upcoming["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["title"].clone())
        .collect();
    assert_eq!(planned, ["Moved", "Moved"]);
    let (status, _) = world
        .refused("GET", &format!("/tasks/{dropped}"), json!(null))
        .await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_task_that_is_due_already_is_told_of_at_once() {
    let world = World::at("2026-05-01T06:00").await;
    world
        .task(json!({"title": "Late", "due_at": "2026-04-30T09:00"}))
        .await;
    world.hub.settle().await;
    let names: Vec<_> = world.moments().await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["TaskDue", "TaskOverdue"]);
}

#[tokio::test]
async fn who_moves_to_another_zone_is_told_by_its_clock_and_of_nothing_twice() {
    let world = World::at("2026-05-01T06:00").await;
    world
        .task(json!({"title": "Told before", "due_at": "2026-05-01T08:30"}))
        .await;
    world
        .task(json!({"title": "Local", "due_at": "2026-05-01T12:00"}))
        .await;
    world
        .task(json!({"title": "Instant", "due_at": "2026-05-01T10:30:00Z"}))
        .await;
    world
        .ok(
            "POST",
            "/schedules",
            json!({"name": "noon", "cron": "0 12 * * *"}),
        )
        .await;
    world
        .ok(
            "POST",
            "/schedules",
            json!({"name": "there", "cron": "0 12 * * *", "zone": "Europe/Vienna"}),
        )
        .await;
    world.until("2026-05-01T07:00").await;
    world.move_to(chrono_tz::Europe::Lisbon).await;
    for now in ["2026-05-01T10:00", "2026-05-01T10:30", "2026-05-01T11:00"] {
        world.until(now).await;
    }
    let due = |told: Vec<(String, chrono::DateTime<chrono::Utc>, serde_json::Value)>, name: &str| {
        let found = told
            .into_iter()
            .map(|(_, at, body)| (body[name].as_str().unwrap().to_owned(), at));
        found.collect::<Vec<_>>()
    };
    assert_eq!(
        due(world.told(&["TaskDue"]).await, "title"),
        [
            ("Told before".to_owned(), utc("2026-05-01T06:30")),
            ("Instant".to_owned(), utc("2026-05-01T10:30")),
            ("Local".to_owned(), utc("2026-05-01T11:00")),
        ]
    );
    assert_eq!(
        due(world.told(&["ScheduleFired"]).await, "name"),
        [
            ("there".to_owned(), utc("2026-05-01T10:00")),
            ("noon".to_owned(), utc("2026-05-01T11:00"))
        ]
    );
}

#[tokio::test]
async fn a_goal_comes_due_and_is_overdue_once_unless_it_is_reached() {
    let world = World::at("2026-05-01T06:00").await;
    let mut ids = Vec::new();
    for (title, due) in [("Move", "2026-05-02"), ("Learn", "2026-05-02T10:00")] {
        let made = world
            .ok("POST", "/goals", json!({"title": title, "due_at": due}))
            .await;
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    assert!(world.told(&["GoalDue", "GoalOverdue"]).await.is_empty());
    world.until("2026-05-02T08:30").await;
    let told = world.told(&["GoalDue", "GoalOverdue"]).await;
    let heard: Vec<_> = told
        .iter()
        .map(|(name, at, body)| (name.as_str(), *at, body["title"].clone()))
        .collect();
    assert_eq!(
        heard,
        [
            ("GoalDue", utc("2026-05-01T22:00"), json!("Move")),
            ("GoalDue", utc("2026-05-02T08:00"), json!("Learn")),
        ]
    );
    assert_eq!(
        (&told[0].2["progress"], &told[0].2["due"]),
        (&json!(0.0), &json!("2026-05-02"))
    );
    world
        .ok(
            "PATCH",
            &format!("/goals/{}", ids[1]),
            json!({"status": "completed"}),
        )
        .await;
    world.until("2026-05-03T12:00").await;
    world.replay().await;
    let told = world.told(&["GoalOverdue"]).await;
    assert_eq!(
        told.len(),
        1,
        "what is reached isn't overdue, and nothing is told twice"
    );
    assert_eq!(
        (told[0].1, &told[0].2["title"]),
        (utc("2026-05-02T22:00"), &json!("Move"))
    );
    let task_events = world.told(&["TaskDue", "TaskOverdue"]).await;
    assert!(task_events.is_empty(), "a goal is no task");
}
