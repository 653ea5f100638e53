//! What people may count on when they set a hub up, sign in, and hand out keys.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use axum::response::Response;
use axum::{Extension, Router};
use chrono::{DateTime, Duration};
use contracts::{AccountId, ManualClock, RawRecordId};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use spine::access::TokenKind;
use spine::edge::Caller;
use spine::ports::{Applied, AppliedEntity, Change, GraphError, GraphWrite, RawRecord};
use spine::testing::{TestHub, hub_at};
use spine::{Scope, ScopedTx};
use tower::ServiceExt;

const PASSWORD: &str = "correct horse battery";

/// Takes what it is given: the graph has its own stories.
struct Graph;

#[async_trait]
impl GraphWrite for Graph {
    async fn apply(&self, _: &mut ScopedTx, change: Change) -> Result<Applied, GraphError> {
        let me = &change.entities[0];
        assert_eq!(
            (me.kind.as_str(), me.identifiers[0].scheme.as_str()),
            ("Person", "allod")
        );
        if me.title.as_deref() == Some("Breaks the graph") {
            return Err(GraphError::Invalid("no".to_owned()));
        }
        let entity = AppliedEntity {
            id: contracts::EntityId::new(),
            version: 1,
            created: true,
        };
        Ok(Applied {
            entities: vec![entity],
            ..Applied::default()
        })
    }

    async fn park(
        &self,
        _: &mut ScopedTx,
        _: &str,
        _: RawRecord,
        _: &str,
    ) -> Result<RawRecordId, GraphError> {
        Ok(RawRecordId::new())
    }
}

struct House {
    hub: TestHub,
    clock: Arc<ManualClock>,
    public: Router,
    api: Router,
}

async fn house() -> House {
    let clock = Arc::new(ManualClock::at(
        DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
    ));
    let (mut public, mut api) = (Router::new(), Router::new());
    let hub = hub_at(clock.clone(), |context| {
        context.ports.provide_graph_write(Arc::new(Graph));
        let mut service = crate::service(context);
        public = Router::from(std::mem::take(&mut service.public));
        api = Router::from(std::mem::take(&mut service.api));
        vec![service]
    })
    .await;
    House {
        hub,
        clock,
        public,
        api,
    }
}

struct Answer {
    status: StatusCode,
    body: String,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Self {
            status,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl House {
    async fn public(&self, method: Method, path: &str, kind: &str, body: String) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, kind);
        Answer::of(
            self.public
                .clone()
                .oneshot(request.body(Body::from(body)).unwrap())
                .await
                .unwrap(),
        )
        .await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.public(Method::POST, path, "application/json", body.to_string())
            .await
    }

    async fn call(&self, who: &Scope, method: Method, path: &str, body: Value) -> Answer {
        let api = self.api.clone().layer(Extension(Caller(who.clone())));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::from(body.to_string()))
            .unwrap();
        Answer::of(api.oneshot(request).await.unwrap()).await
    }

    async fn link_token(&self) -> String {
        let link = crate::setup_link(&self.hub.context)
            .await
            .unwrap()
            .expect("nobody lives here yet");
        link.strip_prefix("https://hub.example/setup?token=")
            .unwrap()
            .to_owned()
    }

    async fn set_up(&self, token: &str) -> Answer {
        let body = json!({ "token": token, "handle": "alice", "display_name": "Alice", "password": PASSWORD,
            "zone": "Europe/Lisbon" });
        self.post("/api/v1/setup", body).await
    }

    async fn sign_in(&self, handle: &str, password: &str) -> Answer {
        self.post(
            "/api/v1/sessions",
            json!({ "handle": handle, "password": password }),
        )
        .await
    }

    async fn scope(&self, kind: TokenKind, secret: &str) -> Option<Scope> {
        self.hub
            .context
            .access
            .scope_by_token(kind, secret)
            .await
            .unwrap()
    }

    /// Alice, the hub's owner, signed in.
    async fn alice(&self) -> Scope {
        assert_eq!(self.set_up(&self.link_token().await).await.status, 201);
        self.signed_in("alice", PASSWORD).await
    }

    async fn signed_in(&self, handle: &str, password: &str) -> Scope {
        let session = self.sign_in(handle, password).await;
        assert_eq!(session.status, 201, "{}", session.body);
        let secret = session.json()["secret"].as_str().unwrap().to_owned();
        self.scope(TokenKind::Session, &secret)
            .await
            .expect("the session is good")
    }

    /// Everything that the accounts' tables hold, as a backup would.
    async fn everything_stored(&self) -> String {
        let mut conn = self.hub.database.superuser().await;
        let mut all = String::new();
        for table in [
            "accounts.account",
            "accounts.token",
            "accounts.setup_token",
            "spine.event_body",
        ] {
            let rows: Vec<String> =
                sqlx::query_scalar(&format!("SELECT to_jsonb(t)::text FROM {table} AS t"))
                    .fetch_all(&mut conn)
                    .await
                    .unwrap();
            assert!(!rows.is_empty(), "{table} holds something");
            all.extend(rows);
        }
        all
    }

    async fn event_types(&self, who: &Scope) -> Vec<String> {
        self.hub.settle().await;
        self.hub
            .events(who)
            .await
            .into_iter()
            .map(|event| event.kind)
            .collect()
    }
}

