//! What anybody at the door may count on, database or not: these run without one. Those that need one are in
//! [`with_database`].

mod connections;
mod with_database;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use contracts::{ManualClock, Problem};
use http_body_util::BodyExt;
use serde_json::Value;
use spine::edge::Json;
use spine::vault::Vault;
use spine::{Service, Settings, Spine};
use sqlx::postgres::PgPoolOptions;
use tower::ServiceExt;
use utoipa_axum::router::OpenApiRouter;

use super::*;

/// A hub whose database is away.
fn hub(services: Vec<Service>) -> (tempfile::TempDir, Edge) {
    hub_behind(services, TrustedProxies::default())
}

fn hub_behind(mut services: Vec<Service>, proxies: TrustedProxies) -> (tempfile::TempDir, Edge) {
    let dir = tempfile::tempdir().unwrap();
    let away = || {
        let options = PgPoolOptions::new().acquire_timeout(std::time::Duration::from_millis(300));
        options
            .connect_lazy("postgres://nobody@127.0.0.1:1/nothing")
            .unwrap()
    };
    let settings = Settings {
        data_dir: dir.path().into(),
        packs_dir: dir.path().into(),
        recipes_dir: dir.path().into(),
        public_url: "https://hub.example".into(),
        extra_ca_pem: Vec::new(),
        upload_bytes_max: 1 << 20,
        media: spine::service::MediaSettings::default(),
    };
    let vault = Vault::open_or_create(&dir.path().join("key")).unwrap();
    let clock = Arc::new(ManualClock::at(chrono::DateTime::UNIX_EPOCH));
    let (spine, gate) = Spine::new(away(), away(), vault, clock, settings);
    let mut routes = Routes::default();
    services.iter_mut().for_each(|service| routes.take(service));
    let edge = build(Parts {
        context: spine.context().clone(),
        admin: spine.admin().clone(),
        gate,
        routes,
        checks: Vec::new(),
        metrics: None,
        metrics_public: false,
        proxies,
    });
    (dir, edge)
}

fn service() -> Service {
    let public = OpenApiRouter::new()
        .route("/echo", post(async |body: Bytes| body.len().to_string()))
        .route("/json", post(async |Json(value): Json<Value>| Json(value)))
        .route(
            "/panic",
            get(async || -> Problem { panic!("the cause, with a secret") }),
        )
        .route(
            "/asleep",
            get(async || tokio::time::sleep(std::time::Duration::from_secs(3600)).await),
        )
        .route(
            "/api/v1/number/{n}",
            get(async |axum::extract::Path(n): axum::extract::Path<u8>| n.to_string()),
        );
    Service {
        name: "sample",
        public,
        ..Service::default()
    }
}

fn request(method: Method, path: &str, body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .body(body.into())
        .unwrap();
    request
        .extensions_mut()
        .insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 4711))));
    request
}

async fn call(router: &Router, request: Request<Body>) -> Response {
    router.clone().oneshot(request).await.unwrap()
}

async fn json(response: Response) -> Value {
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

/// The status, after checking that the answer is a problem that says the same and tells no cause.
async fn problem(response: Response) -> u16 {
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "application/problem+json"
    );
    let status = response.status().as_u16();
    let problem = json(response).await;
    assert_eq!(problem["status"], status, "{problem}");
    assert!(!problem.to_string().contains("secret"), "{problem}");
    status
}

#[tokio::test]
async fn every_documented_api_operation_asks_a_stranger_for_a_token() {
    let (_dir, edge) = hub(vec![service()]);
    let document = json(call(&edge.network, request(Method::GET, "/api/v1/openapi.json", "")).await).await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut tried = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert_eq!(
                operation["security"],
                serde_json::json!([{ "bearer": [] }]),
                "{method} {path}"
            );
            let path = path
                .replace("{event}", &uuid::Uuid::nil().to_string())
                .replace(['{', '}'], "x");
            let method: Method = method.to_uppercase().parse().unwrap();
            let response = call(&edge.network, request(method.clone(), &path, "{}")).await;
            assert_eq!(
                response.headers()[header::WWW_AUTHENTICATE],
                "Bearer",
                "{method} {path}"
            );
            assert_eq!(problem(response).await, 401, "{method} {path}");
            tried.push(path);
        }
    }
    assert!(tried.contains(&"/api/v1/events/stream".to_owned()), "{tried:?}");
    assert!(tried.len() >= 8, "{tried:?}");
}

/// Every `$ref` in a document.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn whatever_the_apis_description_refers_to_is_in_it() {
    /// A parameter whose type stands in no body.
    #[utoipa::path(get, path = "/records/{id}", params(("id" = contracts::RawRecordId, Path)), responses((status = 200)))]
    async fn record() {}
    let api = OpenApiRouter::new().routes(utoipa_axum::routes!(record));
    let (_dir, edge) = hub(vec![Service {
        api,
        ..Service::default()
    }]);
    let document = json(call(&edge.network, request(Method::GET, "/api/v1/openapi.json", "")).await).await;
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.contains(&"#/components/schemas/RawRecordId"), "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} is not there");
    }
}

#[tokio::test]
async fn the_control_sockets_header_means_nothing_on_the_network() {
    let (_dir, edge) = hub(Vec::new());
    let mut request = request(Method::GET, "/api/v1/jobs", "");
    request
        .headers_mut()
        .insert("allod-account", "alice".parse().unwrap());
    assert_eq!(problem(call(&edge.network, request).await).await, 401);
}

