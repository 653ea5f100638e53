//! Records of one batch: what they mean together, and what a bad one among them costs.

use super::*;

/// A mail of one address to another, with whatever else its header says.
fn letter(id: &str, from: &str, more: &str, text: &str) -> String {
    format!(
        "From x@example.org\nFrom: {from}\nTo: alice@example.org\nSubject: Letter\nDate: Fri, 1 May 2026 12:00:00 +0200\n\
         Message-ID: <{id}@example.org>\n{more}\n{text}\n\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_of_one_file_meet_in_one_conversation_in_whatever_order_they_stand() {
    let hub = hub().await;
    let mail =
        |number, references: &[usize]| format!("From x@example.org\n{}\n", mailbox::mail(number, references));
    let (first, reply, answer) = (mail(1, &[]), mail(2, &[1]), mail(3, &[2]));
    for order in [
        [&first, &reply, &answer],
        [&answer, &reply, &first],
        [&first, &answer, &reply],
    ] {
        let alice = Alice::new(&hub).await;
        let file = order.map(String::as_str).concat();
        for news in [3, 0] {
            let done = alice.import("mbox", file.clone()).await;
            assert_eq!(
                (&done["new"], &done["parked"]),
                (&json!(news), &json!(0)),
                "{done}"
            );
            assert_eq!(alice.entities("Message").await, 3);
            assert_eq!(alice.entities("Conversation").await, 1);
            assert_eq!(alice.conversation_sizes().await, [3]);
            assert_eq!(alice.entities("Person").await, 2, "Alice and who wrote");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_mails_of_one_batch_from_somebody_new_make_one_person_who_gets_her_name_from_either() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let bare = letter("1", "kim@example.org", "", "Hello");
    let named = letter("2", "Kim Example <Kim@Example.org>", "", "Hello again");
    let file = [
        bare.clone(),
        named,
        bare.clone(),
        letter("3", "lee@example.org", "", "Bye"),
    ]
    .concat();
    let done = alice.import("mbox", file.clone()).await;
    assert_eq!(
        (&done["taken"], &done["new"], &done["known"]),
        (&json!(4), &json!(3), &json!(1)),
        "the same mail twice in one file is one: {done}"
    );
    assert_eq!(alice.entities("Person").await, 3);
    assert_eq!(alice.count("entity WHERE title = 'Kim Example'").await, 1);
    assert_eq!(
        alice
            .count("claim WHERE source = 'import/mbox' AND recorded_to IS NOT NULL")
            .await,
        1
    );
    let (before, events) = (
        canonical(&alice.export("jsonld").await),
        data_events(&alice).await,
    );
    assert_eq!(alice.import("mbox", file).await["new"], 0);
    assert_eq!(canonical(&alice.export("jsonld").await), before);
    assert_eq!(data_events(&alice).await, events, "nobody was told of anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_refused_in_the_middle_of_a_batch_is_parked_alone() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    // What she wrote about it and a later revision each fit, both together don't.
    let first = letter("twice", "kim@example.org", "", "Hello");
    alice.import("mbox", first).await;
    let note = json!({ "x_note": "so many words ".repeat(2_800) });
    let known_by = [("mail.message-id", "twice@example.org")];
    alice.say("Message", note, &known_by).await;
    let many: Vec<String> = (0..100)
        .map(|n| format!("r{n}@{label}.{label}.example", label = "b".repeat(60)))
        .collect();
    let many = letter(
        "twice",
        "kim@example.org",
        &format!("Cc: {}\n", many.join(",\n ")),
        "Hello",
    );
    let many = many.replace("To: alice@example.org", &format!("To: {}", many_more()));
    let file = [
        mailbox::mailbox(40),
        many,
        mailbox::mailbox(90).replace("<m", "<n"),
    ]
    .concat();
    let done = alice.import("mbox", file.clone()).await;
    assert_eq!(
        (&done["taken"], &done["new"], &done["parked"]),
        (&json!(131), &json!(131), &json!(1)),
        "{done}"
    );
    assert_eq!(alice.entities("Message").await, 131);
    assert_eq!(
        alice
            .count("raw_record WHERE status = 'parked' AND reason LIKE '%properties take%'")
            .await,
        1
    );
    assert_eq!(alice.count("raw_record WHERE status = 'received'").await, 0);
    assert_eq!(alice.conversation_sizes().await.iter().sum::<i64>(), 131);
    let before = data_events(&alice).await;
    let again = alice.import("mbox", file).await;
    assert_eq!(
        (&again["new"], &again["known"]),
        (&json!(0), &json!(131)),
        "{again}"
    );
    assert_eq!(data_events(&alice).await, before, "nobody was told of anything");
}

/// A calendar in which one lunch stands in several revisions, by their sequence numbers.
fn lunches(sequences: &[i64]) -> String {
    let lunch = |sequence: &i64| {
        format!(
            "BEGIN:VEVENT\r\nUID:lunch\r\nSUMMARY:Lunch {sequence}\r\nSEQUENCE:{sequence}\r\n\
             DTSTART:20260501T100000Z\r\nEND:VEVENT\r\n"
        )
    };
    let lunches: String = sequences.iter().map(lunch).collect();
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{lunches}END:VCALENDAR\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_revisions_in_one_file_none_puts_the_past_back() {
    let hub = hub().await;
    for files in [
        &[&[3, 1, 2][..]][..],
        &[&[1, 3, 2, 1]],
        &[&[2, 3], &[1, 2]],
        &[&[3], &[1, 2, 1, 2]],
    ] {
        let alice = Alice::new(&hub).await;
        for file in files {
            assert_eq!(alice.import("ical", lunches(file)).await["parked"], 0);
        }
        let mut behind = hub.database.superuser().await;
        let shown: Vec<Option<String>> =
            sqlx::query_scalar("SELECT title FROM graph.entity WHERE account = $1 AND type = 'Event'")
                .bind(alice.scope.account().0)
                .fetch_all(&mut behind)
                .await
                .unwrap();
        assert_eq!(shown, [Some("Lunch 3".to_owned())], "{files:?}");
        let words: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM graph.raw_record WHERE account = $1 AND superseded_at IS NULL",
        )
        .bind(alice.scope.account().0)
        .fetch_one(&mut behind)
        .await
        .unwrap();
        assert_eq!(words, 1, "one revision is the calendar's word: {files:?}");
    }
}

fn many_more() -> String {
    let all: Vec<String> = (0..100)
        .map(|n| format!("s{n}@{label}.{label}.example", label = "c".repeat(60)))
        .collect();
    all.join(",\n ")
}
