//! Redirects: each hop is judged like the first.

use http::{Method, header};

use super::servers::Server;
use super::{allowing, fetch, get, loopback, patient};
use crate::{Allowance, Class, Failure, HostRule, Limits, Reached, Request};

#[tokio::test]
async fn a_redirect_is_followed_and_the_final_address_is_told() {
    let (first, second) = (Server::start("127.0.0.1").await, Server::start("127.0.0.2").await);
    let answer = get(&first.redirect(302, &second.url("/end")), &loopback())
        .await
        .unwrap();
    assert_eq!(
        (answer.url.as_str(), answer.text().as_ref()),
        (second.url("/end").as_str(), "hello")
    );
    assert!(!second.seen()[0].headers.contains_key(header::REFERER));
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_refused_and_its_server_sees_nothing() {
    let (first, private) = (Server::start("127.0.0.2").await, Server::start("127.0.0.3").await);
    let allowance = patient(allowing(&["127.0.0.2/32"]));
    let targets = [private.url("/"), format!("http://localhost:{}/", private.port())];
    for target in targets {
        let error = get(&first.redirect(302, &target), &allowance).await.unwrap_err();
        assert_eq!(
            (error.failure(), error.class()),
            (Failure::AddressDenied, Class::Denied)
        );
        assert_eq!(
            error.reached(),
            Reached::Unknown,
            "the first server had the request"
        );
    }
    assert_eq!((first.seen().len(), private.connections()), (2, 0));
}

#[tokio::test]
async fn a_redirect_to_an_undeclared_host_is_refused_and_its_server_sees_nothing() {
    let (first, other) = (Server::start("127.0.0.1").await, Server::start("127.0.0.1").await);
    let declared = format!("127.0.0.1:{}", first.port()).parse().unwrap();
    let allowance = Allowance {
        hosts: HostRule::Only(vec![declared]),
        ..loopback()
    };
    let error = get(&first.redirect(307, &other.url("/")), &allowance)
        .await
        .unwrap_err();
    assert_eq!(error.failure(), Failure::HostDenied);
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn a_redirect_with_userinfo_or_to_another_scheme_is_refused() {
    let server = Server::start("127.0.0.1").await;
    for (target, failure) in [
        ("http://alice:pw@127.0.0.1:1/", Failure::UserInfo),
        ("file:///etc/passwd", Failure::BadUrl),
        ("gopher://127.0.0.1/", Failure::BadUrl),
    ] {
        let error = get(&server.redirect(302, target), &loopback()).await.unwrap_err();
        assert_eq!(error.failure(), failure, "{target}");
    }
}

#[tokio::test]
async fn a_redirect_loop_ends_after_three() {
    let server = Server::start("127.0.0.1").await;
    let error = get(&server.url("/loop"), &loopback()).await.unwrap_err();
    assert_eq!(
        (error.failure(), error.class()),
        (Failure::TooManyRedirects, Class::Protocol)
    );
    assert_eq!(error.reached(), Reached::Unknown);
    assert_eq!(server.seen().len(), 4, "the request and three redirects");
}

#[tokio::test]
async fn with_no_redirects_allowed_the_redirect_is_the_answer() {
    let server = Server::start("127.0.0.1").await;
    let allowance = Allowance {
        limits: Limits {
            redirects_max: 0,
            ..loopback().limits
        },
        ..loopback()
    };
    let answer = get(&server.url("/loop"), &allowance).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), &answer.headers[header::LOCATION]),
        (302, &"/loop".parse().unwrap())
    );
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn secrets_stay_with_their_origin_when_a_redirect_leaves_it() {
    let (first, second) = (Server::start("127.0.0.1").await, Server::start("127.0.0.1").await);
    let request = |url: &str| {
        Request::get(url)
            .and_then(|request| request.basic_auth("alice", "pw"))
            .and_then(|request| request.secret_header("x-api-key", "k"))
            .and_then(|request| request.header("cookie", "s=1"))
            .and_then(|request| request.header("x-note", "n"))
            .unwrap()
    };
    fetch()
        .send(request(&first.redirect(302, &second.url("/"))), &loopback())
        .await
        .unwrap();
    fetch()
        .send(request(&first.redirect(302, &first.url("/"))), &loopback())
        .await
        .unwrap();
    let (kept, left) = (&first.seen()[2].headers, &second.seen()[0].headers);
    for name in ["authorization", "x-api-key", "cookie"] {
        assert!(kept.contains_key(name), "{name} was lost at its own origin");
        assert!(!left.contains_key(name), "{name} was carried away");
    }
    assert_eq!(left["x-note"], "n");
}

#[tokio::test]
async fn a_post_is_not_carried_to_another_origin_and_becomes_a_get_on_303() {
    let (first, second) = (Server::start("127.0.0.1").await, Server::start("127.0.0.2").await);
    let send = async |url: String| {
        fetch()
            .send(Request::post_form(&url, [("Body", "hi")]).unwrap(), &loopback())
            .await
    };
    let error = send(first.redirect(307, &second.url("/"))).await.unwrap_err();
    assert_eq!(
        (error.failure(), error.reached()),
        (Failure::BodyRedirectDenied, Reached::Unknown)
    );
    assert_eq!(second.connections(), 0);

    send(first.redirect(307, "/again")).await.unwrap();
    let again = first.seen().pop().unwrap();
    assert_eq!(
        (again.method, again.path.as_str(), again.body.as_str()),
        (Method::POST, "/again", "Body=hi")
    );

    send(first.redirect(303, &second.url("/done"))).await.unwrap();
    let done = second.seen().pop().unwrap();
    assert_eq!((done.method, done.body.as_str()), (Method::GET, ""));
}
