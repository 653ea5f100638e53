//! Servers that misbehave: what is said of the failure, and whether the request may have arrived.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::servers::{Server, Trick, misbehaving};
use super::{allowing, fetch, get, loopback};
use crate::{Allowance, Class, Failure, FetchError, Limits, Reached, Request};

async fn get_from(trick: Trick, allowance: &Allowance) -> FetchError {
    let (url, connections) = misbehaving(trick).await;
    let started = Instant::now();
    let error = get(&url, allowance).await.unwrap_err();
    assert_eq!(connections.load(Ordering::SeqCst), 1, "a request is not repeated");
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "the deadline did not hold"
    );
    error
}

/// Long enough to connect on a busy machine, short enough for a test that waits for it to pass.
fn hurried() -> Allowance {
    allowing(&["127.0.0.0/8"])
}

#[tokio::test]
async fn a_refused_connection_is_transient_and_unsent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let error = get(&url, &loopback()).await.unwrap_err();
    assert_eq!(error.failure(), Failure::NotConnected);
    assert_eq!((error.reached(), error.class()), (Reached::No, Class::Transient));
}

#[tokio::test]
async fn a_server_that_takes_the_request_and_says_nothing_may_have_acted_on_it() {
    let error = get_from(Trick::Hang, &hurried()).await;
    assert_eq!(error.failure(), Failure::Timeout);
    assert_eq!(
        (error.reached(), error.class()),
        (Reached::Unknown, Class::Transient)
    );
}

#[tokio::test]
async fn a_server_that_resets_or_closes_may_have_acted_on_the_request() {
    for trick in [Trick::Reset, Trick::Say("")] {
        let error = get_from(trick, &loopback()).await;
        assert_eq!(error.failure(), Failure::Broken, "{trick:?}");
        assert_eq!(
            (error.reached(), error.class()),
            (Reached::Unknown, Class::Transient)
        );
    }
}

#[tokio::test]
async fn headers_or_a_body_that_drip_hit_the_deadline_of_the_whole_request() {
    let endless_header = Trick::Drip("HTTP/1.1 200 OK\r\nx-long: ", b'a');
    let endless_body = Trick::Drip("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", b'a');
    for trick in [endless_header, endless_body] {
        let error = get_from(trick, &hurried()).await;
        assert_eq!(
            (error.failure(), error.reached()),
            (Failure::Timeout, Reached::Unknown),
            "{trick:?}"
        );
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_an_error_and_one_at_the_limit_is_not() {
    let server = Server::start("127.0.0.1").await;
    let limits = Limits {
        body_max: 1000,
        ..loopback().limits
    };
    let allowance = Allowance { limits, ..loopback() };
    let answer = get(&server.url("/bytes?n=1000"), &allowance).await.unwrap();
    assert_eq!(answer.body.len(), 1000);
    let error = get(&server.url("/bytes?n=1001"), &allowance).await.unwrap_err();
    assert_eq!(error.failure(), Failure::BodyTooLarge { limit: 1000 });
    assert_eq!(
        (error.reached(), error.class()),
        (Reached::Unknown, Class::Protocol)
    );
}

#[tokio::test]
async fn a_body_that_never_ends_is_cut_off_at_the_limit_whatever_length_was_announced() {
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n",
    ] {
        let error = get_from(Trick::Flood(head), &loopback()).await;
        let failure = error.failure();
        assert!(
            matches!(failure, Failure::BodyTooLarge { .. } | Failure::NotHttp),
            "{head:?}: {failure:?}"
        );
    }
}

#[tokio::test]
async fn a_body_that_stops_short_of_its_announced_length_is_broken() {
    let error = get_from(
        Trick::Say("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"),
        &loopback(),
    )
    .await;
    assert_eq!(
        (error.failure(), error.reached()),
        (Failure::Broken, Reached::Unknown)
    );
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_a_protocol_failure() {
    let error = get_from(Trick::Say("220 mail.example ESMTP\r\n"), &loopback()).await;
    assert_eq!(
        (error.failure(), error.class()),
        (Failure::NotHttp, Class::Protocol)
    );
    assert_eq!(error.reached(), Reached::Unknown);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_costs_no_request() {
    let (url, connections) =
        misbehaving(Trick::Say("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")).await;
    let fetch = fetch();
    for _ in 0..3 {
        let request = Request::post_form(&url, [("a", "b")]).unwrap();
        assert_eq!(fetch.send(request, &loopback()).await.unwrap().text(), "hello");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn any_status_is_an_answer() {
    let server = Server::start("127.0.0.1").await;
    assert_eq!(
        get(&server.url("/missing"), &loopback()).await.unwrap().status,
        404
    );
}

#[tokio::test]
async fn an_answer_of_another_shape_is_refused_without_quoting_it() {
    let (url, _) = misbehaving(Trick::Say(
        "HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n\"secret-answer\"",
    ))
    .await;
    let answer = get(&url, &loopback()).await.unwrap();
    assert_eq!(answer.json::<String>().unwrap(), "secret-answer");
    let error = answer.json::<u32>().unwrap_err();
    assert_eq!(
        (error.class(), error.reached()),
        (Class::Protocol, Reached::Unknown)
    );
    assert!(!format!("{error} {error:?} {answer:?}").contains("secret"));
}

#[tokio::test]
async fn no_error_names_path_query_header_or_body() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let (broken, _) = misbehaving(Trick::Say("HTTP/1.1 secret\r\n\r\n")).await;
    let (hanging, _) = misbehaving(Trick::Hang).await;
    let denied = "http://10.0.0.1/".to_owned();
    for base in [format!("http://{closed}/"), broken, hanging, denied] {
        let request = Request::post_form(&format!("{base}secret-path?key=secret"), [("a", "secret")])
            .and_then(|request| request.basic_auth("alice", "secret"))
            .unwrap();
        let error = fetch().send(request, &hurried()).await.unwrap_err();
        let mut text = format!("{error:?}");
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            text.push_str(&error.to_string());
            cause = error.source();
        }
        assert!(text.contains("POST"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
