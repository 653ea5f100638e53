//! The hub is killed in the middle of a first reading, and the graph is as if it hadn't been.

use serde_json::{Value, json};

use super::{MAPPING, Shop};
use crate::support::{Hub, eventually};

fn connect(hub: &Hub, shop: &Shop) -> String {
    hub.cli(&["account", "create", "alice"]);
    let sets = [
        format!("url={}/orders", shop.url()),
        "query={\"limit\": 50}".to_owned(),
        format!("mapping={MAPPING}"),
        "paging=cursor".to_owned(),
        "page_field=after".to_owned(),
        "total=count".to_owned(),
    ];
    let mut add = vec!["connection", "add", "poller", "--allow-range", "127.0.0.0/8"];
    for set in &sets {
        add.extend(["--set", set]);
    }
    hub.cli(&add)["id"].as_str().unwrap().to_owned()
}

fn until_read(hub: &Hub, connection: &str) -> Value {
    eventually("the stream is read to its end", || {
        let shown = hub.try_cli(&["connection", "show", connection], "").ok()?;
        shown["streams"][0]["read_at"].is_string().then_some(shown)
    })
}

/// Titles, properties and times of what the reading brought, without ids.
fn brought(hub: &Hub) -> Vec<String> {
    let mut lines = Vec::new();
    for kind in ["Transaction", "Person"] {
        let listed = hub.cli(&["entity", "list", "--type", kind, "--all"]);
        for entity in listed["items"].as_array().unwrap() {
            lines.push(
                json!([
                    entity["type"],
                    entity["title"],
                    entity["props"],
                    entity["starts_at"],
                    entity["version"]
                ])
                .to_string(),
            );
        }
    }
    lines.sort();
    lines
}

#[test]
fn a_hub_killed_before_and_after_a_pages_commit_goes_on_at_the_checkpoint_and_ends_with_the_same_graph() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let shop = runtime.block_on(Shop::start(230));

    let undisturbed = Hub::start();
    let connection = connect(&undisturbed, &shop);
    until_read(&undisturbed, &connection);
    let expected = brought(&undisturbed);
    assert!(expected.len() > 230, "{}", expected.len());
    drop(undisturbed);

    let mut killed = Hub::start();
    killed.arm("page taken in");
    let connection = connect(&killed, &shop);
    killed.revive();
    let before = shop.asked();
    killed.arm("page committed");
    killed.revive();
    let shown = until_read(&killed, &connection);
    assert_eq!(brought(&killed), expected);
    assert_eq!(shown["streams"][0]["done"], 230, "no page counts twice");
    assert!(
        shop.asked() - before <= 6,
        "what was committed was not asked for again"
    );
    assert_eq!(
        killed.cli(&["job", "list", "--dead"])["items"],
        json!([]),
        "a kill is no failure"
    );
}
