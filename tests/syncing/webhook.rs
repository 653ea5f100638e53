//! Webhooks of programs that nobody wrote a pack for, by the owner's mapping.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::{Alice, MAPPING, answered, hub};

impl Alice<'_> {
    pub(super) async fn deliver(&self, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let mut request = Request::builder().method("POST").uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answered(
            self.public.clone(),
            request.body(Body::from(body.to_owned())).unwrap(),
        )
        .await
    }
}

#[tokio::test]
async fn a_body_means_what_the_owners_mapping_says_and_only_with_the_secret() {
    let hub = hub().await;
    let alice = Alice::new(&hub);
    let settings = json!({ "mapping": MAPPING });
    let connection = alice
        .connect("webhook", settings, json!({ "secret": "a-word" }))
        .await;
    let at = format!("/hooks/webhook/{connection}");
    let body = json!({ "orders": [
        { "number": 1, "paid_at": 1_700_000_000, "total": "9.50", "buyer": { "name": "Sam", "email": "sam@example.org" } },
        { "total": "1.00", "buyer": {} },
    ] })
    .to_string();
    let json_body = [("content-type", "application/json")];
    for refused in [
        "token",
        "token?token=",
        "token?token=a-wor",
        "bearer?token=a-word",
        "signed?token=a-word",
    ] {
        assert_eq!(
            alice
                .deliver(&format!("{at}/{refused}"), &json_body, &body)
                .await
                .0,
            403,
            "{refused}"
        );
    }
    assert_eq!(alice.graph().await.len(), 0);
    for _ in 0..2 {
        assert_eq!(
            alice
                .deliver(&format!("{at}/token?token=a-word"), &json_body, &body)
                .await
                .0,
            200
        );
    }
    let bearer = [
        ("content-type", "application/json"),
        ("authorization", "Bearer a-word"),
    ];
    assert_eq!(
        alice.deliver(&format!("{at}/bearer"), &bearer, &body).await.0,
        200
    );
    assert_eq!(
        (alice.count("Transaction").await, alice.count("Person").await),
        (1, 1)
    );
    assert_eq!(alice.parked().await.len(), 1, "what has no id is parked, once");
    let graph = alice.graph().await;
    assert!(
        graph
            .iter()
            .any(|line| line.starts_with("Transaction Order 1 ") && line.ends_with("payer Sam")),
        "{graph:?}"
    );
}

#[tokio::test]
async fn a_form_is_mapped_by_its_fields() {
    let hub = hub().await;
    let alice = Alice::new(&hub);
    let mapping =
        r#"{ "type": "Lead", "id": "id", "title": "{name}", "props": { "note": "From {city}: {text}" } }"#;
    let connection = alice
        .connect(
            "webhook",
            json!({ "mapping": mapping }),
            json!({ "secret": "a-word" }),
        )
        .await;
    let path = format!("/hooks/webhook/{connection}/form?token=a-word");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(
        alice
            .deliver(&path, &form, "id=7&name=Kim&city=Ulm&text=hello+there")
            .await
            .0,
        200
    );
    let graph = alice.graph().await;
    assert!(
        graph[0].starts_with("Lead Kim ") && graph[0].contains("From Ulm: hello there"),
        "{graph:?}"
    );
}

#[tokio::test]
async fn a_mapping_with_a_mistake_is_refused_before_anything_is_connected() {
    let hub = hub().await;
    let alice = Alice::new(&hub);
    let new = |mapping: &str| json!({ "plugin": "webhook", "name": "x", "settings": { "mapping": mapping }, "secrets": { "secret": "s" } });
    for (mapping, expected) in [
        ("{}", "needs `type`"),
        ("[]", "is a JSON object"),
        (r#"{"type": "Lead", "id": "id", "tilte": "x"}"#, "has no `tilte`"),
    ] {
        let (status, problem) = alice.call("POST", "/connections", new(mapping)).await;
        assert_eq!(status, 422, "{mapping}");
        assert!(problem.to_string().contains(expected), "{mapping}: {problem}");
    }
}

#[test]
fn the_two_generic_packs_map_alike() {
    let of = |pack: &str| {
        let path = crate::metadata::root().join(format!("plugins/{pack}/{pack}.rhai"));
        let text = std::fs::read_to_string(path).unwrap();
        text.split_once("// ---- the owner's mapping")
            .unwrap()
            .1
            .to_owned()
    };
    assert_eq!(of("webhook"), of("poller"));
}
