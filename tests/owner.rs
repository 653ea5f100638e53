//! What an owner changes later by the command line: her name and time zone, and a secret that she rotated.

use serde_json::json;

use crate::webhooks::{call, story_with};

#[test]
fn an_owner_changes_her_name_and_time_zone_and_a_wrong_zone_changes_nothing() {
    let story = story_with(&[]);
    let change = [
        "account",
        "change",
        "alice",
        "--name",
        "Alice Liddell",
        "--zone",
        "Europe/Lisbon",
    ];
    for _ in 0..2 {
        let changed = story.hub.cli(&change);
        assert_eq!(changed["display_name"], "Alice Liddell");
        assert_eq!(
            (&changed["zone"], &changed["handle"]),
            (&json!("Europe/Lisbon"), &json!("alice"))
        );
    }
    let wrong = [
        "account",
        "change",
        "alice",
        "--zone",
        "Middle-earth/Shire",
        "--name",
        "Frodo",
    ];
    let refused = story.hub.try_cli(&wrong, "").unwrap_err();
    assert!(
        refused.contains("Middle-earth/Shire") && refused.contains("IANA"),
        "{refused}"
    );
    let accounts = story.hub.cli(&["account", "list"]);
    assert_eq!(
        accounts["items"][0]["display_name"], "Alice Liddell",
        "{accounts}"
    );
    assert_eq!(story.hub.cli(&["entity", "show", "me"])["title"], "Alice Liddell");
}

#[test]
fn a_rotated_secret_counts_from_then_on_and_the_one_before_no_more() {
    let story = story_with(&[]);
    let params = call("CA1", "+14158675309");
    assert_eq!(story.deliver_signed(&story.hub.address, &params).status, 200);
    let set = ["connection", "secret", &story.connection, "auth_token"];
    let fresh = "fedcba9876543210fedcba9876543210";
    let answer = story.hub.try_cli(&set, &format!("{fresh}\n")).unwrap();
    assert!(
        !answer.to_string().contains(fresh),
        "the secret is not shown again"
    );
    let params = call("CA2", "+14158675309");
    assert_eq!(
        story.deliver_signed(&story.hub.address, &params).status,
        403,
        "signed by the old one"
    );
    assert_eq!(story.calls(), 1);
    let unknown = ["connection", "secret", &story.connection, "auth_tokn"];
    let refused = story.hub.try_cli(&unknown, "x\n").unwrap_err();
    assert!(refused.contains("auth_tokn"), "{refused}");
}
