//! An answer, complete and within the limit.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use crate::error::{Failure, FetchError, host_of};

/// An answer. Any status is one: what 404 or 500 means is the caller's to say.
#[derive(Clone)]
pub struct Response {
    /// The status of the last hop.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Where the answer came from, after redirects.
    pub url: Url,
    /// The body as it was sent; nothing is decompressed.
    pub body: Bytes,
}

impl Response {
    /// The body as JSON. Fails if it is not JSON or not of this shape; the error says where and quotes nothing.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, FetchError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let failure = Failure::UnexpectedBody {
                line: error.line(),
                column: error.column(),
            };
            FetchError::sent(failure, host_of(&self.url))
        })
    }

    /// The body as text; bytes that aren't UTF-8 become replacement characters.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("host", &host_of(&self.url))
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
