//! Tasks in the real graph: what a calendar brings, what the owner changes, and what becomes of both.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use contracts::{Clock, EntityId, Lane, ManualClock, SystemClock};
use serde_json::{Value, json};
use spine::Scope;
use spine::edge::Caller;
use spine::ports::{AssertedBy, Change, EntityChange, Identifier, RawRecord, Target};
use spine::testing::{TestHub, hub_at};
use tower::ServiceExt;

/// Graph, accounts and intentions together, and Alice.
struct World {
    hub: TestHub,
    alice: Scope,
    api: Router,
}

impl World {
    /// On the first of May.
    async fn new() -> Self {
        let now = "2026-05-01T06:00:00Z".parse().unwrap();
        Self::at(Arc::new(ManualClock::at(now))).await
    }

    async fn at(clock: Arc<dyn Clock>) -> Self {
        let mut api = Router::new();
        let hub = hub_at(clock, |context| {
            let mut services = vec![
                accounts::service(context),
                graph::service(context),
                intentions::service(context),
            ];
            for service in &mut services {
                api = std::mem::take(&mut api).merge(std::mem::take(&mut service.api).split_for_parts().0);
            }
            services
        })
        .await;
        let alice = hub.somebody();
        Self { hub, alice, api }
    }

    async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::from(body.to_string()))
            .unwrap();
        request.extensions_mut().insert(Caller(self.alice.clone()));
        let response = self.api.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert!(
            status.is_success(),
            "{method} {path}: {status} {}",
            String::from_utf8_lossy(&bytes)
        );
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// A calendar's sync brings a VTODO in a revision.
    async fn sync(&self, revision: &str, title: &str, props: Value) -> EntityId {
        self.sync_on(Lane::Live, revision, title, props).await
    }

    async fn sync_on(&self, lane: Lane, revision: &str, title: &str, props: Value) -> EntityId {
        let mut tx = self.hub.begin(&self.alice).await;
        tx.set_lane(lane);
        let raw = RawRecord {
            connection: None,
            stream: "todos".to_owned(),
            remote_id: "todo-1".to_owned(),
            revision: revision.to_owned(),
            media_type: "text/calendar".to_owned(),
            body: b"BEGIN:VTODO".to_vec(),
        };
        let task = EntityChange {
            target: Target::Identified,
            kind: "Task".to_owned(),
            title: Some(title.to_owned()),
            props: props.as_object().unwrap().clone(),
            identifiers: vec![Identifier::new("ical.uid", "todo-1")],
            starts_at: None,
        };
        let change = Change {
            by: AssertedBy::Connector,
            source: "dav/1".to_owned(),
            raw: Some(raw),
            entities: vec![task],
            relations: Vec::new(),
        };
        let graph = self.hub.context.ports.graph_write();
        let applied = graph.apply(&mut tx, change).await.unwrap();
        tx.commit().await.unwrap();
        self.hub.settle().await;
        applied
            .entities
            .first()
            .map(|entity| entity.id)
            .unwrap_or_default()
    }

    async fn task(&self, id: EntityId) -> Value {
        self.hub.settle().await;
        self.ok("GET", &format!("/tasks/{id}"), Value::Null).await
    }

    async fn names(&self) -> Vec<String> {
        self.hub.settle().await;
        let events = self.hub.events(&self.alice).await;
        let name = |event: &contracts::Event| event.kind.strip_prefix("intention.").map(str::to_owned);
        events.iter().filter_map(name).collect()
    }
}

