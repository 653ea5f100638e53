//! Who is not the same stays apart, here and wherever the account goes; and each collection speaks for itself.

use super::*;
use spine::ports::RawRecord;

fn household(uid: &str, name: &str) -> String {
    format!(
        "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:{uid}\r\nFN:{name}\r\nEMAIL:family@example.org\r\nEND:VCARD\r\n"
    )
}

async fn people(alice: &Alice<'_>) -> i64 {
    alice.entities("Person").await - 1 // Alice herself
}

async fn distinct(alice: &Alice<'_>) -> i64 {
    alice.count("merge_decision WHERE standing = 'distinct'").await
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_owner_told_apart_an_export_keeps_apart_wherever_it_is_imported() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    // Three who would be one by their names, of whom the owner knows that they are two.
    let cards = [household("1", "Sam Miller"), household("2", "Sam Miller")].concat();
    alice.import("vcard", cards).await;
    assert_eq!(people(&alice).await, 1, "they are taken for one");
    let (router, _) = graph::service(&hub.context).api.split_for_parts();
    let absorbed: uuid::Uuid =
        sqlx::query_scalar("SELECT id FROM graph.entity WHERE merged_into IS NOT NULL")
            .fetch_one(&mut hub.database.superuser().await)
            .await
            .unwrap();
    let unmerge =
        Request::post(format!("/entities/{absorbed}/unmerge")).extension(Caller(alice.scope.clone()));
    let unmerged = router
        .oneshot(unmerge.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(unmerged.status(), 200);
    assert_eq!((people(&alice).await, distinct(&alice).await), (2, 1));

    let export = alice.export("jsonld").await;
    let bob = Alice::new(&hub).await;
    for _ in 0..2 {
        let done = bob.import("jsonld", export.clone()).await;
        assert_eq!(done["parked"], 0, "{done}");
        assert_eq!((people(&bob).await, distinct(&bob).await), (2, 1));
    }
    // Another export of his says it, too.
    let carol = Alice::new(&hub).await;
    carol.import("jsonld", bob.export("jsonld").await).await;
    assert_eq!((people(&carol).await, distinct(&carol).await), (2, 1));
    // Where it comes from it changes nothing.
    alice.import("jsonld", export).await;
    assert_eq!((people(&alice).await, distinct(&alice).await), (2, 1));
}

/// Has a connector bring a revision of a card in one of its address books, and waits until it is understood.
async fn sync(alice: &Alice<'_>, book: &str, revision: &str, note: Option<&str>, firm: &str) {
    let note = note.map(|note| format!("NOTE:{note}\r\n")).unwrap_or_default();
    let tel = if book == "work" { "TEL:+4930901820\r\n" } else { "" };
    let body =
        format!("BEGIN:VCARD\r\nVERSION:4.0\r\nUID:sam\r\nFN:Sam\r\n{note}{tel}ORG:{firm}\r\nEND:VCARD\r\n");
    let record = RawRecord {
        connection: None,
        stream: book.to_owned(),
        remote_id: "sam".to_owned(),
        revision: revision.to_owned(),
        media_type: "text/vcard".to_owned(),
        body: body.into_bytes(),
    };
    let mut tx = alice.hub.begin(&alice.scope).await;
    let received = alice
        .hub
        .context
        .ports
        .record_intake()
        .receive(&mut tx, "dav/1", record)
        .await
        .unwrap();
    let order = contracts::jobs::ProcessIncomingData {
        raw_record: received.id,
    };
    tx.enqueue(&order, spine::queue::JobOptions::default())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let open = format!(
        "raw_record WHERE id = '{}' AND status <> 'processed'",
        received.id
    );
    alice
        .hub
        .eventually("the card is understood", async || {
            (alice.count(&open).await == 0).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_stands_in_two_address_books_has_a_word_of_each_and_neither_takes_the_others_back() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    sync(&alice, "home", "1", Some("likes tea"), "Choir").await;
    sync(&alice, "work", "1", None, "Acme").await;
    assert_eq!(people(&alice).await, 1, "it is one person");
    let note = "entity WHERE props ->> 'note' = 'likes tea'";
    let tel = "entity_identifier b WHERE valid_to IS NULL AND identifier IN (SELECT id FROM graph.identifier WHERE value = \
               '+4930901820')";
    let member = "relation WHERE predicate = 'member-of' AND removed_at IS NULL";
    let all = async || {
        [
            alice.count(note).await,
            alice.count(tel).await,
            alice.count(member).await,
        ]
    };
    assert_eq!(
        all().await,
        [1, 1, 2],
        "the other book has no note, and this one no number"
    );
    let events = data_events(&alice).await;
    for revision in ["2", "3"] {
        sync(&alice, "home", revision, Some("likes tea"), "Choir").await;
        sync(&alice, "work", revision, None, "Acme").await;
        assert_eq!(all().await, [1, 1, 2]);
    }
    assert_eq!(data_events(&alice).await, events, "nothing flaps");
    // What a book takes back is its own.
    sync(&alice, "home", "4", None, "Choir").await;
    sync(&alice, "work", "4", None, "Choir").await;
    assert_eq!(all().await, [0, 1, 2], "both say the choir, each for itself");
    assert_eq!(
        alice.count("relation WHERE removed_at IS NOT NULL").await,
        1,
        "Acme is over"
    );
    let by = "claim WHERE recorded_to IS NULL AND source IN ('dav/1/home', 'dav/1/work')";
    assert_eq!(
        alice.count(&format!("{by} AND props ->> 'name' = 'Sam'")).await,
        2
    );

    // One book has her no more: she stays by the other's word.
    let mut tx = hub.begin(&alice.scope).await;
    let gone = spine::ports::Withdrawal {
        by: AssertedBy::Connector,
        source: spine::ports::speaks_as("dav/1", "home"),
        kind: "Person".to_owned(),
        identifier: Identifier::new("vcard.uid", "sam"),
    };
    hub.context
        .ports
        .record_intake()
        .withdraw(&mut tx, gone)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(people(&alice).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_file_takes_back_the_firm_that_a_card_names_no_more() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let card = |firm: &str| format!("BEGIN:VCARD\r\nVERSION:4.0\r\nUID:1\r\nFN:Sam\r\n{firm}END:VCARD\r\n");
    let other = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:2\r\nFN:Kim\r\nORG:Acme\r\nEND:VCARD\r\n";
    let member = "relation WHERE predicate = 'member-of' AND removed_at IS NULL";
    for (firm, members) in [
        ("ORG:Acme\r\n", 2),
        ("ORG:Beta\r\n", 2),
        ("", 1),
        ("ORG:Acme\r\n", 2),
    ] {
        alice.import("vcard", [&card(firm), other].concat()).await;
        assert_eq!(alice.count(member).await, members, "{firm}");
    }
    let acme = format!("{member} AND to_entity = (SELECT id FROM graph.entity WHERE title = 'Acme')");
    assert_eq!(alice.count(&acme).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_export_only_the_relation_that_would_close_a_ring_is_parked_and_says_so() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let goal = |n: u8| json!({"@id": format!("urn:uuid:00000000-0000-4000-8000-00000000000{n}"), "@type": "Goal", "title": format!("Goal {n}")});
    let edge = |from: u8, to: u8| json!({"@type": "allod:Relation", "from": goal(from), "predicate": "part-of", "to": goal(to)});
    let file = json!({"@graph": [goal(1), goal(2), goal(3), edge(1, 2), edge(2, 3), edge(3, 1), edge(1, 3)]});
    let done = alice.import("jsonld", file.to_string()).await;
    assert_eq!((&done["new"], &done["parked"]), (&json!(7), &json!(1)), "{done}");
    assert_eq!(alice.count("relation WHERE removed_at IS NULL").await, 3);
    let why = "raw_record WHERE status = 'parked' AND reason LIKE '%would close a ring of `part-of`%'";
    assert_eq!(alice.count(why).await, 1);
}
