//! Health: alive (the process answers) and ready (what it depends on is well).
//!
//! Invariant: asking costs the database no more than one look a second, however many ask. Answers name parts and
//! states, no causes and no data.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use spine::Admin;
use tokio::sync::Mutex;

/// A check that takes longer counts as failed.
const CHECK_DEADLINE: Duration = Duration::from_secs(2);
/// An answer is good for so long.
const KEEP: Duration = Duration::from_secs(1);
/// More events than this waiting to be sealed: rules and state are minutes behind.
const UNSEALED_MAX: i64 = 100_000;

/// Something that must be well before the hub takes requests.
#[async_trait]
pub trait HealthCheck: Send + Sync + std::fmt::Debug {
    /// Its name, such as `migrations`.
    fn name(&self) -> &'static str;

    /// How it is, in a few words that strangers may read.
    ///
    /// # Errors
    /// The same, when it is not well.
    async fn check(&self) -> Result<String, String>;
}

/// How one part is.
#[derive(Debug, Clone, Serialize)]
struct PartHealth {
    name: &'static str,
    ok: bool,
    state: String,
}

/// How the hub is.
#[derive(Debug, Clone, Serialize)]
struct Report {
    /// `ready` or `unready`.
    status: &'static str,
    /// Each part.
    parts: Vec<PartHealth>,
}

/// Asks the parts. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    checks: Vec<Arc<dyn HealthCheck>>,
    last: Mutex<Option<(Instant, Report)>>,
}

impl Health {
    pub(crate) fn new(admin: Admin, mut checks: Vec<Arc<dyn HealthCheck>>) -> Self {
        checks.insert(0, Arc::new(Log(admin)));
        Self {
            inner: Arc::new(Inner {
                checks,
                last: Mutex::new(None),
            }),
        }
    }

    /// How the hub is, at most a second ago. Whoever asks at the same time waits for the same answer.
    async fn report(&self) -> Report {
        let mut last = self.inner.last.lock().await;
        if let Some((at, report)) = &*last
            && at.elapsed() < KEEP
        {
            return report.clone();
        }
        let parts =
            futures::future::join_all(self.inner.checks.iter().map(|check| ask(check.as_ref()))).await;
        let ok = parts.iter().all(|part| part.ok);
        let report = Report {
            status: if ok { "ready" } else { "unready" },
            parts,
        };
        *last = Some((Instant::now(), report.clone()));
        report
    }
}

async fn ask(check: &dyn HealthCheck) -> PartHealth {
    let (ok, state) = match tokio::time::timeout(CHECK_DEADLINE, check.check()).await {
        Ok(Ok(state)) => (true, state),
        Ok(Err(state)) => (false, state),
        Err(_) => (false, format!("no answer within {} s", CHECK_DEADLINE.as_secs())),
    };
    PartHealth {
        name: check.name(),
        ok,
        state,
    }
}

/// The log can be read, and the sealer keeps up.
#[derive(Debug)]
struct Log(Admin);

#[async_trait]
impl HealthCheck for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    async fn check(&self) -> Result<String, String> {
        let status = self.0.status().await.map_err(|error| {
            tracing::warn!(%error, "the log did not answer a health check");
            "not available".to_owned()
        })?;
        if status.unsealed > UNSEALED_MAX {
            return Err(format!("{} events wait to be sealed", status.unsealed));
        }
        Ok(format!(
            "ends at {}, {} to be sealed",
            status.head, status.unsealed
        ))
    }
}

/// `/health`, `/health/live`, `/health/ready`: for anybody.
pub(crate) fn routes(health: Health) -> Router {
    Router::new()
        .route(
            "/health/live",
            get(async || Json(serde_json::json!({ "status": "alive" }))),
        )
        .route("/health/ready", get(ready))
        .route("/health", get(ready))
        .with_state(health)
}

async fn ready(State(health): State<Health>) -> (StatusCode, Json<Report>) {
    let report = health.report().await;
    let status = if report.parts.iter().all(|part| part.ok) {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(report))
}