#[tokio::test]
async fn what_the_owner_says_of_a_calendars_task_outlives_the_next_sync() {
    let world = World::new().await;
    let first = json!({"due_at": "2026-05-02T09:00", "priority": 5, "status": "NEEDS-ACTION"});
    let id = world.sync("1", "Ring the bank", first.clone()).await;
    assert_eq!(world.task(id).await["due"], "2026-05-02T09:00:00");
    world
        .ok(
            "PATCH",
            &format!("/tasks/{id}"),
            json!({"due_at": "2026-05-03T09:00"}),
        )
        .await;
    let second = json!({"due_at": "2026-05-02T10:00", "priority": 1, "status": "NEEDS-ACTION"});
    world.sync("2", "Ring the bank again", second).await;
    let task = world.task(id).await;
    assert_eq!(
        (&task["due"], &task["priority"], &task["title"]),
        (
            &json!("2026-05-03T09:00:00"),
            &json!(1),
            &json!("Ring the bank again")
        )
    );
    // Importing it again changes nothing and tells nothing. What was read is in the audit by then.
    world.hub.settle().await;
    let before = world.hub.events(&world.alice).await.len();
    world.sync("1", "Ring the bank", first).await;
    assert_eq!(world.hub.events(&world.alice).await.len(), before);
    // Taken back, the calendar's word shows again.
    world
        .ok("PATCH", &format!("/tasks/{id}"), json!({"due_at": null}))
        .await;
    assert_eq!(world.task(id).await["due"], "2026-05-02T10:00:00");
    assert!(world.names().await.is_empty());
}

#[tokio::test]
async fn a_calendars_recurring_task_is_completed_here_again_and_again() {
    let world = World::new().await;
    let todo = json!({
        "due_at": "2026-05-01", "recurrence": "FREQ=DAILY;COUNT=3", "status": "NEEDS-ACTION", "completed_at": null,
    });
    let id = world.sync("1", "Antibiotics", todo.clone()).await;
    for next in ["2026-05-02", "2026-05-03"] {
        let done = world
            .ok("POST", &format!("/tasks/{id}/complete"), json!({}))
            .await;
        assert_eq!(
            (&done["due"], &done["status"]),
            (&json!(next), &json!("needs-action"))
        );
        // The calendar knows nothing of it and says the same as before.
        world.sync(next, "Antibiotics", todo.clone()).await;
        assert_eq!(world.task(id).await["due"], next);
    }
    // The third time through the graph's own door.
    let done = json!({"props": {"status": "completed"}});
    world.ok("PATCH", &format!("/entities/{id}"), done).await;
    let task = world.task(id).await;
    assert_eq!(task["status"], "completed");
    assert_eq!(task["completions"].as_array().unwrap().len(), 3);
    let names = world.names().await;
    assert_eq!(
        names.iter().filter(|name| *name == "TaskCompleted").count(),
        3,
        "{names:?}"
    );
}

