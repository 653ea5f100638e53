//! Metrics in Prometheus' text format. They hold counts and durations, no personal data.
//!
//! Who may read them: the operator at the control socket; others with an API token, wherever they are, since behind a
//! proxy the whole world comes from this machine; everybody where the owner says so (`metrics_public`).

use axum::Router;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use contracts::Problem;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use spine::edge::Peer;

use crate::State;
use crate::layers::auth::{Door, token_scope};

/// Seconds; from a look-up to a request that is given up.
const BUCKETS_S: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0,
];
/// Recorded values are folded into their buckets this often, scraped or not.
const UPKEEP: std::time::Duration = std::time::Duration::from_secs(5);

/// Metrics could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("metrics can't be recorded")]
pub struct MetricsError(#[from] BuildError);

/// What was recorded so far. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Begins to record, for the whole process.
    ///
    /// # Errors
    /// [`MetricsError`] when something records already.
    pub fn install() -> Result<Self, MetricsError> {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS_S)?;
        Ok(Self {
            handle: handle.install_recorder()?,
        })
    }

    /// Keeps what is recorded small, as long as it is polled.
    pub async fn upkeep(self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.handle.run_upkeep();
        }
    }
}

/// `/metrics`.
pub(crate) fn route(state: State, door: Door) -> Router {
    if state.metrics.is_none() {
        return Router::new();
    }
    let serve = async move |Shared(state): Shared<State>,
                            peer: Peer,
                            headers: HeaderMap|
                -> Result<Response, Problem> {
        if door == Door::Network && !state.metrics_public {
            token_scope(&state, peer, &headers).await?;
        }
        let text = state
            .metrics
            .map(|metrics| metrics.handle.render())
            .unwrap_or_default();
        Ok((
            [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
            text,
        )
            .into_response())
    };
    Router::new().route("/metrics", get(serve)).with_state(state)
}
