//! What a call asks of the graph: who is behind it, and to keep what nobody knew.

use super::*;

/// What is kept of the account's calls, without what differs from one to another.
async fn kept(hub: &TestHub) -> Vec<String> {
    let mut behind = hub.database.superuser().await;
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT (to_jsonb(e) - 'id' - 'raw_record' - 'created_at' - 'updated_at' - 'starts_at')::text FROM graph.entity e
            WHERE type = 'Call'
        UNION ALL SELECT (to_jsonb(r) - 'id' - 'remote_key' - 'remote_id' - 'body' - 'body_key' - 'received_at'
            - 'settled_at')::text FROM graph.raw_record r
        UNION ALL SELECT t.role || ' ' || i.scheme || ' ' || i.value FROM graph.timeline t
            JOIN graph.identifier i ON i.id = t.about
        UNION ALL SELECT i.scheme || ' ' || b.asserted_by || ' ' || b.source FROM graph.entity_identifier b
            JOIN graph.identifier i ON i.id = b.identifier JOIN graph.entity e ON e.id = b.entity WHERE e.type = 'Call'
        ORDER BY 1",
    )
    .fetch_all(&mut behind)
    .await
    .unwrap();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_nobody_knew_is_kept_at_once_as_it_would_be_the_long_way_and_the_second_time_not() {
    let short = hub().await;
    let alice = short.somebody();
    let write = short.context.ports.graph_write();
    let mut tx = short.begin(&alice).await;
    let applied = write.apply_new(&mut tx, &call("CA1", "ringing")).await.unwrap();
    let applied = applied.expect("nobody knew it");
    assert!(!applied.duplicate && applied.raw.is_some() && applied.entities[0].created);
    tx.commit().await.unwrap();

    let long = hub().await;
    let other = long.somebody();
    apply(&long, &other, call("CA1", "ringing")).await.unwrap();
    let accounts = [&alice, &other].map(|scope| scope.account().to_string());
    let without = |rows: Vec<String>, account: &str| -> Vec<String> {
        rows.into_iter()
            .map(|row| row.replace(account, "account"))
            .collect()
    };
    assert_eq!(
        without(kept(&short).await, &accounts[0]),
        without(kept(&long).await, &accounts[1])
    );
    assert_eq!(
        kinds(&told(&short, &alice).await),
        kinds(&told(&long, &other).await)
    );

    // The same record, and another record of the same call: the one is known, the other changes what is known.
    let before = kept(&short).await;
    for again in [call("CA1", "ringing"), call("CA1", "completed")] {
        let mut tx = short.begin(&alice).await;
        assert!(write.apply_new(&mut tx, &again).await.unwrap().is_none());
        tx.commit().await.unwrap();
    }
    assert_eq!(kept(&short).await, before, "nothing of it was written");
    let applied = apply(&short, &alice, call("CA1", "completed")).await.unwrap();
    assert!(!applied.duplicate && !applied.entities[0].created);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lacks_a_property_or_is_somebody_does_not_come_in_the_short_way() {
    let hub = hub().await;
    let alice = hub.somebody();
    let write = hub.context.ports.graph_write();
    let mut tx = hub.begin(&alice).await;
    let sam = identified("Person", "tel", SAM_TEL, json!({"name": "Sam"}));
    let sam = change(AssertedBy::Connector, "dav/1", vec![sam]);
    assert!(
        write.apply_new(&mut tx, &sam).await.unwrap().is_none(),
        "who bears the number may be the same"
    );
    let mut nobody = call("CA1", "ringing");
    nobody.entities[0].kind = "Cal".to_owned();
    let error = write.apply_new(&mut tx, &nobody).await.unwrap_err();
    assert!(matches!(error, GraphError::Invalid(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_calls_is_found_without_going_through_all_that_the_graph_holds() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (_, sam) = alice_and_sam(&hub, &alice).await;
    let places = (0..300).map(|nth| {
        let id = contracts::EntityId::new();
        entity(
            "Place",
            Target::New(id),
            json!({ "name": format!("Place {nth}") }),
        )
    });
    let places = change(AssertedBy::User, "user", places.collect());
    apply(&hub, &alice, places).await.unwrap();
    let mut tx = hub.begin(&alice).await;
    // Whatever the planner thinks of a table that nobody has analysed: an index can be used, or it can't.
    sqlx::query(
        "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true)",
    )
    .execute(tx.conn())
    .await
    .unwrap();
    let tel = Identifier::new("tel", SAM_TEL);
    let read = hub.context.ports.graph_read();
    let party = read.party(&mut tx, &tel).await.unwrap();
    assert_eq!(
        (party.id, party.relations.as_slice()),
        (Some(sam), ["partner".to_owned()].as_slice())
    );
    assert!(
        read.entity_by_identifier(&mut tx, "Person", &tel)
            .await
            .unwrap()
            .is_some()
    );
    let rows: i64 = sqlx::query_scalar(
        "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables
        WHERE schemaname = 'graph' AND relname = 'entity'",
    )
    .fetch_one(tx.conn())
    .await
    .unwrap();
    assert!(rows > 0 && rows < 50, "{rows} rows of 302 were read");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_of_a_call_are_told_in_their_order_the_same_one_twice_too() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (_, sam) = alice_and_sam(&hub, &alice).await;
    let mut tx = hub.begin(&alice).await;
    let ends =
        ["+4930901820", "+1 415 555 2671", "anonymous", SAM_TEL].map(|tel| Identifier::new("tel", tel));
    let parties = hub
        .context
        .ports
        .graph_read()
        .parties(&mut tx, &ends)
        .await
        .unwrap();
    let told: Vec<_> = parties
        .iter()
        .map(|party| (party.id, party.address.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (None, "+4930901820"),
            (Some(sam), SAM_TEL),
            (None, "anonymous"),
            (Some(sam), SAM_TEL)
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_place_may_bear_what_another_bears_and_an_id_is_given_once() {
    let hub = hub().await;
    let alice = hub.somebody();
    let id = contracts::EntityId::new();
    let place = |id| {
        let mut place = entity("Place", Target::New(id), json!({ "name": "Work" }));
        place
            .identifiers
            .push(Identifier::new("url", "https://work.example/"));
        change(AssertedBy::User, "user", vec![place])
    };
    apply(&hub, &alice, place(id)).await.unwrap();
    apply(&hub, &alice, place(contracts::EntityId::new()))
        .await
        .unwrap();
    let error = apply(&hub, &alice, place(id)).await.unwrap_err();
    assert!(error.to_string().contains("already"), "{error}");
    assert_eq!(count(&hub, "entity").await, 2);
    assert_eq!(count(&hub, "entity_identifier").await, 2);
    assert_eq!(count(&hub, "identifier").await, 1);
}
