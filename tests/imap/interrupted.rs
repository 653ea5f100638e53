//! The hub is killed in the middle of the first reading of a mailbox, and the graph is as if it hadn't been.

use serde_json::{Value, json};

use super::{Dovecot, mail};
use crate::support::{Hub, eventually};

fn connect(hub: &Hub, server: &Dovecot) -> String {
    hub.cli(&["account", "create", "alice"]);
    let port = format!("port={}", server.port);
    let add = [
        "connection",
        "add",
        "imap",
        "--set",
        "host=127.0.0.1",
        "--set",
        &port,
        "--set",
        "tls=none",
        "--set",
        "user=alice",
        "--allow-range",
        "127.0.0.0/8",
        "--secret",
        "password",
    ];
    let made = hub.try_cli(&add, &format!("{}\n", server.password())).unwrap();
    made["id"].as_str().unwrap().to_owned()
}

fn until_read(hub: &Hub, connection: &str) -> Value {
    eventually("every folder is read to its end", || {
        let shown = hub.try_cli(&["connection", "show", connection], "").ok()?;
        let streams = shown["streams"].as_array()?;
        let is_read = |stream: &Value| stream["read_at"].is_string() && stream["under_way"] == false;
        (streams.len() > 2 && streams.iter().all(is_read)).then_some(shown)
    })
}

/// Titles, properties and times of what the reading brought, without ids.
fn brought(hub: &Hub) -> Vec<String> {
    let mut lines = Vec::new();
    for kind in ["Message", "Conversation", "Person"] {
        let listed = hub.cli(&["entity", "list", "--type", kind, "--all"]);
        for entity in listed["items"].as_array().unwrap() {
            lines.push(
                json!([
                    entity["type"],
                    entity["title"],
                    entity["props"],
                    entity["starts_at"]
                ])
                .to_string(),
            );
        }
    }
    lines.sort();
    lines
}

#[test]
fn a_hub_killed_in_the_middle_of_a_mailbox_goes_on_and_ends_with_the_same_graph() {
    let server = Dovecot::start();
    for number in 0..900 {
        server.deliver("INBOX", &mail(number), if number % 5 == 0 { "" } else { "S" });
    }
    for number in 800..1_000 {
        server.deliver("Lists", &mail(number), "S");
    }
    let undisturbed = Hub::start();
    let connection = connect(&undisturbed, &server);
    until_read(&undisturbed, &connection);
    let expected = brought(&undisturbed);
    drop(undisturbed);

    let mut killed = Hub::start();
    killed.arm("page taken in");
    let connection = connect(&killed, &server);
    killed.revive();
    for place in ["page committed", "page taken in"] {
        killed.arm(place);
        killed.revive();
    }
    until_read(&killed, &connection);
    assert_eq!(brought(&killed), expected);
    assert_eq!(
        killed.cli(&["job", "list", "--dead"])["items"],
        json!([]),
        "a kill is no failure"
    );
}
