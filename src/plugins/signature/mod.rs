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
mod tests;
