//! The requests of a pack's run: to declared hosts only, signed in by the hub.
//!
//! Invariant: a run makes no more requests than it was given, and at most one POST; a POST follows no redirect, so that
//! one POST is one request. Plain http goes only where the owner's own setting says http.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use fetch::{
    Allowance, Fetch, FetchError, HostPattern, HostRule, Method, Reached, Request, Response, StatusCode,
    header,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::Failure;

/// Headers of an answer that scripts see.
const HEADERS: [&str; 5] = ["content-type", "retry-after", "etag", "last-modified", "link"];

/// How the hub signs in.
pub(crate) enum Credentials {
    Basic {
        user: Zeroizing<String>,
        password: Zeroizing<String>,
    },
    Bearer {
        token: Zeroizing<String>,
    },
}

/// What became of the run's POST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Posted {
    /// There was none.
    No,
    /// It was answered.
    Answered {
        status: StatusCode,
        retry_after: Option<Duration>,
    },
    /// It got no answer.
    Lost(Reached),
}

/// What a run may reach.
pub(crate) struct Outbound {
    fetch: Fetch,
    /// By https, all declared hosts; by plain http, those of settings that say http.
    https: Allowance,
    http: Allowance,
    credentials: Option<Credentials>,
    requests_left: u32,
    may_post: bool,
    now: DateTime<Utc>,
    pub(crate) posted: Posted,
    /// The status of the last answer.
    pub(crate) last_status: Option<StatusCode>,
    /// When the last answer says that asking makes sense again.
    pub(crate) last_retry_after: Option<Duration>,
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound")
            .field("posted", &self.posted)
            .finish_non_exhaustive()
    }
}

/// What a script asked for.
#[derive(Deserialize)]
struct Asked {
    method: String,
    url: String,
    fields: Vec<(String, String)>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

impl Outbound {
    pub(crate) fn new(
        fetch: Fetch,
        hosts: (Vec<HostPattern>, Vec<HostPattern>),
        ranges: Vec<fetch::IpNet>,
        credentials: Option<Credentials>,
        now: DateTime<Utc>,
    ) -> Self {
        let allowance = |hosts, plain_http| Allowance {
            hosts: HostRule::Only(hosts),
            ranges: ranges.clone(),
            plain_http,
            ..Allowance::default()
        };
        let (https, http) = (allowance(hosts.0, false), allowance(hosts.1, true));
        Self {
            fetch,
            https,
            http,
            credentials,
            requests_left: 20,
            may_post: false,
            now,
            posted: Posted::No,
            last_status: None,
            last_retry_after: None,
        }
    }

    /// Allows one POST.
    #[must_use]
    pub(crate) fn with_post(mut self) -> Self {
        self.may_post = true;
        self
    }

    pub(super) async fn perform(&mut self, asked: &Value) -> Result<Value, Failure> {
        let asked = Asked::deserialize(asked).map_err(|error| Failure::Forbidden(error.to_string()))?;
        let Some(left) = self.requests_left.checked_sub(1) else {
            return Err(Failure::Forbidden(
                "the script made more requests than a run may".to_owned(),
            ));
        };
        self.requests_left = left;
        let response = if asked.method == "POST" {
            self.post(&asked).await?
        } else {
            self.get(&asked).await?
        };
        self.last_status = Some(response.status);
        self.last_retry_after = retry_after(&response, self.now);
        Ok(to_script(&response))
    }

    async fn get(&self, asked: &Asked) -> Result<Response, Failure> {
        let mut request = Request::new(Method::GET, &asked.url)?;
        if !asked.fields.is_empty() {
            request.url.query_pairs_mut().extend_pairs(&asked.fields);
        }
        for (name, value) in &asked.headers {
            request = request.header(name, value)?;
        }
        let request = self.sign_in(request)?;
        let allowance = self.allowance(&request).clone();
        Ok(self.fetch.send(request, &allowance).await?)
    }

    async fn post(&mut self, asked: &Asked) -> Result<Response, Failure> {
        if !self.may_post || self.posted != Posted::No {
            return Err(Failure::Forbidden(
                "the script made a POST where none was left to it".to_owned(),
            ));
        }
        let fields = asked.fields.iter().map(|(name, value)| (name, value));
        let request = self.sign_in(Request::post_form(&asked.url, fields)?)?;
        let mut allowance = self.allowance(&request).clone();
        allowance.limits.redirects_max = 0;
        let answer = self.fetch.send(request, &allowance).await;
        self.posted = match &answer {
            Ok(response) => Posted::Answered {
                status: response.status,
                retry_after: retry_after(response, self.now),
            },
            Err(error) => Posted::Lost(error.reached()),
        };
        Ok(answer?)
    }

    fn allowance(&self, request: &Request) -> &Allowance {
        if request.url.scheme() == "http" {
            &self.http
        } else {
            &self.https
        }
    }

    fn sign_in(&self, request: Request) -> Result<Request, FetchError> {
        // Only towards hosts that are declared; the client refuses the others anyway.
        match &self.credentials {
            Some(Credentials::Basic { user, password }) => request.basic_auth(user, password),
            Some(Credentials::Bearer { token }) => request.bearer_auth(token),
            None => Ok(request),
        }
    }
}

/// An answer as scripts see it: JSON parsed where it is JSON, else text.
fn to_script(response: &Response) -> Value {
    let json: Option<Value> = serde_json::from_slice(&response.body).ok();
    let text = if json.is_some() {
        String::new()
    } else {
        response.text().into_owned()
    };
    let headers: Map<String, Value> = HEADERS
        .iter()
        .filter_map(|name| {
            Some((
                (*name).to_owned(),
                Value::from(response.headers.get(*name)?.to_str().ok()?),
            ))
        })
        .collect();
    json!({
        "status": response.status.as_u16(),
        "ok": response.status.is_success(),
        "json": json,
        "text": text,
        "headers": headers,
    })
}

/// `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3); a day at the most.
fn retry_after(response: &Response, now: DateTime<Utc>) -> Option<Duration> {
    let value = response.headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => (crate::time::parse(&Value::from(value))? - now).to_std().ok()?,
    };
    Some(wait.min(Duration::from_secs(86_400)))
}
