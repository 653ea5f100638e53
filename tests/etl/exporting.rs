//! An export becomes the same account again.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_account_is_the_same_in_an_empty_one_and_adds_nothing_where_it_came_from() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    for (format, file) in [
        ("vcard", CARDS.to_owned()),
        ("ical", CALENDAR.to_owned()),
        ("mbox", mailbox::mailbox(30)),
    ] {
        alice.import(format, file).await;
    }
    let me = alice.write("Person", "Alice", &[("allod", "me")]).await;
    let sam = alice
        .write("Person", "Sam Example", &[("email", "sam@example.org")])
        .await;
    alice.relate(me, "partner", sam).await;
    alice.write("Place", "Work", &[]).await;
    let export = alice.export("jsonld").await;
    let other = Alice {
        hub: &hub,
        scope: hub.somebody(),
    };
    // A new account knows its owner's name and nothing more.
    other.write("Person", "Alice", &[("allod", "me")]).await;
    let done = other.import("jsonld", export.clone()).await;
    assert_eq!((&done["state"], &done["parked"]), (&json!("finished"), &json!(0)));
    assert_eq!(canonical(&other.export("jsonld").await), canonical(&export));
    let before = data_events(&alice).await;
    assert_eq!(alice.import("jsonld", export.clone()).await["parked"], 0);
    assert_eq!(canonical(&alice.export("jsonld").await), canonical(&export));
    assert_eq!(data_events(&alice).await, before, "what comes back is no news");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_in_any_format_is_the_same_after_it_was_imported() {
    let hub = hub().await;
    for (format, file) in [
        ("vcard", CARDS.to_owned()),
        ("csv", CARDS.to_owned()),
        ("ical", CALENDAR.to_owned()),
        ("mbox", mailbox::mailbox(25)),
    ] {
        let [alice, other] = [0, 1].map(|_| Alice {
            hub: &hub,
            scope: hub.somebody(),
        });
        alice
            .import(if format == "csv" { "vcard" } else { format }, file)
            .await;
        let export = alice.export(format).await;
        let done = other.import(format, export.clone()).await;
        assert_eq!(
            (&done["state"], &done["parked"]),
            (&json!("finished"), &json!(0)),
            "{format}"
        );
        assert!(done["new"].as_i64().unwrap() > 1, "{format}: {done}");
        // Whose id it is and when it was written differ; a table says the latter in its last column.
        let plain = |text: String| {
            let ours = ["UID:urn:uuid", "urn:uuid", "DTSTAMP", "LAST-MODIFIED", "REV:"];
            let lines = text
                .lines()
                .filter(|line| !ours.iter().any(|own| line.starts_with(own)));
            let as_of = |line: &str| match format {
                "csv" => line.rsplit_once(',').map_or(line, |(row, _)| row).to_owned(),
                _ => line.to_owned(),
            };
            let mut lines: Vec<String> = lines.map(as_of).collect();
            lines.sort();
            lines
        };
        assert_eq!(plain(other.export(format).await), plain(export), "{format}");
    }
}
