//! pg-boss on our schema: what it finds there, and that the functions which we wrote for it do what it expects.

use super::*;

#[tokio::test]
async fn pg_boss_finds_nothing_to_migrate_and_no_drift_but_our_function_bodies_whoever_it_connects_as() {
    let db = Db::new().await;
    let before = db.shape().await;
    for role in ["allod_spine", "allod_owner"] {
        let mut boss = Boss::start(&db, role, json!({})).await;
        let said = boss.call("check", json!([])).await;
        assert_eq!((&said["version"], &said["errors"]), (&json!(46), &json!([])));
        only_our_functions_differ(&said["drift"]);
        boss.stop().await;
    }
    assert_eq!(db.shape().await, before, "pg-boss changed the schema");
}

/// pg-boss's drift check compares functions by their text. Ours have its names and parameters and a text of their own
/// (that of job_now is an expression, which it doesn't compare); everything else has to be the same.
fn only_our_functions_differ(drift: &Value) {
    let mut drift = drift.as_object().unwrap().clone();
    let differ = drift.remove("mismatchedFunctions").unwrap();
    let mut names: Vec<_> = differ
        .as_array()
        .unwrap()
        .iter()
        .map(|differs| &differs["name"])
        .collect();
    names.sort_by_key(|name| name.as_str());
    let ours = [
        "create_queue",
        "delete_queue",
        "job_table_format",
        "job_table_run",
        "job_table_run_async",
    ];
    assert_eq!(names, ours);
    let same = json!({
        "ok": false, // Because of these functions.
        "missingTables": [], "columnDrift": [], "constraintDrift": [], "enumDrift": null,
        "missing": [], "building": [], "invalid": [], "mismatched": [], "extraIndexes": [],
        "missingFunctions": [],
    });
    assert_eq!(Value::Object(drift), same);
}

#[tokio::test]
async fn node_makes_changes_and_removes_a_queue_with_our_functions() {
    let db = Db::new().await;
    let mut boss = Boss::connected(&db).await;
    boss.call("createQueue", json!(["letters"])).await;
    let of_node = json!({
        "policy": "short", "retryLimit": 5, "retryDelay": 3, "retryBackoff": true, "retryDelayMax": 60,
        "expireInSeconds": 70, "retentionSeconds": 80, "deleteAfterSeconds": 90, "warningQueueSize": 100,
        "deadLetter": "letters", "heartbeatSeconds": 20, "notify": true, "partition": false,
    });
    boss.call("createQueue", json!(["parcels", of_node])).await;
    let has = |queue: &Value, wanted: &Value| {
        for (option, value) in wanted.as_object().unwrap() {
            assert_eq!(queue[option], *value, "{option}");
        }
    };
    has(&boss.call("getQueue", json!(["parcels"])).await, &of_node);
    let defaults = json!({
        "policy": "standard", "retryLimit": 2, "retryDelay": 0, "retryBackoff": false, "retryDelayMax": null,
        "expireInSeconds": 900, "retentionSeconds": 1_209_600, "deleteAfterSeconds": 604_800,
        "warningQueueSize": 0, "deadLetter": null, "heartbeatSeconds": null, "notify": false, "partition": false,
    });
    has(&boss.call("getQueue", json!(["letters"])).await, &defaults);

    boss.call("createQueue", json!(["parcels", { "retryLimit": 1 }]))
        .await;
    has(&boss.call("getQueue", json!(["parcels"])).await, &of_node);
    boss.call("updateQueue", json!(["parcels", { "retryLimit": 8 }]))
        .await;
    assert_eq!(boss.call("getQueue", json!(["parcels"])).await["retryLimit"], 8);

    for queue in ["letters", "parcels"] {
        boss.call("send", json!([queue, { "n": 1 }])).await;
    }
    let said = boss.refused("deleteQueue", json!(["letters"])).await;
    assert!(said.contains("dead letter"), "{said}");
    boss.call("deleteQueue", json!(["parcels"])).await;
    assert_eq!(boss.call("getQueue", json!(["parcels"])).await, Value::Null);
    let left: Vec<String> = sqlx::query_scalar("SELECT name FROM pgboss.job")
        .fetch_all(&db.spine)
        .await
        .unwrap();
    assert_eq!(
        left,
        ["letters"],
        "the job of the other queue stays, that of the removed one doesn't"
    );
    boss.stop().await;
}