#[tokio::test]
async fn the_set_up_link_works_once() {
    let house = house().await;
    let token = house.link_token().await;
    let page = house
        .public(Method::GET, &format!("/setup?token={token}"), "", String::new())
        .await;
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
    let page = house
        .public(Method::GET, &format!("/setup?token={token}"), "", String::new())
        .await;
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

#[tokio::test]
async fn a_token_is_shown_once_and_stored_hashed() {
    let house = house().await;
    let alice = house.alice().await;
    let issued = house
        .call(
            &alice,
            Method::POST,
            "/tokens",
            json!({ "kind": "api", "name": "script" }),
        )
        .await;
    assert_eq!(issued.status, 201, "{}", issued.body);
    let secret = issued.json()["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("allod_api_"));
    assert!(house.scope(TokenKind::Api, &secret).await.is_some());

    let listed = house.call(&alice, Method::GET, "/tokens", Value::Null).await;
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
    let issued = house
        .call(
            &alice,
            Method::POST,
            "/tokens",
            json!({ "kind": "device", "name": "phone" }),
        )
        .await
        .json();
    let (id, secret) = (issued["id"].as_str().unwrap(), issued["secret"].as_str().unwrap());
    assert!(house.scope(TokenKind::Device, secret).await.is_some());
    let path = format!("/tokens/{id}");
    assert_eq!(
        house
            .call(&alice, Method::DELETE, &path, Value::Null)
            .await
            .status,
        204
    );
    assert!(house.scope(TokenKind::Device, secret).await.is_none());
    assert_eq!(
        house
            .call(&alice, Method::DELETE, &path, Value::Null)
            .await
            .status,
        204
    );
    let types = house.event_types(&alice).await;
    assert_eq!(
        types
            .iter()
            .filter(|kind| *kind == "accounts.TokenRevoked")
            .count(),
        1
    );
    let unknown = format!("/tokens/{}", contracts::TokenId::new());
    assert_eq!(
        house
            .call(&alice, Method::DELETE, &unknown, Value::Null)
            .await
            .status,
        404
    );
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
        let issued = house.call(&alice, Method::POST, "/tokens", wish).await.json();
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
        .call(
            &alice,
            Method::POST,
            "/tokens",
            json!({ "kind": "session", "name": "x" }),
        )
        .await;
    assert_eq!(session.status, 400, "a session comes from signing in");
}

#[tokio::test]
async fn a_program_with_an_api_token_makes_no_keys_and_no_people() {
    let house = house().await;
    let alice = house.alice().await;
    let issued = house
        .call(
            &alice,
            Method::POST,
            "/tokens",
            json!({ "kind": "api", "name": "x" }),
        )
        .await
        .json();
    let program = house
        .scope(TokenKind::Api, issued["secret"].as_str().unwrap())
        .await
        .unwrap();
    let wishes = [
        ("/tokens", json!({ "kind": "api", "name": "y" })),
        ("/accounts", json!({ "handle": "mallory" })),
    ];
    for (path, wish) in wishes {
        assert_eq!(
            house.call(&program, Method::POST, path, wish).await.status,
            403,
            "{path}"
        );
    }
    assert_eq!(
        house
            .call(&program, Method::GET, "/tokens", Value::Null)
            .await
            .status,
        200
    );
}

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
async fn who_guesses_passwords_waits_for_the_next_minute() {
    let house = house().await;
    house.alice().await;
    house.clock.advance(Duration::minutes(1));
    for _ in 0..crate::SIGN_INS_PER_HANDLE_MAX {
        assert_eq!(house.sign_in("alice", "wrong").await.status, 401);
    }
    assert_eq!(
        house.sign_in("Alice", PASSWORD).await.status,
        429,
        "right or wrong, in whatever case"
    );
    house.clock.advance(Duration::minutes(1));
    assert_eq!(house.sign_in("alice", PASSWORD).await.status, 201);
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
async fn the_owner_makes_an_account_whose_things_she_does_not_see_nor_it_hers() {
    let house = house().await;
    let alice = house.alice().await;
    let wish = json!({ "handle": "bob", "display_name": "Bob", "password": "another long one" });
    let made = house.call(&alice, Method::POST, "/accounts", wish.clone()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.json()["is_owner"], false);
    let again = house
        .call(&alice, Method::POST, "/accounts", json!({ "handle": "BOB" }))
        .await;
    assert_eq!(again.status, 409, "handles differ in more than their case");

    let bob = house.signed_in("bob", "another long one").await;
    let issued = house
        .call(
            &bob,
            Method::POST,
            "/tokens",
            json!({ "kind": "api", "name": "bobs" }),
        )
        .await
        .json();
    assert!(
        !house
            .call(&alice, Method::GET, "/tokens", Value::Null)
            .await
            .body
            .contains("bobs")
    );
    let path = format!("/tokens/{}", issued["id"].as_str().unwrap());
    assert_eq!(
        house
            .call(&alice, Method::DELETE, &path, Value::Null)
            .await
            .status,
        404
    );
    assert!(
        house
            .scope(TokenKind::Api, issued["secret"].as_str().unwrap())
            .await
            .is_some(),
        "it still works"
    );
    for path in [
        "/accounts/alice",
        &format!("/accounts/{}", alice.account()),
        "/accounts/nobody",
    ] {
        assert_eq!(
            house.call(&bob, Method::GET, path, Value::Null).await.status,
            404,
            "{path}"
        );
    }
    assert_eq!(
        house
            .call(&bob, Method::GET, "/accounts", Value::Null)
            .await
            .json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        house
            .call(&bob, Method::POST, "/accounts", json!({ "handle": "eve" }))
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
        .call(&nobody, Method::POST, "/accounts", json!({ "handle": "demo" }))
        .await;
    assert_eq!(
        (first.status.as_u16(), first.json()["display_name"].clone()),
        (201, json!("demo"))
    );
    house
        .call(&nobody, Method::POST, "/accounts", json!({ "handle": "alice" }))
        .await;
    let all = house
        .call(&nobody, Method::GET, "/accounts", Value::Null)
        .await
        .json();
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    assert_eq!(
        house
            .call(&nobody, Method::GET, "/accounts/Alice", Value::Null)
            .await
            .json()["handle"],
        "alice"
    );
    let token = json!({ "kind": "api", "name": "x" });
    assert_eq!(
        house.call(&nobody, Method::POST, "/tokens", token).await.status,
        422,
        "a token speaks for an account"
    );
    assert_eq!(
        house
            .call(&nobody, Method::POST, "/accounts/setup-link", Value::Null)
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

#[tokio::test]
async fn an_erased_account_is_gone_with_its_keys() {
    let house = house().await;
    let alice = house.alice().await;
    let issued = house
        .call(
            &alice,
            Method::POST,
            "/tokens",
            json!({ "kind": "api", "name": "x" }),
        )
        .await
        .json();
    let rows = house.hub.admin.erase_account(alice.account()).await.unwrap();
    assert_eq!(rows["accounts.account"], 1, "{rows:?}");
    assert_eq!(rows["accounts.token"], 2, "{rows:?}");
    assert!(
        house
            .scope(TokenKind::Api, issued["secret"].as_str().unwrap())
            .await
            .is_none()
    );
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
