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
use contracts::Position;
use serde::Serialize;
use spine::Admin;
use tokio::sync::Mutex;

/// A check that takes longer counts as failed.
const CHECK_DEADLINE: Duration = Duration::from_secs(2);
/// An answer is good for so long.
const KEEP: Duration = Duration::from_secs(1);
/// More events than this waiting to be sealed: rules and state are minutes behind.
const UNSEALED_MAX: i64 = 100_000;

/// Events wait and none was sealed for so long: sealing fails.
const STANDSTILL: Duration = Duration::from_secs(30);

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
        let moved = Mutex::new((0, Instant::now()));
        checks.insert(0, Arc::new(Log { admin, moved }));
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
struct Log {
    admin: Admin,
    /// The last head that was seen, and when the log was last seen to be well or moving.
    moved: Mutex<(Position, Instant)>,
}

#[async_trait]
impl HealthCheck for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    async fn check(&self) -> Result<String, String> {
        let status = self.admin.status().await.map_err(|error| {
            tracing::warn!(%error, "the log did not answer a health check");
            "not available".to_owned()
        })?;
        let now = Instant::now();
        let mut moved = self.moved.lock().await;
        if status.unsealed == 0 || moved.0 != status.head {
            *moved = (status.head, now);
        }
        // How many, and how long the log is, is for those who may ask `/api/v1/status`.
        judge(status.unsealed, now.duration_since(moved.1))
    }
}

fn judge(unsealed: i64, stands_still: Duration) -> Result<String, String> {
    if unsealed > UNSEALED_MAX {
        return Err("too many events wait to be sealed".to_owned());
    }
    if stands_still > STANDSTILL {
        return Err("events wait to be sealed, and none is".to_owned());
    }
    Ok("answers".to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_grows_too_long_or_stands_still_is_not_well_and_tells_no_number() {
        let calm = Duration::from_secs(1);
        assert_eq!(judge(5, calm), Ok("answers".to_owned()));
        assert!(judge(5, STANDSTILL + calm).is_err());
        let behind = judge(UNSEALED_MAX + 1, calm).unwrap_err();
        assert!(!behind.contains(|c: char| c.is_ascii_digit()), "{behind}");
    }
}
