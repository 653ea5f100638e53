//! A hub that is brought up to date over the rows of an older one.

use super::around::get;
use super::*;
use contracts::{AccountId, EntityId};

/// The last migration before there were timelines.
const BEFORE_TIMELINES: i64 = 80;

/// Rows as a hub of that time wrote them: Alice, Sam with a number, a call from it, and a lunch that Sam was at.
fn old_rows(account: AccountId, ids: &[EntityId; 5]) -> String {
    let [me, sam, call, lunch, refused] = ids;
    let tel = EntityId::new();
    let entity = |id: &EntityId, kind: &str, title: &str, props: Value, starts: &str| {
        format!(
            "INSERT INTO graph.entity (account, id, type, title, props, version, starts_at, folded, asserted_by, source,
                created_at, updated_at)
             VALUES ('{account}', '{id}', '{kind}', '{title}', '{props}', 1, {starts}, false, 'connector', 'c/1',
                '2026-05-01', '2026-05-01');"
        )
    };
    let relation = |to: &EntityId, refused: bool| {
        format!(
            "INSERT INTO graph.relation (account, id, from_entity, predicate, to_entity, asserted_by, source, recorded_at,
                removed_at, refused)
             VALUES ('{account}', '{}', '{lunch}', 'attendee', '{to}', 'connector', 'c/1', '2026-05-01',
                {}, {refused});",
            EntityId::new(),
            if refused { "'2026-05-02'" } else { "NULL" }
        )
    };
    let (noon, one) = ("'2026-05-01 12:00Z'", "'2026-05-01 13:00Z'");
    [
        entity(me, "Person", "Alice", json!({}), "NULL"),
        entity(sam, "Person", "Sam", json!({}), "NULL"),
        entity(refused, "Person", "Kim", json!({}), "NULL"),
        entity(
            call,
            "Call",
            "Call",
            json!({ "from": "+1 (415) 555-2671" }),
            noon,
        ),
        entity(lunch, "Event", "Lunch", json!({}), one),
        relation(sam, false),
        relation(refused, true),
        format!("INSERT INTO graph.identifier VALUES ('{account}', '{tel}', 'tel', '{SAM_TEL}');"),
        format!(
            "INSERT INTO graph.entity_identifier (account, entity, identifier, asserted_by, source, confidence,
                recorded_at)
             VALUES ('{account}', '{sam}', '{tel}', 'user', 'user', 1, '2026-05-01');"
        ),
    ]
    .concat()
}

async fn titles(hub: &TestHub, scope: &Scope, about: EntityId) -> Vec<String> {
    let (status, page) = get(hub, scope, &format!("/timeline?about={about}")).await;
    assert_eq!(status, 200, "{page}");
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|item| item["title"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_before_timelines_were_stands_on_them_after_the_update() {
    let (account, ids) = (AccountId::new(), std::array::from_fn(|_| EntityId::new()));
    let rows = old_rows(account, &ids);
    let database = spine::testing::database_since(BEFORE_TIMELINES, &rows).await;
    let mut hub = spine::testing::hub_on(database, |context| vec![crate::service(context)]).await;
    let alice = hub.gate.operator(account);
    let [_, sam, _, _, kim] = ids;
    let filled = hub
        .eventually("the gap is filled", async || {
            (count(&hub, "timeline_gap").await == 0).then_some(())
        })
        .await;
    assert_eq!(filled, ());
    assert_eq!(titles(&hub, &alice, sam).await, ["Lunch", "Call"]);
    assert_eq!(
        titles(&hub, &alice, kim).await,
        [""; 0],
        "it was taken away from Kim's"
    );

    // A second time, as after a kill before the last commit, nothing is doubled.
    let rows = count(&hub, "timeline").await;
    hub.stop().await;
    let again = format!("INSERT INTO graph.timeline_gap VALUES ('{account}')");
    sqlx::query(&again)
        .execute(&mut hub.database.superuser().await)
        .await
        .unwrap();
    hub.restart(|context| vec![crate::service(context)]).await;
    hub.eventually("it is looked through again", async || {
        (count(&hub, "timeline_gap").await == 0).then_some(())
    })
    .await;
    assert_eq!(count(&hub, "timeline").await, rows);
    assert_eq!(titles(&hub, &alice, sam).await, ["Lunch", "Call"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_answered_before_the_update_stays_answered() {
    let account = AccountId::new();
    let rows = ["graph", "intentions"].map(|schema| {
        format!(
            "INSERT INTO {schema}.request VALUES ('{account}', '\\x0{}', '\\x00', NULL, now());",
            schema.len() % 9
        )
    });
    let channels =
        format!("INSERT INTO channels.request VALUES ('{account}', '\\x09', '\\x00', '{account}', now());");
    let database = spine::testing::database_since(140, &(rows.concat() + &channels)).await;
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM spine.request WHERE account = $1")
        .bind(account.0)
        .fetch_one(&mut database.superuser().await)
        .await
        .unwrap();
    assert_eq!(kept, 3);
}
