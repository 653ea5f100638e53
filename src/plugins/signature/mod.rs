//! Signatures of webhooks, by the scheme that the manifest declares.
//!
//! Invariant: what isn't proven is refused; comparisons take the same time whatever differs; nothing of the request but
//! path, query, body and the signature's own headers is read, and never `Host` or `X-Forwarded-*`.
//! Begin with [`Scheme::verify`].

mod twilio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderName};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

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
    /// An HMAC over the body, in a header.
    Hmac {
        secret: String,
        header: HeaderName,
        algorithm: Algorithm,
        encoding: Encoding,
        prefix: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Sha1,
    Sha256,
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
    /// The body's form fields, if it is a form.
    pub(crate) form: Option<&'a [(String, String)]>,
}

impl Scheme {
    /// True if the request was signed with one of the secrets. `secret` opens a secret by its name.
    pub(crate) fn verify<'s>(&self, signed: &Signed<'_>, secret: impl Fn(&str) -> Option<&'s [u8]>) -> bool {
        match self {
            Self::Twilio {
                secret: name,
                shared_key,
            } => {
                let shared = shared_key.as_deref().and_then(&secret);
                secret(name).is_some_and(|token| twilio::verify(signed, token, shared))
            }
            Self::Hmac {
                secret: name,
                header,
                algorithm,
                encoding,
                prefix,
            } => {
                let Some(key) = secret(name).filter(|key| !key.is_empty()) else {
                    return false;
                };
                let Some(given) =
                    only(signed.headers, header).and_then(|value| value.strip_prefix(prefix.as_str()))
                else {
                    return false;
                };
                let expected = encoding.encode(&algorithm.mac(key, signed.body));
                // Hexadecimal digits may be written in either case.
                let given = if *encoding == Encoding::Hex {
                    given.to_ascii_lowercase()
                } else {
                    given.to_owned()
                };
                same(expected.as_bytes(), given.as_bytes())
            }
        }
    }
}

impl Algorithm {
    pub(crate) fn mac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => mac::<Hmac<Sha1>>(key, message),
            Self::Sha256 => mac::<Hmac<Sha256>>(key, message),
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
        };
        let signed = Signed {
            public_url: "https://hub.example",
            path_and_query: "/",
            headers: &headers,
            body,
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
}
