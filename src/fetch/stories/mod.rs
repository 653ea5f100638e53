//! Stories against real servers on loopback: what a caller meets, and what a server must not see.

mod dial;
mod failures;
mod policy;
mod redirects;
mod servers;
mod tls;

use std::time::Duration;

use crate::{Allowance, Fetch, FetchConfig, FetchError, Limits, Request, Response};

fn fetch() -> Fetch {
    Fetch::new(FetchConfig::default()).unwrap()
}

/// Any host in these ranges, plain http, and short times so that a test of a deadline is quick.
fn allowing(ranges: &[&str]) -> Allowance {
    Allowance {
        ranges: ranges.iter().map(|range| range.parse().unwrap()).collect(),
        plain_http: true,
        limits: Limits {
            connect_timeout: Duration::from_millis(300),
            total_timeout: Duration::from_millis(600),
            ..Limits::default()
        },
        ..Allowance::default()
    }
}

/// A machine that is busy with other tests must not fail a story that is not about time.
fn patient(mut allowance: Allowance) -> Allowance {
    allowance.limits.connect_timeout = Duration::from_secs(20);
    allowance.limits.total_timeout = Duration::from_secs(30);
    allowance
}

fn loopback() -> Allowance {
    patient(allowing(&["127.0.0.0/8"]))
}

async fn get(url: &str, allowance: &Allowance) -> Result<Response, FetchError> {
    fetch().send(Request::get(url).unwrap(), allowance).await
}
