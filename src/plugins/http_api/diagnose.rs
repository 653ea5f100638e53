//! `GET /connections/{id}/diagnostics`: what somebody who is asked for help needs to know, and nothing else.
//!
//! Invariant: no secret, no text or address of the owner's settings, no record and no cursor is in it.

use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use contracts::{ConnectionId, Problem};
use serde::Serialize;
use serde_json::{Map, Value, json};
use spine::edge::{Caller, Json};
use utoipa::ToSchema;

use super::view::PluginView;
use super::{Id, begin_on};
use crate::manager::Manager;
use crate::manifest::{Manifest, SettingType};
use crate::store;
use crate::stream::{Class, Stream};

/// How a connection stands, to be given to others.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Diagnostics {
    /// The hub's version.
    hub: &'static str,
    at: DateTime<Utc>,
    plugin: String,
    /// What the plugin declares; `null` if it is not installed, or can't be used.
    manifest: Option<PluginView>,
    health: &'static str,
    /// Why, in a sentence.
    reason: String,
    paused: bool,
    created_at: DateTime<Utc>,
    /// Numbers, switches and choices as they are; of texts only how long they are.
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
    /// The names of the secrets that are stored.
    secrets: Vec<String>,
    /// How many ranges that are not public it may reach.
    allowed_ranges: usize,
    #[schema(value_type = Vec<Object>)]
    streams: Vec<Value>,
}

/// How a connection stands, without secrets, texts of settings or anything that it brought.
#[utoipa::path(
    get, path = "/connections/{id}/diagnostics", tag = "connections", params(("id" = ConnectionId, Path)),
    responses((status = 200, body = Diagnostics), (status = 404, body = Problem))
)]
pub(crate) async fn connection_diagnose(
    State(manager): State<Manager>,
    caller: Caller,
    Path(id): Id,
) -> Result<Json<Diagnostics>, Problem> {
    let (mut tx, connection) = begin_on(&manager, &caller, id).await?;
    let streams = store::streams_by_connection(&mut tx, id).await?;
    let manifest = manager
        .registry()
        .pack(&connection.plugin)
        .map(|pack| &pack.manifest);
    Ok(Json(Diagnostics {
        hub: env!("CARGO_PKG_VERSION"),
        at: tx.now(),
        manifest: manifest.map(PluginView::of),
        settings: settings(manifest, &connection.settings),
        plugin: connection.plugin,
        health: connection.health.as_str(),
        reason: connection.reason,
        paused: connection.paused,
        created_at: connection.created_at,
        secrets: connection.secrets.into_keys().collect(),
        allowed_ranges: connection.allowed_ranges.len(),
        streams: streams.iter().map(stream).collect(),
    }))
}

fn settings(manifest: Option<&Manifest>, set: &Map<String, Value>) -> Map<String, Value> {
    let plain = [SettingType::Integer, SettingType::Boolean, SettingType::Enum];
    let shown = |name: &String, value: &Value| {
        let setting = manifest.and_then(|manifest| manifest.setting(name));
        if setting.is_some_and(|setting| plain.contains(&setting.kind)) {
            return value.clone();
        }
        json!({ "characters": value.as_str().map_or(0, |text| text.chars().count()) })
    };
    set.iter()
        .map(|(name, value)| (name.clone(), shown(name, value)))
        .collect()
}

fn stream(stream: &Stream) -> Value {
    json!({
        "name": stream.name.stream, "has_part": !stream.name.part.is_empty(), "mode": stream.mode.as_str(),
        "page": stream.page, "has_cursor": stream.cursor.is_some(), "under_way": stream.under_way, "done": stream.done,
        "estimate": stream.estimate, "busy_ms": stream.busy_ms, "taken": stream.taken, "known": stream.known,
        "parked": stream.parked, "read_at": stream.read_at, "whole_at": stream.whole_at, "next_at": stream.next_at,
        "failures": stream.failures, "class": stream.class.map(Class::as_str), "reason": stream.reason,
    })
}
