//! The one outgoing HTTP client of the hub, and the rules by which it connects to anything else.
//!
//! Every request names an [`Allowance`]: which hosts, which non-public address ranges, which limits. Whether an
//! address may be connected to is decided when the connection is made, so no DNS answer can be swapped in between;
//! redirects are followed here by hand and each hop is judged again.
//! Invariant: nothing that is not globally reachable is connected to unless the allowance lists its range, and no
//! error or log line carries a path, query, header or body.
//! Begin with `send.rs` (one request from check to answer), then `address.rs` and `guard.rs` (the refusals).

mod address;
mod allowance;
mod clients;
mod dial;
mod error;
mod guard;
mod redirect;
mod request;
mod resolver;
mod response;
mod send;
#[cfg(test)]
mod stories;

pub use address::is_public;
pub use allowance::{Allowance, HostPattern, HostPatternError, HostRule, Limits};
pub use bytes::Bytes;
pub use clients::{Fetch, FetchConfig};
pub use error::{Class, Failure, FetchError, Reached};
pub use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
pub use ipnet::IpNet;
pub use request::Request;
pub use response::Response;
pub use tokio_rustls::client::TlsStream;
pub use url::Url;
