//! Files become people, conversations, events and tasks.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_cards_becomes_people_and_a_second_time_it_adds_nothing() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let first = alice.import("vcard", CARDS).await;
    assert_eq!(
        [
            &first["state"],
            &first["taken"],
            &first["new"],
            &first["parked"],
            &first["filename"]
        ],
        [&json!("finished"), &json!(2), &json!(2), &json!(0), &json!("x")]
    );
    assert_eq!(first["position"], first["bytes"]);
    assert_eq!(
        (
            alice.entities("Person").await,
            alice.entities("Organization").await
        ),
        (3, 1)
    );
    let events = async || {
        hub.settle().await;
        let told = hub.events(&alice.scope).await;
        told.into_iter()
            .filter(|event| event.kind.starts_with("data."))
            .count()
    };
    let told = events().await;
    let again = alice.import("vcard", CARDS).await;
    assert_eq!((&again["new"], &again["known"]), (&json!(0), &json!(2)));
    assert_eq!(events().await, told);
    let folder = hub
        .context
        .settings
        .data_dir
        .join("imports")
        .join(alice.scope.account().0.simple().to_string());
    assert_eq!(
        std::fs::read_dir(folder).unwrap().count(),
        0,
        "no file stays behind"
    );
    let bob = Alice::new(&hub).await;
    let path = format!("/imports/{}", first["id"].as_str().unwrap());
    assert_eq!(bob.call("GET", &path, Body::empty()).await.0, 404);
    assert_eq!(
        bob.call("POST", &format!("{path}/cancel"), Body::empty()).await.0,
        404
    );
    assert_eq!(
        alice
            .call("POST", &format!("{path}/cancel"), Body::empty())
            .await
            .0,
        409
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_card_changes_its_person_and_makes_no_second_one() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    alice.import("vcard", CARDS).await;
    let changed = CARDS
        .replace("tea", "coffee")
        .replace("Sam Example", "Sam Sample");
    let second = alice.import("vcard", changed).await;
    assert_eq!((&second["new"], &second["parked"]), (&json!(2), &json!(0)));
    assert_eq!(alice.entities("Person").await, 3);
    let cards = alice.export("vcard").await;
    assert!(
        cards.contains("Sam Sample") && cards.contains("coffee") && !cards.contains("tea"),
        "{cards}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_of_a_thread_meet_in_one_conversation_in_whatever_order_they_come() {
    let hub = hub().await;
    let (first, reply, answer) = (
        mailbox::mail(1, &[]),
        mailbox::mail(2, &[1]),
        mailbox::mail(3, &[2]),
    );
    // The answer names its parent alone; that the parent belongs to the first mail is known only once the parent is.
    for order in [
        [&first, &reply, &answer],
        [&answer, &reply, &first],
        [&first, &answer, &reply],
    ] {
        let alice = Alice::new(&hub).await;
        for mail in order {
            assert_eq!(alice.import("mbox", mail.clone()).await["parked"], 0);
        }
        assert_eq!(alice.entities("Message").await, 3);
        assert_eq!(alice.entities("Conversation").await, 1);
        assert_eq!(alice.conversation_sizes().await, [3]);
        assert_eq!(
            alice.entities("Person").await,
            2,
            "Alice and who wrote; nobody for the role's mailbox"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_with_one_bad_mail_is_imported_but_for_that_one() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let file = format!("From x\nnothing of a mail\n\n{}", mailbox::mailbox(250));
    let done = alice.import("mbox", file).await;
    assert_eq!(
        (&done["taken"], &done["new"], &done["parked"]),
        (&json!(251), &json!(251), &json!(1)),
        "{done}"
    );
    assert_eq!(alice.entities("Message").await, 250);
    let id: uuid::Uuid = {
        let mut behind = hub.database.superuser().await;
        sqlx::query_scalar("SELECT id FROM graph.raw_record WHERE status = 'parked'")
            .fetch_one(&mut behind)
            .await
            .unwrap()
    };
    let (status, body) = alice
        .call("POST", &format!("/raw-records/{id}/process"), Body::empty())
        .await;
    assert_eq!(status, 200);
    assert!(String::from_utf8(body).unwrap().contains("no mail"));
    let bob = Alice::new(&hub).await;
    assert_eq!(
        bob.call("POST", &format!("/raw-records/{id}/process"), Body::empty())
            .await
            .0,
        404
    );
}
