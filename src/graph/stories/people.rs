//! Who is who, and whose word holds.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn sam_is_found_as_alices_partner_by_her_number_in_another_spelling() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (me, sam) = alice_and_sam(&hub, &alice).await;
    let read = hub.context.ports.graph_read();
    let mut tx = hub.begin(&alice).await;
    for spelling in ["+1-415-555-2671", "001 415 555 2671", "tel:+14155552671"] {
        let party = read
            .party(&mut tx, &Identifier::new("tel", spelling))
            .await
            .unwrap();
        assert_eq!(party.id, Some(sam), "{spelling}");
        assert_eq!(
            (party.name.as_deref(), party.address.as_str()),
            (Some("Sam"), SAM_TEL)
        );
        assert_eq!(party.relations, ["partner"]);
        let found = read
            .entity_by_identifier(&mut tx, "Person", &Identifier::new("tel", spelling))
            .await
            .unwrap();
        assert_eq!(found.map(|person| person.id), Some(sam));
    }
    assert_eq!(read.me(&mut tx).await.unwrap(), me);
    assert_eq!(
        read.identifiers(&mut tx, sam).await.unwrap(),
        [Identifier::new("tel", SAM_TEL)]
    );
    let none = read
        .entity_by_identifier(&mut tx, "Place", &Identifier::new("tel", SAM_TEL))
        .await
        .unwrap();
    assert!(none.is_none(), "she is no Place");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_a_party_with_an_address_alone() {
    let hub = hub().await;
    let alice = hub.somebody();
    alice_and_sam(&hub, &alice).await;
    let read = hub.context.ports.graph_read();
    let mut tx = hub.begin(&alice).await;
    for (given, address) in [
        ("+44 20 7946 0958", "+442079460958"),
        ("anonymous", "anonymous"),
        ("12345", "12345"),
    ] {
        let party = read.party(&mut tx, &Identifier::new("tel", given)).await.unwrap();
        assert_eq!(
            (party.id, party.name, party.address.as_str()),
            (None, None, address)
        );
        assert!(party.relations.is_empty());
    }
    let nobody = hub.somebody();
    let mut tx = hub.begin(&nobody).await;
    let error = read.me(&mut tx).await.unwrap_err();
    assert!(error.to_string().contains("allod/me"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_number_is_refused_with_a_hint_and_nothing_is_written() {
    let hub = hub().await;
    let alice = hub.somebody();
    let bad = identified("Person", "tel", "+4915", json!({"name": "Sam"}));
    let error = apply(&hub, &alice, change(AssertedBy::User, "user", vec![bad]))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("`tel` +4915 is not a possible phone number"),
        "{error}"
    );
    assert!(error.to_string().contains("7 to 15"), "{error}");
    assert_eq!(
        (count(&hub, "entity").await, count(&hub, "identifier").await),
        (0, 0)
    );
    assert!(told(&hub, &alice).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connectors_claim_does_not_override_the_users_edit() {
    let hub = hub().await;
    let alice = hub.somebody();
    let card = |said| {
        change(
            AssertedBy::Connector,
            "dav/1",
            vec![identified("Person", "tel", SAM_TEL, said)],
        )
    };
    let imported = apply(
        &hub,
        &alice,
        card(json!({"name": "Samantha", "job_title": "Pilot"})),
    )
    .await
    .unwrap();
    let sam = imported.entities[0].id;
    let edit = change(
        AssertedBy::User,
        "user",
        vec![entity("Person", Target::Existing(sam), json!({"name": "Sam"}))],
    );
    assert_eq!(apply(&hub, &alice, edit).await.unwrap().entities[0].version, 2);

    // The next sync brings the old name again, and one thing that is new.
    let synced = apply(
        &hub,
        &alice,
        card(json!({"name": "Samantha", "job_title": "Captain"})),
    )
    .await
    .unwrap();
    assert_eq!((synced.entities[0].id, synced.entities[0].version), (sam, 3));
    // One that changes nothing that anybody sees is no new version, though it is remembered who said it.
    let hidden = apply(&hub, &alice, card(json!({"name": "Samantha X."})))
        .await
        .unwrap();
    assert_eq!(hidden.entities[0].version, 3);
    let read = hub.context.ports.graph_read();
    let mut tx = hub.begin(&alice).await;
    let person = read.entity(&mut tx, sam).await.unwrap().unwrap();
    assert_eq!(
        Value::Object(person.props),
        json!({"name": "Sam", "job_title": "Captain"})
    );
    assert_eq!(person.title.as_deref(), Some("Sam"));
    drop(tx);

    // She takes her word back: the connector's last one shows.
    let back = change(
        AssertedBy::User,
        "user",
        vec![entity("Person", Target::Existing(sam), json!({"name": null}))],
    );
    apply(&hub, &alice, back).await.unwrap();
    let mut tx = hub.begin(&alice).await;
    let person = read.entity(&mut tx, sam).await.unwrap().unwrap();
    assert_eq!(
        (person.props["name"].as_str(), person.version),
        (Some("Samantha X."), 4)
    );
    let updates = told(&hub, &alice).await;
    assert_eq!(
        kinds(&updates),
        [
            "data.EntityCreated",
            "data.EntityUpdated",
            "data.EntityUpdated",
            "data.EntityUpdated"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_holds_its_props_itself_until_a_second_source_speaks() {
    let hub = hub().await;
    let alice = hub.somebody();
    let id = contracts::EntityId::new();
    let said = json!({"direction": "out", "channel": "sms", "status": "queued", "text": "On my way"});
    apply(
        &hub,
        &alice,
        change(
            AssertedBy::Rule,
            "rule/x",
            vec![entity("Message", Target::New(id), said)],
        ),
    )
    .await
    .unwrap();
    let status = |by, source: &str, status: &str| {
        change(
            by,
            source,
            vec![entity(
                "Message",
                Target::Existing(id),
                json!({"status": status, "provider_code": 7}),
            )],
        )
    };
    apply(&hub, &alice, status(AssertedBy::Rule, "rule/x", "sending"))
        .await
        .unwrap();
    assert_eq!(count(&hub, "claim").await, 0);
    apply(
        &hub,
        &alice,
        status(AssertedBy::Connector, "twilio/1", "delivered"),
    )
    .await
    .unwrap();
    assert_eq!(count(&hub, "claim").await, 2);
    let again = apply(
        &hub,
        &alice,
        status(AssertedBy::Connector, "twilio/1", "delivered"),
    )
    .await
    .unwrap();
    assert_eq!(again.entities[0].version, 3, "said again, it is no change");
    let late = apply(&hub, &alice, status(AssertedBy::Rule, "rule/x", "failed"))
        .await
        .unwrap();
    assert_eq!(
        late.entities[0].version, 3,
        "a rule's word weighs less than a connector's"
    );
    let mut tx = hub.begin(&alice).await;
    let message = hub
        .context
        .ports
        .graph_read()
        .entity(&mut tx, id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (message.props["status"].as_str(), message.props["text"].as_str()),
        (Some("delivered"), Some("On my way"))
    );
    assert_eq!(
        message.props["x_provider_code"],
        json!(7),
        "what the type doesn't know is kept apart"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_is_made_when_two_sources_meet_her_at_once() {
    let hub = hub().await;
    let alice = hub.somebody();
    let meet = |source: &'static str| {
        let mut sam = identified("Person", "email", "Sam@Example.org", json!({"name": "Sam"}));
        sam.identifiers.push(Identifier::new("tel", SAM_TEL));
        if source == "b" {
            sam.identifiers.reverse();
        }
        apply(&hub, &alice, change(AssertedBy::Connector, source, vec![sam]))
    };
    let (a, b, c) = tokio::join!(meet("a"), meet("b"), meet("c"));
    let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
    assert_eq!(a.entities[0].id, b.entities[0].id);
    assert_eq!(b.entities[0].id, c.entities[0].id);
    assert_eq!(
        (count(&hub, "entity").await, count(&hub, "identifier").await),
        (1, 2)
    );
    assert_eq!(count(&hub, "claim").await, 3, "each source has its own word");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relation_is_told_once_whoever_says_it_and_never_comes_back_once_the_owner_took_it_away() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (me, sam) = alice_and_sam(&hub, &alice).await;
    let say = |by, source: &str| {
        let mut change = change(by, source, vec![]);
        change.relations.push(RelationChange {
            from: me,
            predicate: "partner".to_owned(),
            to: sam,
        });
        change
    };
    let first = apply(&hub, &alice, say(AssertedBy::User, "user"))
        .await
        .unwrap()
        .relations[0];
    let other = apply(&hub, &alice, say(AssertedBy::Connector, "dav/1"))
        .await
        .unwrap()
        .relations[0];
    assert_ne!(first, other, "each source has its own");
    let added = |events: &[Event]| {
        events
            .iter()
            .filter(|event| event.kind == "data.RelationAdded")
            .count()
    };
    assert_eq!(added(&told(&hub, &alice).await), 1);

    let gone = routes::call(&hub, &alice, "DELETE", &format!("/relations/{first}"), None).await;
    assert_eq!(gone.status, 204);
    apply(&hub, &alice, say(AssertedBy::Connector, "dav/1"))
        .await
        .unwrap();
    let read = hub.context.ports.graph_read();
    let mut tx = hub.begin(&alice).await;
    assert!(
        read.party(&mut tx, &Identifier::new("tel", SAM_TEL))
            .await
            .unwrap()
            .relations
            .is_empty()
    );
    drop(tx);
    apply(&hub, &alice, say(AssertedBy::User, "user")).await.unwrap();
    let mut tx = hub.begin(&alice).await;
    assert_eq!(
        read.party(&mut tx, &Identifier::new("tel", SAM_TEL))
            .await
            .unwrap()
            .relations,
        ["partner"]
    );
    drop(tx);
    let events = told(&hub, &alice).await;
    assert_eq!(added(&events), 2);
    assert_eq!(
        events
            .iter()
            .filter(|event| event.kind == "data.RelationRemoved")
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_takes_its_word_about_a_relation_back_and_history_keeps_it() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (me, sam) = alice_and_sam(&hub, &alice).await;
    let colleague = RelationChange {
        from: me,
        predicate: "colleague".to_owned(),
        to: sam,
    };
    for source in ["dav/1", "dav/2"] {
        let mut said = change(AssertedBy::Connector, source, vec![]);
        said.relations.push(colleague.clone());
        apply(&hub, &alice, said).await.unwrap();
    }
    let unrelate = async |by: AssertedBy, source: &str| {
        let mut tx = hub.begin(&alice).await;
        let write = hub.context.ports.graph_write();
        let held = write.unrelate(&mut tx, by, source, &colleague).await.unwrap();
        tx.commit().await.unwrap();
        held
    };
    let removed = async || {
        let events = told(&hub, &alice).await;
        kinds(&events)
            .iter()
            .filter(|kind| **kind == "data.RelationRemoved")
            .count()
    };
    let colleagues = async |at: Option<DateTime<Utc>>| {
        let at = at.map(|at| format!("?at={}", at.to_rfc3339().replace('+', "%2B")));
        let path = format!("/entities/{sam}/history{}", at.unwrap_or_default());
        let (status, known) = around::get(&hub, &alice, &path).await;
        assert_eq!(status, 200, "{known}");
        let relations = known["relations"].as_array().unwrap().clone();
        relations
            .iter()
            .filter(|one| one["predicate"] == "colleague")
            .count()
    };
    assert!(unrelate(AssertedBy::Connector, "dav/1").await);
    assert!(
        !unrelate(AssertedBy::Connector, "dav/1").await,
        "it said so no more"
    );
    assert_eq!(
        (removed().await, colleagues(None).await),
        (0, 1),
        "the other one still does"
    );
    let then = hub.context.clock.now();
    assert!(unrelate(AssertedBy::Connector, "dav/2").await);
    assert_eq!((removed().await, colleagues(None).await), (1, 0));
    assert_eq!(colleagues(Some(then)).await, 1, "it was known then");

    // A source may say it again; the owner's no is for good.
    let again = async || {
        let mut said = change(AssertedBy::Connector, "dav/1", vec![]);
        said.relations.push(colleague.clone());
        apply(&hub, &alice, said).await.unwrap();
        colleagues(None).await
    };
    assert_eq!(again().await, 1);
    assert!(unrelate(AssertedBy::User, "user").await);
    assert_eq!(again().await, 0);
    assert_eq!(removed().await, 2);
    let mallory = hub.somebody();
    let mut tx = hub.begin(&mallory).await;
    let write = hub.context.ports.graph_write();
    assert!(
        !write
            .unrelate(&mut tx, AssertedBy::User, "user", &colleague)
            .await
            .unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_knows_by_what_somebody_was_known_and_when_that_went() {
    let hub = hub().await;
    let alice = hub.somebody();
    let say = async |tel: &str| {
        let mut card = identified("Person", "vcard.uid", "sam", json!({"name": "Sam"}));
        card.target = Target::Record;
        card.identifiers.push(Identifier::new("tel", tel));
        let card = change(AssertedBy::Connector, "dav/1", vec![card]);
        apply(&hub, &alice, card).await.unwrap().entities[0].id
    };
    let sam = say("+4930901820").await;
    let then = hub.context.clock.now();
    say("+4930901821").await;
    let tels = async |at: Option<DateTime<Utc>>| {
        let at = at.map(|at| format!("?at={}", at.to_rfc3339().replace('+', "%2B")));
        let path = format!("/entities/{sam}/history{}", at.unwrap_or_default());
        let (status, known) = around::get(&hub, &alice, &path).await;
        assert_eq!(status, 200, "{known}");
        let known = known["identifiers"].as_array().unwrap().clone();
        let mut tels: Vec<(String, bool)> = known
            .iter()
            .filter(|one| one["scheme"] == "tel")
            .map(|one| {
                (
                    one["value"].as_str().unwrap().to_owned(),
                    one["gone_at"].is_string(),
                )
            })
            .collect();
        tels.sort();
        tels
    };
    let one = |value: &str, gone| (value.to_owned(), gone);
    assert_eq!(tels(Some(then)).await, [one("+4930901820", false)]);
    assert_eq!(
        tels(None).await,
        [one("+4930901820", true), one("+4930901821", false)]
    );
    let mallory = hub.somebody();
    let path = format!("/entities/{sam}/history");
    assert_eq!(around::get(&hub, &mallory, &path).await.0, 404);
}
