//! How the hub is doing: the database's and the disk's part of `/health/ready`, and `/api/v1/status` for the operator.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use axum::extract::State;
use contracts::Problem;
use serde_json::{Value, json};
use spine::database::Database;
use spine::edge::{Caller, Json};
use spine::{Admin, ConsumerStatus};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::Config;

/// The database, as readiness sees it.
#[derive(Debug)]
pub(crate) struct DatabaseCheck(pub(crate) Database);

#[async_trait]
impl edge::HealthCheck for DatabaseCheck {
    fn name(&self) -> &'static str {
        "database"
    }

    async fn check(&self) -> Result<String, String> {
        let health = self.0.health().await;
        if health.ready {
            Ok("answers".to_owned())
        } else {
            Err("does not answer".to_owned())
        }
    }
}

/// A consumer that has events to read and has neither read nor looked for so long stands still. Longer than the longest
/// statement that the database allows, and some more for a busy machine.
const CONSUMER_SILENT_SECONDS: u64 = 180;

/// The consumers of events, as readiness sees them.
#[derive(Debug)]
pub(crate) struct ConsumersCheck(pub(crate) Admin);

#[async_trait]
impl edge::HealthCheck for ConsumersCheck {
    fn name(&self) -> &'static str {
        "consumers"
    }

    async fn check(&self) -> Result<String, String> {
        let status = self.0.status().await.map_err(|_| "can't be asked".to_owned())?;
        for stuck in status.consumers.iter().filter(|consumer| stands_still(consumer)) {
            tracing::error!(
                consumer = stuck.consumer,
                lane = stuck.lane.as_str(),
                behind = stuck.behind,
                silent_seconds = stuck.silent_seconds,
                lag_seconds = stuck.lag_seconds,
                "a consumer stands still"
            );
        }
        if status.consumers.iter().any(stands_still) {
            return Err("events wait, and nobody reads them".to_owned());
        }
        if status.ended.is_empty() {
            Ok("read on".to_owned())
        } else {
            Err("a part of the hub ended: it must be restarted".to_owned())
        }
    }
}

fn stands_still(consumer: &ConsumerStatus) -> bool {
    consumer.behind > 0 && consumer.silent_seconds > CONSUMER_SILENT_SECONDS
}

/// Less free space than this and the database may refuse any moment.
pub(crate) const SPACE_BYTES_MIN: u64 = 100 << 20;
/// What is written to see whether writing works.
const PROBE: [u8; 4096] = [b'a'; 4096];

/// The data directory: something can be written to it, and there is room.
#[derive(Debug)]
pub(crate) struct DiskCheck(pub(crate) PathBuf);

#[async_trait]
impl edge::HealthCheck for DiskCheck {
    fn name(&self) -> &'static str {
        "disk"
    }

    async fn check(&self) -> Result<String, String> {
        let folder = self.0.clone();
        tokio::task::spawn_blocking(move || disk(&folder, SPACE_BYTES_MIN))
            .await
            .unwrap_or_else(|_| Err("can't be asked".to_owned()))
    }
}

fn disk(folder: &Path, least: u64) -> Result<String, String> {
    let free = free_bytes(folder).map_err(|_| "can't be asked".to_owned())?;
    if free < least {
        return Err("disk full".to_owned());
    }
    let probe = folder.join("health-probe");
    let written = std::fs::File::create(&probe).and_then(|mut file| {
        file.write_all(&PROBE)?;
        file.sync_data()
    });
    let _ = std::fs::remove_file(&probe);
    match written {
        Ok(()) => Ok("can be written".to_owned()),
        Err(error) => {
            tracing::error!(%error, "the data directory can't be written");
            Err(match error.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => "disk full".to_owned(),
                _ => "can't be written".to_owned(),
            })
        }
    }
}

/// The space that the hub's user may still fill.
pub(crate) fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[derive(Debug, Clone)]
struct Status {
    data_dir: String,
    listen: SocketAddr,
    public_url: String,
    database: Database,
    admin: Admin,
}

/// The routes of this file.
pub(crate) fn status_routes(
    config: &Config,
    listen: SocketAddr,
    database: Database,
    admin: Admin,
) -> OpenApiRouter {
    let status = Status {
        data_dir: config.data_dir.display().to_string(),
        listen,
        public_url: config.public_url(listen),
        database,
        admin,
    };
    OpenApiRouter::new().routes(routes!(show)).with_state(status)
}

/// How the hub is doing. For the operator.
#[utoipa::path(get, path = "/status", tag = "hub", responses((status = 200, description = "Hub, database, log, consumers and jobs")))]
async fn show(State(status): State<Status>, caller: Caller) -> Result<Json<Value>, Problem> {
    caller.require_operator()?;
    let health = status.database.health().await;
    let spine = status.admin.status().await?;
    let jobs = status
        .admin
        .queue()
        .counts(&caller.0)
        .await
        .map_err(spine::AccessError::from)?;
    Ok(Json(json!({
        "hub": {
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "listen": status.listen.to_string(),
            "public_url": status.public_url,
            "data_dir": status.data_dir,
        },
        "database": {
            "server": status.database.describe(),
            "ready": health.ready,
            "answer_ms": health.answer_ms,
            "problem": health.problem,
        },
        "log": { "head": spine.head, "unsealed": spine.unsealed, "consumers": spine.consumers },
        "jobs": { "queues": jobs },
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_stands_still_when_it_is_silent_although_events_wait() {
        let consumer = |behind, silent_seconds| ConsumerStatus {
            consumer: "rules".to_owned(),
            lane: contracts::Lane::Live,
            position: 7,
            behind,
            parked: 0,
            lag_seconds: 0,
            silent_seconds,
        };
        assert!(stands_still(&consumer(1, CONSUMER_SILENT_SECONDS + 1)));
        assert!(
            !stands_still(&consumer(1, CONSUMER_SILENT_SECONDS)),
            "it may be slow"
        );
        assert!(
            !stands_still(&consumer(0, CONSUMER_SILENT_SECONDS + 1)),
            "nothing waits"
        );
    }

    #[test]
    fn a_disk_that_is_full_or_away_is_not_well() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(disk(dir.path(), 1), Ok("can be written".to_owned()));
        assert_eq!(disk(dir.path(), u64::MAX), Err("disk full".to_owned()));
        assert!(disk(&dir.path().join("nowhere"), 1).is_err());
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            0,
            "nothing is left behind"
        );
    }
}
