//! A server that refuses or is away, and an owner who pauses.

use serde_json::json;

use super::{Alice, Dovecot, hub, mail};

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_is_tried_once_and_waits_for_the_owner() {
    let (hub, server) = (hub().await, Dovecot::start());
    server.deliver("INBOX", &mail(1), "S");
    let alice = Alice::new(&hub);
    let connection = alice.connect_with(&server, "wrong", json!({})).await;
    let shown = alice
        .until("the owner is asked", &connection, |shown| {
            shown["health"] == "needs-reauthorisation"
        })
        .await;
    let reason = shown["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("the mail server refused the user name or the password"),
        "{reason}"
    );
    // What looks for work, and whoever waits for new mail, come by at least once.
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    assert_eq!(server.refusals(), 1, "{}", server.log());

    let (status, _) = alice
        .call(
            "PUT",
            &format!("/connections/{connection}/secrets"),
            json!({ "password": server.password() }),
        )
        .await;
    assert_eq!(status, 200);
    alice.until_read(&connection).await;
    assert_eq!(alice.mails().await.len(), 1);
    assert_eq!(alice.told().await, ["needs-reauthorisation", "active"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_told_once_and_what_came_meanwhile_is_read_when_it_is_back() {
    let (hub, mut server) = (hub().await, Dovecot::start());
    server.deliver("INBOX", &mail(1), "S");
    let alice = Alice::new(&hub);
    let connection = alice.connect(&server, json!({})).await;
    alice.until_read(&connection).await;
    server.off();
    for n in 1..=3 {
        alice.act(&connection, "sync").await;
        alice
            .until("it failed", &connection, |shown| {
                let streams = shown["streams"].as_array().unwrap();
                streams
                    .iter()
                    .all(|stream| stream["failures"].as_i64() >= Some(n))
            })
            .await;
    }
    assert_eq!(
        alice.told().await,
        ["retrying"],
        "once, not at each try of each folder"
    );
    server.deliver("INBOX", &mail(2), "S");
    server.on();
    let mut behind = hub.database.superuser().await;
    sqlx::query("UPDATE plugins.stream SET next_at = now()")
        .execute(&mut behind)
        .await
        .unwrap();
    hub.eventually("what came meanwhile is in", async || alice.mail("Letter 2").await)
        .await;
    alice
        .until("it works again", &connection, |shown| shown["health"] == "active")
        .await;
    assert_eq!(alice.told().await, ["retrying", "active"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_mailbox_is_left_alone_and_read_when_it_goes_on() {
    let (hub, server) = (hub().await, Dovecot::start());
    server.deliver("INBOX", &mail(1), "S");
    let alice = Alice::new(&hub);
    let connection = alice.connect(&server, json!({})).await;
    alice.until_read(&connection).await;
    alice.act(&connection, "pause").await;
    server.deliver("INBOX", &mail(2), "S");
    let mut behind = hub.database.superuser().await;
    sqlx::query("UPDATE plugins.stream SET next_at = now()")
        .execute(&mut behind)
        .await
        .unwrap();
    hub.settle().await;
    assert_eq!(alice.mail("Letter 2").await, None);
    alice.act(&connection, "resume").await;
    hub.eventually("it is read", async || alice.mail("Letter 2").await)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_inside_is_refused_unless_its_range_is_allowed() {
    let (hub, server) = (hub().await, Dovecot::start());
    let alice = Alice::new(&hub);
    let new = json!({
        "plugin": "imap", "name": "mail", "secrets": { "password": server.password() },
        "settings": { "host": "127.0.0.1", "port": server.port, "tls": "none", "user": "alice" },
    });
    let (status, made) = alice.call("POST", "/connections", new).await;
    assert_eq!(status, 201, "{made}");
    let connection = made["id"].as_str().unwrap();
    let shown = alice
        .until("it failed", connection, |shown| shown["health"] == "failed")
        .await;
    assert_eq!(
        shown["reason"],
        "the mail server's address is not public: allow its range for this connection"
    );
    // Whoever waited until it listened was the only one that came.
    assert!(
        server.log().matches("imap-login: ").count() <= 1,
        "{}",
        server.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_does_not_follow_to_another_server_or_lose_its_protection() {
    let (hub, server) = (hub().await, Dovecot::start());
    let alice = Alice::new(&hub);
    let connection = alice.connect(&server, json!({})).await;
    for (setting, value) in [
        ("host", json!("127.0.0.2")),
        ("port", json!(1)),
        ("tls", json!("starttls")),
    ] {
        let change = json!({ "settings": { setting: value } });
        let (status, problem) = alice
            .call("PATCH", &format!("/connections/{connection}"), change)
            .await;
        assert_eq!(status, 422, "{problem}");
        assert!(problem.to_string().contains("give them anew"), "{problem}");
    }
    let (status, answer) = alice
        .call(
            "PATCH",
            &format!("/connections/{connection}"),
            json!({ "settings": { "with_junk": true } }),
        )
        .await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_mail_that_is_too_large_the_header_is_here_and_the_rest_has_its_reason() {
    let (hub, server) = (hub().await, Dovecot::start());
    server.deliver("INBOX", &mail(1), "S");
    server.deliver(
        "INBOX",
        &[mail(2), b"0123456789abcdef\r\n".repeat(2_100_000)].concat(),
        "S",
    );
    server.deliver("INBOX", &mail(3), "S");
    let alice = Alice::new(&hub);
    let connection = alice.connect(&server, json!({})).await;
    alice.until_read(&connection).await;
    assert_eq!(alice.mails().await.len(), 3);
    assert_eq!(alice.mail("Letter 2").await.unwrap().get("text"), None);
    let mut behind = hub.database.superuser().await;
    let reasons: Vec<String> =
        sqlx::query_scalar("SELECT reason FROM graph.raw_record WHERE account = $1 AND status = 'parked'")
            .bind(alice.scope.account().0)
            .fetch_all(&mut behind)
            .await
            .unwrap();
    assert_eq!(
        reasons,
        ["the mail has 37 MB, and at most 36 are taken: only its header is here"]
    );
}
