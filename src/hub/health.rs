//! How the hub is doing: the database's part of `/health/ready`, and `/api/v1/status` for the operator.

use std::net::SocketAddr;

use async_trait::async_trait;
use axum::extract::State;
use contracts::Problem;
use serde_json::{Value, json};
use spine::Admin;
use spine::database::Database;
use spine::edge::{Caller, Json};
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
