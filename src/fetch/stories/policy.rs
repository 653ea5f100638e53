//! Who may be connected to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpListener;

use super::servers::Server;
use super::{allowing, fetch, get, loopback, patient};
use crate::resolver::Lookup;
use crate::{Allowance, Class, Failure, Fetch, FetchConfig, HostRule, Reached, Request};

fn only(hosts: &[&str]) -> HostRule {
    HostRule::Only(hosts.iter().map(|host| host.parse().unwrap()).collect())
}

#[tokio::test]
async fn loopback_is_denied_by_default_and_the_server_sees_no_connection() {
    let server = Server::start("127.0.0.1").await;
    let default = patient(allowing(&[]));
    let port = server.port();
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.0.0.1",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "localhost",
    ] {
        let error = get(&format!("http://{host}:{port}/"), &default)
            .await
            .unwrap_err();
        assert_eq!(error.failure(), Failure::AddressDenied, "{host}");
        assert_eq!((error.reached(), error.class()), (Reached::No, Class::Denied));
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn an_allowed_range_opens_exactly_that_range() {
    let allowed = Server::start("127.0.0.2").await;
    let beside = Server::start("127.0.0.3").await;
    let allowance = patient(allowing(&["127.0.0.2/32"]));
    let answer = get(&allowed.url("/"), &allowance).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.text().as_ref()), (200, "hello"));
    let mapped = format!("http://[::ffff:127.0.0.2]:{}/", allowed.port());
    assert_eq!(get(&mapped, &allowance).await.unwrap().status, 200);
    let error = get(&beside.url("/"), &allowance).await.unwrap_err();
    assert_eq!(error.failure(), Failure::AddressDenied);
    assert_eq!(beside.connections(), 0);
}

#[tokio::test]
async fn a_name_that_resolves_into_an_allowed_range_is_fetched() {
    let server = Server::start("127.0.0.1").await;
    let url = format!("http://localhost:{}/", server.port());
    assert_eq!(get(&url, &loopback()).await.unwrap().status, 200);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_host_that_is_not_declared_is_refused() {
    let server = Server::start("127.0.0.1").await;
    let port = server.port();
    let mut allowance = Allowance {
        hosts: only(&["127.0.0.1:1", "api.example.com"]),
        ..loopback()
    };
    for host in ["127.0.0.1", "localhost"] {
        let error = get(&format!("http://{host}:{port}/"), &allowance)
            .await
            .unwrap_err();
        assert_eq!(
            (error.failure(), error.reached()),
            (Failure::HostDenied, Reached::No)
        );
    }
    assert_eq!(server.connections(), 0);
    allowance.hosts = only(&[&format!("127.0.0.1:{port}")]);
    assert_eq!(get(&server.url("/"), &allowance).await.unwrap().status, 200);
}

#[tokio::test]
async fn plain_http_must_be_allowed() {
    let server = Server::start("127.0.0.1").await;
    let allowance = Allowance {
        plain_http: false,
        ..loopback()
    };
    let error = get(&server.url("/"), &allowance).await.unwrap_err();
    assert_eq!(
        (error.failure(), error.class()),
        (Failure::PlainHttpDenied, Class::Denied)
    );
    assert_eq!(server.connections(), 0);
}

/// A resolver whose answers are those given, in turn; the last one stays.
fn answering(answers: &'static [&'static str]) -> (Lookup, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let lookup: Lookup = Arc::new(move |_| {
        let turn = counter.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        let address = SocketAddr::new(answers[turn].parse().unwrap(), 0);
        Box::pin(async move { Ok(vec![address]) })
    });
    (lookup, asked)
}

#[tokio::test]
async fn a_name_that_is_rebound_to_a_private_address_gains_nothing() {
    let outside = Server::start("127.0.0.2").await;
    let inside = TcpListener::bind(("127.0.0.3", outside.port())).await.unwrap();
    let inside = Server::serve(inside).await;
    let (lookup, asked) = answering(&["127.0.0.2", "127.0.0.3"]);
    let fetch = Fetch::with_lookup(FetchConfig::default(), lookup).unwrap();
    let allowance = patient(allowing(&["127.0.0.2/32"]));
    let send = |path: &str| {
        let url = format!("http://rebinding.example:{}{path}", outside.port());
        let (fetch, allowance) = (fetch.clone(), allowance.clone());
        async move { fetch.send(Request::get(&url).unwrap(), &allowance).await }
    };
    assert_eq!(send("/close").await.unwrap().status, 200);
    let error = send("/").await.unwrap_err();
    assert_eq!(
        (error.failure(), error.reached()),
        (Failure::AddressDenied, Reached::No)
    );
    assert_eq!(asked.load(Ordering::SeqCst), 2, "each connection asked anew");
    assert_eq!((outside.seen().len(), inside.connections()), (1, 0));
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_transient_and_unsent() {
    let lookup: Lookup = Arc::new(|_| Box::pin(async { Err(io::ErrorKind::NotFound.into()) }));
    let fetch = Fetch::with_lookup(FetchConfig::default(), lookup).unwrap();
    let request = Request::get("https://nowhere.example/").unwrap();
    let error = fetch.send(request, &patient(allowing(&[]))).await.unwrap_err();
    assert_eq!(error.failure(), Failure::Unresolved);
    assert_eq!((error.reached(), error.class()), (Reached::No, Class::Transient));
}

#[tokio::test]
async fn requests_in_a_row_use_one_connection_under_equal_allowances() {
    let server = Server::start("127.0.0.1").await;
    let fetch = fetch();
    for _ in 0..5 {
        let request = Request::post_form(&server.url("/"), [("a", "b")]).unwrap();
        assert_eq!(
            fetch.clone().send(request, &loopback()).await.unwrap().text(),
            "hello"
        );
    }
    assert_eq!((server.seen().len(), server.connections()), (5, 1));
}

#[tokio::test]
async fn a_connection_made_under_a_wider_policy_does_not_serve_a_narrower_one() {
    let server = Server::start("127.0.0.1").await;
    let fetch = fetch();
    let url = format!("http://localhost:{}/", server.port());
    let request = Request::get(&url).unwrap();
    assert_eq!(
        fetch.send(request.clone(), &loopback()).await.unwrap().status,
        200
    );
    let error = fetch.send(request, &patient(allowing(&[]))).await.unwrap_err();
    assert_eq!(error.failure(), Failure::AddressDenied);
    assert_eq!(server.seen().len(), 1);
}
