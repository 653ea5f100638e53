//! Webhooks of a manifest, and how their signatures are checked.

use std::ops::Range;

use super::super::Manifest;
use super::super::Webhook;
use super::super::error::hint;
use super::super::raw::{RawSignature, RawWebhook};
use super::{Read, Reader};
use crate::signature::{Algorithm, Encoding, Scheme, Timestamp, TokenPlace};
use crate::xml;

/// The smallest and largest limit that a webhook may set on its body, and the one that it has otherwise.
const BODY_BYTES: Range<usize> = 1024..1024 * 1024 + 1;
const BODY_BYTES_DEFAULT: usize = 64 * 1024;
/// Seconds that a signed moment may lie before or after now, and the ones that it may otherwise.
const TOLERANCE_S: Range<u32> = 10..3601;
const TOLERANCE_S_DEFAULT: i64 = 300;

impl Reader<'_> {
    pub(super) fn webhook(&self, manifest: &Manifest, raw: RawWebhook) -> Read<Webhook> {
        self.id(&raw.name)?;
        let mut methods = Vec::new();
        for method in &raw.methods {
            methods.push(match method.get_ref().as_str() {
                "GET" => http::Method::GET,
                "POST" => http::Method::POST,
                _ => return self.refuse(method, "a webhook takes GET, POST or both"),
            });
        }
        let body_max_bytes = match &raw.body_max_bytes {
            Some(bytes) if !BODY_BYTES.contains(bytes.get_ref()) => {
                return self.refuse(bytes, "a body's limit is 1024 to 1048576 bytes");
            }
            Some(bytes) => *bytes.get_ref(),
            None => BODY_BYTES_DEFAULT,
        };
        let signature = self.signature(manifest, &raw.signature)?;
        let (answer_content_type, answer_body) = match raw.answer {
            Some(answer) => {
                if http::HeaderValue::from_str(answer.content_type.get_ref()).is_err() {
                    return self.refuse(&answer.content_type, "this is no media type");
                }
                if let Some(problem) = xml::problem_of(answer.content_type.get_ref(), &answer.body) {
                    return self.refuse(&answer.content_type, format!("the body is not XML: {problem}"));
                }
                (answer.content_type.into_inner(), answer.body)
            }
            None => ("text/plain".to_owned(), String::new()),
        };
        Ok(Webhook {
            name: raw.name.into_inner(),
            description: raw.description,
            methods,
            body: raw.body,
            body_max_bytes,
            signature,
            function: raw.function.into_inner(),
            answer_content_type,
            answer_body,
        })
    }

    fn signature(&self, manifest: &Manifest, raw: &RawSignature) -> Read<Scheme> {
        let secret = self.secret(manifest, &raw.secret, raw.secret.get_ref())?;
        match raw.scheme.get_ref().as_str() {
            "twilio" => {
                let key = raw.shared_key.as_ref();
                let shared_key = key
                    .map(|key| self.secret(manifest, key, key.get_ref()))
                    .transpose()?;
                Ok(Scheme::Twilio { secret, shared_key })
            }
            "hmac" => self.hmac(raw, secret),
            "stripe" => Ok(Scheme::Stripe {
                secret,
                tolerance_s: self.tolerance(raw)?,
            }),
            "token" => self.token(raw, secret),
            "msgraph" => Ok(Scheme::MsGraph { secret }),
            other => {
                let hint = hint(other, ["twilio", "hmac", "stripe", "token", "msgraph"]);
                self.refuse(&raw.scheme, format!("unknown signature scheme `{other}`{hint}"))
            }
        }
    }

    fn hmac(&self, raw: &RawSignature, secret: String) -> Read<Scheme> {
        let Some(header) = &raw.header else {
            return self.refuse(
                &raw.scheme,
                "this scheme needs `header`, the header that holds the signature",
            );
        };
        let Ok(header_name) = header.get_ref().parse::<http::HeaderName>() else {
            return self.refuse(header, "this is no header's name");
        };
        let algorithm = match raw.algorithm.as_ref().map(|name| (name, name.get_ref().as_str())) {
            None | Some((_, "sha256")) => Algorithm::Sha256,
            Some((_, "sha512")) => Algorithm::Sha512,
            Some((_, "sha1")) => Algorithm::Sha1,
            Some((place, other)) => {
                let hint = hint(other, ["sha1", "sha256", "sha512"]);
                return self.refuse(place, format!("unknown algorithm `{other}`{hint}"));
            }
        };
        let encoding = match raw.encoding.as_ref().map(|name| (name, name.get_ref().as_str())) {
            None | Some((_, "hex")) => Encoding::Hex,
            Some((_, "base64")) => Encoding::Base64,
            Some((place, other)) => {
                let hint = hint(other, ["hex", "base64"]);
                return self.refuse(place, format!("unknown encoding `{other}`{hint}"));
            }
        };
        let prefix = raw.prefix.clone().unwrap_or_default();
        Ok(Scheme::Hmac {
            secret,
            header: header_name,
            algorithm,
            encoding,
            prefix,
            timestamp: self.timestamp(raw)?,
        })
    }

    fn timestamp(&self, raw: &RawSignature) -> Read<Option<Timestamp>> {
        let Some(header) = &raw.timestamp_header else {
            return match &raw.template {
                Some(template) => self.refuse(
                    template,
                    "a `template` needs `timestamp_header`, where the moment stands",
                ),
                None => Ok(None),
            };
        };
        let Ok(name) = header.get_ref().parse::<http::HeaderName>() else {
            return self.refuse(header, "this is no header's name");
        };
        let template = match &raw.template {
            Some(template) => {
                let names = |part| template.get_ref().matches(part).count() == 1;
                if !names("{timestamp}") || !names("{body}") {
                    return self.refuse(template, "a template names {timestamp} and {body}, each once");
                }
                template.get_ref().clone()
            }
            None => "{timestamp}.{body}".to_owned(),
        };
        Ok(Some(Timestamp {
            header: name,
            tolerance_s: self.tolerance(raw)?,
            template,
        }))
    }

    fn tolerance(&self, raw: &RawSignature) -> Read<i64> {
        match &raw.tolerance_s {
            Some(seconds) if !TOLERANCE_S.contains(seconds.get_ref()) => {
                self.refuse(seconds, "the tolerance is 10 to 3600 seconds")
            }
            Some(seconds) => Ok(i64::from(*seconds.get_ref())),
            None => Ok(TOLERANCE_S_DEFAULT),
        }
    }

    fn token(&self, raw: &RawSignature, secret: String) -> Read<Scheme> {
        let place = match (&raw.query, &raw.header) {
            (Some(query), None) => {
                self.name(query)?;
                TokenPlace::Query(query.get_ref().clone())
            }
            (None, Some(header)) => {
                let Ok(name) = header.get_ref().parse::<http::HeaderName>() else {
                    return self.refuse(header, "this is no header's name");
                };
                TokenPlace::Header(name, raw.prefix.clone().unwrap_or_default())
            }
            _ => {
                return self.refuse(
                    &raw.scheme,
                    "this scheme needs `query`, the token's name in the address, or `header`",
                );
            }
        };
        Ok(Scheme::Token { secret, place })
    }
}
