//! Webhooks: what is taken in, what is refused, what is answered.

use super::*;
use contracts::{AttemptId, EntityId, EventId};
use serde_json::json;
use spine::access::{Cause, DEPTH_MAX};

const SID: &str = "CA00000000000000000000000000000001";

fn call(from: &str) -> Vec<(&str, &str)> {
    vec![
        ("CallSid", SID),
        ("AccountSid", ACCOUNT),
        ("From", from),
        ("To", OURS),
        ("CallStatus", "ringing"),
        ("ApiVersion", "2010-04-01"),
        ("Direction", "inbound"),
    ]
}

#[tokio::test]
async fn a_signed_call_becomes_one_call_and_one_event_however_often_it_is_delivered() {
    let story = Story::begin().await;
    let first = story.webhook("voice", &call(SAM)).await;
    let second = story.webhook("voice", &call(SAM)).await;
    for answer in [&first, &second] {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.content_type, "text/xml");
        assert_eq!(crate::xml::problem(&answer.text), None);
        assert!(answer.text.contains("<Say"), "{}", answer.text);
    }
    assert_eq!(first.text, second.text);
    let calls = story.graph.entities("Call");
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].props["from"], SAM);
    assert_eq!(calls[0].props["direction"], "in");
    assert_eq!(
        story.kinds().await,
        ["connector.ConnectionCreated", "communication.CallStarted"]
    );
    let events = story.hub.events(&story.alice).await;
    let body = events.last().unwrap().body.clone().unwrap();
    assert_eq!(body["from"]["relations"], json!(["partner"]));
    assert_eq!(body["from"]["name"], "Sam");
    assert_eq!(body["answered"], false);
}

