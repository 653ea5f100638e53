//! Tasks that other sources write into the graph are the same thing.

use contracts::{EntityId, Lane};
use serde_json::json;
use spine::ports::{AssertedBy, Target};

use super::world::{World, utc};

#[tokio::test]
async fn a_todo_of_a_calendar_becomes_a_plan_and_is_told_of() {
    let world = World::at("2026-05-01T06:00").await;
    let todo = json!({"status": "NEEDS-ACTION", "due_at": "20260501T090000", "priority": 5, "reminders": ["-PT30M"]});
    let id = world
        .source_writes(
            AssertedBy::Connector,
            Lane::Live,
            Target::New(EntityId::new()),
            todo,
        )
        .await;
    let listed = world.ok("GET", "/tasks", json!(null)).await;
    assert_eq!(listed["items"][0]["id"], json!(id));
    assert_eq!(listed["items"][0]["due"], "2026-05-01T09:00:00");
    world.until("2026-05-01T07:00").await;
    assert_eq!(
        world.moments().await,
        [
            ("ReminderDue".to_owned(), utc("2026-05-01T06:30")),
            ("TaskDue".to_owned(), utc("2026-05-01T07:00"))
        ]
    );
}

#[tokio::test]
async fn an_old_todo_that_an_import_brings_is_told_on_the_lane_of_history() {
    let world = World::at("2026-05-01T06:00").await;
    let old = json!({"due_at": "2020-01-01T09:00"});
    world
        .source_writes(
            AssertedBy::Connector,
            Lane::Backfill,
            Target::New(EntityId::new()),
            old,
        )
        .await;
    let done = json!({"due_at": "2020-01-01T09:00", "status": "COMPLETED"});
    world
        .source_writes(
            AssertedBy::Connector,
            Lane::Backfill,
            Target::New(EntityId::new()),
            done,
        )
        .await;
    let future = json!({"due_at": "2026-05-01T09:00"});
    world
        .source_writes(
            AssertedBy::Connector,
            Lane::Backfill,
            Target::New(EntityId::new()),
            future,
        )
        .await;
    world.until("2026-05-01T07:00").await;
    let events = world.hub.events(&world.alice).await;
    let lanes: Vec<_> = events
        .iter()
        .filter(|event| event.kind.starts_with("intention."))
        .map(|event| (event.kind.as_str(), event.lane))
        .collect();
    assert_eq!(
        lanes,
        [
            ("intention.TaskDue", Lane::Backfill),
            ("intention.TaskOverdue", Lane::Backfill),
            // What is due today is today's, wherever the task came from.
            ("intention.TaskDue", Lane::Live),
        ]
    );
}

#[tokio::test]
async fn a_todo_that_can_not_be_understood_is_shown_with_what_would_be_right() {
    let world = World::at("2026-05-01T06:00").await;
    let odd = json!({"due_at": "someday", "recurrence": "EVERY DAY", "reminders": ["-PT5M"]});
    let id = world
        .source_writes(
            AssertedBy::Connector,
            Lane::Live,
            Target::New(EntityId::new()),
            odd,
        )
        .await;
    let shown = world.show(&id.to_string()).await;
    let problem = shown["problem"].as_str().unwrap();
    assert!(
        problem.contains("due_at: `someday` is not a time") && problem.contains("FREQ=WEEKLY"),
        "{problem}"
    );
    assert_eq!(shown["due"], json!(null));
    assert!(
        world
            .hub
            .admin
            .status()
            .await
            .unwrap()
            .consumers
            .iter()
            .all(|one| one.parked == 0)
    );
}

#[tokio::test]
async fn an_older_version_that_arrives_late_changes_nothing() {
    use contracts::NewEvent;
    use contracts::events::data::EntityUpdated;
    let world = World::at("2026-05-01T06:00").await;
    let task = world.task(json!({"title": "One", "due_at": "2026-05-02"})).await;
    world
        .ok("PATCH", &format!("/tasks/{task}"), json!({"title": "Two"}))
        .await;
    let entity: EntityId = task.parse().unwrap();
    let late = EntityUpdated {
        entity,
        kind: "Task".to_owned(),
        version: 1,
        changed: vec!["status".to_owned()],
    };
    world
        .publish(NewEvent::of(&late).unwrap().about_version(entity, 1))
        .await;
    assert_eq!(world.show(&task).await["title"], "Two");
    assert!(world.moments().await.is_empty());
}

#[tokio::test]
async fn nothing_that_speaks_of_an_erased_task_stays() {
    use contracts::NewEvent;
    use contracts::events::data::EntityErased;
    let world = World::at("2026-05-01T06:00").await;
    let goal = world.ok("POST", "/goals", json!({"title": "Home"})).await;
    let body = json!({
        "title": "Secret", "due_at": "2026-05-01", "recurrence": "FREQ=DAILY", "goal": goal["id"],
        "reminders": ["-PT5M"],
    });
    let task = world.task(body).await;
    world
        .ok("POST", &format!("/tasks/{task}/complete"), json!({}))
        .await;
    world.hub.settle().await;
    let entity: EntityId = task.parse().unwrap();
    let erased = EntityErased {
        entity,
        merged: Vec::new(),
        kind: "Task".to_owned(),
        version: 9,
        rows: std::collections::BTreeMap::new(),
        names: Vec::new(),
    };
    world
        .publish(NewEvent::of(&erased).unwrap().about_version(entity, 9))
        .await;
    let mut superuser = world.hub.database.superuser().await;
    for (table, column) in [
        ("plan", "entity"),
        ("moment", "entity"),
        ("completion", "entity"),
        ("link", "from_entity"),
    ] {
        let count: i64 = sqlx::query_scalar(&format!(
            "SELECT count(*) FROM intentions.{table} WHERE {column} = $1"
        ))
        .bind(entity.0)
        .fetch_one(&mut superuser)
        .await
        .unwrap();
        assert_eq!(count, 0, "{table}");
    }
    let path = format!("/goals/{}", goal["id"].as_str().unwrap());
    assert_eq!(world.ok("GET", &path, json!(null)).await["total"], 0);
}
