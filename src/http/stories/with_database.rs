//! What callers may count on: their own events and jobs, live and paged; the operator's door; metrics.

mod events;
mod operator;

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use contracts::events::accounts::TokenRevoked;
use contracts::{AccountId, NewEvent, TokenId};
use spine::access::token_hash;
use spine::ports::AccountDirectory;
use spine::queue::RunnerOptions;
use spine::testing::{TempDir, TestDatabase, database};
use spine::{AccessError, Cause, Running, Scope, ScopedTx};
use sqlx::PgConnection;

use super::*;

/// Who lives here: a directory without an accounts service.
struct Directory(HashMap<&'static str, AccountId>);

#[async_trait]
impl AccountDirectory for Directory {
    async fn account_by_name(&self, name: &str) -> Result<Option<AccountId>, AccessError> {
        let by_id = self.0.values().find(|id| id.to_string() == name);
        Ok(self.0.get(name).or(by_id).copied())
    }

    async fn account_by_default(&self) -> Result<Option<AccountId>, AccessError> {
        Ok(self.0.get("alice").copied())
    }

    async fn account_of_owner(&self) -> Result<Option<AccountId>, AccessError> {
        self.account_by_default().await
    }

    async fn zone(&self, _: &mut ScopedTx) -> Result<chrono_tz::Tz, AccessError> {
        Ok(chrono_tz::UTC)
    }
}

struct House {
    edge: Edge,
    context: Context,
    alice: Scope,
    bob: Scope,
    running: Option<Running>,
    database: TestDatabase,
    _dir: TempDir,
}

/// A running hub where Alice (the owner) and Bob live.
async fn house(metrics: Option<Metrics>) -> House {
    let (database, dir) = (database().await, TempDir::new());
    let vault = Vault::open_or_create(&dir.path().join("key")).unwrap();
    let settings = Settings {
        data_dir: dir.path().into(),
        packs_dir: dir.path().into(),
        recipes_dir: dir.path().into(),
        public_url: "https://hub.example".into(),
        extra_ca_pem: Vec::new(),
        upload_bytes_max: 1 << 20,
        media: spine::service::MediaSettings::default(),
    };
    let clock = Arc::new(contracts::SystemClock);
    let (app, pool) = (database.db.app().clone(), database.db.spine().clone());
    let (spine, gate) = Spine::new(app, pool, vault, clock, settings);
    let context = spine.context().clone();
    let (alice, bob) = (gate.operator(AccountId::new()), gate.operator(AccountId::new()));
    let people = HashMap::from([("alice", alice.account()), ("bob", bob.account())]);
    context
        .ports
        .provide_account_directory(Arc::new(Directory(people)));
    let edge = build(Parts {
        context: context.clone(),
        admin: spine.admin().clone(),
        gate,
        routes: Routes::default(),
        checks: Vec::new(),
        metrics,
        metrics_public: false,
        proxies: TrustedProxies::new(&["127.0.0.9/32".parse().unwrap()]),
    });
    let running = spine.start(Vec::new(), RunnerOptions::default()).await.unwrap();
    let mut superuser = database.superuser().await;
    for (who, name, is_owner) in [(&alice, "alice", true), (&bob, "bob", false)] {
        sqlx::query("INSERT INTO accounts.account VALUES ($1, $2, $2, 'UTC', 'en', NULL, $3, now())")
            .bind(who.account().0)
            .bind(name)
            .bind(is_owner)
            .execute(&mut superuser)
            .await
            .unwrap();
        for kind in ["api", "device", "session"] {
            token(&mut superuser, who, kind, &format!("{name}-{kind}")).await;
        }
    }
    House {
        edge,
        context,
        alice,
        bob,
        running: Some(running),
        database,
        _dir: dir,
    }
}

async fn token(superuser: &mut PgConnection, who: &Scope, kind: &str, secret: &str) {
    sqlx::query("INSERT INTO accounts.token VALUES ($1, $2, $3, $4, $5, now(), NULL, NULL)")
        .bind(TokenId::new().0)
        .bind(who.account().0)
        .bind(kind)
        .bind(secret)
        .bind(&token_hash(secret)[..])
        .execute(superuser)
        .await
        .unwrap();
}

impl House {
    /// Over the network, with a token.
    async fn call(&self, secret: &str, method: Method, path: &str) -> Response {
        call(
            &self.edge.network,
            with_token(request(method, path, "{}"), secret),
        )
        .await
    }

    /// Over the control socket.
    async fn operate(&self, account: Option<&str>, method: Method, path: &str, body: &str) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(account) = account {
            request = request.header("allod-account", account);
        }
        call(
            &self.edge.control,
            request.body(Body::from(body.to_owned())).unwrap(),
        )
        .await
    }

    async fn happens(&self, who: &Scope) -> TokenId {
        let token = TokenId::new();
        let mut tx = self.context.access.begin(who, Cause::outside()).await.unwrap();
        tx.publish(NewEvent::of(&TokenRevoked { token }).unwrap().about(token))
            .unwrap();
        tx.commit().await.unwrap();
        token
    }

    /// The subjects of the events that an answer lists, once there are so many.
    async fn subjects(&self, secret: &str, path: &str, count: usize) -> Vec<String> {
        for _ in 0..500 {
            let page = json(self.call(secret, Method::GET, path).await).await;
            let items = page["items"].as_array().unwrap().clone();
            if items.len() >= count {
                return items
                    .iter()
                    .map(|event| event["subject"].as_str().unwrap().to_owned())
                    .collect();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{path} never listed {count} events");
    }
}

fn with_token(mut request: Request<Body>, secret: &str) -> Request<Body> {
    let value = format!("Bearer {secret}").parse().unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, value);
    request
}

#[tokio::test]
async fn a_token_opens_the_api_unless_it_is_a_devices_or_wrong() {
    let house = house(None).await;
    for (secret, status) in [
        ("alice-api", 200),
        ("alice-session", 200),
        ("alice-device", 401),
        ("wrong", 401),
    ] {
        let answer = house.call(secret, Method::GET, "/api/v1/events").await;
        assert_eq!(answer.status().as_u16(), status, "{secret}");
    }
}

#[tokio::test]
async fn wrong_tokens_wait_after_sixty_in_a_minute_and_are_counted_in_the_audit() {
    let house = house(None).await;
    let mut last = 401;
    // A minute may turn on the way; then it takes up to as many again.
    for _ in 0..=2 * REFUSALS_PER_SOURCE_MAX {
        last = problem(house.call("wrong", Method::GET, "/api/v1/events").await).await;
        if last == 429 {
            break;
        }
    }
    assert_eq!(last, 429);
    let right = house.call("alice-api", Method::GET, "/api/v1/jobs").await;
    assert_eq!(
        right.status(),
        StatusCode::OK,
        "a right token from the same address opens"
    );
    house.context.access.refusals_flush().await.unwrap();
    let mut superuser = house.database.superuser().await;
    let entries = "SELECT convert_from(body, 'UTF8')::jsonb FROM spine.event_body WHERE account = $1";
    let bodies: Vec<Value> = sqlx::query_scalar(entries)
        .bind(AccountId::INSTANCE.0)
        .fetch_all(&mut superuser)
        .await
        .unwrap();
    assert!((1..=2).contains(&bodies.len()), "one a minute: {bodies:?}");
    assert!(bodies.iter().all(|body| body["source"] == "192.0.2.1"));
    let count: u64 = bodies.iter().filter_map(|body| body["count"].as_u64()).sum();
    assert!(count >= u64::from(REFUSALS_PER_SOURCE_MAX), "{bodies:?}");
}

#[tokio::test]
async fn jobs_that_are_not_there_are_problems() {
    let house = house(None).await;
    let list = json(house.call("alice-api", Method::GET, "/api/v1/jobs?limit=5").await).await;
    assert_eq!(list, serde_json::json!({ "items": [], "next": null }));
    let job = contracts::JobId::new();
    for (method, path) in [
        (Method::GET, format!("/api/v1/jobs/{job}")),
        (Method::DELETE, format!("/api/v1/jobs/{job}")),
        (Method::POST, format!("/api/v1/jobs/{job}/retry")),
        (Method::POST, format!("/api/v1/jobs/{job}/cancel")),
        (Method::POST, format!("/api/v1/events/parked/nobody/{job}/retry")),
    ] {
        assert_eq!(
            problem(house.call("alice-api", method, &path).await).await,
            404,
            "{path}"
        );
    }
    let odd = house.call("alice-api", Method::GET, "/api/v1/jobs?after=x").await;
    assert_eq!(problem(odd).await, 400);
    let parked = json(
        house
            .call("alice-api", Method::GET, "/api/v1/events/parked")
            .await,
    )
    .await;
    assert_eq!(parked["items"], serde_json::json!([]));
}

#[tokio::test]
async fn metrics_are_for_tokens_and_the_operator_whoever_scrapes_from_this_machine() {
    let metrics = Metrics::install().unwrap();
    let house = house(Some(metrics)).await;
    let mut local = request(Method::GET, "/metrics", "");
    local
        .extensions_mut()
        .insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4711))));
    assert_eq!(
        problem(call(&house.edge.network, local).await).await,
        401,
        "it may have come by a proxy that doesn't say so"
    );
    let told = house.operate(None, Method::GET, "/metrics", "").await;
    assert_eq!(told.status(), StatusCode::OK);
    let told = house.call("alice-api", Method::GET, "/metrics").await;
    assert_eq!(told.status(), StatusCode::OK);
    let text = told.into_body().collect().await.unwrap().to_bytes();
    let text = std::str::from_utf8(&text).unwrap();
    assert!(
        text.contains(r#"allod_http_request_seconds_bucket{method="GET",route="/metrics",status="401""#),
        "{text}"
    );
}

#[tokio::test]
async fn a_running_hub_is_ready_and_its_log_says_how_far_it_is() {
    let mut house = house(None).await;
    let report = json(call(&house.edge.network, request(Method::GET, "/health/ready", "")).await).await;
    assert_eq!(
        (&report["status"], &report["parts"][0]["ok"]),
        (&"ready".into(), &true.into()),
        "{report}"
    );
    house.running.take().unwrap().drain(Duration::from_secs(5)).await;
}
