//! Why a request failed, whether the peer may have seen it, and whether trying again makes sense.
//!
//! Texts name the method, the host and the port. The path stays out with the query, because some services put
//! their token into it.

use std::error::Error as StdError;
use std::io;

use http::Method;
use url::Url;

use crate::resolver::ResolveError;

/// A request that got no answer within its allowance.
#[derive(Debug, thiserror::Error)]
#[error("{target}: {failure}")]
pub struct FetchError {
    failure: Failure,
    target: String,
    reached: Reached,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// Whether the peer may have seen the request. A sender whose message must not go out twice decides by this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// Nothing was written: it can be sent again without a second effect.
    No,
    /// Something was or may have been written; the peer may have acted on it.
    Unknown,
}

/// What a caller can do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Refused on our side, by the allowance or for a malformed request: the same again fails again.
    Denied,
    /// The network or the peer, and perhaps only now.
    Transient,
    /// The peer answered with something that can't be accepted.
    Protocol,
}

impl Class {
    /// The word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Transient => "transient",
            Self::Protocol => "protocol",
        }
    }
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The client can't be set up: a certificate authority from the configuration can't be read.
    #[error("a configured certificate authority can't be read")]
    BadAuthority,
    /// The client can't be set up for another reason.
    #[error("the HTTP client can't be set up")]
    BadSetup,
    /// Not an absolute http or https URL.
    #[error("not a URL that can be fetched")]
    BadUrl,
    /// The URL carries a user name or password.
    #[error("a user name or password in a URL is refused")]
    UserInfo,
    /// A header is malformed, or it belongs to the transport (`Host`, `Content-Length`, …).
    #[error("a header is malformed or not the caller's to set")]
    BadHeader,
    /// The value to be sent can't be written as JSON.
    #[error("the value can't be written as JSON")]
    BadJson,
    /// Plain http, which the allowance doesn't include.
    #[error("plain http is not allowed here")]
    PlainHttpDenied,
    /// A host that the caller didn't declare.
    #[error("the host is not among those declared")]
    HostDenied,
    /// No address of the host is public or in an allowed range.
    #[error("the host's address is not public, and its range is not allowed")]
    AddressDenied,
    /// A redirect from https to http.
    #[error("a redirect from https to http is refused")]
    DowngradeDenied,
    /// A redirect that would carry the body to another origin.
    #[error("a redirect that carries the body to another origin is refused")]
    BodyRedirectDenied,
    /// The name has no address, or the resolver doesn't answer.
    #[error("the host's name can't be resolved")]
    Unresolved,
    /// No TCP connection.
    #[error("can't connect")]
    NotConnected,
    /// No connection (name, TCP and TLS) in time.
    #[error("can't connect in time")]
    ConnectTimeout,
    /// The TLS handshake failed, for example for a certificate that isn't trusted.
    #[error("the TLS handshake failed")]
    Tls,
    /// The deadline of the whole request passed.
    #[error("no complete answer in time")]
    Timeout,
    /// The connection broke before the answer was complete.
    #[error("the connection broke")]
    Broken,
    /// What came back isn't HTTP.
    #[error("the answer is not HTTP")]
    NotHttp,
    /// A redirect that names no usable address.
    #[error("a redirect names no usable address")]
    BadRedirect,
    /// More redirects than the allowance takes.
    #[error("too many redirects")]
    TooManyRedirects,
    /// The answer is larger than the allowance takes.
    #[error("the answer is larger than {limit} bytes")]
    BodyTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The answer's body isn't JSON of the expected shape.
    #[error("the answer is not JSON of the expected shape (line {line}, column {column})")]
    UnexpectedBody {
        /// Line of the first fault, from 1.
        line: usize,
        /// Column of the first fault.
        column: usize,
    },
}

impl Failure {
    /// What a caller can do about it.
    pub fn class(self) -> Class {
        match self {
            Self::BadAuthority
            | Self::BadSetup
            | Self::BadUrl
            | Self::UserInfo
            | Self::BadHeader
            | Self::BadJson
            | Self::PlainHttpDenied
            | Self::HostDenied
            | Self::AddressDenied
            | Self::DowngradeDenied
            | Self::BodyRedirectDenied => Class::Denied,
            Self::Unresolved | Self::NotConnected | Self::ConnectTimeout | Self::Timeout | Self::Broken => {
                Class::Transient
            }
            Self::Tls
            | Self::NotHttp
            | Self::BadRedirect
            | Self::TooManyRedirects
            | Self::BodyTooLarge { .. }
            | Self::UnexpectedBody { .. } => Class::Protocol,
        }
    }
}

impl FetchError {
    /// A failure on our side, before anything was written.
    pub(crate) fn unsent(failure: Failure, target: String) -> Self {
        Self {
            failure,
            target,
            reached: Reached::No,
            source: None,
        }
    }

    /// A failure after something may have been written.
    pub(crate) fn sent(failure: Failure, target: String) -> Self {
        Self {
            failure,
            target,
            reached: Reached::Unknown,
            source: None,
        }
    }

    /// A failure of set-up, where there is no request yet.
    pub(crate) fn setup(failure: Failure, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let target = "outgoing HTTP".to_owned();
        Self {
            failure,
            target,
            reached: Reached::No,
            source: Some(source.into()),
        }
    }

    /// What the client library reported. The URL is taken out of it first: it holds the query.
    pub(crate) fn of_transport(error: reqwest::Error, target: String) -> Self {
        let error = error.without_url();
        let (failure, reached) = classify(&error);
        Self {
            failure,
            target,
            reached,
            source: Some(Box::new(error)),
        }
    }

    /// The same error, with at least this much reached: an earlier hop of the request had been answered.
    pub(crate) fn after(mut self, earlier: Reached) -> Self {
        self.reached = self.reached.max(earlier);
        self
    }

    /// Whether the peer may have seen the request.
    pub fn reached(&self) -> Reached {
        self.reached
    }

    /// What the caller can do about it.
    pub fn class(&self) -> Class {
        self.failure.class()
    }

    /// What went wrong.
    pub fn failure(&self) -> Failure {
        self.failure
    }
}

/// The method, host and port of a request, for errors and logs.
pub(crate) fn target_of(method: &Method, url: &Url) -> String {
    format!("{method} {}", host_of(url))
}

/// The host, and the port where it isn't the scheme's own.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or("(no host)");
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn classify(error: &reqwest::Error) -> (Failure, Reached) {
    // The library reports a failure as one of connecting only while it has no connection to write to, and TLS
    // belongs to connecting.
    if error.is_connect() {
        return (connect_failure(error), Reached::No);
    }
    if error.is_builder() {
        return (Failure::BadUrl, Reached::No);
    }
    let is_parse = causes(error).any(|cause| {
        cause
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_parse)
    });
    (
        if is_parse {
            Failure::NotHttp
        } else {
            Failure::Broken
        },
        Reached::Unknown,
    )
}

fn connect_failure(error: &reqwest::Error) -> Failure {
    for cause in causes(error) {
        if let Some(resolve) = cause.downcast_ref::<ResolveError>() {
            return match resolve {
                ResolveError::Denied => Failure::AddressDenied,
                ResolveError::Unresolved(_) => Failure::Unresolved,
            };
        }
        if cause.is::<rustls::Error>() {
            return Failure::Tls;
        }
    }
    if error.is_timeout() {
        Failure::ConnectTimeout
    } else {
        Failure::NotConnected
    }
}

/// The error and all below it. An `io::Error` hides the error that it wraps from `source()`, so it is opened here.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&cause| {
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match wrapped {
            Some(inner) => Some(inner),
            None => cause.source(),
        }
    })
}
