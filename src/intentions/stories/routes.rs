//! The routes: lists, pages, refusals, repetitions, and that nobody reaches another's.

use serde_json::{Value, json};

use super::world::World;

#[tokio::test]
async fn tasks_are_listed_by_due_in_pages_and_by_filter() {
    let world = World::at("2026-05-01T06:00").await;
    let goal = world.ok("POST", "/goals", json!({"title": "Home"})).await;
    for (title, due) in [
        ("c", json!("2026-05-03")),
        ("none", Value::Null),
        ("a", json!("2026-05-01")),
        ("b", json!("2026-05-02T12:00:00Z")),
    ] {
        let mut body = json!({"title": title, "due_at": due});
        if title == "c" {
            body["goal"] = goal["id"].clone();
        }
        world.task(body).await;
    }
    let done = world.task(json!({"title": "done", "status": "completed"})).await;
    let titles = |answer: &Value| -> Vec<String> {
        let items = answer["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["title"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut seen = Vec::new();
    let mut path = "/tasks?limit=3".to_owned();
    loop {
        let page = world.ok("GET", &path, Value::Null).await;
        seen.extend(titles(&page));
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/tasks?limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, ["a", "b", "c", "none"]);
    let before = world.ok("GET", "/tasks?due_before=2026-05-02", Value::Null).await;
    assert_eq!(titles(&before), ["a"]);
    let part = world
        .ok(
            "GET",
            &format!("/tasks?goal={}", goal["id"].as_str().unwrap()),
            Value::Null,
        )
        .await;
    assert_eq!(titles(&part), ["c"]);
    let completed = world.ok("GET", "/tasks?status=completed", Value::Null).await;
    assert_eq!(completed["items"][0]["id"], json!(done));
    for (path, status) in [
        ("/tasks?status=odd", 400),
        ("/tasks?limit=0", 400),
        ("/tasks?cursor=x", 400),
        ("/tasks?due_before=soon", 422),
        ("/goals?status=odd", 400),
        ("/intentions/upcoming?until=soon", 422),
        ("/intentions/upcoming?limit=9999", 400),
    ] {
        assert_eq!(world.refused("GET", path, Value::Null).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn what_is_done_is_not_given_up_before_it_is_opened_again() {
    let world = World::at("2026-05-01T06:00").await;
    let task = world.task(json!({"title": "Taxes", "status": "completed"})).await;
    let goal = world.ok("POST", "/goals", json!({"title": "Home"})).await;
    let (task, goal) = (
        format!("/tasks/{task}"),
        format!("/goals/{}", goal["id"].as_str().unwrap()),
    );
    world.ok("PATCH", &goal, json!({"status": "completed"})).await;
    for path in [&task, &goal] {
        let (status, detail) = world.refused("PATCH", path, json!({"status": "cancelled"})).await;
        assert!(status == 409 && detail.contains("is done"), "{status} {detail}");
        let open = world.ok("PATCH", path, json!({"status": "needs-action"})).await;
        assert_eq!(open["status"], "needs-action");
        for _ in 0..2 {
            let given_up = world.ok("PATCH", path, json!({"status": "cancelled"})).await;
            assert_eq!(given_up["status"], "cancelled");
        }
    }
}

#[tokio::test]
async fn a_counted_series_is_not_moved_beyond_its_end_unasked() {
    let world = World::at("2026-05-01T06:00").await;
    let body = json!({"title": "Pills", "due_at": "2026-05-01", "recurrence": "FREQ=DAILY;COUNT=5"});
    let path = format!("/tasks/{}", world.task(body).await);
    world.ok("POST", &format!("{path}/complete"), json!({})).await;
    let moved = world.ok("PATCH", &path, json!({"due_at": "2026-05-04"})).await;
    assert_eq!(moved["due"], "2026-05-04");
    let (status, detail) = world
        .refused("PATCH", &path, json!({"due_at": "2026-05-20"}))
        .await;
    assert!(status == 422 && detail.contains("COUNT"), "{status} {detail}");
    let anew = json!({"due_at": "2026-05-20", "recurrence": "FREQ=DAILY;COUNT=2"});
    assert_eq!(world.ok("PATCH", &path, anew).await["due"], "2026-05-20");
    world.ok("POST", &format!("{path}/complete"), json!({})).await;
    let last = world.ok("GET", &path, Value::Null).await;
    assert_eq!(
        (&last["due"], &last["status"]),
        (&json!("2026-05-21"), &json!("needs-action"))
    );
}

#[tokio::test]
async fn what_is_malformed_is_refused_with_the_field_and_what_would_be_right() {
    let world = World::at("2026-05-01T06:00").await;
    for (body, part) in [
        (json!({"title": " "}), "`title`"),
        (
            json!({"title": "x", "due_at": "tomorrow"}),
            "`due_at`: `tomorrow` is not a time",
        ),
        (json!({"title": "x", "status": "stuck"}), "needs-action"),
        (json!({"title": "x", "priority": 10}), "from 1 to 9"),
        (json!({"title": "x", "priority": 0}), "from 1 to 9"),
        (
            json!({"title": "x", "due_at": "2026-05-10", "recurrence": "FREQ=DAILY;UNTIL=20260505"}),
            "ends (UNTIL) before its first time",
        ),
        (
            json!({"title": "x", "due_at": "2026-04-01", "recurrence": "FREQ=DAILY;UNTIL=20260430"}),
            "has ended already (UNTIL)",
        ),
        (json!({"title": "x", "percent": -1}), "from 0 to 100"),
        (
            json!({"title": "x", "due_at": "2026-05-01", "recurrence": "FREQ=SECONDLY"}),
            "`recurrence`: a recurrence is by day",
        ),
        (
            json!({"title": "x", "due_at": "2026-05-01", "recurrence": "weekly"}),
            "FREQ=WEEKLY;BYDAY=MO,TH",
        ),
        (json!({"title": "x", "recurrence": "FREQ=DAILY"}), "give due_at"),
        (
            json!({"title": "x", "reminders": ["-PT5M"]}),
            "due_at, which is not given",
        ),
        (
            json!({"title": "x", "due_at": "2026-05-01", "reminders": ["5 minutes"]}),
            "-PT15M",
        ),
        (
            json!({"title": "x", "due_at": "2026-05-01", "start_at": "2026-05-02"}),
            "later than due_at",
        ),
    ] {
        let (status, detail) = world.refused("POST", "/tasks", body.clone()).await;
        assert!(
            status == 422 && detail.contains(part),
            "{body}: {status} {detail}"
        );
    }
    for (body, status) in [
        (json!({"title": "x", "colour": "red"}), 400),
        (json!("x"), 400),
        (
            json!({"title": "x", "goal": "00000000-0000-0000-0000-000000000000"}),
            404,
        ),
        (
            json!({"title": "x", "depends_on": ["00000000-0000-0000-0000-000000000000"]}),
            404,
        ),
    ] {
        assert_eq!(
            world.refused("POST", "/tasks", body.clone()).await.0,
            status,
            "{body}"
        );
    }
    for path in [
        "/tasks/x",
        "/tasks/00000000-0000-0000-0000-000000000000",
        "/goals/%00",
        "/schedules/%00",
        "/schedules/x",
    ] {
        assert_eq!(world.refused("GET", path, Value::Null).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn a_repeated_request_makes_one_task() {
    let world = World::at("2026-05-01T06:00").await;
    let body = json!({"title": "Once"});
    let (first, made) = world
        .request(&world.alice, "POST", "/tasks", body.clone(), Some("key"))
        .await;
    let (second, again) = world
        .request(&world.alice, "POST", "/tasks", body, Some("key"))
        .await;
    assert_eq!((first.as_u16(), second.as_u16()), (201, 200));
    assert_eq!(made["id"], again["id"]);
    let (other, _) = world
        .request(
            &world.alice,
            "POST",
            "/tasks",
            json!({"title": "Two"}),
            Some("key"),
        )
        .await;
    assert_eq!(other.as_u16(), 422);
    assert_eq!(
        world.ok("GET", "/tasks", Value::Null).await["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn every_write_and_read_is_audited() {
    let world = World::at("2026-05-01T06:00").await;
    let task = world.task(json!({"title": "Once"})).await;
    world.show(&task).await;
    world.ok("GET", "/tasks", Value::Null).await;
    world.hub.settle().await;
    let events = world.hub.events(&world.alice).await;
    let lines: Vec<String> = events
        .iter()
        .filter(|event| event.kind == "audit.AccessRecorded")
        .map(|event| {
            let body = event.body.as_ref().unwrap();
            format!(
                "{} {}",
                body["action"].as_str().unwrap(),
                body["on"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            format!("write task/{task}"),
            format!("read task/{task}"),
            "read tasks".to_owned()
        ]
    );
}

#[tokio::test]
async fn nobody_reaches_what_another_account_means_to_do() {
    let world = World::at("2026-05-01T06:00").await;
    let goal = world.ok("POST", "/goals", json!({"title": "Secret"})).await;
    let goal = goal["id"].as_str().unwrap().to_owned();
    let task = world
        .task(json!({"title": "Secret", "due_at": "2026-05-01T09:00", "goal": goal}))
        .await;
    world
        .ok(
            "POST",
            "/schedules",
            json!({"name": "secret", "cron": "0 9 * * *"}),
        )
        .await;
    let mallory = world.hub.somebody();
    for (method, path) in [
        ("GET", format!("/tasks/{task}")),
        ("PATCH", format!("/tasks/{task}")),
        ("POST", format!("/tasks/{task}/complete")),
        ("POST", format!("/tasks/{task}/reopen")),
        ("GET", format!("/goals/{goal}")),
        ("PATCH", format!("/goals/{goal}")),
        ("GET", "/schedules/secret".to_owned()),
        ("PATCH", "/schedules/secret".to_owned()),
        ("POST", "/schedules/secret/pause".to_owned()),
        ("POST", "/schedules/secret/resume".to_owned()),
        ("DELETE", "/schedules/secret".to_owned()),
    ] {
        let (status, answer) = world.call_as(&mallory, method, &path, json!({})).await;
        assert_eq!(status.as_u16(), 404, "{method} {path}: {answer}");
    }
    for path in [
        "/tasks?status=all",
        "/goals?status=all",
        "/schedules",
        "/intentions/upcoming?until=2030-01-01",
    ] {
        let (_, answer) = world.call_as(&mallory, "GET", path, Value::Null).await;
        assert_eq!(answer["items"], json!([]), "{path}");
    }
    let (status, _) = world
        .call_as(&mallory, "POST", "/tasks", json!({"title": "x", "goal": goal}))
        .await;
    assert_eq!(status.as_u16(), 404);
    // With the application's own database role, in SQL.
    let mut tx = world.hub.begin(&mallory).await;
    for table in [
        "intentions.plan",
        "intentions.moment",
        "intentions.link",
        "intentions.completion",
        "intentions.schedule",
        "spine.request",
    ] {
        let count: i64 = sqlx::query_scalar(&format!("SELECT count(*) FROM {table}"))
            .fetch_one(tx.conn())
            .await
            .unwrap();
        assert_eq!(count, 0, "{table}");
    }
    let stolen = sqlx::query("UPDATE intentions.plan SET title = 'mine'")
        .execute(tx.conn())
        .await
        .unwrap();
    assert_eq!(stolen.rows_affected(), 0);
}

#[tokio::test]
async fn erasing_an_account_leaves_nothing_planned() {
    let world = World::at("2026-05-01T06:00").await;
    let goal = world.ok("POST", "/goals", json!({"title": "Home"})).await;
    let task = world
        .task(json!({"title": "x", "due_at": "2026-05-02", "goal": goal["id"]}))
        .await;
    world
        .ok("POST", &format!("/tasks/{task}/complete"), json!({}))
        .await;
    world
        .ok("POST", "/schedules", json!({"name": "x", "cron": "@daily"}))
        .await;
    world
        .request(&world.alice, "POST", "/goals", json!({"title": "y"}), Some("key"))
        .await;
    world.hub.settle().await;
    world
        .hub
        .admin
        .erase_account(&world.alice, world.alice.account())
        .await
        .unwrap();
    let mut superuser = world.hub.database.superuser().await;
    for table in [
        "intentions.plan",
        "intentions.moment",
        "intentions.link",
        "intentions.completion",
        "intentions.schedule",
        "spine.request",
    ] {
        let count: i64 = sqlx::query_scalar(&format!("SELECT count(*) FROM {table}"))
            .fetch_one(&mut superuser)
            .await
            .unwrap();
        assert_eq!(count, 0, "{table}");
    }
}
