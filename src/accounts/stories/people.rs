//! Several people in one house, each with things of their own.

use contracts::AccountId;
use serde_json::{Value, json};
use spine::access::TokenKind;

use super::{PASSWORD, house};

#[tokio::test]
async fn the_owner_makes_an_account_whose_things_she_does_not_see_nor_it_hers() {
    let house = house().await;
    let alice = house.alice().await;
    let wish = json!({ "handle": "bob", "display_name": "Bob", "password": "another long one" });
    let made = house.create(&alice, "/accounts", wish.clone()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.json()["is_owner"], false);
    let again = house
        .create(&alice, "/accounts", json!({ "handle": "BOB" }))
        .await;
    assert_eq!(again.status, 409, "handles differ in more than their case");

    let bob = house.signed_in("bob", "another long one").await;
    let issued = house.issue(&bob, "api", "bobs").await;
    assert!(!house.get(&alice, "/tokens").await.body.contains("bobs"));
    let path = format!("/tokens/{}", issued.id);
    assert_eq!(house.delete(&alice, &path).await.status, 404);
    assert!(
        house.scope(TokenKind::Api, &issued.secret).await.is_some(),
        "it still works"
    );
    for path in [
        "/accounts/alice",
        &format!("/accounts/{}", alice.account()),
        "/accounts/nobody",
    ] {
        assert_eq!(house.get(&bob, path).await.status, 404, "{path}");
    }
    assert_eq!(
        house.get(&bob, "/accounts").await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        house
            .create(&bob, "/accounts", json!({ "handle": "eve" }))
            .await
            .status,
        403
    );
    let types = house.event_types(&bob).await;
    assert!(types.contains(&"accounts.AccountCreated".to_owned()), "{types:?}");
}

#[tokio::test]
async fn the_operator_sees_all_accounts_and_acts_in_each() {
    let house = house().await;
    let nobody = house.hub.gate.operator(AccountId::INSTANCE);
    let first = house
        .create(&nobody, "/accounts", json!({ "handle": "demo" }))
        .await;
    assert_eq!(
        (first.status.as_u16(), first.json()["display_name"].clone()),
        (201, json!("demo"))
    );
    house
        .create(&nobody, "/accounts", json!({ "handle": "alice" }))
        .await;
    let all = house.get(&nobody, "/accounts").await.json();
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    assert_eq!(
        house.get(&nobody, "/accounts/Alice").await.json()["handle"],
        "alice"
    );
    let token = json!({ "kind": "api", "name": "x" });
    assert_eq!(
        house.create(&nobody, "/tokens", token).await.status,
        422,
        "a token speaks for an account"
    );
    assert_eq!(
        house
            .create(&nobody, "/accounts/setup-link", Value::Null)
            .await
            .status,
        409
    );
    assert_eq!(
        house.sign_in("demo", "").await.status,
        401,
        "without a password nobody signs in"
    );
}

#[tokio::test]
async fn an_erased_account_is_gone_with_its_keys() {
    let house = house().await;
    let alice = house.alice().await;
    let issued = house.issue(&alice, "api", "x").await;
    let rows = house
        .hub
        .admin
        .erase_account(&alice, alice.account())
        .await
        .unwrap();
    assert_eq!(rows["accounts.account"], 1, "{rows:?}");
    assert_eq!(rows["accounts.token"], 2, "{rows:?}");
    assert!(house.scope(TokenKind::Api, &issued.secret).await.is_none());
    assert_eq!(house.sign_in("alice", PASSWORD).await.status, 401);
}

#[tokio::test]
async fn the_tables_show_a_connection_without_an_account_nothing() {
    let house = house().await;
    house.alice().await;
    let mut app = house.hub.database.db.app().acquire().await.unwrap();
    for table in ["accounts.account", "accounts.token"] {
        let seen: i64 = sqlx::query_scalar(&format!("SELECT count(*) FROM {table}"))
            .fetch_one(&mut *app)
            .await
            .unwrap();
        assert_eq!(seen, 0, "{table}");
    }
    let refused = sqlx::query("SELECT * FROM accounts.setup_token")
        .fetch_all(&mut *app)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("permission denied"), "{refused}");
}
