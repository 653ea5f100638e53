//! Whoever waits for somebody whom an import holds goes first.

use super::*;

async fn waiting(hub: &TestHub, how_many: i64) {
    let mut behind = hub.database.superuser().await;
    for _ in 0..1_000 {
        let now: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .fetch_one(&mut behind)
        .await
        .unwrap();
        if now >= how_many {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("there are not {how_many} who wait");
}

fn known_by(email: &str) -> Change {
    let entity = EntityChange {
        target: Target::Identified,
        kind: "Person".to_owned(),
        title: None,
        props: serde_json::Map::new(),
        identifiers: vec![Identifier::new("email", email)],
        starts_at: None,
    };
    Change {
        by: AssertedBy::Connector,
        source: "twilio/1".to_owned(),
        raw: None,
        entities: vec![entity],
        relations: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_for_which_somebody_waits_ends_early_and_no_record_is_doubled_or_missed() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let card = |n: usize| {
        format!(
            "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:{n}\r\nFN:Card {n}\r\nEMAIL:c{n}@example.org\r\nEND:VCARD\r\n"
        )
    };
    let file: String = (0..500).map(card).collect();
    let write = hub.context.ports.graph_write();
    // Somebody is being written of whom the file speaks late: the import waits there, with those before in its hands.
    let mut late = hub.begin(&alice.scope).await;
    write
        .apply(&mut late, known_by("c420@example.org"))
        .await
        .unwrap();
    let import = alice.import("vcard", file);
    let live = async {
        waiting(&hub, 1).await;
        let mut tx = hub.begin(&alice.scope).await;
        write.apply(&mut tx, known_by("c3@example.org")).await.unwrap();
        tx.commit().await.unwrap();
    };
    let release = async {
        waiting(&hub, 2).await;
        late.commit().await.unwrap();
    };
    let (done, (), ()) = tokio::join!(import, live, release);
    assert_eq!(
        (&done["taken"], &done["new"], &done["parked"]),
        (&json!(500), &json!(500), &json!(0)),
        "{done}"
    );
    let commits: Vec<i64> =
        sqlx::query_scalar("SELECT count(*) FROM graph.raw_record GROUP BY received_at ORDER BY received_at")
            .fetch_all(&mut hub.database.superuser().await)
            .await
            .unwrap();
    assert_eq!(commits, [450, 25, 25], "as far as it was, then few at once");
    assert_eq!(alice.entities("Person").await, 501);
}
