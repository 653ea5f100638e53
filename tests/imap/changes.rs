//! What the owner does in her mailbox meanwhile: reads, moves, deletes, renames.

use serde_json::json;

use super::{Alice, Dovecot, hub, mail};

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_moves_stays_one_that_is_deleted_goes_and_comes_back_if_it_does() {
    let (hub, server) = (hub().await, Dovecot::start());
    for number in 0..6 {
        server.deliver("INBOX", &mail(number), "S");
    }
    server.deliver("Archive", &mail(10), "S");
    let nameless =
        b"From: a@example.org\r\nSubject: Nameless\r\nDate: Fri, 1 May 2026 12:00:00 +0200\r\n\r\nhi\r\n";
    server.deliver("INBOX", nameless, "S");
    let alice = Alice::new(&hub);
    let connection = alice.connect(&server, json!({})).await;
    alice.until_read(&connection).await;
    assert_eq!(alice.mails().await.len(), 8);

    server.change(&["move", "Archive", "mailbox", "INBOX", "subject", "Letter 1"]);
    server.change(&["expunge", "mailbox", "INBOX", "subject", "Letter 2"]);
    server.change(&["expunge", "mailbox", "INBOX", "subject", "Nameless"]);
    for _ in 0..3 {
        alice.read_again(&connection).await;
    }
    assert!(alice.mail("Letter 1").await.is_some(), "it lies elsewhere");
    assert_eq!(alice.mail("Letter 2").await, None);
    assert_eq!(alice.mail("Nameless").await, None);
    assert_eq!(alice.mails().await.len(), 6);

    server.deliver("Archive", &mail(2), "S");
    alice.read_again(&connection).await;
    assert!(alice.mail("Letter 2").await.is_some(), "it is there again");
    assert_eq!(alice.mails().await.len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_and_flagged_there_is_known_here() {
    let (hub, server) = (hub().await, Dovecot::start());
    for number in 0..4 {
        server.deliver("INBOX", &mail(number), "");
    }
    let alice = Alice::new(&hub);
    let connection = alice.connect(&server, json!({})).await;
    alice.until_read(&connection).await;
    assert_eq!(alice.mail("Letter 1").await.unwrap()["seen"], false);
    server.change(&[
        "flags", "add", "\\Seen", "mailbox", "INBOX", "subject", "Letter 1",
    ]);
    server.change(&[
        "flags",
        "add",
        "\\Flagged",
        "mailbox",
        "INBOX",
        "subject",
        "Letter 2",
    ]);
    alice.read_again(&connection).await;
    let (one, two, three) = (
        alice.mail("Letter 1").await,
        alice.mail("Letter 2").await,
        alice.mail("Letter 3").await,
    );
    assert_eq!(one.unwrap()["seen"], true);
    let two = two.unwrap();
    assert_eq!((&two["seen"], &two["flagged"]), (&json!(false), &json!(true)));
    assert_eq!(three.unwrap()["seen"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_renamed_or_numbered_anew_brings_nothing_twice_and_takes_nothing_away() {
    let (hub, mut server) = (hub().await, Dovecot::start());
    for number in 0..40 {
        server.deliver("INBOX", &mail(number), "S");
        server.deliver("Old", &mail(100 + number), "S");
    }
    let alice = Alice::new(&hub);
    let connection = alice.connect(&server, json!({})).await;
    alice.until_read(&connection).await;
    let before = alice.mails().await;
    assert_eq!(before.len(), 80);

    server.change(&["mailbox", "rename", "Old", "New"]);
    alice.act(&connection, "sync").await;
    alice
        .until("the folder is known by its new name", &connection, |shown| {
            let streams = shown["streams"].as_array().unwrap();
            streams
                .iter()
                .any(|stream| stream["part"] == "New" && stream["read_at"].is_string())
        })
        .await;
    for _ in 0..2 {
        alice.read_again(&connection).await;
    }
    assert_eq!(alice.mails().await, before);

    server.renumber("INBOX");
    for _ in 0..3 {
        alice.read_again(&connection).await;
    }
    assert_eq!(alice.mails().await, before);
    let validities = alice
        .count("SELECT count(DISTINCT validity) FROM connectors.imap_mail WHERE account = $1 AND folder = 'INBOX'")
        .await;
    assert_eq!(validities, 1, "the numbers of before are forgotten");
    assert!(alice.told().await.is_empty(), "nothing of this is trouble");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_is_all_but_empty_at_once_is_believed_after_a_day() {
    let (hub, server) = (hub().await, Dovecot::start());
    for number in 0..150 {
        server.deliver("INBOX", &mail(number), "S");
    }
    let alice = Alice::new(&hub);
    let connection = alice.connect(&server, json!({})).await;
    alice.until_read(&connection).await;
    server.change(&["expunge", "mailbox", "INBOX", "uid", "1:140"]);
    for _ in 0..2 {
        alice.read_again(&connection).await;
    }
    assert_eq!(alice.mails().await.len(), 150, "it may be a fault of the server");
    let mut behind = hub.database.superuser().await;
    sqlx::query("UPDATE connectors.imap_mail SET vanished_at = vanished_at - interval '1 day'")
        .execute(&mut behind)
        .await
        .unwrap();
    alice.read_again(&connection).await;
    assert_eq!(alice.mails().await.len(), 10);
}
