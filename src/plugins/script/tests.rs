//! Hostile packs harm nobody; and what a well-behaved one may count on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::response::Redirect;
use axum::routing::get;
use fetch::{Failure as FetchFailure, Fetch, FetchConfig, HostPattern};
use sandbox::ErrorKind;
use serde_json::json;
use zeroize::Zeroizing;

use super::*;
use crate::registry::Registry;

const MANIFEST: &str = r#"
id = "pack"
version = "1.0.0"
kind = ["connector"]
description = "A pack."
script = "pack.rhai"
"#;

const BUDGET: Budget = Budget { operations: 200_000, time: Duration::from_millis(500) };

fn pack(script: &str) -> Arc<Pack> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("pack")).unwrap();
    std::fs::write(dir.path().join("pack/plugin.toml"), MANIFEST).unwrap();
    std::fs::write(dir.path().join("pack/pack.rhai"), script).unwrap();
    let registry = Registry::load(dir.path(), &engine());
    assert_eq!(registry.broken(), []);
    registry.pack("pack").unwrap().clone()
}

/// A server that counts its requests and knows a way to another one.
async fn server(elsewhere: Option<SocketAddr>) -> (SocketAddr, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let hello = move |headers: HeaderMap| async move {
        counted.fetch_add(1, Ordering::SeqCst);
        let signed_in = headers.get("authorization").is_some();
        axum::Json(json!({ "hello": true, "signed_in": signed_in }))
    };
    let away = move || async move { Redirect::temporary(&format!("http://{}/hello", elsewhere.unwrap())) };
    let router = Router::new().route("/hello", get(hello.clone()).post(hello)).route("/away", get(away).post(away));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, count)
}

fn outbound(allowed: SocketAddr, range: &str) -> Outbound {
    let host = HostPattern::of_url(&format!("http://{allowed}").parse().unwrap()).unwrap();
    let token = Zeroizing::new("the-secret".to_owned());
    let fetch = Fetch::new(FetchConfig::default()).unwrap();
    let now = chrono::DateTime::from_timestamp(0, 0).unwrap();
    let ranges = vec![range.parse().unwrap()];
    Outbound::new(fetch, (vec![], vec![host]), ranges, Some(Credentials::Bearer { token }), now)
}

async fn go(script: &str, argument: Value, outbound: Option<&mut Outbound>) -> Result<Value, Failure> {
    run(&engine(), &pack(script), "go", &[argument], BUDGET, outbound).await
}

