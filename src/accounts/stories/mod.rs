//! What people may count on when they set a hub up, sign in, and hand out keys.

mod people;
mod set_up;
mod sign_in;
mod tokens;

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, StatusCode, header};
use axum::response::Response;
use axum::{Extension, Router};
use chrono::DateTime;
use contracts::{ManualClock, RawRecordId};
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

/// A token as it is shown once.
#[derive(serde::Deserialize)]
struct Issued {
    id: String,
    secret: String,
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

    async fn create(&self, who: &Scope, path: &str, body: Value) -> Answer {
        self.call(who, Method::POST, path, body).await
    }

    async fn get(&self, who: &Scope, path: &str) -> Answer {
        self.call(who, Method::GET, path, Value::Null).await
    }

    async fn delete(&self, who: &Scope, path: &str) -> Answer {
        self.call(who, Method::DELETE, path, Value::Null).await
    }

    /// A fresh token of somebody's.
    async fn issue(&self, who: &Scope, kind: &str, name: &str) -> Issued {
        let issued = self
            .create(who, "/tokens", json!({ "kind": kind, "name": name }))
            .await;
        assert_eq!(issued.status, 201, "{}", issued.body);
        serde_json::from_str(&issued.body).unwrap()
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

    /// The page that the set-up link opens.
    async fn form(&self, token: &str) -> Answer {
        self.public(Method::GET, &format!("/setup?token={token}"), "", String::new())
            .await
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

    /// From one of the addresses 192.0.2.0/24.
    async fn sign_in_from(&self, source: u8, handle: &str, password: &str) -> Answer {
        let request = Request::post("/api/v1/sessions")
            .header(header::CONTENT_TYPE, "application/json")
            .extension(ConnectInfo(SocketAddr::from(([192, 0, 2, source], 443))))
            .body(Body::from(
                json!({ "handle": handle, "password": password }).to_string(),
            ));
        Answer::of(self.public.clone().oneshot(request.unwrap()).await.unwrap()).await
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
