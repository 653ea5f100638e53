//! Keys for devices and programs.

use chrono::Duration;
use serde_json::json;
use spine::access::TokenKind;

use super::{PASSWORD, house};

#[tokio::test]
async fn a_token_is_shown_once_and_stored_hashed() {
    let house = house().await;
    let alice = house.alice().await;
    let secret = house.issue(&alice, "api", "script").await.secret;
    assert!(secret.starts_with("allod_api_"));
    assert!(house.scope(TokenKind::Api, &secret).await.is_some());

    let listed = house.get(&alice, "/tokens").await;
    assert!(listed.body.contains("script") && !listed.body.contains(&secret));
    house.hub.settle().await;
    let stored = house.everything_stored().await;
    assert!(!stored.contains(&secret) && !stored.contains(secret.trim_start_matches("allod_api_")));
    assert!(!stored.contains(PASSWORD) && stored.contains("$argon2id$"));
    let types = house.event_types(&alice).await;
    assert_eq!(
        types
            .iter()
            .filter(|kind| *kind == "accounts.TokenIssued")
            .count(),
        2,
        "session and script: {types:?}"
    );
}

#[tokio::test]
async fn a_revoked_token_is_refused_and_revoking_again_changes_nothing() {
    let house = house().await;
    let alice = house.alice().await;
    let issued = house.issue(&alice, "device", "phone").await;
    let (id, secret) = (&issued.id, &issued.secret);
    assert!(house.scope(TokenKind::Device, secret).await.is_some());
    let path = format!("/tokens/{id}");
    assert_eq!(house.delete(&alice, &path).await.status, 204);
    assert!(house.scope(TokenKind::Device, secret).await.is_none());
    assert_eq!(house.delete(&alice, &path).await.status, 204);
    let types = house.event_types(&alice).await;
    assert_eq!(
        types
            .iter()
            .filter(|kind| *kind == "accounts.TokenRevoked")
            .count(),
        1
    );
    let unknown = format!("/tokens/{}", contracts::TokenId::new());
    assert_eq!(house.delete(&alice, &unknown).await.status, 404);
}

#[tokio::test]
async fn a_token_opens_its_own_door_only_and_until_its_end() {
    let house = house().await;
    let alice = house.alice().await;
    for (kind, own, others) in [
        ("device", TokenKind::Device, [TokenKind::Api, TokenKind::Session]),
        ("api", TokenKind::Api, [TokenKind::Device, TokenKind::Session]),
    ] {
        let wish = json!({ "kind": kind, "name": "x", "expires_in": 60 });
        let issued = house.create(&alice, "/tokens", wish).await.json();
        let secret = issued["secret"].as_str().unwrap();
        assert!(house.scope(own, secret).await.is_some());
        for other in others {
            assert!(
                house.scope(other, secret).await.is_none(),
                "{kind} token as {}",
                other.as_str()
            );
        }
        house.clock.advance(Duration::seconds(60));
        assert!(house.scope(own, secret).await.is_none(), "it has ended");
    }
    let session = house
        .create(&alice, "/tokens", json!({ "kind": "session", "name": "x" }))
        .await;
    assert_eq!(session.status, 400, "a session comes from signing in");
}

#[tokio::test]
async fn a_program_with_an_api_token_makes_no_keys_and_no_people() {
    let house = house().await;
    let alice = house.alice().await;
    let issued = house.issue(&alice, "api", "x").await;
    let program = house.scope(TokenKind::Api, &issued.secret).await.unwrap();
    let wishes = [
        ("/tokens", json!({ "kind": "api", "name": "y" })),
        ("/accounts", json!({ "handle": "mallory" })),
    ];
    for (path, wish) in wishes {
        assert_eq!(house.create(&program, path, wish).await.status, 403, "{path}");
    }
    assert_eq!(house.get(&program, "/tokens").await.status, 200);
}