#[tokio::test]
async fn a_series_whose_calendar_counts_anew_ends_where_that_ends() {
    let world = World::new().await;
    let todo = |start: &str, due: &str, count: u8| {
        json!({"start_at": start, "due_at": due, "recurrence": format!("FREQ=WEEKLY;BYDAY=MO;COUNT={count}"),
            "status": "NEEDS-ACTION"})
    };
    let first = todo("2026-11-23T07:00:00", "2026-11-24T08:00:00", 5);
    let id = world.sync("1", "Bins", first).await;
    let path = format!("/tasks/{id}/complete");
    let mut done = Value::Null;
    for _ in 0..2 {
        done = world.ok("POST", &path, json!({})).await;
    }
    assert_eq!(done["due"], "2026-12-08T08:00:00");
    // As the export tells it: what is left, from the occurrence now.
    let left = todo("2026-12-07T07:00:00", "2026-12-08T08:00:00", 3);
    world.sync("2", "Bins", left).await;
    for next in ["2026-12-15T08:00:00", "2026-12-22T08:00:00"] {
        done = world.ok("POST", &path, json!({})).await;
        assert_eq!(
            (&done["due"], &done["status"]),
            (&json!(next), &json!("needs-action"))
        );
    }
    done = world.ok("POST", &path, json!({})).await;
    assert_eq!(done["status"], "completed", "five in all");
    assert_eq!(done["completions"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_calendar_is_heard_of_the_occurrences_after_one_that_was_done_here() {
    let world = World::new().await;
    let todo = |due: &str, more: Value| {
        let mut todo = json!({"due_at": due, "recurrence": "FREQ=WEEKLY", "status": "NEEDS-ACTION"});
        todo.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        todo
    };
    let says = async |revision: &str, todo: Value| {
        let id = world.sync_on(Lane::Backfill, revision, "Water", todo).await;
        world.task(id).await
    };
    let id = world.sync("1", "Water", todo("2026-05-01", json!({}))).await;
    let path = format!("/tasks/{id}/complete");
    let here = world.ok("POST", &path, json!({"occurrence": "2026-05-01"})).await;
    assert_eq!(
        (&here["due"], &here["state"]),
        (&json!("2026-05-08"), &json!("open"))
    );
    // A word of the calendar about something else moves nothing back.
    let noted = says("2", todo("2026-05-01", json!({"description": "The blue can"}))).await;
    assert_eq!(
        (&noted["due"], &noted["state"]),
        (&json!("2026-05-08"), &json!("open"))
    );
    // On the phone the next week's is ticked off.
    let done = json!({"status": "COMPLETED", "completed_at": "2026-05-01T05:00:00Z"});
    let done = says("3", todo("2026-05-01", done)).await;
    assert_eq!(
        (&done["due"], &done["state"]),
        (&json!("2026-05-08"), &json!("completed"))
    );
    assert_eq!(done["completions"].as_array().unwrap().len(), 2);
    // And the calendar moves its series on.
    let open = says("4", todo("2026-05-15", json!({"completed_at": null}))).await;
    assert_eq!(
        (&open["due"], &open["state"]),
        (&json!("2026-05-15"), &json!("open"))
    );
    assert_eq!(
        world.names().await,
        ["TaskDue", "TaskCompleted", "TaskCompleted"],
        "it was due today"
    );
}

#[tokio::test]
async fn a_task_that_was_opened_again_here_is_done_when_its_calendar_says_so_anew() {
    let world = World::new().await;
    let done = |at: &str| json!({"due_at": "2026-05-02", "status": "COMPLETED", "completed_at": at});
    let id = world
        .sync_on(Lane::Backfill, "1", "Ring Sam", done("2026-05-01T04:00:00Z"))
        .await;
    let open = world.ok("POST", &format!("/tasks/{id}/reopen"), json!({})).await;
    assert_eq!(open["state"], "open");
    let mut noted = done("2026-05-01T04:00:00Z");
    noted["description"] = json!("About the car");
    world.sync_on(Lane::Backfill, "2", "Ring Sam", noted).await;
    assert_eq!(world.task(id).await["state"], "open", "she opened it since");
    world
        .sync_on(Lane::Backfill, "3", "Ring Sam", done("2026-05-01T05:00:00Z"))
        .await;
    assert_eq!(world.task(id).await["state"], "completed");
    // Her own word about a task that she changes by hand still outlives the calendar's.
    world
        .ok("PATCH", &format!("/tasks/{id}"), json!({"status": "in-process"}))
        .await;
    world
        .sync_on(Lane::Backfill, "4", "Ring Sam", done("2026-05-01T05:30:00Z"))
        .await;
    assert_eq!(world.task(id).await["state"], "open");
}

#[tokio::test]
async fn a_task_and_its_goal_may_be_written_as_plain_entities_and_relations() {
    let world = World::new().await;
    let entity = |kind: &str, title: &str| json!({"type": kind, "title": title});
    let goal = world.ok("POST", "/entities", entity("Goal", "Move house")).await;
    let task = world.ok("POST", "/entities", entity("Task", "Pack")).await;
    let edge = json!({"from": task["id"], "predicate": "part-of", "to": goal["id"]});
    let edge = world.ok("POST", "/relations", edge).await;
    world.hub.settle().await;
    let task = task["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(world.task(task).await["goals"][0]["title"], "Move house");
    world
        .ok(
            "PATCH",
            &format!("/entities/{task}"),
            json!({"props": {"status": "completed"}}),
        )
        .await;
    world.hub.settle().await;
    let path = format!("/goals/{}", goal["id"].as_str().unwrap());
    assert_eq!(world.ok("GET", &path, Value::Null).await["progress"], 1.0);
    assert_eq!(world.names().await, ["TaskCompleted", "GoalProgressed"]);
    world
        .ok(
            "DELETE",
            &format!("/relations/{}", edge["id"].as_str().unwrap()),
            Value::Null,
        )
        .await;
    world.hub.settle().await;
    assert_eq!(world.ok("GET", &path, Value::Null).await["total"], 0);
}

#[tokio::test]
async fn the_running_hub_wakes_when_a_task_comes_due() {
    let world = World::at(Arc::new(SystemClock)).await;
    let due = (SystemClock.now() + chrono::Duration::seconds(3)).to_rfc3339();
    let began = std::time::Instant::now();
    world
        .ok("POST", "/tasks", json!({"title": "Ring Sam", "due_at": due}))
        .await;
    assert!(world.names().await.is_empty());
    world
        .hub
        .eventually("the task is told as due", async || {
            (world.names().await == ["TaskDue"]).then_some(())
        })
        .await;
    // Not at the next round of looking, which is every half a minute.
    assert!(
        began.elapsed() < std::time::Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_task_that_is_merged_deleted_or_restored_takes_its_plan_along() {
    let world = World::new().await;
    let goal = world.ok("POST", "/goals", json!({"title": "Move house"})).await;
    let goal = format!("/goals/{}", goal["id"].as_str().unwrap());
    let own = world
        .ok("POST", "/tasks", json!({"title": "Sign", "due_at": "2026-05-02"}))
        .await;
    let part = json!({"title": "Sign the lease", "due_at": "2026-05-02", "goal": goal.rsplit('/').next()});
    let twin = world.ok("POST", "/tasks", part).await;
    let wait = json!({"title": "Carry", "depends_on": [twin["id"]]});
    let wait = world.ok("POST", "/tasks", wait).await;
    let id = |task: &Value| task["id"].as_str().unwrap().to_owned();
    world.hub.settle().await;

    world
        .ok(
            "POST",
            &format!("/entities/{}/merge", id(&own)),
            json!({"other": twin["id"]}),
        )
        .await;
    world.hub.settle().await;
    let open = world.ok("GET", "/tasks", Value::Null).await;
    assert_eq!(open["items"].as_array().unwrap().len(), 2, "{open}");
    let shown = world
        .ok("GET", &format!("/tasks/{}", id(&own)), Value::Null)
        .await;
    assert_eq!(shown["goals"][0]["title"], "Move house");
    world
        .ok("POST", &format!("/tasks/{}/complete", id(&own)), json!({}))
        .await;
    assert_eq!(world.ok("GET", &goal, Value::Null).await["progress"], 1.0);
    let waiting = world
        .ok("GET", &format!("/tasks/{}", id(&wait)), Value::Null)
        .await;
    assert_eq!(
        (&waiting["blocked"], &waiting["depends_on"][0]["id"]),
        (&json!(false), &own["id"])
    );

    world
        .ok("POST", &format!("/entities/{}/unmerge", id(&twin)), json!({}))
        .await;
    world.hub.settle().await;
    let shown = world.ok("GET", &goal, Value::Null).await;
    assert_eq!(
        (&shown["tasks"][0]["id"], &shown["total"]),
        (&twin["id"], &json!(1))
    );

    world
        .ok("DELETE", &format!("/entities/{}", id(&twin)), Value::Null)
        .await;
    world.hub.settle().await;
    assert_eq!(world.ok("GET", &goal, Value::Null).await["total"], 0);
    world
        .ok("POST", &format!("/entities/{}/restore", id(&twin)), json!({}))
        .await;
    world.hub.settle().await;
    assert_eq!(world.ok("GET", &goal, Value::Null).await["total"], 1);
    let status = world.hub.admin.status().await.unwrap();
    assert!(status.consumers.iter().all(|one| one.parked == 0), "{status:?}");
}

#[tokio::test]
async fn who_changes_the_accounts_zone_is_reminded_by_the_new_clock() {
    let world = World::new().await;
    let account = json!({"handle": "alice", "zone": "Europe/Vienna"});
    let made = world.ok("POST", "/accounts", account).await;
    let id: contracts::AccountId = made["id"].as_str().unwrap().parse().unwrap();
    let world = World {
        alice: world.alice.in_account(id).unwrap(),
        ..world
    };
    let body = json!({"title": "Lunch", "due_at": "2026-05-01T12:00"});
    let task = world.ok("POST", "/tasks", body).await;
    assert_eq!(task["due_at"], "2026-05-01T10:00:00Z");
    let zone = json!({"zone": "Europe/Lisbon"});
    world.ok("PATCH", &format!("/accounts/{id}"), zone).await;
    let task: EntityId = task["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(world.task(task).await["due_at"], "2026-05-01T11:00:00Z");
}
