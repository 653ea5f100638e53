//! Whose rows are whose, tried in SQL with the application's own role.

use sqlx::{Connection, Executor, PgConnection};

use super::*;

const TABLES: [&str; 7] = [
    "graph.raw_record",
    "graph.entity",
    "graph.claim",
    "graph.identifier",
    "graph.entity_identifier",
    "graph.relation",
    "spine.request",
];

/// Rows in each table of Alice's.
async fn fill(hub: &TestHub, alice: &Scope) {
    alice_and_sam(hub, alice).await;
    apply(hub, alice, call("CA1", "ringing")).await.unwrap();
    let place = json!({"type": "Place", "title": "Work", "props": {"latitude": 52.5, "longitude": 13.4}});
    let made = routes::call_with_key(hub, alice, "POST", "/entities", Some(place), "k1").await;
    assert_eq!(made.status, 201, "{:?}", made.body);
}

async fn bound(hub: &TestHub, account: &str) -> PgConnection {
    let options = hub.database.db.app().connect_options().as_ref().clone();
    let mut conn = PgConnection::connect_with(&options).await.unwrap();
    sqlx::query("SELECT set_config('allod.account', $1, false)")
        .bind(account)
        .execute(&mut conn)
        .await
        .unwrap();
    conn
}

async fn rows(conn: &mut PgConnection, table: &str) -> i64 {
    sqlx::query_scalar(&format!("SELECT count(*) FROM {table}"))
        .fetch_one(conn)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_accounts_rows_can_be_neither_seen_nor_changed_nor_made() {
    let hub = hub().await;
    let (alice, bob) = (hub.somebody(), hub.somebody());
    fill(&hub, &alice).await;
    let alices = alice.account().to_string();
    let mut as_alice = bound(&hub, &alices).await;
    let mut as_bob = bound(&hub, &bob.account().to_string()).await;
    let mut as_nobody = bound(&hub, "").await;
    for table in TABLES {
        assert!(
            rows(&mut as_alice, table).await > 0,
            "{table} holds something of hers"
        );
        for stranger in [&mut as_bob, &mut as_nobody] {
            assert_eq!(rows(stranger, table).await, 0, "{table}");
            let changed = stranger
                .execute(format!("UPDATE {table} SET account = account").as_str())
                .await;
            assert_eq!(changed.unwrap().rows_affected(), 0, "{table}");
            let removed = stranger
                .execute(format!("DELETE FROM {table}").as_str())
                .await
                .unwrap();
            assert_eq!(removed.rows_affected(), 0, "{table}");
        }
        // Giving a row of one's own to somebody else is refused, too.
        let given = format!("UPDATE {table} SET account = '{}'", bob.account());
        let error = as_alice.execute(given.as_str()).await.unwrap_err();
        let code = error
            .as_database_error()
            .and_then(|error| error.code().map(std::borrow::Cow::into_owned));
        assert_eq!(code.as_deref(), Some("42501"), "{table}: {error}");
    }
    let forged = format!(
        "INSERT INTO graph.identifier (account, id, scheme, value) VALUES ('{alices}', gen_random_uuid(), 'tel', 'x')"
    );
    assert!(
        as_bob
            .execute(forged.as_str())
            .await
            .unwrap_err()
            .to_string()
            .contains("row-level security")
    );
    let refused = as_bob
        .execute("ALTER TABLE graph.entity DISABLE ROW LEVEL SECURITY")
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("must be owner"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ports_and_routes_show_an_account_nothing_of_anothers() {
    let hub = hub().await;
    let (alice, bob) = (hub.somebody(), hub.somebody());
    let (me, sam) = alice_and_sam(&hub, &alice).await;
    let read = hub.context.ports.graph_read();
    let mut tx = hub.begin(&bob).await;
    assert!(read.entity(&mut tx, sam).await.unwrap().is_none());
    assert_eq!(
        read.party(&mut tx, &Identifier::new("tel", SAM_TEL))
            .await
            .unwrap()
            .id,
        None
    );
    assert!(read.entities(&mut tx, "Person").await.unwrap().is_empty());
    drop(tx);
    let mut theft = change(AssertedBy::User, "user", vec![]);
    theft.relations.push(RelationChange {
        from: me,
        predicate: "partner".to_owned(),
        to: sam,
    });
    assert!(matches!(
        apply(&hub, &bob, theft).await,
        Err(GraphError::NotFound(_))
    ));
    let edit = change(
        AssertedBy::User,
        "user",
        vec![entity("Person", Target::Existing(sam), json!({"name": "X"}))],
    );
    assert!(matches!(
        apply(&hub, &bob, edit).await,
        Err(GraphError::NotFound(_))
    ));
    assert_eq!(
        routes::call(&hub, &bob, "GET", &format!("/entities/{sam}"), None)
            .await
            .status,
        404
    );
    // The same number in Bob's account is somebody of his own.
    let his = identified("Person", "tel", SAM_TEL, json!({"name": "Samuel"}));
    let his = apply(&hub, &bob, change(AssertedBy::User, "user", vec![his]))
        .await
        .unwrap();
    assert!(his.entities[0].created && his.entities[0].id != sam);
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_an_account_leaves_no_row_of_it_and_every_row_of_the_others() {
    let hub = hub().await;
    let (alice, bob) = (hub.somebody(), hub.somebody());
    fill(&hub, &alice).await;
    fill(&hub, &bob).await;
    let mut behind = hub.database.superuser().await;
    let mut before = Vec::new();
    for table in TABLES {
        before.push(rows(&mut behind, table).await);
    }
    let erased = hub.admin.erase_account(&alice, alice.account()).await.unwrap();
    let mut as_bob = bound(&hub, &bob.account().to_string()).await;
    for (table, before) in TABLES.iter().zip(before) {
        assert!(
            erased.get(*table).is_some_and(|rows| *rows > 0),
            "{table}: {erased:?}"
        );
        assert_eq!(rows(&mut behind, table).await, before / 2, "{table}");
        assert_eq!(rows(&mut as_bob, table).await, before / 2, "{table}");
    }
}
