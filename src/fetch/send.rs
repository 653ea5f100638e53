//! One request from check to answer: judge, connect and write, follow redirects, read within the limit.
//!
//! One deadline covers all of it. Once a hop has been answered, whatever fails later counts as
//! [`Reached::Unknown`].

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use crate::allowance::{Allowance, Limits};
use crate::clients::Fetch;
use crate::error::{Failure, FetchError, Reached, host_of, target_of};
use crate::guard;
use crate::redirect;
use crate::request::Request;
use crate::response::Response;

/// Room set aside for a body by its announced length; more only as it arrives, since the length is a claim.
const RESERVE_MAX: usize = 64 * 1024;

impl Fetch {
    /// Sends the request within the allowance and reads the whole answer; any HTTP status is an answer. Fails as
    /// [`FetchError`] says; ask [`FetchError::reached`] before sending anything again that must not happen twice.
    pub async fn send(&self, request: Request, allowance: &Allowance) -> Result<Response, FetchError> {
        let started = Instant::now();
        let span = tracing::debug_span!("fetch", method = %request.method, host = host_of(&request.url));
        let result = self
            .send_and_follow(request, allowance, started)
            .instrument(span.clone())
            .await;
        span.in_scope(|| record(started.elapsed(), &result));
        result
    }

    async fn send_and_follow(
        &self,
        mut request: Request,
        allowance: &Allowance,
        started: Instant,
    ) -> Result<Response, FetchError> {
        let deadline = started + allowance.limits.total_timeout;
        let client = self.client_for(allowance)?;
        let mut reached = Reached::No;
        let mut redirects_left = allowance.limits.redirects_max;
        loop {
            let hop = Hop {
                client: &client,
                request: &request,
                deadline,
            };
            let answer = hop.send(allowance).await.map_err(|error| error.after(reached))?;
            reached = Reached::Unknown;
            let next = match allowance.limits.redirects_max {
                0 => None,
                _ => redirect::next(&request, answer.status(), answer.headers())
                    .map_err(|failure| hop.failed(failure))?,
            };
            let Some(next) = next else {
                return hop.read(answer, &allowance.limits).await;
            };
            redirects_left = redirects_left
                .checked_sub(1)
                .ok_or_else(|| hop.failed(Failure::TooManyRedirects))?;
            tracing::debug!(to = host_of(&next.url), "follows a redirect");
            request = next;
        }
    }
}

/// One request to one server.
struct Hop<'a> {
    client: &'a reqwest::Client,
    request: &'a Request,
    deadline: Instant,
}

impl Hop<'_> {
    /// Judges and sends; gives the head of the answer.
    async fn send(&self, allowance: &Allowance) -> Result<reqwest::Response, FetchError> {
        guard::check_url(&self.request.url, allowance)
            .and_then(|()| guard::check_headers(&self.request.headers))
            .map_err(|failure| FetchError::unsent(failure, self.target()))?;
        let sending = self
            .client
            .request(self.request.method.clone(), self.request.url.clone())
            .headers(self.request.headers.clone())
            .body(self.request.body.clone())
            .send();
        self.in_time(sending).await
    }

    async fn read(&self, mut answer: reqwest::Response, limits: &Limits) -> Result<Response, FetchError> {
        let body = self.read_body(&mut answer, limits.body_max).await?;
        let (status, url) = (answer.status(), self.request.url.clone());
        Ok(Response {
            status,
            headers: std::mem::take(answer.headers_mut()),
            url,
            body,
        })
    }

    /// Counts what arrives: the announced length only saves us the reading.
    async fn read_body(&self, answer: &mut reqwest::Response, limit: usize) -> Result<Bytes, FetchError> {
        let announced = usize::try_from(answer.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
        if announced > limit {
            return Err(self.failed(Failure::BodyTooLarge { limit }));
        }
        let mut body = BytesMut::with_capacity(announced.min(RESERVE_MAX));
        while let Some(chunk) = self.in_time(answer.chunk()).await? {
            if chunk.len() > limit - body.len() {
                return Err(self.failed(Failure::BodyTooLarge { limit }));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    async fn in_time<T>(&self, step: impl Future<Output = reqwest::Result<T>>) -> Result<T, FetchError> {
        match timeout_at(self.deadline, step).await {
            Ok(done) => done.map_err(|error| FetchError::of_transport(error, self.target())),
            Err(_) => Err(self.failed(Failure::Timeout)),
        }
    }

    fn failed(&self, failure: Failure) -> FetchError {
        FetchError::sent(failure, self.target())
    }

    fn target(&self) -> String {
        target_of(&self.request.method, &self.request.url)
    }
}

fn record(elapsed: Duration, result: &Result<Response, FetchError>) {
    let outcome = match result {
        Ok(response) => match response.status.as_u16() {
            ..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            500.. => "5xx",
        },
        Err(error) => error.class().as_str(),
    };
    metrics::counter!("allod_fetch_requests_total", "outcome" => outcome).increment(1);
    metrics::histogram!("allod_fetch_duration_seconds", "outcome" => outcome).record(elapsed);
    let elapsed_ms = elapsed.as_secs_f64() * 1000.0;
    match result {
        Ok(response) => {
            tracing::debug!(status = response.status.as_u16(), elapsed_ms, "answered");
        }
        Err(error) => {
            tracing::debug!(failure = %error.failure(), reached = ?error.reached(), elapsed_ms, "failed");
        }
    }
}
