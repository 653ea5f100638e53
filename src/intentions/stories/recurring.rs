//! Recurring tasks: done once an occurrence, and on to the next.

use serde_json::{Value, json};

use super::world::{World, utc};

#[tokio::test]
async fn completing_an_occurrence_leads_to_the_next_at_the_same_time_of_day() {
    let world = World::at("2026-03-28T07:00").await;
    let task = world
        .task(json!({"title": "Feed the cat", "due_at": "2026-03-28T09:00", "recurrence": "FREQ=DAILY", "reminders": ["-PT5M"]}))
        .await;
    world.until("2026-03-28T08:30").await;
    let done = world
        .ok("POST", &format!("/tasks/{task}/complete"), json!({}))
        .await;
    assert_eq!(
        (&done["status"], &done["due"]),
        (&json!("needs-action"), &json!("2026-03-29T09:00:00"))
    );
    assert_eq!(done["due_at"], "2026-03-29T07:00:00Z");
    assert_eq!(done["completions"][0]["occurrence"], "2026-03-28T09:00:00");
    world.until("2026-03-29T07:30").await;
    let told: Vec<_> = world
        .told(&["ReminderDue", "TaskDue"])
        .await
        .into_iter()
        .map(|(name, at, _)| (name, at))
        .collect();
    let expected = [
        ("ReminderDue", "2026-03-28T07:55"),
        ("TaskDue", "2026-03-28T08:00"),
        ("ReminderDue", "2026-03-29T06:55"),
        ("TaskDue", "2026-03-29T07:00"),
    ];
    assert_eq!(told, expected.map(|(name, at)| (name.to_owned(), utc(at))));
    let completed = world.told(&["TaskCompleted"]).await;
    assert_eq!(completed.len(), 1);
    assert_eq!(completed[0].2["next_due"], "2026-03-29T09:00:00");
}

#[tokio::test]
async fn a_finite_recurrence_ends_and_the_task_stays_done() {
    let world = World::at("2026-05-01T08:00").await;
    let task = world
        .task(
            json!({"title": "Antibiotics", "due_at": "2026-05-01", "recurrence": "RRULE:FREQ=DAILY;COUNT=3"}),
        )
        .await;
    let mut last = Value::Null;
    for day in ["2026-05-01", "2026-05-02", "2026-05-03"] {
        world.until(&format!("{day}T09:00")).await;
        last = world
            .ok(
                "POST",
                &format!("/tasks/{task}/complete"),
                json!({"occurrence": day}),
            )
            .await;
    }
    assert_eq!(
        (&last["status"], &last["due"]),
        (&json!("completed"), &json!("2026-05-03"))
    );
    assert_eq!(last["completions"].as_array().unwrap().len(), 3);
    let completed = world.told(&["TaskCompleted"]).await;
    assert_eq!(completed.len(), 3);
    assert_eq!(completed[2].2["next_due"], Value::Null);
}

#[tokio::test]
async fn an_occurrence_that_was_done_is_not_done_twice() {
    let world = World::at("2026-05-01T08:00").await;
    let task = world
        .task(json!({"title": "Stretch", "due_at": "2026-05-01", "recurrence": "FREQ=DAILY"}))
        .await;
    let path = format!("/tasks/{task}/complete");
    world.ok("POST", &path, json!({"occurrence": "2026-05-01"})).await;
    let (status, detail) = world
        .refused("POST", &path, json!({"occurrence": "2026-05-01"}))
        .await;
    assert_eq!(status, 409);
    assert!(detail.contains("due 2026-05-02, not 2026-05-01"), "{detail}");
    // The same request again under its key.
    let again = |key| world.request(&world.alice, "POST", &path, json!({}), Some(key));
    let (first, second) = (again("k").await, again("k").await);
    assert_eq!(
        (first.0, second.0),
        (axum::http::StatusCode::OK, axum::http::StatusCode::OK)
    );
    assert_eq!(first.1["due"], "2026-05-03");
    assert_eq!(second.1["due"], "2026-05-03");
}

#[tokio::test]
async fn an_occurrence_of_a_task_that_is_never_due_is_named_by_its_start() {
    let world = World::at("2026-05-01T08:00").await;
    let task = world
        .task(json!({"title": "Stretch", "start_at": "2026-05-01T09:00", "recurrence": "FREQ=DAILY"}))
        .await;
    let path = format!("/tasks/{task}/complete");
    let done = world
        .ok("POST", &path, json!({"occurrence": "2026-05-01T09:00"}))
        .await;
    assert_eq!(done["starts_at"], "2026-05-02T07:00:00Z");
    let (status, detail) = world
        .refused("POST", &path, json!({"occurrence": "2026-05-01T09:00"}))
        .await;
    assert_eq!(status, 409);
    assert!(detail.contains("starts 2026-05-02T07:00:00Z"), "{detail}");
    let same = json!({"occurrence": "2026-05-02T07:00:00Z"});
    assert_eq!(
        world.ok("POST", &path, same).await["starts_at"],
        "2026-05-03T07:00:00Z"
    );
}

