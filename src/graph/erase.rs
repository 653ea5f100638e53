//! Erasing one person, place or thing for good, on the owner's order, with a receipt.
//!
//! Jobs in: `EraseEntity`. Events out: `data.EntityErased`, the receipt; other services remove by it what they keep.
//! Invariant: nothing of it is left in the graph, nor in the bodies of events, journals and audit details that name
//! it; the log's envelopes stay and prove themselves. Killed in the middle, the job goes on where it was; a second
//! run finds nothing.
//! Begin with [`EraseHandler`].

use std::sync::Arc;

use async_trait::async_trait;
use contracts::EntityId;
use contracts::events::data::EntityErased;
use contracts::jobs::EraseEntity;
use serde_json::{Value, json};
use spine::ScopedTx;
use spine::ports::{GraphError, GraphRead};
use spine::queue::{JobContext, JobError, JobHandler};
use uuid::Uuid;

use crate::store::{Rows, Stretch};
use crate::{Graph, store};

/// Items of a timeline that one commit erases.
const ITEMS: i64 = 50;

/// The handler of the job.
#[derive(Debug)]
pub(crate) struct EraseHandler {
    pub(crate) graph: Arc<Graph>,
}

#[async_trait]
impl JobHandler for EraseHandler {
    type Payload = EraseEntity;

    async fn run(&self, job: &JobContext, order: EraseEntity) -> Result<Value, JobError> {
        let mut items = 0;
        if order.with_timeline {
            loop {
                let erased = self.erase_items(job, order.entity).await.map_err(retry)?;
                items += erased;
                if erased == 0 {
                    break;
                }
            }
        }
        let mut tx = self
            .graph
            .access
            .begin(job.scope(), job.cause())
            .await
            .map_err(JobError::retry)?;
        let rows = self
            .graph
            .erase(&mut tx, order.entity, order.with_timeline)
            .await
            .map_err(retry)?;
        tx.commit().await.map_err(JobError::retry)?;
        Ok(json!({ "items": items, "rows": rows }))
    }
}

fn retry(error: GraphError) -> JobError {
    match error {
        GraphError::Access(error) => JobError::retry(error),
        wrong => JobError::fail(wrong.to_string()),
    }
}

impl EraseHandler {
    /// Erases the next items around an entity; how many.
    async fn erase_items(&self, job: &JobContext, entity: EntityId) -> Result<usize, GraphError> {
        let mut tx = self.graph.access.begin(job.scope(), job.cause()).await?;
        let Some(members) = members_of(&mut tx, entity).await? else {
            return Ok(0);
        };
        let abouts = store::timeline_abouts(&mut tx, &members).await?;
        let newest = Stretch {
            kind: None,
            since: spine::edge::DATABASE_TIME_MIN,
            before: (spine::edge::DATABASE_TIME_MAX, Uuid::max()),
            limit: ITEMS,
        };
        let items = store::timeline_about(&mut tx, &abouts, &newest).await?;
        for item in &items {
            self.graph.erase(&mut tx, item.id, false).await?;
        }
        tx.commit().await?;
        Ok(items.len())
    }
}

/// An entity with all that were merged into it, though it is deleted; `None`: it isn't there any more.
async fn members_of(tx: &mut ScopedTx, id: EntityId) -> Result<Option<Vec<Uuid>>, GraphError> {
    let Some(root) = store::entity_root_lock(tx, id).await? else {
        return Ok(None);
    };
    Ok(Some(store::entity_members(tx, root.id).await?))
}

impl Graph {
    /// Erases an entity with all that were merged into it; the rows that went. Nothing, if it isn't there.
    pub(crate) async fn erase(
        &self,
        tx: &mut ScopedTx,
        id: EntityId,
        with_addresses: bool,
    ) -> Result<Rows, GraphError> {
        let Some(root) = store::entity_root_lock(tx, id).await? else {
            return Ok(Rows::new());
        };
        if self.me(tx).await.is_ok_and(|me| me == root.id) {
            return Err(GraphError::Invalid(
                "this is your own Person: it goes with the account".to_owned(),
            ));
        }
        let members = store::entity_members(tx, root.id).await?;
        let mut texts = store::erase_names(tx, &members).await?;
        if with_addresses {
            texts.extend(store::erase_addresses(tx, &members).await?);
        }
        let names = store::erase_called(tx, &members).await?;
        let mut rows = store::erase_entities(tx, &members).await?;
        let requests = spine::edge::forget_requests(tx, &members).await?;
        if requests > 0 {
            rows.insert("spine.request".to_owned(), requests);
        }
        let bodies = tx.erase_bodies(&texts, &names).await?;
        if bodies > 0 {
            rows.insert("spine.event_body".to_owned(), bodies);
        }
        let payload = EntityErased {
            entity: root.id,
            merged: members
                .into_iter()
                .map(EntityId)
                .filter(|id| *id != root.id)
                .collect(),
            kind: root.kind,
            version: root.version + 1,
            rows: rows.clone(),
            names: names.iter().map(|name| tx.name_mark(name)).collect(),
        };
        let event = contracts::NewEvent::of(&payload).map_err(spine::AccessError::Payload)?;
        tx.publish(event.about_version(root.id, payload.version))?;
        Ok(rows)
    }
}
