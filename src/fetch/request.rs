//! A request as the caller words it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde::Serialize;
use url::{Url, form_urlencoded};

use crate::error::{Failure, FetchError, host_of, target_of};

/// A request. Its debug text shows method and host only.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Absolute, http or https, without user name and password.
    pub url: Url,
    /// Headers. A value marked as sensitive is not carried to another origin.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
}

impl Request {
    /// A request without headers or body. Fails if the text isn't a URL.
    pub fn new(method: Method, url: &str) -> Result<Self, FetchError> {
        match Url::parse(url) {
            Ok(url) => Ok(Self {
                method,
                url,
                headers: HeaderMap::new(),
                body: Bytes::new(),
            }),
            Err(_) => Err(FetchError::unsent(Failure::BadUrl, method.to_string())),
        }
    }

    /// A GET. Fails if the text isn't a URL.
    pub fn get(url: &str) -> Result<Self, FetchError> {
        Self::new(Method::GET, url)
    }

    /// A POST of form fields, in their order. Fails if the text isn't a URL.
    pub fn post_form<K, V>(url: &str, fields: impl IntoIterator<Item = (K, V)>) -> Result<Self, FetchError>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        Ok(Self::new(Method::POST, url)?.body("application/x-www-form-urlencoded", form))
    }

    /// A POST of a value as JSON. Fails if the text isn't a URL or the value can't be written as JSON.
    pub fn post_json(url: &str, value: &(impl Serialize + ?Sized)) -> Result<Self, FetchError> {
        let request = Self::new(Method::POST, url)?;
        match serde_json::to_vec(value) {
            Ok(json) => Ok(request.body("application/json", json)),
            Err(_) => Err(request.refused(Failure::BadJson)),
        }
    }

    /// With this body and its media type.
    #[must_use]
    pub fn body(mut self, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.headers
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        self.body = body.into();
        self
    }

    /// With this header, in place of any of its name. Fails if name or value is malformed.
    pub fn header(self, name: &str, value: &str) -> Result<Self, FetchError> {
        self.with_header(name, value, false)
    }

    /// With a header whose value is a secret: it is not carried to another origin by a redirect.
    pub fn secret_header(self, name: &str, value: &str) -> Result<Self, FetchError> {
        self.with_header(name, value, true)
    }

    /// With HTTP Basic authentication (RFC 7617).
    pub fn basic_auth(self, user: &str, password: &str) -> Result<Self, FetchError> {
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        self.secret_header("authorization", &format!("Basic {credentials}"))
    }

    /// With a bearer token (RFC 6750). Fails if it holds characters that no header may hold.
    pub fn bearer_auth(self, token: &str) -> Result<Self, FetchError> {
        self.secret_header("authorization", &format!("Bearer {token}"))
    }

    fn with_header(mut self, name: &str, value: &str, is_secret: bool) -> Result<Self, FetchError> {
        let (Ok(name), Ok(mut value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) else {
            return Err(self.refused(Failure::BadHeader));
        };
        value.set_sensitive(is_secret);
        self.headers.insert(name, value);
        Ok(self)
    }

    fn refused(&self, failure: Failure) -> FetchError {
        FetchError::unsent(failure, target_of(&self.method, &self.url))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("host", &host_of(&self.url))
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_encoded_and_typed() {
        let request =
            Request::post_form("https://example.com/", [("To", "+15550100"), ("Body", "a&b é")]).unwrap();
        assert_eq!(request.method, Method::POST);
        assert_eq!(request.body, "To=%2B15550100&Body=a%26b+%C3%A9");
        assert_eq!(
            request.headers[header::CONTENT_TYPE],
            "application/x-www-form-urlencoded"
        );
    }

    #[test]
    fn a_header_with_a_line_break_is_refused_without_naming_it() {
        let request = Request::get("https://example.com/secret-path?key=secret-key").unwrap();
        let error = request.header("x-note", "a\r\nsecret-value: b").unwrap_err();
        assert_eq!(error.failure(), Failure::BadHeader);
        assert!(!format!("{error} {error:?}").contains("secret"));
    }

    #[test]
    fn the_debug_text_of_a_request_holds_no_secret() {
        let request = Request::post_json("https://example.com/secret-path?k=secret", &["secret-body"])
            .and_then(|request| request.basic_auth("alice", "secret-pw"))
            .and_then(|request| request.header("x-token", "secret-token"))
            .unwrap();
        let text = format!("{request:?}");
        assert!(text.contains("example.com"));
        assert!(!text.contains("secret"));
    }

    #[test]
    fn basic_credentials_are_encoded_and_marked_secret() {
        let request = Request::get("https://example.com/")
            .unwrap()
            .basic_auth("alice", "pw")
            .unwrap();
        assert_eq!(request.headers[header::AUTHORIZATION], "Basic YWxpY2U6cHc=");
        assert!(request.headers[header::AUTHORIZATION].is_sensitive());
    }

    #[test]
    fn text_that_is_no_url_is_refused_without_repeating_it() {
        let error = Request::get("secret://[").unwrap_err();
        assert_eq!(
            (error.failure(), error.class()),
            (Failure::BadUrl, crate::Class::Denied)
        );
        assert!(!format!("{error:?}").contains("secret"));
    }
}
