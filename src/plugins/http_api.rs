//! `/plugins` and `/connections`.
//!
//! Invariant: a secret comes in and never goes out; each write is audited.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use contracts::events::connector::{ConnectionCreated, ConnectionRemoved};
use contracts::{ConnectionId, Problem};
use http::StatusCode;
use serde_json::{Value, json};
use spine::edge::{Caller, Json};
use spine::{AccessError, Cause, ScopedTx};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::manager::{Manager, Ready, health_of};
use crate::manifest::Code;
use crate::model::{Connection, Health};
use crate::reconcile::{self, health_of_status};
use crate::store;
use crate::stream::Class;

mod change;
mod diagnose;
mod retry;
mod sync;
mod view;

use change::{Checked, ConnectionChange, NewConnection, NewSecrets};
pub(crate) use view::PluginView;
use view::{ConnectionView, Queued, TestResult};

pub(crate) fn routes(manager: Manager) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(plugin_list))
        .routes(routes!(plugin_show))
        .routes(routes!(connection_list, connection_create))
        .routes(routes!(connection_show, connection_change, connection_remove))
        .routes(routes!(connection_pause))
        .routes(routes!(connection_resume))
        .routes(routes!(connection_reconcile))
        .routes(routes!(sync::connection_sync))
        .routes(routes!(diagnose::connection_diagnose))
        .routes(routes!(connection_test))
        .routes(routes!(secrets_set))
        .routes(routes!(retry::record_retry))
        .with_state(manager)
}

type Id = Path<ConnectionId>;

/// How often a change begins again because somebody else's came between.
const CHANGE_TRIES: usize = 3;

fn unknown() -> Problem {
    Problem::not_found("there is no such connection").hint("`allod connection list` lists them")
}

async fn begin(manager: &Manager, caller: &Caller) -> Result<ScopedTx, AccessError> {
    manager.context().access.begin(&caller.0, Cause::outside()).await
}

/// A transaction, and the connection that a request is about.
async fn begin_on(
    manager: &Manager,
    caller: &Caller,
    id: ConnectionId,
) -> Result<(ScopedTx, Connection), Problem> {
    let mut tx = begin(manager, caller).await?;
    let connection = store::connection_by_id(&mut tx, id).await?.ok_or_else(unknown)?;
    Ok((tx, connection))
}

/// The installed plugins, those that can't be used too.
#[utoipa::path(get, path = "/plugins", tag = "connections", responses((status = 200, body = Vec<PluginView>)))]
async fn plugin_list(State(manager): State<Manager>, _: Caller) -> Json<Vec<PluginView>> {
    let registry = manager.registry();
    let usable = registry.packs().map(|pack| PluginView::of(&pack.manifest));
    Json(
        usable
            .chain(registry.broken().iter().map(PluginView::broken))
            .collect(),
    )
}

