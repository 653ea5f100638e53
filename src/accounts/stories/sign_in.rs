//! Signing in, and who may not.

use axum::http::Method;
use chrono::Duration;
use contracts::AccountId;
use futures::future::join_all;
use serde_json::{Value, json};
use spine::Scope;
use spine::access::TokenKind;

use super::{PASSWORD, house};

#[tokio::test]
async fn a_wrong_password_and_an_unknown_handle_answer_alike() {
    let house = house().await;
    house.alice().await;
    let wrong = house.sign_in("alice", "correct horse batterx").await;
    let unknown = house.sign_in("nobody", PASSWORD).await;
    let odd = house.sign_in("no such/handle", PASSWORD).await;
    assert_eq!(wrong.status, 401);
    assert_eq!((wrong.status, &wrong.body), (unknown.status, &unknown.body));
    assert_eq!((wrong.status, &wrong.body), (odd.status, &odd.body));
}

#[tokio::test]
async fn who_guesses_passwords_is_slowed_down_and_the_right_one_opens_all_the_same() {
    let house = house().await;
    house.alice().await;
    house.clock.advance(Duration::minutes(1));
    for _ in 0..crate::guard::TRIES_PER_HANDLE_MAX {
        assert_eq!(house.sign_in("alice", "wrong").await.status, 401);
    }
    let began = std::time::Instant::now();
    assert_eq!(
        house.sign_in("Alice", "wrong").await.status,
        429,
        "in whatever case"
    );
    assert_eq!(
        house.sign_in("alice", PASSWORD).await.status,
        201,
        "a stranger's failures from the same address lock nobody out"
    );
    assert!(began.elapsed().as_secs() >= 2, "each waited for its turn");
    house.clock.advance(Duration::minutes(1));
    assert_eq!(house.sign_in("alice", "wrong").await.status, 401);
}

/// So many that no line could take them all.
const CROWD: u8 = 40;

#[tokio::test]
async fn strangers_who_guess_from_many_addresses_at_once_make_nobody_wait_for_them() {
    let house = house().await;
    house.alice().await;
    house.clock.advance(Duration::minutes(1));
    let strangers = 0..CROWD / 4;
    for source in strangers.clone().chain([CROWD]) {
        let tries =
            (0..crate::guard::TRIES_PER_HANDLE_MAX).map(|_| house.sign_in_from(source, "alice", "wrong"));
        for tried in join_all(tries).await {
            assert_eq!(tried.status, 401);
        }
    }
    // All of them are to be slow from here on. Alice mistyped a few times, too, and now she doesn't.
    let guesses = strangers.flat_map(|source| [source; 4]);
    let guesses = join_all(guesses.map(|source| house.sign_in_from(source, "alice", "wrong")));
    let (guesses, alice) = tokio::join!(guesses, house.sign_in_from(CROWD, "alice", PASSWORD));
    assert_eq!(alice.status, 201, "{}", alice.body);
    assert!(guesses.iter().all(|guess| guess.status == 429));
}

#[tokio::test]
async fn who_signed_in_from_an_address_before_does_not_wait_for_a_guesser_there() {
    let house = house().await;
    house.alice().await;
    assert_eq!(house.sign_in_from(1, "alice", PASSWORD).await.status, 201);
    house.clock.advance(Duration::minutes(1));
    for handle in 0..crate::guard::TRIES_PER_SOURCE_MAX {
        let tried = house.sign_in_from(1, &format!("nobody{handle}"), "wrong").await;
        assert_eq!(tried.status, 401);
    }
    let guesses = (0..CROWD).map(|n| house.sign_in_from(1, ["mallory", "bob"][usize::from(n % 2)], "wrong"));
    let (guesses, alice) = tokio::join!(join_all(guesses), house.sign_in_from(1, "alice", PASSWORD));
    assert_eq!(alice.status, 201, "{}", alice.body);
    assert!(guesses.iter().all(|guess| guess.status == 429));
}

#[tokio::test]
async fn a_handle_that_cannot_exist_is_as_wrong_as_one_that_does_not() {
    let house = house().await;
    house.alice().await;
    for odd in ["a\0b", "alice\0", "", "instance", "ä", &"x".repeat(10_000)] {
        assert_eq!(
            house.sign_in(odd, PASSWORD).await.status.as_u16() / 100,
            4,
            "{odd:?}"
        );
    }
}

#[tokio::test]
async fn wrong_sign_ins_of_a_minute_are_one_entry_of_the_audit_with_their_count() {
    let house = house().await;
    house.alice().await;
    for _ in 0..3 {
        house.sign_in("alice", "wrong").await;
    }
    house.hub.context.access.refusals_flush().await.unwrap();
    house.hub.settle().await;
    let instance = house.hub.gate.operator(AccountId::INSTANCE);
    let events = house.hub.events(&instance).await;
    let refused: Vec<_> = events
        .iter()
        .filter(|event| event.kind == "audit.SignInsRefused")
        .collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].body.as_ref().unwrap()["count"], 3);
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions_and_needs_the_old_one() {
    let house = house().await;
    let alice = house.alice().await;
    let other = house.sign_in("alice", PASSWORD).await.json()["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    let set = async |who: &Scope, body: Value| {
        house
            .call(who, Method::PUT, "/accounts/alice/password", body)
            .await
            .status
            .as_u16()
    };
    assert_eq!(
        set(&alice, json!({ "current": "wrong", "new": "a brand new one" })).await,
        403
    );
    assert_eq!(set(&alice, json!({ "new": "a brand new one" })).await, 403);
    assert_eq!(
        set(&alice, json!({ "current": PASSWORD, "new": "short" })).await,
        422
    );
    assert!(house.scope(TokenKind::Session, &other).await.is_some());
    assert_eq!(
        set(&alice, json!({ "current": PASSWORD, "new": "a brand new one" })).await,
        204
    );
    assert!(house.scope(TokenKind::Session, &other).await.is_none());
    assert_eq!(house.sign_in("alice", PASSWORD).await.status, 401);
    assert_eq!(house.sign_in("alice", "a brand new one").await.status, 201);
    let operator = house.hub.gate.operator(AccountId::INSTANCE);
    assert_eq!(
        set(&operator, json!({ "new": "forgot the new one" })).await,
        204,
        "the operator needs none"
    );
}
