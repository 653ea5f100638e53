//! What an answer means for the message and for the connection.

use super::*;

fn posted(status: u16, retry_after_s: Option<u64>) -> Posted {
    Posted::Answered { status: StatusCode::from_u16(status).unwrap(), retry_after: retry_after_s.map(Duration::from_secs) }
}

fn accepted() -> SendOutcome {
    SendOutcome::Accepted { remote_id: "SM1".into(), status: "queued".into() }
}

fn of(posted: Posted, told: Value) -> (SendOutcome, Option<Health>) {
    let (outcome, says) = outcome("twilio", posted, Ok(told)).unwrap();
    (outcome, says.map(|(health, _)| health))
}

#[test]
fn only_an_answer_of_success_with_an_id_is_an_acceptance() {
    let told = json!({ "remote_id": "SM1", "status": "queued" });
    assert_eq!(of(posted(201, None), told.clone()), (accepted(), Some(Health::Active)));
    for status in [302, 400, 401, 404, 429, 500, 503] {
        let (outcome, _) = of(posted(status, None), told.clone());
        assert!(!matches!(outcome, SendOutcome::Accepted { .. }), "{status} was an acceptance");
    }
    let (outcome, health) = of(posted(201, None), json!({}));
    assert!(matches!(outcome, SendOutcome::Unknown { .. }), "taken, but by which id?");
    assert_eq!(health, Some(Health::Failed));
}

#[test]
fn a_refusal_is_permanent_unless_waiting_or_the_owner_can_help() {
    let refused = |status, retry_after| match of(posted(status, retry_after), json!({ "code": 21211 })).0 {
        SendOutcome::Refused { permanent, retry_after, reason } => (permanent, retry_after.map(|d| d.as_secs()), reason),
        other => panic!("{status} was {other:?}"),
    };
    assert_eq!(refused(400, None), (true, None, "twilio refused it: HTTP 400, code 21211".to_owned()));
    assert_eq!(refused(404, None).0, true);
    for status in [408, 425, 429] {
        assert_eq!(refused(status, Some(7)).0, false);
        assert_eq!(refused(status, Some(7)).1, Some(7));
    }
    assert_eq!(refused(401, None).1, Some(600), "the owner has to act first");
    let (_, health) = of(posted(401, None), json!({}));
    assert_eq!(health, Some(Health::NeedsReauthorisation));
}

#[test]
fn after_a_server_error_a_redirect_or_a_broken_connection_nobody_knows() {
    for posted in [posted(500, None), posted(503, Some(3)), posted(307, None), Posted::Lost(Reached::Unknown)] {
        let (outcome, health) = of(posted, json!({}));
        assert!(matches!(outcome, SendOutcome::Unknown { .. }), "{posted:?} was {outcome:?}");
        assert_eq!(health, Some(Health::Retrying));
    }
}

#[test]
fn a_text_that_a_provider_wrote_is_not_repeated_as_its_code() {
    assert_eq!(code(&json!("the number +14155550100 is not valid")), None);
    assert_eq!(code(&json!("E-21211")), Some("E-21211".into()));
    assert_eq!(code(&json!(21211)), Some("21211".into()));
    assert_eq!(code(&json!(null)), None);
}

#[test]
fn a_channel_without_a_provider_accepts_by_its_own_word() {
    let told = json!({ "remote_id": "SM1", "status": "queued" });
    assert_eq!(of(Posted::No, told).0, accepted());
    let (outcome, _) = of(Posted::No, json!({ "refused": "too long" }));
    assert_eq!(outcome, SendOutcome::Refused { reason: "too long".into(), permanent: true, retry_after: None });
    assert!(matches!(outcome_err(json!({})), ChannelError::Bug(_)));
}

fn outcome_err(told: Value) -> ChannelError {
    outcome("twilio", Posted::No, Ok(told)).unwrap_err()
}