#[tokio::test]
async fn a_request_is_made_once_however_often_the_script_is_entered() {
    let (address, count) = server(None).await;
    let script = "fn go(url) { let a = http.get(url); let b = http.get(url); [a.json.hello, b.status, a.json.signed_in] }";
    let told = go(script, json!(format!("http://{address}/hello")), Some(&mut outbound(address, "127.0.0.0/8"))).await;
    assert_eq!(told.unwrap(), json!([true, 200, true]), "the hub signs in for the script");
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_undeclared_host_is_not_asked() {
    let (declared, _) = server(None).await;
    let (other, count) = server(None).await;
    let script = "fn go(url) { http.get(url) }";
    let refused = go(script, json!(format!("http://{other}/hello")), Some(&mut outbound(declared, "127.0.0.0/8"))).await;
    assert!(matches!(refused, Err(Failure::Fetch(error)) if error.failure() == FetchFailure::HostDenied));
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_redirect_to_an_undeclared_host_is_not_followed() {
    let (other, count) = server(None).await;
    let (declared, _) = server(Some(other)).await;
    let script = "fn go(url) { http.get(url) }";
    let refused = go(script, json!(format!("http://{declared}/away")), Some(&mut outbound(declared, "127.0.0.0/8"))).await;
    assert!(matches!(refused, Err(Failure::Fetch(error)) if error.failure() == FetchFailure::HostDenied));
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_private_address_needs_the_owners_word() {
    let (declared, count) = server(None).await;
    let script = "fn go(url) { http.get(url) }";
    let refused = go(script, json!(format!("http://{declared}/hello")), Some(&mut outbound(declared, "10.0.0.0/8"))).await;
    assert!(matches!(refused, Err(Failure::Fetch(error)) if error.failure() == FetchFailure::AddressDenied));
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_post_follows_no_redirect_and_there_is_no_second_one() {
    let (other, count) = server(None).await;
    let (declared, own) = server(Some(other)).await;
    let mut allowed = outbound(declared, "127.0.0.0/8").with_post();
    let script = "fn go(url) { http.post_form(url, #{ a: 1 }).status }";
    let told = go(script, json!(format!("http://{declared}/away")), Some(&mut allowed)).await;
    assert_eq!(told.unwrap(), json!(307));
    assert_eq!(count.load(Ordering::SeqCst), 0);

    let mut allowed = outbound(declared, "127.0.0.0/8").with_post();
    let twice = "fn go(url) { http.post_form(url, #{}); http.post_form(url, #{}) }";
    let refused = go(twice, json!(format!("http://{declared}/hello")), Some(&mut allowed)).await;
    assert!(matches!(refused, Err(Failure::Forbidden(_))));
    assert_eq!(own.load(Ordering::SeqCst), 1);

    let mut none = outbound(declared, "127.0.0.0/8");
    assert!(matches!(go(twice, json!(format!("http://{declared}/hello")), Some(&mut none)).await, Err(Failure::Forbidden(_))));
    assert_eq!(own.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn endless_loops_and_endless_requests_come_to_an_end() {
    let ended = go("fn go(x) { loop { } }", json!(0), None).await;
    assert!(matches!(ended, Err(Failure::Script(error)) if error.kind == ErrorKind::Operations));
    let ended = go("fn go(x) { let s = \"a\"; loop { s += s; } }", json!(0), None).await;
    assert!(matches!(ended, Err(Failure::Script(error)) if error.is_limit()));
    let (declared, count) = server(None).await;
    let ended = go("fn go(url) { loop { http.get(url); } }", json!(format!("http://{declared}/hello")), Some(&mut outbound(declared, "127.0.0.0/8"))).await;
    assert!(matches!(ended, Err(Failure::Forbidden(_))));
    assert_eq!(count.load(Ordering::SeqCst), 20);
}

#[tokio::test]
async fn a_function_that_must_answer_at_once_can_make_no_request() {
    let refused = go("fn go(url) { try { http.get(url) } catch { 1 } }", json!("https://example.com"), None).await;
    assert!(matches!(refused, Err(Failure::Script(error)) if error.kind == ErrorKind::Stopped));
}

#[test]
fn a_broken_pack_is_listed_with_its_reason_and_harms_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let write = |id: &str, script: Option<&str>, extra: &str| {
        std::fs::create_dir(dir.path().join(id)).unwrap();
        let manifest = MANIFEST.replace("\"pack\"", &format!("{id:?}"));
        std::fs::write(dir.path().join(id).join("plugin.toml"), format!("{manifest}{extra}")).unwrap();
        if let Some(script) = script {
            std::fs::write(dir.path().join(id).join("pack.rhai"), script).unwrap();
        }
    };
    write("good", Some("fn go(x) { x }"), "");
    write("syntax", Some("fn go(x) { "), "");
    write("calls", Some("fn go(x) { no_such(x) }"), "");
    write("names", Some("fn tst(ctx) { 1 }"), "[functions]\ntest = \"test\"\n");
    write("arity", Some("fn test(a, b) { 1 }"), "[functions]\ntest = \"test\"\n");
    write("empty", None, "");
    std::fs::write(dir.path().join("a-file"), "").unwrap();
    let registry = Registry::load(dir.path(), &engine());
    assert_eq!(registry.packs().map(|pack| pack.manifest.id.as_str()).collect::<Vec<_>>(), ["good"]);
    let reason = |id: &str| registry.broken().iter().find(|broken| broken.id == id).unwrap().reason.clone();
    assert!(reason("syntax").starts_with("syntax/pack.rhai:"), "{}", reason("syntax"));
    assert!(reason("calls").contains("no_such"), "{}", reason("calls"));
    assert!(reason("names").contains("did you mean `tst`?"), "{}", reason("names"));
    assert!(reason("arity").contains("takes 2 arguments; the hub gives it 1"), "{}", reason("arity"));
    assert!(reason("empty").starts_with("empty/pack.rhai:"), "{}", reason("empty"));
}

#[test]
fn the_packs_that_come_with_the_hub_can_be_used() {
    let tree = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let registry = Registry::load(&tree, &engine());
    assert_eq!(registry.broken(), []);
    assert_eq!(registry.serving("sms"), ["twilio"]);
    assert_eq!(registry.serving("log"), ["log"]);
}
