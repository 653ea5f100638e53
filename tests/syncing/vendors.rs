//! Webhooks of Stripe, GitHub and Gumroad: signed by the vendors' own libraries, and what they mean.

use std::io::Write;
use std::process::{Command, Stdio};

use contracts::{Clock, SystemClock};
use serde_json::{Value, json};

use super::{Alice, hub};

/// The header that the vendor's library makes.
fn sign(wanted: &Value) -> String {
    let tests = env!("CARGO_MANIFEST_DIR");
    let mut child = Command::new(format!("{tests}/pgboss/node_modules/.bin/node"))
        .arg(format!("{tests}/vendors/sign.mjs"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the vendors' libraries are installed by scripts/test");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(wanted.to_string().as_bytes())
        .unwrap();
    let signed = child.wait_with_output().unwrap();
    assert!(signed.status.success());
    String::from_utf8(signed.stdout).unwrap().trim().to_owned()
}

fn charge(refunded: bool) -> String {
    json!({
        "id": "evt_1", "object": "event", "type": "charge.succeeded", "data": { "object": {
            "id": "ch_1", "object": "charge", "amount": 1999, "currency": "eur", "created": 1_700_000_000,
            "status": "succeeded", "refunded": refunded, "disputed": false, "amount_refunded": 0, "customer": "cus_1",
            "description": "A book", "receipt_email": null, "receipt_url": null,
            "billing_details": { "email": "sam@example.org", "name": "Sam Example" },
        } },
    })
    .to_string()
}

#[tokio::test]
async fn a_charge_signed_by_stripes_own_library_becomes_a_transaction_with_its_payer() {
    let hub = hub().await;
    let alice = Alice::new(&hub);
    let secret = "whsec_0123456789abcdef";
    let connection = alice
        .connect("stripe", json!({}), json!({ "signing_secret": secret }))
        .await;
    let path = format!("/hooks/stripe/{connection}/events");
    let signed = |payload: &str, secret: &str, at: i64| {
        sign(&json!({ "vendor": "stripe", "payload": payload, "secret": secret, "timestamp": at }))
    };
    let now = SystemClock.now().timestamp();
    let body = charge(false);
    for (what, header) in [
        ("another secret", signed(&body, "whsec_other", now)),
        ("too old", signed(&body, secret, now - 400)),
        ("another body", signed(&charge(true), secret, now)),
    ] {
        let (status, _) = alice
            .deliver(&path, &[("stripe-signature", &header)], &body)
            .await;
        assert_eq!(status, 403, "{what}");
    }
    for _ in 0..2 {
        let header = signed(&body, secret, now);
        let (status, answer) = alice
            .deliver(&path, &[("stripe-signature", &header)], &body)
            .await;
        assert_eq!(status, 200, "{answer}");
    }
    let graph = alice.graph().await;
    let payment = graph
        .iter()
        .find(|line| line.starts_with("Transaction "))
        .unwrap();
    assert!(
        payment.starts_with("Transaction Payment of 19.99 EUR") && payment.ends_with("payer Sam Example"),
        "{payment}"
    );
    let refunded = charge(true);
    let header = signed(&refunded, secret, now);
    alice
        .deliver(&path, &[("stripe-signature", &header)], &refunded)
        .await;
    let graph = alice.graph().await;
    assert_eq!(
        (alice.count("Transaction").await, alice.count("Person").await),
        (1, 1)
    );
    assert!(
        graph.iter().any(|line| line.contains("\"refunded\"")),
        "{graph:?}"
    );
    assert_eq!(alice.parked().await, Vec::<String>::new());
}

#[tokio::test]
async fn pushes_issues_and_comments_signed_by_githubs_own_library_become_documents_tasks_and_messages() {
    let hub = hub().await;
    let alice = Alice::new(&hub);
    let connection = alice
        .connect("github", json!({}), json!({ "webhook_secret": "a secret" }))
        .await;
    let path = format!("/hooks/github/{connection}/events");
    let repository = json!({ "full_name": "octo/hub", "html_url": "https://github.com/octo/hub" });
    let issue = |state: &str, at: &str| {
        json!({
            "number": 7, "title": "It is broken", "body": "Really.", "state": state, "html_url": "https://github.com/octo/hub/issues/7",
            "user": { "login": "sam" }, "updated_at": at, "closed_at": if state == "closed" { json!(at) } else { Value::Null },
        })
    };
    let comment = json!({
        "id": 99, "body": "I see.", "user": { "login": "kim" }, "html_url": "https://github.com/octo/hub/issues/7#c",
        "created_at": "2026-05-01T11:00:00Z", "updated_at": "2026-05-01T11:00:00Z",
    });
    let commit = json!({
        "id": "abc123", "message": "Mend it\n\nIt was broken.", "timestamp": "2026-05-01T12:00:00+02:00",
        "url": "https://github.com/octo/hub/commit/abc123", "author": { "name": "Sam", "email": "sam@example.org" },
    });
    let opened = json!({ "action": "opened", "issue": issue("open", "2026-05-01T10:00:00Z"), "repository": repository });
    let forged = opened.to_string();
    let wrong = sign(&json!({ "vendor": "github", "payload": forged, "secret": "another" }));
    assert_eq!(
        alice
            .deliver(&path, &[("x-hub-signature-256", &wrong)], &forged)
            .await
            .0,
        403
    );
    for body in [
        opened,
        json!({ "action": "created", "issue": issue("open", "2026-05-01T11:00:00Z"), "comment": comment, "repository": repository }),
        json!({ "ref": "refs/heads/main", "commits": [commit], "repository": repository }),
        json!({ "action": "closed", "issue": issue("closed", "2026-05-01T13:00:00Z"), "repository": repository }),
        json!({ "zen": "Keep it simple.", "repository": repository }),
    ] {
        let body = body.to_string();
        let header = sign(&json!({ "vendor": "github", "payload": body, "secret": "a secret" }));
        let (status, answer) = alice
            .deliver(&path, &[("x-hub-signature-256", &header)], &body)
            .await;
        assert_eq!(status, 200, "{answer}");
    }
    assert_eq!(alice.parked().await, Vec::<String>::new());
    let graph = alice.graph().await;
    let line = |kind: &str| {
        graph
            .iter()
            .find(|line| line.starts_with(kind))
            .unwrap_or_else(|| panic!("{kind}: {graph:?}"))
    };
    assert!(line("Task It is broken").contains("\"completed\""));
    assert!(line("Task It is broken").ends_with("about octo/hub,author sam"));
    assert!(line("Message kim on It is broken").ends_with("about It is broken,author kim"));
    assert!(line("Document Mend it").ends_with("about octo/hub,author Sam"));
}

#[tokio::test]
async fn a_gumroad_ping_is_taken_with_the_word_in_its_address_alone() {
    let hub = hub().await;
    let alice = Alice::new(&hub);
    let connection = alice
        .connect("gumroad", json!({}), json!({ "word": "0123456789abcdef" }))
        .await;
    let path = format!("/hooks/gumroad/{connection}/ping");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let ping = "sale_id=S1&sale_timestamp=2026-05-01T10%3A00%3A00Z&price=500&currency=usd&email=sam%40example.org\
        &full_name=Sam&product_id=P1&product_name=A+book&product_permalink=https%3A%2F%2Fgumroad.com%2Fl%2Fbook&refunded=false";
    for wrong in ["", "?token=", "?token=0123", "?word=0123456789abcdef"] {
        assert_eq!(
            alice.deliver(&format!("{path}{wrong}"), &form, ping).await.0,
            403,
            "{wrong}"
        );
    }
    let path = format!("{path}?token=0123456789abcdef");
    assert_eq!(alice.deliver(&path, &form, ping).await.0, 200);
    assert_eq!(
        alice
            .deliver(&path, &form, &ping.replace("refunded=false", "refunded=true"))
            .await
            .0,
        200
    );
    assert_eq!(
        alice.deliver(&path, &form, "test=true").await.0,
        200,
        "a test ping has no sale"
    );
    let graph = alice.graph().await;
    let sale = graph
        .iter()
        .find(|line| line.starts_with("Transaction "))
        .unwrap();
    assert!(
        sale.contains("5.00") && sale.contains("\"refunded\"") && sale.ends_with("about A book,payer Sam"),
        "{sale}"
    );
    assert_eq!(graph.len(), 3);
    assert_eq!(alice.parked().await, Vec::<String>::new());
}

#[tokio::test]
async fn events_of_stripe_that_come_late_put_no_older_state_back() {
    let hub = hub().await;
    let alice = Alice::new(&hub);
    let secret = "whsec_0123456789abcdef";
    let connection = alice
        .connect("stripe", json!({}), json!({ "signing_secret": secret }))
        .await;
    let path = format!("/hooks/stripe/{connection}/events");
    let deliver = async |body: Value| {
        let body = body.to_string();
        let now = SystemClock.now().timestamp();
        let header =
            sign(&json!({ "vendor": "stripe", "payload": body, "secret": secret, "timestamp": now }));
        let (status, answer) = alice
            .deliver(&path, &[("stripe-signature", &header)], &body)
            .await;
        assert_eq!(status, 200, "{answer}");
    };
    let charged = |refunded: bool, created: i64| {
        let mut event: Value = serde_json::from_str(&charge(refunded)).unwrap();
        event["created"] = json!(created);
        event
    };
    let is = async |status: &str| {
        let graph = alice.graph().await;
        let wanted = format!("\"status\": \"{status}\"");
        assert!(
            graph.iter().any(|line| line.contains(&wanted)),
            "{status}: {graph:?}"
        );
    };
    deliver(charged(true, 1_700_000_200)).await;
    for _ in 0..2 {
        deliver(charged(false, 1_700_000_100)).await;
        is("refunded").await;
    }
    assert_eq!(alice.count("Transaction").await, 1);
    deliver(charged(false, 1_700_000_300)).await;
    is("succeeded").await;

    // A customer is told to be deleted before it is told to be there.
    let customer = |kind: &str, created: i64| {
        json!({
            "type": kind, "created": created,
            "data": { "object": { "id": "cus_9", "object": "customer", "name": "Robin", "email": "robin@example.org" } },
        })
    };
    deliver(customer("customer.deleted", 1_700_000_500)).await;
    deliver(customer("customer.created", 1_700_000_400)).await;
    let graph = alice.graph().await;
    assert!(!graph.iter().any(|line| line.contains("Robin")), "{graph:?}");
    deliver(customer("customer.updated", 1_700_000_600)).await;
    let graph = alice.graph().await;
    assert!(
        graph.iter().any(|line| line.starts_with("Person Robin")),
        "{graph:?}"
    );
    assert_eq!(alice.parked().await, Vec::<String>::new());
}