#[tokio::test]
async fn a_wrong_or_missing_signature_is_refused_without_a_record_and_counted_once() {
    let story = Story::begin().await;
    let path = story.hook("voice");
    let fields = call(SAM);
    for signature in [None, Some("RSOYDt4T1cUTdK1PDd93/VVr8B8=")] {
        let answer = ask(&story.public, form(&path, &fields, signature)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert_eq!(answer.content_type, "application/problem+json");
    }
    // Signed over what the proxy says instead of over what the owner configured.
    for host in [
        "http://10.0.0.7:8640",
        "http://mallory.example",
        "https://mallory.example",
    ] {
        let signature = sign(&format!("{host}{path}"), &fields);
        assert_eq!(
            ask(&story.public, form(&path, &fields, Some(&signature)))
                .await
                .status,
            StatusCode::FORBIDDEN
        );
    }
    assert_eq!(story.graph.entities("Call").len(), 0);
    assert_eq!(story.graph.parked().len(), 0);
    story.hub.context.access.refusals_flush().await.unwrap();
    story.hub.settle().await;
    let events = story.hub.events(&story.alice).await;
    let refused: Vec<_> = events
        .iter()
        .filter(|event| event.kind == "audit.WebhooksRefused")
        .collect();
    let count: u64 = refused
        .iter()
        .map(|event| event.body.as_ref().unwrap()["count"].as_u64().unwrap())
        .sum();
    assert_eq!(count, 5);
    assert!(
        refused.len() <= 2,
        "one entry a minute, and a minute may have turned"
    );
}

#[tokio::test]
async fn an_unknown_address_is_404_a_large_body_413_and_a_paused_connection_503() {
    let story = Story::begin().await;
    let fields = call(SAM);
    let somewhere = EntityId::new();
    for path in [
        format!("/hooks/twilio/{somewhere}/voice"),
        format!("/hooks/other/{}/voice", story.connection),
        format!("/hooks/log/{}/voice", story.connection),
        format!("/hooks/twilio/{}/other", story.connection),
        "/hooks/twilio/not-an-id/voice".to_owned(),
    ] {
        let signature = sign(&format!("https://hub.example{path}"), &fields);
        let answer = ask(&story.public, form(&path, &fields, Some(&signature))).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    let large = "x".repeat(70_000);
    assert_eq!(
        story.webhook("voice", &[("Body", &large)]).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    story
        .call(
            Method::POST,
            &format!("/connections/{}/pause", story.connection),
            json!({}),
        )
        .await;
    let paused = story.webhook("voice", &fields).await;
    assert_eq!(paused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(paused.retry_after.is_some());
    assert_eq!(story.graph.entities("Call").len(), 0);
    story
        .call(
            Method::POST,
            &format!("/connections/{}/resume", story.connection),
            json!({}),
        )
        .await;
    assert_eq!(story.webhook("voice", &fields).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_malformed_number_is_parked_and_the_caller_gets_an_answer_all_the_same() {
    let story = Story::begin().await;
    let answer = story.webhook("voice", &call("+1234")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text.contains("<Response>"));
    let parked = story.graph.parked();
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0].0.remote_id, SID);
    assert!(parked[0].1.contains("phone number"), "{}", parked[0].1);
    assert_eq!(story.graph.entities("Call").len(), 0);
}

#[tokio::test]
async fn hidden_callers_short_codes_and_sip_addresses_are_taken_in() {
    let story = Story::begin().await;
    for (n, (from, kept)) in [
        ("+266696687", "anonymous"),
        ("Anonymous", "anonymous"),
        ("+", "anonymous"),
        ("", "anonymous"),
        ("72645", "72645"),
        ("sip:Sam@pbx.example;transport=tls", "sam@pbx.example"),
        ("client:alice", "alice"),
    ]
    .into_iter()
    .enumerate()
    {
        let sid = format!("CA{n}");
        let mut fields = call(from);
        fields[0].1 = &sid;
        assert_eq!(
            story.webhook("voice", &fields).await.status,
            StatusCode::OK,
            "{from}"
        );
        assert_eq!(
            story.graph.entities("Call").last().unwrap().props["from"],
            kept,
            "{from}"
        );
    }
    assert_eq!(story.graph.parked().len(), 0);
}

#[tokio::test]
async fn what_ended_stays_ended_when_callbacks_overtake_each_other() {
    let story = Story::begin().await;
    story.webhook("voice", &call(SAM)).await;
    let status = |status: &'static str| {
        let mut fields = call(SAM);
        fields[4].1 = status;
        fields.push(("CallDuration", "42"));
        fields
    };
    assert_eq!(
        story.webhook("status", &status("completed")).await.status,
        StatusCode::OK
    );
    assert_eq!(
        story.webhook("status", &status("in-progress")).await.status,
        StatusCode::OK
    );
    assert_eq!(story.graph.entities("Call")[0].props["status"], "completed");
    assert_eq!(story.graph.entities("Call")[0].props["duration_s"], 42);
    let kinds = story.kinds().await;
    assert_eq!(
        kinds
            .iter()
            .filter(|kind| *kind == "communication.CallStatusChanged")
            .count(),
        1
    );
}

#[tokio::test]
async fn a_text_comes_in_with_its_pictures() {
    let story = Story::begin().await;
    let answer = story
        .webhook(
            "sms",
            &[
                ("MessageSid", "SM1"),
                ("From", SAM),
                ("To", OURS),
                ("Body", "1 & <2>"),
                ("NumMedia", "1"),
                ("MediaUrl0", "https://api.twilio.com/media/1"),
                ("MediaContentType0", "image/png"),
            ],
        )
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    let message = &story.graph.entities("Message")[0];
    assert_eq!(message.props["text"], "1 & <2>");
    assert_eq!(message.props["x_media"][0]["type"], "image/png");
    assert!(
        story
            .kinds()
            .await
            .contains(&"communication.MessageReceived".to_owned())
    );
}

#[tokio::test]
async fn a_status_callback_names_its_message_and_attempt_by_the_signed_address() {
    let story = Story::begin().await;
    let (message, attempt) = (EntityId::new(), AttemptId::new());
    story.graph.message(message);
    let rest = format!("status/{attempt}?message={message}");
    let fields = [
        ("MessageSid", "SM1"),
        ("MessageStatus", "undelivered"),
        ("ErrorCode", "30005"),
    ];
    for _ in 0..2 {
        assert_eq!(story.webhook(&rest, &fields).await.status, StatusCode::OK);
    }
    story.hub.settle().await;
    let events = story.hub.events(&story.alice).await;
    let told: Vec<_> = events
        .iter()
        .filter(|event| event.kind == "communication.MessageStatusChanged")
        .collect();
    assert_eq!(told.len(), 1);
    let body = told[0].body.as_ref().unwrap();
    assert_eq!(body["attempt"], json!(attempt));
    assert_eq!(body["message"], json!(message));
    assert_eq!(body["status"], "undelivered");
    assert_eq!(body["error_code"], "30005");

    let stranger = story
        .webhook("status", &[("MessageSid", "SM9"), ("MessageStatus", "sent")])
        .await;
    assert_eq!(stranger.status, StatusCode::OK);
    assert_eq!(story.graph.parked().len(), 1, "a message that nobody here knows");
}

#[tokio::test]
async fn what_a_provider_says_of_a_message_belongs_to_the_chain_that_led_to_the_message() {
    let story = Story::begin().await;
    let sent = Cause {
        causation: Some(EventId::new()),
        depth: 2,
        ..Cause::outside()
    };
    let endless = Cause {
        depth: DEPTH_MAX + 1,
        ..sent
    };
    let mut told = Vec::new();
    for (sid, cause) in [("SM1", Some(sent)), ("SM2", Some(endless)), ("SM3", None)] {
        let (message, attempt) = (EntityId::new(), AttemptId::new());
        story.graph.message(message);
        if let Some(cause) = cause {
            story.graph.attempt(attempt, cause);
        }
        let rest = format!("status/{attempt}?message={message}");
        let fields = [("MessageSid", sid), ("MessageStatus", "delivered")];
        assert_eq!(
            story.webhook(&rest, &fields).await.status,
            StatusCode::OK,
            "{sid}"
        );
        story.hub.settle().await;
        let events = story.hub.events(&story.alice).await;
        told.push(
            events
                .into_iter()
                .rfind(|event| event.kind == "communication.MessageStatusChanged")
                .unwrap(),
        );
    }
    assert_eq!(
        (told[0].correlation, told[0].causation, told[0].depth),
        (sent.correlation, sent.causation, 2)
    );
    assert_eq!(
        (told[1].correlation, told[1].depth),
        (sent.correlation, DEPTH_MAX),
        "what is said from outside is not refused for the length of its chain"
    );
    assert_ne!(
        told[2].correlation, sent.correlation,
        "an attempt that nobody knows"
    );
    assert_eq!((told[2].causation, told[2].depth), (None, 0));
}

#[tokio::test]
async fn what_the_caller_gets_is_a_setting_and_always_well_formed() {
    let story = Story::with(json!({ "voice_text": "<Hangup/> & \"goodbye\"", "voice_name": "a\"b" })).await;
    let answer = story.webhook("voice", &call(SAM)).await;
    assert_eq!(crate::xml::problem(&answer.text), None, "{}", answer.text);
    assert!(
        answer.text.contains("&lt;Hangup/&gt; &amp; &quot;goodbye&quot;"),
        "{}",
        answer.text
    );
    let path = format!("/connections/{}", story.connection);
    for (settings, expected) in [
        (json!({ "voice_response": "reject" }), "<Reject reason=\"busy\"/>"),
        (
            json!({ "voice_response": "dial", "dial_number": SAM }),
            "<Dial>+14158675309</Dial>",
        ),
        (
            json!({ "voice_response": "twiml", "voice_twiml": "<Response><Pause length=\"3\"/></Response>" }),
            "<Pause length=\"3\"/>",
        ),
    ] {
        let changed = story
            .call(Method::PATCH, &path, json!({ "settings": settings }))
            .await;
        assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
        let answer = story.webhook("voice", &call(SAM)).await;
        assert_eq!(crate::xml::problem(&answer.text), None, "{}", answer.text);
        assert!(answer.text.contains(expected), "{}", answer.text);
    }
    let broken = json!({ "settings": { "voice_twiml": "<Response><Pause></Response>" } });
    let refused = story.call(Method::PATCH, &path, broken).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("voice_twiml"), "{}", refused.text);
}

#[tokio::test]
async fn a_parked_webhook_is_read_again_and_stays_parked_only_while_it_is_malformed() {
    let story = Story::begin().await;
    story.webhook("voice", &call("+1234")).await;
    let retry =
        |record: contracts::RawRecordId| format!("/connections/{}/records/{record}/retry", story.connection);
    let answer = story
        .call(Method::POST, &retry(story.graph.newest_parked()), json!({}))
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert!(
        answer.json()["parked"].as_str().unwrap().contains("phone number"),
        "{}",
        answer.text
    );
    assert_eq!(story.graph.parked().len(), 1, "it is the same record");

    let body = form(
        "/",
        &[
            ("CallSid", "CA7"),
            ("From", SAM),
            ("To", OURS),
            ("CallStatus", "ringing"),
        ],
        None,
    )
    .into_body();
    story.graph.park_by_hand(spine::ports::RawRecord {
        connection: Some(story.connection.parse().unwrap()),
        stream: "webhook/voice".into(),
        remote_id: String::new(),
        revision: String::new(),
        media_type: "application/x-www-form-urlencoded".into(),
        body: axum::body::to_bytes(body, 10_000).await.unwrap().to_vec(),
    });
    let record = story.graph.newest_parked();
    let answer = story.call(Method::POST, &retry(record), json!({})).await;
    assert_eq!(answer.json(), json!({}), "{}", answer.text);
    assert_eq!(story.graph.entities("Call").len(), 1);
    assert_eq!(story.graph.parked().len(), 1);
    assert_eq!(
        story.call(Method::POST, &retry(record), json!({})).await.status,
        StatusCode::NOT_FOUND
    );
    let bob = story.hub.somebody();
    let others = story
        .call_as(&bob, Method::POST, &retry(story.graph.newest_parked()), json!({}))
        .await;
    assert_eq!(others.status, StatusCode::NOT_FOUND);
}
