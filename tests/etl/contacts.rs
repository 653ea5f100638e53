//! Groups of contacts, tables of other languages, and cells that are no formulas.

use super::*;

fn person(uid: &str, more: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:4.0\r\nUID:{uid}\r\nFN:{uid} Example\r\n{more}END:VCARD\r\n")
}

fn choir(members: &[&str]) -> String {
    let members: String = members
        .iter()
        .map(|uid| format!("MEMBER:urn:uuid:{uid}\r\n"))
        .collect();
    format!("BEGIN:VCARD\r\nVERSION:4.0\r\nUID:choir\r\nKIND:group\r\nFN:Choir\r\n{members}END:VCARD\r\n")
}

/// The status of what the graph's own route answers.
async fn of_graph(alice: &Alice<'_>, method: &str, path: &str) -> u16 {
    let (router, _) = graph::service(&alice.hub.context).api.split_for_parts();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .extension(Caller(alice.scope.clone()));
    let response = router
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    response.status().as_u16()
}

/// Who is in a group, by name.
async fn members(alice: &Alice<'_>) -> Vec<String> {
    let export = canonical(&alice.export("jsonld").await);
    let of = "member-of \"Group\" \"Choir\"";
    export.into_iter().filter(|line| line.contains(of)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_has_its_members_wherever_its_card_stands_and_loses_whom_a_newer_one_leaves_out() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let file = [
        choir(&["sam", "kim", "gone"]),
        person("sam", ""),
        person("kim", ""),
    ]
    .concat();
    let done = alice.import("vcard", file).await;
    assert_eq!((&done["new"], &done["parked"]), (&json!(3), &json!(0)), "{done}");
    assert_eq!(
        (alice.entities("Person").await, alice.entities("Group").await),
        (3, 1)
    );
    let named = |name: &str| format!("\"Person\" \"{name} Example\" member-of \"Group\" \"Choir\"");
    assert_eq!(members(&alice).await, [named("kim"), named("sam")]);
    alice.import("vcard", choir(&["kim"])).await;
    assert_eq!(members(&alice).await, [named("kim")]);
    let cards = alice.export("vcard").await;
    assert!(
        cards.contains("KIND:group\r\nFN:Choir\r\n") && cards.contains("MEMBER:urn:uuid:kim\r\n"),
        "{cards}"
    );
    let bob = Alice::new(&hub).await;
    bob.import("vcard", cards).await;
    assert_eq!(members(&bob).await, [named("kim")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_card_comes_after_the_groups_is_in_it_by_the_groups_word() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let named = |name: &str| format!("\"Person\" \"{name} Example\" member-of \"Group\" \"Choir\"");
    alice.import("vcard", choir(&["sam", "kim"])).await;
    assert_eq!(
        (
            alice.entities("Person").await,
            alice.count("relation WHERE true").await
        ),
        (1, 0),
        "nobody but Alice herself"
    );
    let both = [person("urn:uuid:kim", ""), person("stranger", "")].concat();
    alice
        .import("vcard", both.replace("FN:urn:uuid:kim", "FN:kim"))
        .await;
    assert_eq!(members(&alice).await, [named("kim")]);
    alice.import("vcard", person("sam", "")).await;
    assert_eq!(members(&alice).await, [named("kim"), named("sam")]);
    let told = data_events(&alice).await;
    alice.import("vcard", person("sam", "NOTE:sings\r\n")).await;
    assert_eq!(
        alice.count("relation WHERE true").await,
        2,
        "once, though the card came twice"
    );
    assert_eq!(data_events(&alice).await, told + 1, "only the note is told");

    // The edge is the word of the group's card.
    alice.import("vcard", choir(&["kim"])).await;
    assert_eq!(members(&alice).await, [named("kim")]);
    alice
        .import("vcard", person("sam", "NOTE:sings no more\r\n"))
        .await;
    assert_eq!(
        members(&alice).await,
        [named("kim")],
        "the older card of the group named Sam"
    );

    let mut tx = hub.begin(&alice.scope).await;
    let uid = Identifier::new("vcard.uid", "urn:uuid:kim");
    let read = hub.context.ports.graph_read();
    let kim = read
        .entity_by_identifier(&mut tx, "Person", &uid)
        .await
        .unwrap()
        .unwrap()
        .id;
    drop(tx);
    assert_eq!(of_graph(&alice, "DELETE", &format!("/entities/{kim}")).await, 204);
    let newer = person("urn:uuid:kim", "NOTE:alto\r\n").replace("FN:urn:uuid:kim", "FN:kim");
    alice.import("vcard", newer).await;
    assert!(members(&alice).await.is_empty(), "who was deleted is in no group");
    assert_eq!(
        of_graph(&alice, "POST", &format!("/entities/{kim}/restore")).await,
        200
    );
    assert_eq!(members(&alice).await, [named("kim")]);

    let bob = Alice::new(&hub).await;
    bob.import("vcard", person("sam", "")).await;
    assert!(
        members(&bob).await.is_empty(),
        "his Sam is in no choir of Alice's"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_card_changes_nothing_if_both_say_when_they_were_made() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let card = |rev: &str, note: &str| {
        format!(
            "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Sam\r\nEMAIL:sam@example.org\r\n{rev}NOTE:{note}\r\nEND:VCARD\r\n"
        )
    };
    let note = async || {
        let export: Value = serde_json::from_str(&alice.export("jsonld").await).unwrap();
        let nodes = export["@graph"].as_array().unwrap().clone();
        let sam = nodes.iter().find(|node| node["title"] == "Sam").unwrap();
        sam["props"]["note"].as_str().unwrap().to_owned()
    };
    alice
        .import("vcard", card("REV:2026-05-02T10:00:00Z\r\n", "new"))
        .await;
    alice
        .import("vcard", card("REV:2026-05-01T10:00:00Z\r\n", "old"))
        .await;
    assert_eq!(note().await, "new");
    alice
        .import("vcard", card("REV:20260503T100000Z\r\n", "newer"))
        .await;
    assert_eq!(note().await, "newer");
    alice.import("vcard", card("", "said last")).await;
    assert_eq!(note().await, "said last", "who says nothing of it comes later");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_file_does_not_overtake_what_the_hub_exported_later() {
    let hub = hub().await;
    let (alice, bob) = (Alice::new(&hub).await, Alice::new(&hub).await);
    let card = |note: &str| {
        format!(
            "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u-1\r\nFN:Sam\r\nREV:2020-05-01T10:00:00Z\r\nNOTE:{note}\r\nEND:VCARD\r\n"
        )
    };
    let meal = |place: &str| {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:e-1\r\nSEQUENCE:3\r\nDTSTAMP:20200501T100000Z\r\n\
             DTSTART:20260501T100000Z\r\nSUMMARY:Lunch\r\nLOCATION:{place}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    };
    let table = |note: &str| format!("UID,Name,Notes,Revised\nu-2,Kim,{note},2020-05-01T10:00:00Z\n");
    for (format, first, older, kept) in [
        ("vcard", card("as it is"), card("of old"), "NOTE:as it is"),
        ("ical", meal("as it is"), meal("of old"), "LOCATION:as it is"),
        ("csv", table("as it is"), table("of old"), ",as it is,"),
    ] {
        alice.import(format, first).await;
        let exported = alice.export(format).await;
        let taken = bob.import(format, exported.clone()).await;
        assert_ne!(taken["new"], json!(0), "{taken}");
        let passed = bob.import(format, older.clone()).await;
        assert_eq!(
            (&passed["new"], &passed["known"]),
            (&json!(0), &json!(1)),
            "{format} {passed}"
        );
        assert!(bob.export(format).await.contains(kept), "{format}");
        // Said of a later day it is heard.
        let newer = older.replace("2020", "2090");
        assert_eq!(bob.import(format, newer).await["new"], json!(1), "{format}");
        assert!(bob.export(format).await.contains("of old"), "{format}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_known_column_is_refused_once_and_not_row_by_row() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let failed = alice
        .import("csv", "Etunimi;Sukunimi\nSam;Example\nKim;Example\n")
        .await;
    assert_eq!(failed["state"], "failed");
    let reason = failed["reason"].as_str().unwrap();
    assert!(
        reason.contains("It has: Etunimi, Sukunimi. Known are") && reason.contains("Nachname"),
        "{reason}"
    );
    assert_eq!(alice.count("raw_record WHERE true").await, 0);
    let german = "Vorname;Nachname;E-Mail-Adresse;Mobiltelefon\nSam;Example;sam@example.org;030 901820\n";
    let done = alice.import("csv", german).await;
    assert_eq!((&done["new"], &done["parked"]), (&json!(1), &json!(0)), "{done}");
    assert_eq!(alice.count("entity WHERE title = 'Sam Example'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_holds_no_formula_and_comes_back_as_it_was() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let note = "=HYPERLINK(\"https://example.org\")";
    alice
        .say(
            "Person",
            json!({ "name": "@Sam", "note": note, "nickname": "a\u{1b}[31m" }),
            &[("tel", "+4930901820"), ("vcard.uid", "-1")],
        )
        .await;
    let table = alice.export("csv").await;
    assert!(!table.contains('\u{1b}'), "{table}");
    // Neither a quoted nor a plain cell holds a comma here.
    let cells = table.split(['\n', ',']).map(|cell| cell.trim_matches('"'));
    let is_formula = |cell: &&str| cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    assert_eq!(
        cells.filter(is_formula).collect::<Vec<_>>(),
        ["+4930123456", "+4930901820"]
    );
    let bob = Alice::new(&hub).await;
    bob.import("csv", table).await;
    let export: Value = serde_json::from_str(&bob.export("jsonld").await).unwrap();
    let nodes = export["@graph"].as_array().unwrap();
    let sam = nodes.iter().find(|node| node["title"] == "@Sam").unwrap();
    assert_eq!(sam["props"]["note"], note);
    let known_by = sam["identifiers"].to_string();
    assert!(
        known_by.contains("+4930901820") && known_by.contains("\"-1\""),
        "{known_by}"
    );
}
