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

#[test]
fn what_an_import_parked_is_read_again_by_its_id() {
    let story = story_with(&[]);
    let file = story.hub.dir().join("nobody.csv");
    std::fs::write(&file, "Name,Note\n,hello\n").unwrap();
    story.hub.cli(&["import", file.to_str().unwrap(), "--wait"]);
    let parked = story.hub.cli(&["record", "parked"]);
    let id = parked["items"][0]["id"].as_str().unwrap().to_owned();
    let again = story.hub.cli(&["record", "retry", &id]);
    assert!(
        again["parked"].as_str().unwrap().contains("names nobody"),
        "{again}"
    );
    let none = "018f0000-0000-7000-8000-000000000000";
    let refused = story.hub.try_cli(&["record", "retry", none], "").unwrap_err();
    assert!(refused.contains("no parked record"), "{refused}");
}

#[test]
fn what_was_deleted_can_be_erased() {
    let story = story_with(&[]);
    let kim = story.hub.cli(&["entity", "add", "Person", "Kim"]);
    let id = kim["id"].as_str().unwrap();
    story.hub.cli(&["entity", "delete", id]);
    let erased = story.hub.cli(&["entity", "erase", id, "--yes"]);
    assert!(erased["job"].is_string(), "{erased}");
    let none = "018f0000-0000-7000-8000-000000000000";
    assert!(
        story
            .hub
            .try_cli(&["entity", "erase", none, "--yes"], "")
            .is_err()
    );
}

#[test]
fn an_export_is_its_owners_alone_whoever_could_read_the_file_before() {
    use std::os::unix::fs::PermissionsExt;
    let story = story_with(&[]);
    let folder = story.hub.dir().join("exports");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("allod.jsonld");
    std::fs::write(&file, "old").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let export = |format: &str| {
        let output = file.to_str().unwrap();
        std::process::Command::new(crate::support::binary())
            .args([
                "--data-dir",
                story.hub.dir().to_str().unwrap(),
                "export",
                "--format",
                format,
                "-o",
                output,
            ])
            .status()
            .unwrap()
    };
    assert!(export("jsonld").success());
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let whole = std::fs::read_to_string(&file).unwrap();
    assert!(whole.starts_with("{\"@context\""), "{whole}");
    assert!(!export("zip").success());
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        whole,
        "a refused one leaves it"
    );
    assert_eq!(
        std::fs::read_dir(&folder).unwrap().count(),
        1,
        "and nothing beside it"
    );
}
