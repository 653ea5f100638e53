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

#[tokio::test]
async fn a_goal_is_as_far_as_its_tasks_and_the_goals_in_it() {
    let world = World::at("2026-05-01T06:00").await;
    let goal = async |body: serde_json::Value| {
        let made = world.ok("POST", "/goals", body).await;
        made["id"].as_str().unwrap().to_owned()
    };
    let progress =
        async |id: &str| world.ok("GET", &format!("/goals/{id}"), json!(null)).await["progress"].clone();
    let move_house = goal(json!({"title": "Move house"})).await;
    let kitchen = goal(json!({"title": "Kitchen", "parent": move_house})).await;
    let oven = goal(json!({"title": "Oven", "parent": kitchen})).await;
    world.task(json!({"title": "Sign", "goal": move_house})).await;
    let buy = world.task(json!({"title": "Buy", "goal": oven})).await;
    world.task(json!({"title": "Paint", "goal": kitchen})).await;
    world
        .ok("POST", &format!("/tasks/{buy}/complete"), json!({}))
        .await;
    assert_eq!(progress(&oven).await, 1.0);
    assert_eq!(progress(&kitchen).await, 0.5, "a goal that is done of two parts");
    assert_eq!(progress(&move_house).await, 0.25, "a goal half done of two parts");
    let told = world.told(&["GoalProgressed"]).await;
    let titles: Vec<_> = told.iter().map(|(_, _, body)| body["title"].clone()).collect();
    assert_eq!(titles, ["Oven", "Kitchen", "Move house"], "each is told once");
    let shown = world.ok("GET", &format!("/goals/{kitchen}"), json!(null)).await;
    assert_eq!(shown["parts"][0]["title"], "Oven");
    assert_eq!(shown["goals"][0]["title"], "Move house");

    let refused = async |id: &str, parent: &str| {
        let (status, detail) = world
            .refused("PATCH", &format!("/goals/{id}"), json!({"parent": parent}))
            .await;
        assert_eq!(status, 409, "{detail}");
        detail
    };
    let ring = refused(&move_house, &oven).await;
    assert!(ring.contains("`Oven` of `Kitchen`"), "{ring}");
    refused(&oven, &oven).await;
    assert_eq!(progress(&move_house).await, 0.25, "nothing was changed");

    // The oven becomes a goal of its own; a kitchen that is given up counts no more.
    world
        .ok("PATCH", &format!("/goals/{oven}"), json!({"parent": null}))
        .await;
    assert_eq!(progress(&kitchen).await, 0.0);
    world
        .ok("PATCH", &format!("/goals/{oven}"), json!({"parent": move_house}))
        .await;
    assert_eq!(progress(&move_house).await, json!(1.0 / 3.0));
    world
        .ok(
            "PATCH",
            &format!("/goals/{kitchen}"),
            json!({"status": "cancelled"}),
        )
        .await;
    assert_eq!(progress(&move_house).await, 0.5);
    let (status, _) = world
        .refused(
            "POST",
            "/goals",
            json!({"title": "X", "parent": contracts::EntityId::new()}),
        )
        .await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn goals_of_a_source_that_are_part_of_each_other_stand_still() {
    let world = World::at("2026-05-01T06:00").await;
    let mut ids = Vec::new();
    for title in ["Chicken", "Egg"] {
        let made = world.ok("POST", "/goals", json!({"title": title})).await;
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    world.relate(&ids[0], "part-of", &ids[1]).await;
    world.relate(&ids[1], "part-of", &ids[0]).await;
    let task = world.task(json!({"title": "Hatch", "goal": ids[1]})).await;
    world
        .ok("POST", &format!("/tasks/{task}/complete"), json!({}))
        .await;
    world.hub.settle().await;
    for id in &ids {
        let shown = world.ok("GET", &format!("/goals/{id}"), json!(null)).await;
        assert!(shown["progress"].as_f64().unwrap() > 0.0, "{shown}");
    }
    assert!(world.told(&["GoalProgressed"]).await.len() < 20);
}
