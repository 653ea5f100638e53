//! Each scheme takes what is signed by it, and nothing else.

use super::*;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn github(body: &[u8], signature: Option<&str>) -> bool {
    let header: HeaderName = "x-hub-signature-256".parse().unwrap();
    let mut headers = HeaderMap::new();
    if let Some(signature) = signature {
        headers.insert(header.clone(), signature.parse().unwrap());
    }
    let scheme = Scheme::Hmac {
        secret: "key".into(),
        header,
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Hex,
        prefix: "sha256=".into(),
        timestamp: None,
    };
    let signed = Signed {
        public_url: "https://hub.example",
        path_and_query: "/",
        headers: &headers,
        body,
        now: now(),
        form: None,
    };
    scheme.verify(&signed, |name| {
        (name == "key").then_some(b"It's a Secret to Everybody".as_slice())
    })
}

#[test]
fn a_body_signed_by_hmac_in_a_header_is_taken_and_a_changed_one_is_not() {
    // The example of GitHub's documentation.
    let right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert!(github(b"Hello, World!", Some(right)));
    assert!(!github(b"Hello, World?", Some(right)));
    assert!(!github(b"Hello, World!", Some(&right[7..])), "without its prefix");
    assert!(!github(b"Hello, World!", Some("sha256=")));
    assert!(!github(b"Hello, World!", None));
}

/// Verifies a request at `path` with one header, with the secret `word`.
fn holds(scheme: &Scheme, path: &str, header: Option<(&'static str, &str)>, body: &[u8]) -> bool {
    let mut headers = HeaderMap::new();
    if let Some((name, value)) = header {
        headers.insert(name, value.parse().unwrap());
    }
    let signed = Signed {
        public_url: "https://hub.example",
        path_and_query: path,
        headers: &headers,
        body,
        now: now(),
        form: None,
    };
    scheme.verify(&signed, |name| (name == "key").then_some(b"word".as_slice()))
}

#[test]
fn stripes_signature_holds_for_five_minutes_over_its_moment_and_body() {
    let scheme = Scheme::Stripe {
        secret: "key".into(),
        tolerance_s: 300,
    };
    let sign = |at: i64| {
        let mac = Algorithm::Sha256.mac(b"word", format!("{at}.{{}}").as_bytes());
        format!("t={at},v1={}", hex::encode(mac))
    };
    let at = now().timestamp();
    let holds = |header: &str, body: &[u8]| holds(&scheme, "/", Some(("stripe-signature", header)), body);
    for moment in [at, at - 300, at + 300] {
        assert!(holds(&sign(moment), b"{}"), "{moment}");
    }
    for moment in [at - 301, at + 301] {
        assert!(!holds(&sign(moment), b"{}"), "{moment}");
    }
    assert!(!holds(&sign(at), b"{ }"), "another body");
    let moved = sign(at).replace(&at.to_string(), &(at + 1).to_string());
    assert!(!holds(&moved, b"{}"), "another moment");
    assert!(
        holds(&format!("{},v1=00", sign(at)), b"{}"),
        "while a key is rotated there are two"
    );
}

#[test]
fn a_word_in_the_address_or_a_header_must_be_the_whole_word_and_stand_once() {
    let query = Scheme::Token {
        secret: "key".into(),
        place: TokenPlace::Query("token".into()),
    };
    assert!(holds(&query, "/hook?a=b&token=word", None, b""));
    for path in [
        "/hook",
        "/hook?token=",
        "/hook?token=wor",
        "/hook?token=words",
        "/hook?token=word&token=word",
    ] {
        assert!(!holds(&query, path, None, b""), "{path}");
    }
    let header = Scheme::Token {
        secret: "key".into(),
        place: TokenPlace::Header(http::header::AUTHORIZATION, "Bearer ".into()),
    };
    assert!(holds(&header, "/", Some(("authorization", "Bearer word")), b""));
    assert!(!holds(&header, "/", Some(("authorization", "word")), b""));
    assert!(!holds(&header, "/?token=word", None, b""));
    let unset = Scheme::Token {
        secret: "unset".into(),
        place: TokenPlace::Query("token".into()),
    };
    assert!(!holds(&unset, "/hook?token=", None, b""), "no secret, no way in");
}

#[test]
fn every_notification_of_graph_bears_the_state_and_only_the_handshake_needs_none() {
    let scheme = Scheme::MsGraph { secret: "key".into() };
    let body = |states: &[&str]| {
        let value: Vec<_> = states
            .iter()
            .map(|state| serde_json::json!({ "clientState": state }))
            .collect();
        serde_json::json!({ "value": value }).to_string()
    };
    assert!(holds(&scheme, "/", None, body(&["word", "word"]).as_bytes()));
    for states in [&["word", "other"][..], &["other"], &[]] {
        assert!(!holds(&scheme, "/", None, body(states).as_bytes()), "{states:?}");
    }
    assert!(!holds(&scheme, "/", None, b"no json"));
    let headers = HeaderMap::new();
    let asked = |path, body| Signed {
        public_url: "",
        path_and_query: path,
        headers: &headers,
        body,
        now: now(),
        form: None,
    };
    let answer = scheme.handshake(&asked("/h?validationToken=a%20b", b""));
    assert_eq!(answer.as_deref(), Some("a b"));
    assert_eq!(scheme.handshake(&asked("/h?validationToken=a%0Ab", b"")), None);
    assert_eq!(scheme.handshake(&asked("/h?validationToken=a", b"{}")), None);
    assert_eq!(scheme.handshake(&asked("/h", b"")), None);
}

#[test]
fn a_moment_in_a_header_of_its_own_is_signed_by_a_template() {
    let scheme = Scheme::Hmac {
        secret: "key".into(),
        header: HeaderName::from_static("x-signature"),
        algorithm: Algorithm::Sha512,
        encoding: Encoding::Base64,
        prefix: "v0=".into(),
        timestamp: Some(Timestamp {
            header: HeaderName::from_static("x-timestamp"),
            tolerance_s: 60,
            template: "v0:{timestamp}:{body}".into(),
        }),
    };
    let holds = |at: i64, said: i64| {
        let mac = Algorithm::Sha512.mac(b"word", format!("v0:{at}:hello").as_bytes());
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-signature",
            format!("v0={}", STANDARD.encode(mac)).parse().unwrap(),
        );
        headers.insert("x-timestamp", said.to_string().parse().unwrap());
        let signed = Signed {
            public_url: "",
            path_and_query: "/",
            headers: &headers,
            body: b"hello",
            now: now(),
            form: None,
        };
        scheme.verify(&signed, |_| Some(b"word"))
    };
    let at = now().timestamp();
    assert!(holds(at, at));
    assert!(!holds(at, at + 1), "another moment than the signed one");
    assert!(!holds(at - 61, at - 61), "too old");
}
