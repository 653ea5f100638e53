//! Mails that bear the same Message-ID, and calendars of which not everything has a place.

use super::*;

const LUNCH: &str = "From: sam@example.org\nTo: alice@example.org\nSubject: Lunch\nDate: Fri, 1 May 2026 12:00:00 +0200\n\
    Message-ID: <lunch@example.org>\n\nAt noon.\n";

async fn texts(alice: &Alice<'_>) -> Vec<String> {
    let export: Value = serde_json::from_str(&alice.export("jsonld").await).unwrap();
    let nodes = export["@graph"].as_array().unwrap();
    let texts = nodes.iter().filter(|node| node["@type"] == "Message");
    let mut texts: Vec<String> = texts
        .map(|node| node["props"]["text"].as_str().unwrap().to_owned())
        .collect();
    texts.sort();
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_bears_anothers_id_takes_nothing_from_it_and_both_stay_what_they_are() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    alice.import("mbox", LUNCH).await;
    // Mallory knows the id, and writes another mail with it.
    let forged = LUNCH
        .replace("sam@", "mallory@")
        .replace("At noon.", "Send money.");
    alice.import("mbox", forged.clone()).await;
    assert_eq!(texts(&alice).await, ["At noon.", "Send money."]);
    // The same mail by another way is the same.
    let copy = format!("Received: from a.example.org\nX-Status: RO\n{LUNCH}");
    alice.import("mbox", copy).await;
    alice.import("mbox", format!("X-Status: RO\n{forged}")).await;
    assert_eq!(texts(&alice).await, ["At noon.", "Send money."]);
    assert_eq!(alice.conversation_sizes().await, [2], "one thread");
    let before = canonical(&alice.export("jsonld").await);
    reprocess(&alice).await;
    assert_eq!(canonical(&alice.export("jsonld").await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_was_taken_in_before_contents_were_hashed_stays_one() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    alice.import("mbox", LUNCH).await;
    let mut behind = hub.database.superuser().await;
    for statement in [
        "DELETE FROM graph.entity_identifier USING graph.identifier AS i
            WHERE i.id = entity_identifier.identifier AND i.scheme = 'mail.content'",
        "UPDATE graph.entity SET props = props - 'content_hash' - 'message_id' WHERE type = 'Message'",
    ] {
        sqlx::query(statement).execute(&mut behind).await.unwrap();
    }
    alice
        .import("mbox", LUNCH.replace("At noon.", "Send money."))
        .await;
    reprocess(&alice).await;
    assert_eq!(texts(&alice).await, ["At noon.", "Send money."]);
    alice.import("mbox", format!("X-Status: RO\n{LUNCH}")).await;
    assert_eq!(texts(&alice).await, ["At noon.", "Send money."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_calendar_nothing_vanishes_without_a_word() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let calendar = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nSUMMARY:Lunch\r\nDTSTART:20260501T100000Z\r\n\
        END:VEVENT\r\nBEGIN:VEVENT\r\nUID:b\r\nSUMMARY:Supper\r\nDTSTART:tonight\r\nEND:VEVENT\r\nBEGIN:VJOURNAL\r\nUID:c\r\n\
        SUMMARY:Diary\r\nEND:VJOURNAL\r\nEND:VCALENDAR\r\n";
    for known in [0, 3] {
        let done = alice.import("ical", calendar).await;
        assert_eq!(
            (&done["taken"], &done["known"]),
            (&json!(3), &json!(known)),
            "{done}"
        );
    }
    assert_eq!(alice.entities("Event").await, 1);
    for reason in ["its DTSTART is no time", "a journal entry (VJOURNAL)%"] {
        let parked = format!("raw_record WHERE status = 'parked' AND reason LIKE '{reason}'");
        assert_eq!(alice.count(&parked).await, 1, "{reason}");
    }
}

/// Understands all records again, and waits until that is done.
async fn reprocess(alice: &Alice<'_>) {
    let request = Request::builder()
        .method("POST")
        .uri("/raw-records/process")
        .header("content-type", "application/json")
        .extension(Caller(alice.scope.clone()))
        .body(Body::from("{}"))
        .unwrap();
    let (router, _) = etl::service(&alice.hub.context).api.split_for_parts();
    let answer = router.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 202);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let job: Value = serde_json::from_slice(&body).unwrap();
    let mut behind = alice.hub.database.superuser().await;
    loop {
        let state: String =
            sqlx::query_scalar("SELECT state::text FROM pgboss.job WHERE id = $1::text::uuid")
                .bind(job["job"].as_str().unwrap())
                .fetch_one(&mut behind)
                .await
                .unwrap();
        match state.as_str() {
            "completed" => return,
            "failed" | "cancelled" => panic!("the job is {state}"),
            _ => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}
