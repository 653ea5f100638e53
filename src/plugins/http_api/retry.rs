//! `POST /connections/{id}/records/{record}/retry`: reads a parked record again, after an upgrade of hub or pack: a
//! webhook's, one of a stream's page, or one that is understood by its media type.

use axum::extract::{Path, State};
use contracts::{ConnectionId, Lane, Problem, RawRecordId};
use serde::Serialize;
use spine::access::Cause;
use spine::edge::{Caller, Json};
use spine::ports::{AssertedBy, Change, KeptRecord};
use utoipa::ToSchema;

use super::unknown;
use crate::intake::Received;
use crate::manager::{Manager, Ready};
use crate::manifest::Code;
use crate::on_webhook::{PARKED_STREAM, interpret_kept};
use crate::record::Record;
use crate::store;

/// What became of the record.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Retried {
    /// Why it stays parked; absent if it was understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    parked: Option<String>,
}

/// Reads a parked record again. `GET /raw-records?status=parked` lists them.
#[utoipa::path(
    post, path = "/connections/{id}/records/{record}/retry", tag = "connections",
    params(("id" = ConnectionId, Path), ("record" = RawRecordId, Path)),
    responses((status = 200, body = Retried), (status = 404, body = Problem), (status = 409, body = Problem))
)]
pub(crate) async fn record_retry(
    State(manager): State<Manager>,
    caller: Caller,
    Path((id, record)): Path<(ConnectionId, RawRecordId)>,
) -> Result<Json<Retried>, Problem> {
    let context = manager.context();
    let mut tx = context.access.begin(&caller.0, Cause::outside()).await?;
    let connection = store::connection_by_id(&mut tx, id).await?.ok_or_else(unknown)?;
    let kept = context.ports.raw_records().record(&mut tx, record).await?;
    drop(tx);
    let kept = kept
        .filter(|kept| kept.record.connection == Some(id))
        .ok_or_else(|| Problem::not_found(format!("this connection brought no record {record}")))?;
    if kept.parked.is_none() {
        return Err(Problem::conflict("this record was understood before"));
    }
    let ready = manager
        .ready(connection)
        .ok_or_else(|| Problem::conflict("the connection's plugin is not installed"))?;
    let is_built_in = matches!(ready.pack.manifest.code, Code::BuiltIn(_));
    let mut tx = context.access.begin(&caller.0, Cause::outside()).await?;
    if kept.superseded {
        // Its source said something newer since: understood now, it would put the past back.
        context
            .ports
            .record_intake()
            .pass_over(&mut tx, record, None)
            .await?;
    } else if is_built_in {
        tx.set_lane(Lane::Backfill);
        context.ports.understand_records().again(&mut tx, record).await?;
    } else {
        drop(tx);
        let records = match read_again(&manager, &ready, &kept).await {
            Ok(records) => records,
            Err(reason) => return Ok(Json(Retried { parked: Some(reason) })),
        };
        let received = Received {
            media_type: &kept.record.media_type,
            body: &kept.record.body,
        };
        let intake = manager.intake(&ready);
        intake
            .take_in(&caller.0, Cause::outside(), &records, &received)
            .await?;
        tx = context.access.begin(&caller.0, Cause::outside()).await?;
        if kept.record.stream.starts_with(PARKED_STREAM) {
            // The records have names of their own now; what was kept without one is settled beside them.
            let (by, source) = (AssertedBy::Connector, kept.source);
            let change = Change {
                by,
                source,
                raw: Some(kept.record),
                entities: Vec::new(),
                relations: Vec::new(),
            };
            context.ports.graph_write().apply(&mut tx, change).await?;
        }
    }
    let parked = context
        .ports
        .raw_records()
        .record(&mut tx, record)
        .await?
        .and_then(|kept| kept.parked);
    tx.audit("write", format!("raw-record/{record}"), None)?;
    tx.commit().await?;
    Ok(Json(Retried { parked }))
}

/// The records that the kept body means now, or why it means none.
async fn read_again(manager: &Manager, ready: &Ready, kept: &KeptRecord) -> Result<Vec<Record>, String> {
    if let Some(name) = kept.record.stream.strip_prefix(PARKED_STREAM) {
        let webhook = ready.pack.manifest.webhook(name);
        let webhook = webhook.ok_or_else(|| format!("the pack has no webhook `{name}` any more"))?;
        return interpret_kept(manager, ready, webhook, &kept.record)
            .await
            .map_err(|not| not.reason);
    }
    let is_it = |record: &Record| {
        let origin = record.origin();
        origin.stream == kept.record.stream
            && origin.remote_id == kept.record.remote_id
            // Without a revision of its own it may mean something else now.
            && (origin.revision.is_empty() || origin.revision == kept.record.revision)
    };
    let mut reason = None;
    for stream in &ready.pack.manifest.streams {
        match manager.of_kept(ready, stream, &kept.record).await {
            Ok(read) => {
                let found: Vec<Record> = read.into_iter().filter(is_it).collect();
                if !found.is_empty() {
                    return Ok(found);
                }
            }
            Err(why) => reason = reason.or(Some(why)),
        }
    }
    for webhook in &ready.pack.manifest.webhooks {
        // A webhook that the body wasn't meant for fails, or tells of something else.
        let read = interpret_kept(manager, ready, webhook, &kept.record)
            .await
            .unwrap_or_default();
        let found: Vec<Record> = read.into_iter().filter(is_it).collect();
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err(reason.unwrap_or_else(|| {
        format!(
            "the pack makes no such record of it any more; to ask the provider again: allod connection sync {} --whole",
            ready.connection.id
        )
    }))
}