/// A plugin: what it is, and what it wants.
#[utoipa::path(
    get, path = "/plugins/{id}", tag = "connections", params(("id" = String, Path, description = "The plugin's id")),
    responses((status = 200, body = PluginView), (status = 404, body = Problem))
)]
async fn plugin_show(
    State(manager): State<Manager>,
    _: Caller,
    Path(id): Path<String>,
) -> Result<Json<PluginView>, Problem> {
    let registry = manager.registry();
    if let Some(pack) = registry.pack(&id) {
        return Ok(Json(PluginView::of(&pack.manifest)));
    }
    if let Some(broken) = registry.broken().iter().find(|broken| broken.id == id) {
        return Ok(Json(PluginView::broken(broken)));
    }
    let hint = contracts::nearest(&id, registry.packs().map(|pack| pack.manifest.id.as_str())).map_or_else(
        || "`allod plugin list` lists them".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    Err(Problem::not_found(format!("there is no plugin `{id}`")).hint(hint))
}

/// Your connections, oldest first.
#[utoipa::path(get, path = "/connections", tag = "connections", responses((status = 200, body = Vec<ConnectionView>)))]
async fn connection_list(
    State(manager): State<Manager>,
    caller: Caller,
) -> Result<Json<Vec<ConnectionView>>, Problem> {
    let mut tx = begin(&manager, &caller).await?;
    let connections = store::connection_list(&mut tx).await?;
    Ok(Json(
        connections
            .into_iter()
            .map(|connection| ConnectionView::of(&manager, connection))
            .collect(),
    ))
}

/// Connects a plugin. What is wrong with a setting or secret is named, all at once.
#[utoipa::path(
    post, path = "/connections", tag = "connections", request_body = NewConnection,
    responses((status = 201, body = ConnectionView), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem))
)]
async fn connection_create(
    State(manager): State<Manager>,
    caller: Caller,
    Json(new): Json<NewConnection>,
) -> Result<Response, Problem> {
    if !new.allowed_ranges.is_empty() {
        change::owner_check(&manager, &caller.0).await?;
    }
    let checked = change::check_new(&manager, &new).await?;
    let mut tx = begin(&manager, &caller).await?;
    let now = tx.now();
    let id = ConnectionId::new();
    let Checked {
        settings,
        allowed_ranges,
    } = checked;
    let connection = Connection {
        id,
        plugin: new.plugin,
        name: new.name.trim().to_owned(),
        settings,
        allowed_ranges,
        health: Health::Active,
        reason: String::new(),
        paused: false,
        created_at: now,
        // What was said before the connection is there is none of its business.
        asked_at: Some(now),
        synced_to: now,
        secrets: Default::default(),
    };
    store::connection_insert(&mut tx, &connection).await?;
    change::seal_all(&manager, &mut tx, id, &new.secrets).await?;
    tx.publish_about(
        id,
        &ConnectionCreated {
            connection: id,
            plugin: connection.plugin.clone(),
        },
    )?;
    tx.audit("write", format!("connection/{id}"), None)?;
    let stored = store::connection_by_id(&mut tx, id).await?.ok_or_else(unknown)?;
    if let Some(ready) = manager.ready(stored.clone()) {
        manager.sync_now(&mut tx, &ready, None, false).await?;
    }
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(ConnectionView::of(&manager, stored))).into_response())
}

/// A connection with its settings, health and webhook addresses; never its secrets.
#[utoipa::path(
    get, path = "/connections/{id}", tag = "connections", params(("id" = ConnectionId, Path)),
    responses((status = 200, body = ConnectionView), (status = 404, body = Problem))
)]
async fn connection_show(
    State(manager): State<Manager>,
    caller: Caller,
    Path(id): Id,
) -> Result<Json<ConnectionView>, Problem> {
    let (mut tx, connection) = begin_on(&manager, &caller, id).await?;
    let streams = store::streams_by_connection(&mut tx, id).await?;
    Ok(Json(
        ConnectionView::of(&manager, connection).with_streams(streams),
    ))
}

/// Changes name, settings, secrets or allowed ranges. A setting that is null goes back to its default. Another host is
/// for a signed-in person to name, who then gives all secrets anew in the same request; a wider range is for the hub's
/// owner.
#[utoipa::path(
    patch, path = "/connections/{id}", tag = "connections", params(("id" = ConnectionId, Path)),
    request_body = ConnectionChange,
    responses((status = 200, body = ConnectionView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem))
)]
async fn connection_change(
    State(manager): State<Manager>,
    caller: Caller,
    Path(id): Id,
    Json(asked): Json<ConnectionChange>,
) -> Result<Json<ConnectionView>, Problem> {
    for _ in 0..CHANGE_TRIES {
        let (tx, old) = begin_on(&manager, &caller, id).await?;
        drop(tx);
        let new = change::apply(&manager, &caller.0, &old, &asked).await?;
        let mut tx = begin(&manager, &caller).await?;
        let now = store::connection_by_id_locked(&mut tx, id)
            .await?
            .ok_or_else(unknown)?;
        if !now.is_configured_like(&old) {
            continue; // somebody else changed it while the pack was asked
        }
        store::connection_update(&mut tx, &new).await?;
        change::seal_all(&manager, &mut tx, id, &asked.secrets).await?;
        if now.health == Health::Failed || (now.health != Health::Active && !asked.secrets.is_empty()) {
            manager.set_health(&mut tx, id, Health::Active, "").await?;
            wake(&manager, &mut tx, id).await?;
        }
        tx.audit("write", format!("connection/{id}"), None)?;
        let stored = store::connection_by_id(&mut tx, id).await?.ok_or_else(unknown)?;
        tx.commit().await?;
        return Ok(Json(ConnectionView::of(&manager, stored)));
    }
    Err(Problem::conflict("the connection is being changed by somebody else").hint("try again"))
}

