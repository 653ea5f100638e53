//! S3 through the hub's own client: which hosts and addresses are reached is decided where it is for everything else.
//!
//! Invariant: nothing but the owner's endpoint is connected to; it must be public, or be named by its address, or lie
//! in a range that the owner allowed. No key reaches a log. Begin with [`open`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fetch::{Allowance, Class, Fetch, FetchConfig, HostPattern, HostRule, IpNet, Limits, Url};
use http_body_util::{BodyExt, Full};
use object_store::aws::AmazonS3Builder;
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use object_store::{BackoffConfig, ObjectStore, RetryConfig};
use spine::S3Settings;

/// A part of an upload or a piece of a download, and the longest list.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// Below the patience that the database has with a transaction.
const ANSWER_WITHIN: Duration = Duration::from_secs(40);
const RETRIES: usize = 3;

/// The store that the settings name.
pub(crate) fn open(settings: &S3Settings, extra_ca_pem: &[Vec<u8>]) -> Result<Arc<dyn ObjectStore>, String> {
    let endpoint = settings
        .endpoint
        .clone()
        .unwrap_or_else(|| format!("https://s3.{}.amazonaws.com", settings.region));
    let url = Url::parse(&endpoint).map_err(|_| "media.endpoint is no address".to_owned())?;
    let allowance = allowance(&url, &settings.allowed_ranges)?;
    let fetch = Fetch::new(FetchConfig {
        extra_ca_pem: extra_ca_pem.to_vec(),
        ..FetchConfig::default()
    })
    .map_err(|error| error.to_string())?;
    // The address names the bucket in its path, so that one host is all that is needed.
    let store = AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        .with_region(&settings.region)
        .with_endpoint(endpoint.trim_end_matches('/'))
        .with_virtual_hosted_style_request(false)
        .with_allow_http(allowance.plain_http)
        .with_access_key_id(&settings.access_key_id)
        .with_secret_access_key(&settings.secret_access_key)
        .with_retry(RetryConfig {
            max_retries: RETRIES,
            retry_timeout: ANSWER_WITHIN,
            backoff: BackoffConfig::default(),
        })
        .with_http_connector(Connector(Arc::new(Client { fetch, allowance })))
        .build()
        .map_err(|error| format!("the S3 store can't be used: {error}"))?;
    Ok(Arc::new(store))
}

/// What the store's client may reach: the endpoint alone.
fn allowance(endpoint: &Url, ranges: &[String]) -> Result<Allowance, String> {
    let host = HostPattern::of_url(endpoint).ok_or_else(|| "media.endpoint names no host".to_owned())?;
    let mut allowed = ranges
        .iter()
        .map(|range| {
            let range = range.parse::<IpNet>();
            range.map_err(|_| "media.allowed_ranges has what is no range such as 10.0.0.0/24".to_owned())
        })
        .collect::<Result<Vec<_>, _>>()?;
    // Who writes an address down means it; behind a name there may be any.
    match endpoint.host() {
        Some(url::Host::Ipv4(ip)) => allowed.push(IpNet::from(std::net::IpAddr::V4(ip))),
        Some(url::Host::Ipv6(ip)) => allowed.push(IpNet::from(std::net::IpAddr::V6(ip))),
        _ => {}
    }
    Ok(Allowance {
        hosts: HostRule::Only(vec![host]),
        ranges: allowed,
        plain_http: endpoint.scheme() == "http",
        limits: Limits {
            body_max: ANSWER_BYTES_MAX,
            redirects_max: 0,
            total_timeout: ANSWER_WITHIN,
            ..Limits::default()
        },
    })
}

#[derive(Debug)]
struct Connector(Arc<Client>);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Shared(self.0.clone())))
    }
}

#[derive(Debug)]
struct Client {
    fetch: Fetch,
    allowance: Allowance,
}

#[derive(Debug)]
struct Shared(Arc<Client>);

#[async_trait]
impl HttpService for Shared {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let mut wanted = fetch::Request::new(parts.method, &parts.uri.to_string()).map_err(broken)?;
        wanted.headers = parts.headers;
        // The transport's own.
        for name in [http::header::HOST, http::header::CONTENT_LENGTH] {
            wanted.headers.remove(name);
        }
        if let Some(key) = wanted.headers.get_mut(http::header::AUTHORIZATION) {
            key.set_sensitive(true);
        }
        wanted.body = body;
        let answer = self
            .0
            .fetch
            .send(wanted, &self.0.allowance)
            .await
            .map_err(broken)?;
        let mut response = http::Response::new(HttpResponseBody::new(
            Full::<Bytes>::new(answer.body).map_err(|never| match never {}),
        ));
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}

fn broken(error: fetch::FetchError) -> HttpError {
    let kind = match error.class() {
        Class::Transient => HttpErrorKind::Connect,
        Class::Denied | Class::Protocol => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_endpoint_is_reached_and_a_private_one_only_by_its_address_or_range() {
        let named = allowance(&Url::parse("https://s3.example.com").unwrap(), &[]).unwrap();
        assert!(named.ranges.is_empty() && !named.plain_http);
        assert!(!named.hosts.covers(&Url::parse("https://example.com/").unwrap()));
        let own = allowance(&Url::parse("http://127.0.0.1:9000").unwrap(), &[]).unwrap();
        assert_eq!(own.ranges, ["127.0.0.1/32".parse().unwrap()]);
        assert!(own.plain_http);
        assert!(!own.hosts.covers(&Url::parse("http://127.0.0.1:9001/").unwrap()));
        let wrong = allowance(
            &Url::parse("https://s3.example.com").unwrap(),
            &["lan".to_owned()],
        );
        assert!(wrong.unwrap_err().contains("10.0.0.0/24"));
    }
}
