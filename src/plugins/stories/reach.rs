//! Where a connection may reach: a secret goes to no host but the one it was given for, and no program says to which.

use super::*;
use serde_json::json;
use spine::access::{TokenKind, token_hash};

/// Somebody with a token of Alice's.
async fn holder(story: &Story, kind: TokenKind) -> Scope {
    let mut superuser = story.hub.database.superuser().await;
    sqlx::query(
        "INSERT INTO accounts.account (account, handle, display_name, zone, locale, is_owner, created_at)
         VALUES ($1, 'alice', 'Alice', 'UTC', 'en', true, now()) ON CONFLICT DO NOTHING",
    )
    .bind(story.alice.account().0)
    .execute(&mut superuser)
    .await
    .unwrap();
    let secret = format!("allod_{}", kind.as_str());
    sqlx::query(
        "INSERT INTO accounts.token (token, account, kind, name, hash, created_at)
         VALUES (gen_random_uuid(), $1, $2, 'a token', $3, now())",
    )
    .bind(story.alice.account().0)
    .bind(kind.as_str())
    .bind(&token_hash(&secret)[..])
    .execute(&mut superuser)
    .await
    .unwrap();
    let access = &story.hub.context.access;
    access.scope_by_token(kind, &secret).await.unwrap().unwrap()
}

impl Story {
    async fn change(&self, who: &Scope, change: Value) -> Answer {
        let path = format!("/connections/{}", self.connection);
        self.call_as(who, Method::PATCH, &path, change).await
    }
}

#[tokio::test]
async fn a_secret_is_not_sent_to_a_host_that_it_was_not_given_for() {
    let story = Story::begin().await;
    let mallory = StandIn::start(ACCOUNT, "whatever comes").await;
    let moved = json!({ "settings": { "base_url": mallory.url() } });
    let refused = story.change(&story.alice, moved.clone()).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused.text.contains("`base_url`") && refused.text.contains("auth_token"),
        "{}",
        refused.text
    );
    // Back to the default is another host, too.
    let refused = story
        .change(&story.alice, json!({ "settings": { "base_url": null } }))
        .await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(story.show().await["settings"]["base_url"], story.twilio.url());

    let mut anew = moved;
    anew["secrets"] = json!({ "auth_token": "another token, for this host" });
    let changed = story.change(&story.alice, anew).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    assert_eq!(changed.json()["settings"]["base_url"], mallory.url());
    assert!(!changed.text.contains("another token"));
}

#[tokio::test]
async fn a_program_turns_a_connection_to_no_other_host_and_only_the_hubs_owner_allows_ranges() {
    let story = Story::begin().await;
    let (app, person) = (
        holder(&story, TokenKind::Api).await,
        holder(&story, TokenKind::Session).await,
    );
    let moved = json!({
        "settings": { "base_url": "https://mallory.example" }, "secrets": { "auth_token": "a new one" },
    });
    let wider = json!({ "allowed_ranges": ["127.0.0.0/8", "10.0.0.0/8"] });
    for change in [&moved, &wider] {
        let refused = story.change(&app, change.clone()).await;
        assert_eq!(
            refused.status,
            StatusCode::FORBIDDEN,
            "{change}: {}",
            refused.text
        );
    }
    let new = json!({
        "plugin": "twilio", "name": "mine", "settings": { "account_sid": ACCOUNT, "from": OURS },
        "secrets": { "auth_token": "x" }, "allowed_ranges": ["10.0.0.0/8"],
    });
    let refused = story
        .call_as(&app, Method::POST, "/connections", new.clone())
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let harmless = json!({ "name": "by a program", "settings": { "voice_text": "Hello" } });
    assert_eq!(story.change(&app, harmless).await.status, StatusCode::OK);
    let mut nowhere = new.clone();
    nowhere["allowed_ranges"] = json!([]);
    assert_eq!(
        story
            .call_as(&app, Method::POST, "/connections", nowhere)
            .await
            .status,
        StatusCode::CREATED
    );
    let shared = story.change(&person, wider.clone()).await;
    assert_eq!(
        shared.status,
        StatusCode::FORBIDDEN,
        "the hub is another's: {}",
        shared.text
    );
    let shared = story
        .call_as(&person, Method::POST, "/connections", new.clone())
        .await;
    assert_eq!(shared.status, StatusCode::FORBIDDEN);
    story.owner.0.set(story.alice.account()).unwrap();
    for change in [wider, moved] {
        let changed = story.change(&person, change).await;
        assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    }
    assert_eq!(
        story
            .call_as(&person, Method::POST, "/connections", new)
            .await
            .status,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn two_changes_at_the_same_time_keep_each_other() {
    let story = Story::begin().await;
    let mut other = story.hub.database.superuser().await;
    let mut theirs = sqlx::Connection::begin(&mut other).await.unwrap();
    sqlx::query("UPDATE plugins.connection SET settings = settings || '{\"voice_text\": \"theirs\"}'")
        .execute(&mut *theirs)
        .await
        .unwrap();
    let ours = story.change(&story.alice, json!({ "settings": { "voice_language": "de-DE" } }));
    let commit = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        theirs.commit().await.unwrap();
    };
    let (changed, ()) = tokio::join!(ours, commit);
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    let settings = &story.show().await["settings"];
    assert_eq!(
        (&settings["voice_text"], &settings["voice_language"]),
        (&json!("theirs"), &json!("de-DE"))
    );
}
