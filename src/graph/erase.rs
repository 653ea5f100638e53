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

use crate::store::{Rows, StoredEntity};
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
        let (mut items, mut bodies) = (0, 0);
        let timeline = order.with_timeline.then_some(Around::Timeline);
        for around in [Around::Occurrences].into_iter().chain(timeline) {
            loop {
                let erased = self.erase_items(job, order.entity, around).await.map_err(retry)?;
                items += erased.0;
                bodies += erased.1;
                if erased.0 == 0 {
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
            .erase(&mut tx, order.entity, order.with_timeline, bodies)
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

/// What is erased with an entity, before it.
#[derive(Debug, Clone, Copy)]
enum Around {
    /// Of a series: occurrences that are entities of their own.
    Occurrences,
    /// What stands on its timeline.
    Timeline,
}

impl EraseHandler {
    /// Erases the next items around an entity, hidden ones too; how many, and how many bodies of events that named them.
    async fn erase_items(
        &self,
        job: &JobContext,
        entity: EntityId,
        around: Around,
    ) -> Result<(usize, u64), GraphError> {
        let mut tx = self.graph.access.begin(job.scope(), job.cause()).await?;
        let Some(members) = members_of(&mut tx, entity).await? else {
            return Ok((0, 0));
        };
        let items = match around {
            Around::Occurrences => store::occurrence_list(&mut tx, &members, ITEMS).await?,
            Around::Timeline => {
                let abouts = store::timeline_abouts(&mut tx, &members).await?;
                store::timeline_items(&mut tx, &abouts, &members, ITEMS).await?
            }
        };
        let mut all = Vec::new();
        for item in &items {
            all.extend(self.graph.erase_rows(&mut tx, *item, false).await?);
        }
        let bodies = erase_bodies(&mut tx, &all).await?;
        for erased in all {
            erased.tell(&mut tx)?;
        }
        tx.commit().await?;
        Ok((items.len(), bodies))
    }
}

/// What was erased and isn't told yet.
struct Erased {
    root: StoredEntity,
    members: Vec<Uuid>,
    /// Ids and addresses by which events may speak of it.
    texts: Vec<String>,
    /// What it was called.
    names: Vec<String>,
    rows: Rows,
}

impl Erased {
    /// The receipt.
    fn tell(self, tx: &mut ScopedTx) -> Result<(), GraphError> {
        let root = self.root.id;
        let payload = EntityErased {
            entity: root,
            merged: self
                .members
                .into_iter()
                .map(EntityId)
                .filter(|id| *id != root)
                .collect(),
            kind: self.root.kind,
            version: self.root.version + 1,
            rows: self.rows,
            names: self.names.iter().map(|name| tx.name_mark(name)).collect(),
        };
        let event = contracts::NewEvent::of(&payload).map_err(spine::AccessError::Payload)?;
        tx.publish(event.about_version(root, payload.version))?;
        Ok(())
    }
}

/// Removes the bodies that name any of these, in one look at all of them.
async fn erase_bodies(tx: &mut ScopedTx, all: &[Erased]) -> Result<u64, GraphError> {
    if all.is_empty() {
        return Ok(0);
    }
    let texts: Vec<String> = all.iter().flat_map(|one| one.texts.clone()).collect();
    let names: Vec<String> = all.iter().flat_map(|one| one.names.clone()).collect();
    Ok(tx.erase_bodies(&texts, &names).await?)
}

/// An entity with all that were merged into it, though it is deleted; `None`: it isn't there any more.
async fn members_of(tx: &mut ScopedTx, id: EntityId) -> Result<Option<Vec<Uuid>>, GraphError> {
    let Some(root) = store::entity_root_lock(tx, id).await? else {
        return Ok(None);
    };
    Ok(Some(store::entity_members(tx, root.id).await?))
}

impl Graph {
    /// Erases an entity with all that were merged into it; the rows that went, with the bodies that went before for its
    /// sake. Nothing, if it isn't there.
    pub(crate) async fn erase(
        &self,
        tx: &mut ScopedTx,
        id: EntityId,
        with_addresses: bool,
        bodies_before: u64,
    ) -> Result<Rows, GraphError> {
        let Some(mut erased) = self.erase_rows(tx, id, with_addresses).await? else {
            return Ok(Rows::new());
        };
        let bodies = bodies_before + erase_bodies(tx, std::slice::from_ref(&erased)).await?;
        if bodies > 0 {
            erased.rows.insert("spine.event_body".to_owned(), bodies);
        }
        let rows = erased.rows.clone();
        erased.tell(tx)?;
        Ok(rows)
    }

    async fn erase_rows(
        &self,
        tx: &mut ScopedTx,
        id: EntityId,
        with_addresses: bool,
    ) -> Result<Option<Erased>, GraphError> {
        let Some(root) = store::entity_root_lock(tx, id).await? else {
            return Ok(None);
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
        if matches!(root.kind.as_str(), "Person" | "Organization") {
            store::erase_memberships(tx, &members).await?;
        }
        let mut rows = store::erase_entities(tx, &members).await?;
        let requests = spine::edge::forget_requests(tx, &members).await?;
        if requests > 0 {
            rows.insert("spine.request".to_owned(), requests);
        }
        Ok(Some(Erased {
            root,
            members,
            texts,
            names,
            rows,
        }))
    }
}
