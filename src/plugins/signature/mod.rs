//! Signatures of webhooks, by the scheme that the manifest declares.
//!
//! Invariant: what isn't proven is refused; comparisons take the same time whatever differs; nothing of the request but
//! path, query, body and the signature's own headers is read, and never `Host` or `X-Forwarded-*`.
//! Begin with [`Scheme::verify`].

mod msgraph;
mod stamped;
mod twilio;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderName};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;
use url::form_urlencoded;

/// How a provider signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Twilio's: over the configured address and the sorted form fields.
    Twilio {
        /// The secret, in its manifest's name.
        secret: String,
        /// The secret that signs instead when the request names a shared key and the owner stored one.
        shared_key: Option<String>,
    },
    /// An HMAC over the body, in a header; GitHub's is one.
    Hmac {
        secret: String,
        header: HeaderName,
        algorithm: Algorithm,
        encoding: Encoding,
        prefix: String,
        /// The moment that is signed with the body.
        timestamp: Option<Timestamp>,
    },
    /// Stripe's: an HMAC over moment and body.
    Stripe { secret: String, tolerance_s: i64 },
    /// A secret word in the address or in a header, where a provider signs nothing.
    Token { secret: String, place: TokenPlace },
    /// Microsoft Graph's `clientState`, with the handshake by `validationToken`.
    MsGraph { secret: String },
}

/// Where the moment of a signature stands, and what is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timestamp {
    pub(crate) header: HeaderName,
    pub(crate) tolerance_s: i64,
    /// With `{timestamp}` and `{body}`.
    pub(crate) template: String,
}

/// Where a secret word stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenPlace {
    /// In the query of the address, under this name.
    Query(String),
    /// In a header, after a prefix.
    Header(HeaderName, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Hex,
    Base64,
}

/// What of a request is signed.
#[derive(Debug)]
pub(crate) struct Signed<'a> {
    /// The address that the owner configured at the provider, without the request's path.
    pub(crate) public_url: &'a str,
    /// Path and query exactly as requested.
    pub(crate) path_and_query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    /// The hub's time.
    pub(crate) now: DateTime<Utc>,
    /// The body's form fields, if it is a form.
    pub(crate) form: Option<&'a [(String, String)]>,
}

impl Scheme {
    /// True if the request was signed with one of the secrets. `secret` opens a secret by its name.
    pub(crate) fn verify<'s>(&self, signed: &Signed<'_>, secret: impl Fn(&str) -> Option<&'s [u8]>) -> bool {
        let key = |name: &str| secret(name).filter(|key| !key.is_empty());
        match self {
            Self::Twilio {
                secret: name,
                shared_key,
            } => {
                let shared = shared_key.as_deref().and_then(&secret);
                secret(name).is_some_and(|token| twilio::verify(signed, token, shared))
            }
            Self::Hmac { secret: name, .. } => key(name).is_some_and(|key| self.hmac(signed, key)),
            Self::Stripe {
                secret: name,
                tolerance_s,
            } => key(name).is_some_and(|key| stamped::stripe(signed, key, *tolerance_s)),
            Self::Token { secret: name, place } => {
                key(name).is_some_and(|key| place.word(signed).is_some_and(|word| same(word.as_bytes(), key)))
            }
            Self::MsGraph { secret: name } => key(name).is_some_and(|key| msgraph::verify(signed, key)),
        }
    }

    /// What is answered to a request that only asks whether the address is right.
    pub(crate) fn handshake(&self, signed: &Signed<'_>) -> Option<String> {
        match self {
            Self::MsGraph { .. } => msgraph::handshake(signed),
            _ => None,
        }
    }

    fn hmac(&self, signed: &Signed<'_>, key: &[u8]) -> bool {
        let Self::Hmac {
            header,
            algorithm,
            encoding,
            prefix,
            timestamp,
            ..
        } = self
        else {
            return false;
        };
        let given = only(signed.headers, header).and_then(|value| value.strip_prefix(prefix.as_str()));
        let Some(given) = given else {
            return false;
        };
        let message = match timestamp {
            None => signed.body.to_vec(),
            Some(stamp) => {
                let text = only(signed.headers, &stamp.header);
                let Some((text, at)) = text.and_then(|text| Some((text, stamped::seconds(text)?))) else {
                    return false;
                };
                if !stamped::is_near(signed, at, stamp.tolerance_s) {
                    return false;
                }
                stamped::message(&stamp.template, text, signed.body)
            }
        };
        let expected = encoding.encode(&algorithm.mac(key, &message));
        // Hexadecimal digits may be written in either case.
        let given = if *encoding == Encoding::Hex {
            given.to_ascii_lowercase()
        } else {
            given.to_owned()
        };
        same(expected.as_bytes(), given.as_bytes())
    }
}

impl TokenPlace {
    fn word<'s>(&self, signed: &Signed<'s>) -> Option<Cow<'s, str>> {
        match self {
            Self::Query(name) => {
                let (_, query) = signed.path_and_query.split_once('?')?;
                let mut words = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
                let (_, word) = words.next()?;
                words.next().is_none().then_some(word)
            }
            Self::Header(header, prefix) => only(signed.headers, header)?
                .strip_prefix(prefix.as_str())
                .map(Cow::Borrowed),
        }
    }
}

impl Algorithm {
    pub(crate) fn mac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => mac::<Hmac<Sha1>>(key, message),
            Self::Sha256 => mac::<Hmac<Sha256>>(key, message),
            Self::Sha512 => mac::<Hmac<Sha512>>(key, message),
        }
    }
}

fn mac<M: Mac + hmac::digest::KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    let Ok(mut mac) = <M as Mac>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length")
    };
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

impl Encoding {
    fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(bytes),
            Self::Base64 => STANDARD.encode(bytes),
        }
    }
}

/// The header's value, if it stands there exactly once: of two, a proxy and we might each believe another.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.next().is_some() {
        None
    } else {
        first.to_str().ok()
    }
}

/// Compares in a time that depends on the lengths alone.
fn same(a: &[u8], b: &[u8]) -> bool {
    bool::from(a.ct_eq(b))
}

#[cfg(test)]
mod tests {
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
}
