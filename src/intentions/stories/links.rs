//! Goals and dependence.

use serde_json::json;

use super::world::World;

#[tokio::test]
async fn a_goal_moves_with_its_tasks_and_tells_it() {
    let world = World::at("2026-05-01T06:00").await;
    let goal = world
        .ok(
            "POST",
            "/goals",
            json!({"title": "Move house", "due_at": "2026-06-01"}),
        )
        .await;
    let id = goal["id"].as_str().unwrap().to_owned();
    let mut tasks = Vec::new();
    for title in ["Pack", "Sign", "Carry", "Give up"] {
        tasks.push(world.task(json!({"title": title, "goal": id})).await);
    }
    world
        .ok(
            "PATCH",
            &format!("/tasks/{}", tasks[3]),
            json!({"status": "cancelled"}),
        )
        .await;
    for task in &tasks[..3] {
        world
            .ok("POST", &format!("/tasks/{task}/complete"), json!({}))
            .await;
    }
    let shown = world.ok("GET", &format!("/goals/{id}"), json!(null)).await;
    assert_eq!(
        (&shown["progress"], &shown["done"], &shown["total"]),
        (&json!(1.0), &json!(3), &json!(3))
    );
    assert_eq!(shown["tasks"].as_array().unwrap().len(), 4);
    let told = world.told(&["GoalProgressed"]).await;
    let progress: Vec<_> = told
        .iter()
        .map(|(_, _, body)| (body["done"].clone(), body["total"].clone()))
        .collect();
    assert_eq!(
        progress,
        [(json!(1), json!(3)), (json!(2), json!(3)), (json!(3), json!(3))]
    );
    assert_eq!(told[2].2["title"], "Move house");
    assert_eq!(told[2].2["to"], 1.0);
    // A task that is taken out of the goal no longer counts; one that is reopened does.
    world.unrelate(&tasks[0], "part-of", &id).await;
    world
        .ok("POST", &format!("/tasks/{}/reopen", tasks[1]), json!({}))
        .await;
    let shown = world.ok("GET", &format!("/goals/{id}"), json!(null)).await;
    assert_eq!((&shown["progress"], &shown["total"]), (&json!(0.5), &json!(2)));
}

#[tokio::test]
async fn a_progress_by_hand_stays_until_it_is_taken_back() {
    let world = World::at("2026-05-01T06:00").await;
    let goal = world
        .ok(
            "POST",
            "/goals",
            json!({"title": "Learn Portuguese", "progress": 0.2}),
        )
        .await;
    let path = format!("/goals/{}", goal["id"].as_str().unwrap());
    let task = world.task(json!({"title": "Lesson 1", "goal": goal["id"]})).await;
    world
        .ok("POST", &format!("/tasks/{task}/complete"), json!({}))
        .await;
    let shown = world.ok("GET", &path, json!(null)).await;
    assert_eq!(
        (&shown["progress"], &shown["progress_by_hand"]),
        (&json!(0.2), &json!(true))
    );
    assert!(world.told(&["GoalProgressed"]).await.is_empty());
    world.ok("PATCH", &path, json!({"progress": 0.4})).await;
    let counted = world.ok("PATCH", &path, json!({"progress": null})).await;
    assert_eq!(
        (&counted["progress"], &counted["progress_by_hand"]),
        (&json!(1.0), &json!(false))
    );
    let told = world.told(&["GoalProgressed"]).await;
    let steps: Vec<_> = told
        .iter()
        .map(|(_, _, body)| (body["from"].clone(), body["to"].clone()))
        .collect();
    assert_eq!(steps, [(json!(0.2), json!(0.4)), (json!(0.4), json!(1.0))]);
    let (status, detail) = world.refused("PATCH", &path, json!({"progress": 1.5})).await;
    assert_eq!((status, detail.contains("from 0 to 1")), (422, true));
}

#[tokio::test]
async fn a_task_is_blocked_until_what_it_depends_on_is_done() {
    let world = World::at("2026-05-01T06:00").await;
    let paint = world.task(json!({"title": "Buy paint"})).await;
    let wall = world
        .task(json!({"title": "Paint the wall", "depends_on": [paint], "due_at": "2026-05-01T09:00"}))
        .await;
    let shown = world.show(&wall).await;
    assert_eq!(
        (&shown["blocked"], &shown["depends_on"][0]["title"]),
        (&json!(true), &json!("Buy paint"))
    );
    // Blocked is no reason not to be reminded.
    world.until("2026-05-01T07:00").await;
    assert_eq!(world.told(&["TaskDue"]).await.len(), 1);
    world
        .ok("POST", &format!("/tasks/{paint}/complete"), json!({}))
        .await;
    assert_eq!(world.show(&wall).await["blocked"], false);
    world
        .ok("POST", &format!("/tasks/{paint}/reopen"), json!({}))
        .await;
    assert_eq!(world.show(&wall).await["blocked"], true);
    world.delete(&paint, 9).await;
    assert_eq!(world.show(&wall).await["blocked"], false);
}

#[tokio::test]
async fn tasks_that_would_wait_for_each_other_are_refused_by_name() {
    let world = World::at("2026-05-01T06:00").await;
    let one = world.task(json!({"title": "One"})).await;
    let two = world.task(json!({"title": "Two", "depends_on": [one]})).await;
    let three = world.task(json!({"title": "Three", "depends_on": [two]})).await;
    let path = format!("/tasks/{one}");
    let (status, detail) = world
        .refused("PATCH", &path, json!({"depends_on": [three]}))
        .await;
    assert_eq!(status, 409);
    assert!(
        detail.contains("`Three` already depends on this one, over `Two`"),
        "{detail}"
    );
    let (status, detail) = world.refused("PATCH", &path, json!({"depends_on": [one]})).await;
    assert_eq!((status, detail.as_str()), (409, "a task can't depend on itself"));
    assert_eq!(world.show(&one).await["blocked"], false);
    // Once the link is taken away, the other way round is fine.
    world.unrelate(&three, "depends-on", &two).await;
    world.ok("PATCH", &path, json!({"depends_on": [three]})).await;
    assert_eq!(world.show(&one).await["blocked"], true);
}