/// Sets secrets in place of the ones before; those not named stay.
#[utoipa::path(
    put, path = "/connections/{id}/secrets", tag = "connections", params(("id" = ConnectionId, Path)),
    request_body = NewSecrets,
    responses((status = 200, body = ConnectionView), (status = 404, body = Problem), (status = 422, body = Problem))
)]
async fn secrets_set(
    State(manager): State<Manager>,
    caller: Caller,
    Path(id): Id,
    Json(NewSecrets(secrets)): Json<NewSecrets>,
) -> Result<Json<ConnectionView>, Problem> {
    let (mut tx, connection) = begin_on(&manager, &caller, id).await?;
    change::check_secrets(&manager, &connection, &secrets)?;
    change::seal_all(&manager, &mut tx, id, &secrets).await?;
    if connection.health != Health::Active {
        manager.set_health(&mut tx, id, Health::Active, "").await?;
        wake(&manager, &mut tx, id).await?;
    }
    tx.audit("write", format!("connection/{id}/secrets"), None)?;
    let stored = store::connection_by_id(&mut tx, id).await?.ok_or_else(unknown)?;
    tx.commit().await?;
    Ok(Json(ConnectionView::of(&manager, stored)))
}

/// What waited for the owner is tried at once.
async fn wake(manager: &Manager, tx: &mut ScopedTx, id: ConnectionId) -> Result<(), AccessError> {
    let connection = store::connection_by_id(tx, id).await?;
    let connection = connection.filter(|connection| !connection.paused);
    if let Some(ready) = connection.and_then(|connection| manager.ready(connection)) {
        manager.sync_now(tx, &ready, None, false).await?;
    }
    Ok(())
}

/// Removes a connection with its secrets. What it brought stays.
#[utoipa::path(
    delete, path = "/connections/{id}", tag = "connections", params(("id" = ConnectionId, Path)),
    responses((status = 204), (status = 404, body = Problem))
)]
async fn connection_remove(
    State(manager): State<Manager>,
    caller: Caller,
    Path(id): Id,
) -> Result<StatusCode, Problem> {
    let (mut tx, connection) = begin_on(&manager, &caller, id).await?;
    store::connection_delete(&mut tx, id).await?;
    tx.publish_about(
        id,
        &ConnectionRemoved {
            connection: id,
            plugin: connection.plugin,
        },
    )?;
    tx.audit("write", format!("connection/{id}"), None)?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pauses a connection: it takes nothing in and sends nothing.
#[utoipa::path(
    post, path = "/connections/{id}/pause", tag = "connections", params(("id" = ConnectionId, Path)),
    responses((status = 200, body = ConnectionView), (status = 404, body = Problem))
)]
async fn connection_pause(
    State(manager): State<Manager>,
    caller: Caller,
    Path(id): Id,
) -> Result<Json<ConnectionView>, Problem> {
    pause(&manager, &caller, id, true).await
}

/// Lets a paused connection go on, and asks its provider for what it said meanwhile.
#[utoipa::path(
    post, path = "/connections/{id}/resume", tag = "connections", params(("id" = ConnectionId, Path)),
    responses((status = 200, body = ConnectionView), (status = 404, body = Problem))
)]
async fn connection_resume(
    State(manager): State<Manager>,
    caller: Caller,
    Path(id): Id,
) -> Result<Json<ConnectionView>, Problem> {
    pause(&manager, &caller, id, false).await
}

async fn pause(
    manager: &Manager,
    caller: &Caller,
    id: ConnectionId,
    paused: bool,
) -> Result<Json<ConnectionView>, Problem> {
    let (mut tx, mut connection) = begin_on(manager, caller, id).await?;
    if connection.paused != paused {
        connection.paused = paused;
        store::connection_pause(&mut tx, id, paused).await?;
        let (health, reason) = if paused {
            ("paused", "paused by you")
        } else {
            (connection.health.as_str(), connection.reason.as_str())
        };
        let event = contracts::events::connector::ConnectionHealthChanged {
            connection: id,
            health: health.to_owned(),
            reason: reason.to_owned(),
        };
        tx.publish_about(id, &event)?;
        if !paused && has_history(manager, &connection) {
            reconcile::enqueue(&mut tx, id).await?;
        }
        if !paused && let Some(ready) = manager.ready(connection.clone()) {
            manager.sync_now(&mut tx, &ready, None, false).await?;
        }
        tx.audit("write", format!("connection/{id}"), None)?;
        tx.commit().await?;
    }
    Ok(Json(ConnectionView::of(manager, connection)))
}