#[tokio::test]
async fn while_the_database_is_away_a_token_is_neither_right_nor_wrong() {
    let (_dir, edge) = hub(Vec::new());
    let mut request = request(Method::GET, "/api/v1/jobs", "");
    request
        .headers_mut()
        .insert(header::AUTHORIZATION, "Bearer allod_api_x".parse().unwrap());
    let response = call(&edge.network, request).await;
    assert!(response.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(problem(response).await, 503);
}

#[tokio::test]
async fn a_body_over_a_megabyte_is_refused_and_one_of_exactly_that_is_not() {
    let (_dir, edge) = hub(vec![service()]);
    let fits = call(&edge.network, request(Method::POST, "/echo", vec![b'x'; 1 << 20])).await;
    assert_eq!(fits.status(), StatusCode::OK);
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    assert_eq!(
        problem(call(&edge.network, request(Method::POST, "/json", large)).await).await,
        413
    );
    assert_eq!(
        problem(call(&edge.network, request(Method::POST, "/json", "{")).await).await,
        400
    );
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_with_a_hint() {
    let (_dir, edge) = hub(vec![service()]);
    for path in ["/nothing", "/api/v1/nothing", "/api/v2"] {
        assert_eq!(
            problem(call(&edge.network, request(Method::GET, path, "")).await).await,
            404,
            "{path}"
        );
    }
    assert_eq!(
        problem(call(&edge.network, request(Method::DELETE, "/echo", "")).await).await,
        405
    );
    assert_eq!(
        problem(call(&edge.network, request(Method::GET, "/api/v1/number/x", "")).await).await,
        400
    );
}

#[tokio::test]
async fn a_handler_that_panics_answers_500_and_keeps_the_cause_to_itself() {
    let (_dir, edge) = hub(vec![service()]);
    let response = call(&edge.network, request(Method::GET, "/panic", "")).await;
    assert!(response.headers().contains_key("x-correlation-id"));
    assert_eq!(problem(response).await, 500);
    let next = call(&edge.network, request(Method::POST, "/echo", "ab")).await;
    assert_eq!(next.status(), StatusCode::OK, "the hub goes on");
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_given_up_after_30_seconds() {
    let (_dir, edge) = hub(vec![service()]);
    let began = tokio::time::Instant::now();
    let response = call(&edge.network, request(Method::GET, "/asleep", "")).await;
    assert_eq!(problem(response).await, 503);
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn pages_run_no_scripts_stand_in_no_frame_and_send_no_referrer() {
    let (_dir, edge) = hub(Vec::new());
    let response = call(&edge.network, request(Method::GET, "/", "")).await;
    assert_eq!(response.status(), StatusCode::OK);
    let policy = response.headers()[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .unwrap();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(response.headers()[header::REFERRER_POLICY], "no-referrer");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let page = std::str::from_utf8(&body).unwrap();
    assert!(page.contains("lang=\"en\"") && page.contains("/api/v1/openapi.json"));
    assert!(!page.contains("<script"));
}

#[tokio::test]
async fn a_hub_without_its_database_is_alive_and_not_ready() {
    let (_dir, edge) = hub(Vec::new());
    assert_eq!(
        call(&edge.network, request(Method::GET, "/health/live", ""))
            .await
            .status(),
        StatusCode::OK
    );
    let response = call(&edge.network, request(Method::GET, "/health/ready", "")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let report = json(response).await;
    assert_eq!(report["status"], "unready");
    assert_eq!(report["parts"][0]["name"], "log");
    assert_eq!(report["parts"][0]["ok"], false);
    assert!(
        !report.to_string().contains("127.0.0.1"),
        "no cause is told: {report}"
    );
}

#[tokio::test]
async fn each_answer_bears_an_id_of_its_own() {
    let (_dir, edge) = hub(Vec::new());
    let mut ids = Vec::new();
    for _ in 0..2 {
        let response = call(&edge.network, request(Method::GET, "/health/live", "")).await;
        let id = response.headers()["x-correlation-id"].to_str().unwrap();
        ids.push(id.parse::<uuid::Uuid>().unwrap());
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn what_a_request_publishes_bears_the_id_of_its_answer() {
    let told = get(async || spine::Cause::outside().correlation.to_string());
    let public = OpenApiRouter::new().route("/told", told);
    let (_dir, edge) = hub(vec![Service {
        public,
        ..Service::default()
    }]);
    let response = call(&edge.network, request(Method::GET, "/told", "")).await;
    let id = response.headers()["x-correlation-id"].clone();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, id.as_bytes());
    assert_ne!(
        spine::Cause::outside().correlation.to_string().as_bytes(),
        id.as_bytes()
    );
}

#[tokio::test]
async fn an_address_with_nul_in_path_or_query_is_refused_wherever_it_leads() {
    let (_dir, edge) = hub(vec![service()]);
    for path in [
        "/api/v1/accounts/a%00",
        "/api/v1/jobs?queue=%00",
        "/hooks/%00",
        "/%00",
    ] {
        let refused = call(&edge.network, request(Method::GET, path, "")).await;
        assert_eq!(problem(refused).await, 400, "{path}");
    }
    let refused = call(&edge.network, request(Method::POST, "/json", r#"["a\u0000"]"#)).await;
    assert_eq!(problem(refused).await, 400);
    let about = call(&edge.network, request(Method::POST, "/json", r#"["a\\u0000"]"#)).await;
    assert_eq!(about.status(), StatusCode::OK, "a text about NUL holds none");
}
