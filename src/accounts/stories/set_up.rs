//! The first account: made by a link that works once.

use axum::http::Method;
use chrono::Duration;
use serde_json::json;

use super::{PASSWORD, house};

#[tokio::test]
async fn the_set_up_link_works_once() {
    let house = house().await;
    let token = house.link_token().await;
    let page = house.form(&token).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains(&format!(r#"name="token" value="{token}""#)));

    let first = house.set_up(&token).await;
    assert_eq!(first.status, 201, "{}", first.body);
    assert_eq!(first.json()["is_owner"], true);
    assert_eq!(first.json()["zone"], "Europe/Lisbon");

    let second = house.set_up(&token).await;
    assert_eq!(second.status, 403);
    assert!(
        second.json()["hint"]
            .as_str()
            .unwrap()
            .contains("allod account setup-link")
    );
    let page = house.form(&token).await;
    assert_eq!(page.status, 403);
    assert!(page.body.contains("no longer works"));
    assert_eq!(
        crate::setup_link(&house.hub.context).await.unwrap(),
        None,
        "somebody lives here now"
    );
}

#[tokio::test]
async fn two_who_use_the_link_at_the_same_moment_make_one_account() {
    let house = house().await;
    let token = house.link_token().await;
    let (one, two) = tokio::join!(house.set_up(&token), house.set_up(&token));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 403]);
}

#[tokio::test]
async fn a_set_up_link_ends_after_a_day_and_when_a_newer_one_is_made() {
    let house = house().await;
    let old = house.link_token().await;
    let new = house.link_token().await;
    assert_eq!(house.set_up(&old).await.status, 403, "a newer one took its place");
    house.clock.advance(Duration::hours(24));
    assert_eq!(house.set_up(&new).await.status, 403, "it is a day old");
    assert_eq!(house.set_up("").await.status, 403);
    assert_eq!(house.set_up(&house.link_token().await).await.status, 201);
}

#[tokio::test]
async fn the_form_is_shown_again_with_what_is_wrong_and_the_link_still_works() {
    let house = house().await;
    let token = house.link_token().await;
    let send = async |password: &str, again: &str| {
        let form = format!(
            "token={token}&handle=alice&display_name=Alice%20%3Cb%3E&zone=UTC&password={password}&password_again={again}"
        );
        house
            .public(Method::POST, "/setup", "application/x-www-form-urlencoded", form)
            .await
    };
    let differ = send("correct-horse", "correct-house").await;
    assert_eq!(differ.status, 422);
    assert!(differ.body.contains("the two passwords differ") && differ.body.contains("Alice &lt;b&gt;"));
    assert!(
        !differ.body.contains("correct-horse"),
        "a password is never sent back"
    );
    assert_eq!(send("short", "short").await.status, 422);
    let good = send("correct-horse", "correct-horse").await;
    assert_eq!(good.status, 201);
    assert!(good.body.contains("Next steps") && good.body.contains("Alice &lt;b&gt;"));
    house.signed_in("ALICE", "correct-horse").await;
}

#[tokio::test]
async fn a_set_up_that_fails_in_the_middle_never_was() {
    let house = house().await;
    let token = house.link_token().await;
    let body = json!({ "token": token, "handle": "alice", "display_name": "Breaks the graph", "password": PASSWORD });
    assert_eq!(house.post("/api/v1/setup", body).await.status, 422);
    assert_eq!(
        house.sign_in("alice", PASSWORD).await.status,
        401,
        "there is no account"
    );
    assert_eq!(house.set_up(&token).await.status, 201, "the link still works");
}
