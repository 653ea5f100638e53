//! Two things that a source shows to be one, such as conversations between which a late mail is the link.
//!
//! Events out: `data.EntityMerged`.
//! Invariant: as for every merge no row is rewritten; what the owner told apart stays apart; who is one with whom among
//! people is never decided here.

use async_trait::async_trait;
use contracts::EntityId;
use spine::ScopedTx;
use spine::ports::{AssertedBy, GraphError, GraphMerge};

use super::merge::living_pair;
use crate::Graph;
use crate::apply::Work;
use crate::apply::entity::members;
use crate::store;

#[async_trait]
impl GraphMerge for Graph {
    async fn unite(
        &self,
        tx: &mut ScopedTx,
        survivor: EntityId,
        absorbed: EntityId,
        reason: &str,
    ) -> Result<bool, GraphError> {
        let mut work = Work::new(self.types(tx).await?, AssertedBy::Connector, "identity");
        store::savepoint(tx).await?;
        let outcome = work.unite(tx, (survivor, absorbed), reason).await;
        work.end(tx, outcome).await
    }
}

impl Work<'_> {
    async fn unite(
        &mut self,
        tx: &mut ScopedTx,
        (survivor, absorbed): (EntityId, EntityId),
        reason: &str,
    ) -> Result<bool, GraphError> {
        let (survivor, absorbed) = living_pair(tx, survivor, absorbed).await?;
        if survivor.id == absorbed.id {
            return Ok(false);
        }
        if survivor.kind != absorbed.kind || survivor.kind == "Person" {
            return Err(GraphError::Invalid(format!(
                "a {} and a {} are not made one because a source says so",
                survivor.kind, absorbed.kind
            )));
        }
        let (one, other) = (members(tx, &survivor).await?, members(tx, &absorbed).await?);
        if store::decision_distinct(tx, &one, &other).await? {
            return Ok(false);
        }
        let pair = (survivor.id, absorbed.id);
        self.merge_roots(tx, survivor, absorbed).await?;
        let decision = store::Decision {
            pair,
            standing: "merged",
            reason,
            score: 1.0,
            by: "hub",
        };
        store::decision_set(tx, &decision).await?;
        Ok(true)
    }
}