fn has_history(manager: &Manager, connection: &Connection) -> bool {
    manager
        .registry()
        .pack(&connection.plugin)
        .is_some_and(|pack| pack.manifest.functions.reconcile.is_some())
}

/// Queues a question to the provider: what did it say while the hub was away?
#[utoipa::path(
    post, path = "/connections/{id}/reconcile", tag = "connections", params(("id" = ConnectionId, Path)),
    responses((status = 202, body = Queued), (status = 404, body = Problem), (status = 422, body = Problem))
)]
async fn connection_reconcile(
    State(manager): State<Manager>,
    caller: Caller,
    Path(id): Id,
) -> Result<Response, Problem> {
    let (mut tx, connection) = begin_on(&manager, &caller, id).await?;
    if !has_history(&manager, &connection) {
        return Err(Problem::unprocessable(format!(
            "{} keeps no history that could be asked for",
            connection.plugin
        )));
    }
    if connection.paused {
        return Err(
            Problem::conflict("the connection is paused").hint("resume it; that asks its provider, too")
        );
    }
    let job = reconcile::enqueue(&mut tx, id).await?;
    tx.audit("act", format!("connection/{id}/reconcile"), None)?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(Queued { job })).into_response())
}

/// Asks the provider whether it would take what the connection is configured with. Sends nothing to anybody.
#[utoipa::path(
    post, path = "/connections/{id}/test", tag = "connections", params(("id" = ConnectionId, Path)),
    responses((status = 200, body = TestResult), (status = 404, body = Problem))
)]
async fn connection_test(
    State(manager): State<Manager>,
    caller: Caller,
    Path(id): Id,
) -> Result<Json<TestResult>, Problem> {
    let (tx, connection) = begin_on(&manager, &caller, id).await?;
    drop(tx); // no transaction stays open while the provider is asked
    let plugin = connection.plugin.clone();
    let Some(ready) = manager.ready(connection) else {
        return Ok(Json(TestResult {
            ok: false,
            detail: format!("the plugin {plugin} is not installed"),
        }));
    };
    let (health, detail) = test(&manager, &ready).await;
    let reason = if health == Health::Active {
        ""
    } else {
        detail.as_str()
    };
    manager
        .note_health(&caller.0, &ready.connection, health, reason)
        .await;
    Ok(Json(TestResult {
        ok: health == Health::Active,
        detail,
    }))
}

async fn test(manager: &Manager, ready: &Ready) -> (Health, String) {
    if let Code::BuiltIn(name) = &ready.pack.manifest.code {
        return test_built_in(manager, ready, name).await;
    }
    let Some(function) = &ready.pack.manifest.functions.test else {
        return (Health::Active, "there is nothing to ask a provider".to_owned());
    };
    let mut outbound = match manager.outbound(ready) {
        Ok(outbound) => outbound,
        Err(failure) => return health_of(&failure),
    };
    let args = [manager.script_context(ready)];
    let told = manager
        .call(&ready.pack, function, &args, change::BUDGET, Some(&mut outbound))
        .await;
    if let Some(status) = outbound.last_status.filter(|status| !status.is_success()) {
        return health_of_status(&ready.connection.plugin, status);
    }
    match told {
        Ok(told) => match told.get("problem").and_then(Value::as_str) {
            Some(problem) => (Health::Failed, problem.to_owned()),
            None => {
                let detail = told
                    .get("detail")
                    .and_then(Value::as_str)
                    .unwrap_or("the provider answered");
                (Health::Active, detail.to_owned())
            }
        },
        Err(failure) => health_of(&failure),
    }
}

/// What `check` is called with: a JSON null where the provider isn't asked.
fn check_context(ready: &Ready, manager: &Manager) -> Value {
    let mut context = manager.script_context(ready);
    context["connection"] = json!(null);
    context
}

async fn test_built_in(manager: &Manager, ready: &Ready, name: &str) -> (Health, String) {
    let asked = async {
        let connected = manager.connected(ready, serde_json::Map::new());
        manager.connector(name)?.test(&connected).await
    };
    match asked.await {
        Ok(detail) => (Health::Active, detail),
        Err(error) => match Class::of(&error) {
            Some((_, health)) => (health, error.to_string()),
            None => (Health::Retrying, "the hub's database is away".to_owned()),
        },
    }
}