#[tokio::test]
async fn a_task_marked_done_in_the_graph_moves_on_as_well() {
    use contracts::{EntityId, Lane};
    use spine::ports::{AssertedBy, Target};
    let world = World::at("2026-05-01T08:00").await;
    let task = world
        .task(json!({"title": "Stretch", "due_at": "2026-05-01", "recurrence": "FREQ=DAILY"}))
        .await;
    let id: EntityId = task.parse().unwrap();
    let done = json!({"status": "completed"});
    world
        .source_writes(AssertedBy::User, Lane::Live, Target::Existing(id), done)
        .await;
    let shown = world.show(&task).await;
    assert_eq!(
        (&shown["status"], &shown["due"]),
        (&json!("needs-action"), &json!("2026-05-02"))
    );
    assert_eq!(world.told(&["TaskCompleted"]).await.len(), 1);
    world.replay().await;
    assert_eq!(world.show(&task).await["due"], "2026-05-02");
    assert_eq!(world.told(&["TaskCompleted"]).await.len(), 1);
}

#[tokio::test]
async fn a_task_that_is_reopened_is_told_as_done_when_it_is_done_again() {
    let world = World::at("2026-05-01T08:00").await;
    let task = world
        .task(json!({"title": "Ring Sam", "due_at": "2026-05-02"}))
        .await;
    for _ in 0..2 {
        let done = world
            .ok("POST", &format!("/tasks/{task}/complete"), json!({}))
            .await;
        assert_eq!(
            (&done["state"], &done["percent"]),
            (&json!("completed"), &json!(100))
        );
        world
            .ok("POST", &format!("/tasks/{task}/complete"), json!({}))
            .await;
        let open = world
            .ok("POST", &format!("/tasks/{task}/reopen"), json!({}))
            .await;
        assert_eq!(
            (&open["state"], &open["completed_at"]),
            (&json!("open"), &Value::Null)
        );
        assert!(open["completions"].as_array().unwrap().is_empty());
    }
    assert_eq!(world.told(&["TaskCompleted"]).await.len(), 2);
    world.until("2026-05-02T08:00").await;
    assert_eq!(world.told(&["TaskDue"]).await.len(), 1);
}

#[tokio::test]
async fn a_recurring_task_that_moved_on_goes_back_to_what_was_done_last_and_no_further() {
    let world = World::at("2026-05-01T08:00").await;
    let body = json!({"title": "Stretch", "due_at": "2026-05-01T09:00", "start_at": "2026-05-01T08:30",
        "recurrence": "FREQ=DAILY;COUNT=4"});
    let task = world.task(body).await;
    let (complete, reopen) = (format!("/tasks/{task}/complete"), format!("/tasks/{task}/reopen"));
    // Nothing was done of it yet.
    let open = world.ok("POST", &reopen, json!({})).await;
    assert_eq!(open["due"], "2026-05-01T09:00:00");
    for _ in 0..2 {
        world.ok("POST", &complete, json!({})).await;
    }
    let shown = world.show(&task).await;
    assert_eq!(shown["due"], "2026-05-03T09:00:00");

    // Named, it goes back once, however often it is said.
    let named = format!("{reopen}?occurrence=2026-05-02T09:00");
    for _ in 0..2 {
        let back = world.ok("POST", &named, json!({})).await;
        assert_eq!(
            (&back["due"], &back["state"], &back["starts_at"]),
            (
                &json!("2026-05-02T09:00:00"),
                &json!("open"),
                &json!("2026-05-02T06:30:00Z")
            )
        );
        assert_eq!(back["completions"].as_array().unwrap().len(), 1);
    }
    let (status, detail) = world
        .refused(
            "POST",
            &format!("{reopen}?occurrence=2026-04-01T09:00"),
            json!({}),
        )
        .await;
    assert_eq!(status, 409);
    assert!(detail.contains("done last is 2026-05-01T09:00:00"), "{detail}");
    assert_eq!(
        world
            .refused("POST", &format!("{reopen}?occurrence=x"), json!({}))
            .await
            .0,
        422
    );

    // Done again it is told again, and the series still ends after four.
    for _ in 0..3 {
        world.ok("POST", &complete, json!({})).await;
    }
    let shown = world.show(&task).await;
    assert_eq!(
        (&shown["status"], &shown["due"]),
        (&json!("completed"), &json!("2026-05-04T09:00:00"))
    );
    assert_eq!(world.told(&["TaskCompleted"]).await.len(), 5);
}

#[tokio::test]
async fn a_recurring_task_that_its_owner_moved_before_what_was_done_does_not_go_there() {
    let world = World::at("2026-05-01T08:00").await;
    let task = world
        .task(json!({"title": "Stretch", "due_at": "2026-05-03", "recurrence": "FREQ=DAILY"}))
        .await;
    world
        .ok("POST", &format!("/tasks/{task}/complete"), json!({}))
        .await;
    world
        .ok(
            "PATCH",
            &format!("/tasks/{task}"),
            json!({"due_at": "2026-05-02"}),
        )
        .await;
    let (status, detail) = world
        .refused("POST", &format!("/tasks/{task}/reopen"), json!({}))
        .await;
    assert_eq!(status, 409);
    assert!(detail.contains("moved since"), "{detail}");
}