/// pg-boss, started with the rights that changing tables needs.
async fn owner(db: &Db, migrate: bool) -> Boss {
    let options = json!({ "schedule": false, "supervise": false, "migrate": migrate });
    let mut boss = Boss::start(db, "allod_owner", options).await;
    boss.call("start", json!([])).await;
    boss
}

#[tokio::test]
async fn only_the_owner_gives_a_queue_a_table_of_its_own_and_its_jobs_run_in_rust() {
    let db = Db::new().await;
    let own_table = |policy: &str| json!([format!("own-{policy}"), { "partition": true, "policy": policy }]);
    let mut boss = Boss::connected(&db).await;
    let said = boss.refused("createQueue", own_table("standard")).await;
    assert!(said.contains("permission denied"), "{said}");
    boss.stop().await;

    let before = db.shape().await;
    let mut owner = owner(&db, true).await;
    let policies = [
        "standard",
        "short",
        "singleton",
        "stately",
        "exclusive",
        "key_strict_fifo",
    ];
    for policy in policies {
        owner.call("createQueue", own_table(policy)).await;
    }
    only_our_functions_differ(&owner.call("detectSchemaDrift", json!([])).await);
    owner
        .call("createQueue", json!(["run-errand", { "partition": true }]))
        .await;
    owner
        .call("send", json!(["run-errand", order(db.alice, 6)]))
        .await;
    let mut hub = Hub::start(&db, 8).await;
    assert_eq!(hub.began().await, (6, 1));
    drop(hub);
    for queue in policies
        .map(|policy| format!("own-{policy}"))
        .iter()
        .chain(&["run-errand".to_owned()])
    {
        owner.call("deleteQueue", json!([queue])).await;
    }
    assert_eq!(db.shape().await, before, "a table was left behind");
    owner.stop().await;
}

#[tokio::test]
async fn a_command_for_the_job_tables_reaches_each_of_them_at_once_or_by_a_node_supervisor() {
    let db = Db::new().await;
    // A client that may not migrate leaves such commands alone, one that may looks for them when it starts.
    let mut owner = owner(&db, false).await;
    owner.call("createQueue", json!(["letters"])).await;
    owner
        .call("createQueue", json!(["parcels", { "partition": true }]))
        .await;
    for queue in ["letters", "parcels"] {
        owner.call("send", json!([queue, { "n": 1 }])).await;
    }
    owner.stop().await;
    let priorities = async |command: &str| {
        sqlx::query(command).execute(&db.spine).await.unwrap();
        let ordered = "SELECT priority FROM pgboss.job ORDER BY name";
        sqlx::query_scalar::<_, i32>(ordered)
            .fetch_all(&db.spine)
            .await
            .unwrap()
    };
    let run = "SELECT pgboss.job_table_run('UPDATE pgboss.job SET priority = priority + 1'";
    assert_eq!(priorities(&format!("{run})")).await, [1, 1]);
    assert_eq!(priorities(&format!("{run}, 'job_common')")).await, [2, 1]);
    assert_eq!(priorities(&format!("{run}, null, 'parcels')")).await, [2, 2]);
    assert_eq!(priorities(&format!("{run}, null, 'nobody')")).await, [2, 2]);

    let index = "CREATE INDEX CONCURRENTLY IF NOT EXISTS job_i99 ON pgboss.job (priority)";
    let later = sqlx::query("SELECT pgboss.job_table_run_async('by priority', 47, $1)").bind(index);
    later.execute(&db.spine).await.unwrap();
    let mut owner = self::owner(&db, true).await;
    for _ in 0..200 {
        let done = owner.call("getBamStatus", json!([])).await;
        if done[0]["status"] == "completed" && done[0]["count"] == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let indexed =
        "SELECT tablename || '_i99' = indexname FROM pg_indexes WHERE indexdef LIKE '%i99 ON pgboss.%'";
    let named: Vec<bool> = sqlx::query_scalar(indexed).fetch_all(&db.spine).await.unwrap();
    assert_eq!(named, [true, true], "one index a table, named after it");
    owner.stop().await;
}
