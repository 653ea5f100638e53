//! How owners keep their rules.

use serde_json::{Value, json};

use super::world::{World, request, sam};

const GOOD: &str = "//! Notes each call.\n\
    const RULE = #{ id: \"note\", on: \"communication.CallStarted\", grants: [\"log.write\"],\n\
        inputs: #{ text: #{ type: \"string\" } } };\n\
    fn when(ev) { state(\"me.place\") == \"Work\" && ev.direction == \"in\" }\n\
    fn then(ev, inputs) { log.write(inputs.text) }";

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_with_a_mistake_is_refused_with_line_column_and_hint() {
    let world = World::new().await;
    let alice = world.hub.somebody();
    let bad = GOOD.replace("log.write(inputs", "log.wriet(inputs");
    let (status, problem) = world
        .call(
            &alice,
            "PUT",
            "/rules/note",
            json!({ "source": bad, "name": "note.rhai" }),
        )
        .await;
    assert_eq!(status, 422);
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("note.rhai:5:") && detail.contains("wriet"),
        "{detail}"
    );
    assert!(
        problem["hint"].as_str().unwrap().contains("log.write"),
        "{problem}"
    );
    assert_eq!(
        world.call(&alice, "GET", "/rules/note", Value::Null).await.0,
        404,
        "nothing was saved"
    );
    let found = world
        .ok(
            &alice,
            "POST",
            "/rules/check",
            json!({ "source": bad, "name": "x.rhai" }),
        )
        .await;
    assert_eq!(
        (&found[0]["file"], &found[0]["line"]),
        (&json!("x.rhai"), &json!(5))
    );
    let (status, problem) = world
        .call(&alice, "PUT", "/rules/other", json!({ "source": GOOD }))
        .await;
    assert_eq!(status, 422, "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_runs_only_while_it_is_enabled_and_its_inputs_have_values() {
    let world = World::new().await;
    let alice = world.hub.somebody();
    world.now_at("Work");
    let saved = world
        .ok(&alice, "PUT", "/rules/note", json!({ "source": GOOD }))
        .await;
    assert_eq!(
        (&saved["enabled"], &saved["description"]),
        (&json!(false), &json!("Notes each call."))
    );
    world.sam_calls(&alice).await;
    for (inputs, words) in [
        (json!({}), "no value"),
        (json!({ "text": 7 }), "takes a string"),
        (json!({ "txt": "x" }), "no input"),
    ] {
        let (status, problem) = world
            .call(&alice, "POST", "/rules/note/enable", json!({ "inputs": inputs }))
            .await;
        assert_eq!(status, 422);
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    }
    world.sam_calls(&alice).await;
    assert_eq!(world.runs(&alice).await, Vec::<Value>::new());
    world
        .ok(
            &alice,
            "POST",
            "/rules/note/enable",
            json!({ "inputs": { "text": "a call" } }),
        )
        .await;
    world.sam_calls(&alice).await;
    assert_eq!(world.sent(1).await[0]["text"], "a call");
    world.ok(&alice, "POST", "/rules/note/disable", json!({})).await;
    world.sam_calls(&alice).await;
    world.sent(1).await;
    assert_eq!(
        world.call(&alice, "DELETE", "/rules/note", Value::Null).await.0,
        204
    );
    assert_eq!(
        world.call(&alice, "DELETE", "/rules/note", Value::Null).await.0,
        404
    );
    assert_eq!(world.runs(&alice).await.len(), 1, "the runs stay");
    assert_eq!(world.trace(&alice).await["status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_rule_goes_on_in_its_new_version_and_keeps_the_inputs_that_fit() {
    let world = World::new().await;
    let alice = world.hub.somebody();
    world.now_at("Work");
    world
        .ok(&alice, "PUT", "/rules/note", json!({ "source": GOOD }))
        .await;
    world
        .ok(
            &alice,
            "POST",
            "/rules/note/enable",
            json!({ "inputs": { "text": "a call" } }),
        )
        .await;
    let louder = GOOD.replace("log.write(inputs.text)", "log.write(inputs.text + \"!\")");
    let saved = world
        .ok(&alice, "PUT", "/rules/note", json!({ "source": louder }))
        .await;
    assert_eq!(saved["enabled"], true);
    world.sam_calls(&alice).await;
    assert_eq!(world.sent(1).await[0]["text"], "a call!");
    let other = GOOD
        .replace("text: #{ type: \"string\" }", "count: #{ type: \"number\" }")
        .replace("inputs.text", "`${inputs.count}`");
    let saved = world
        .ok(&alice, "PUT", "/rules/note", json!({ "source": other }))
        .await;
    assert_eq!((&saved["enabled"], &saved["set"]), (&json!(false), &json!({})));
    assert!(saved["note"].as_str().unwrap().contains("count"), "{saved}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_another_process_is_seen() {
    let world = World::new().await;
    let alice = world.hub.somebody();
    world.now_at("Work");
    world.sam_calls(&alice).await;
    let other = world.other_process();
    let (status, answer) = request(
        other.clone(),
        &alice,
        "POST",
        "/rules/partner-at-work/enable",
        json!({ "inputs": { "text": "Soon" } }),
    )
    .await;
    assert_eq!(status, 200, "{answer}");
    world.sam_calls(&alice).await;
    assert_eq!(world.sent(1).await[0]["text"], "Soon");
    assert_eq!(
        request(other, &alice, "POST", "/rules/partner-at-work/disable", json!({}))
            .await
            .0,
        200
    );
    world.sam_calls(&alice).await;
    assert_eq!(world.runs(&alice).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_come_with_the_hub_are_listed_and_never_run_by_themselves() {
    let world = World::new().await;
    let alice = world.hub.somebody();
    world.now_at("Work");
    let find = |list: Value| {
        let items = list["items"].as_array().unwrap().clone();
        items
            .into_iter()
            .find(|rule| rule["id"] == "partner-at-work")
            .unwrap()
    };
    let listed = find(world.ok(&alice, "GET", "/rules", Value::Null).await);
    assert_eq!(
        (&listed["installed"], &listed["enabled"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(listed["grants"], json!(["sms.send"]));
    world.sam_calls(&alice).await;
    assert_eq!(world.runs(&alice).await, Vec::<Value>::new());
    world
        .ok(&alice, "POST", "/rules/partner-at-work/enable", json!({}))
        .await;
    let listed = find(world.ok(&alice, "GET", "/rules", Value::Null).await);
    assert_eq!(
        (&listed["installed"], &listed["origin"]),
        (&json!(true), &json!("recipe"))
    );
    assert_eq!(
        world
            .call(&alice, "POST", "/rules/no-such-rule/enable", json!({}))
            .await
            .0,
        404
    );
    assert_eq!(
        world
            .call(&alice, "POST", "/rules/..%2F..%2FCargo/enable", json!({}))
            .await
            .0,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_the_value_of_each_condition_and_leaves_nothing() {
    let world = World::new().await;
    let alice = world.hub.somebody();
    world
        .ok(&alice, "POST", "/rules/partner-at-work/enable", json!({}))
        .await;
    world.now_at("Home");
    let event = world.sam_calls(&alice).await;
    let tried = world
        .ok(
            &alice,
            "POST",
            "/rules/partner-at-work/run",
            json!({ "event": event }),
        )
        .await;
    assert_eq!(
        (&tried["status"], &tried["reason"]),
        (&json!("would-not-run"), &json!("`when` does not hold"))
    );
    let step = |trace: &Value, what: &str| {
        let steps = trace["steps"].as_array().unwrap().clone();
        steps
            .into_iter()
            .find(|step| step["what"].as_str().unwrap().starts_with(what))
            .unwrap_or_else(|| panic!("{what} in {trace}"))
    };
    assert_eq!(step(&tried, "state(\"me.place\") == \"Work\"")["value"], false);
    assert_eq!(step(&tried, "!ev.answered")["value"], true);

    world.now_at("Work");
    let body = json!({ "from": sam(), "answered": false });
    let tried = world
        .ok(
            &alice,
            "POST",
            "/rules/partner-at-work/run",
            json!({ "body": body }),
        )
        .await;
    assert_eq!(tried["status"], "would-run", "{tried}");
    assert_eq!(step(&tried, "sms.send(Sam")["value"], "would be queued");
    let stranger = json!({ "from": { "relations": [] } });
    let tried = world
        .ok(
            &alice,
            "POST",
            "/rules/partner-at-work/run",
            json!({ "body": stranger }),
        )
        .await;
    assert_eq!(tried["reason"], "from.relations is not \"partner\"");
    assert_eq!(
        world
            .call(&alice, "POST", "/rules/partner-at-work/run", json!({}))
            .await
            .0,
        400
    );
    world.sent(0).await;
    assert_eq!(world.runs(&alice).await, Vec::<Value>::new());
    world.sam_calls(&alice).await;
    assert_eq!(
        world.trace(&alice).await["status"],
        "completed",
        "the dry runs used up no limit"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_an_account_leaves_nothing_of_its_rules() {
    use sqlx::Row;
    let world = World::new().await;
    let alice = world.hub.somebody();
    world
        .ok(&alice, "POST", "/rules/partner-at-work/enable", json!({}))
        .await;
    world.now_at("Work");
    world.sam_calls(&alice).await;
    world.sent(1).await;
    let mut superuser = world.hub.database.superuser().await;
    let tables = sqlx::query(
        "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'rules' ORDER BY 1",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    let mut before = 0;
    for erased in [false, true] {
        for table in &tables {
            let name: String = table.get("name");
            let count: i64 =
                sqlx::query_scalar(&format!("SELECT count(*) FROM rules.{name} WHERE account = $1"))
                    .bind(alice.account().0)
                    .fetch_one(&mut superuser)
                    .await
                    .unwrap();
            if erased {
                assert_eq!(count, 0, "{name}");
            }
            before += count;
        }
        if !erased {
            assert!(before >= 6);
            world
                .hub
                .admin
                .erase_account(&alice, alice.account())
                .await
                .unwrap();
        }
    }
}
