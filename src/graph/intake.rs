//! Records that are taken in first and understood later, in a job; and what sources no longer have.
//!
//! Events out: `connector.DataReceived`, `connector.RecordParked`, and what applying a change tells.
//! Invariant: understanding a record again, after its mapping improved, adds nothing twice: its things are found by
//! their own ids and its claims replaced by themselves. Begin with [`RecordIntake::understand`].

use async_trait::async_trait;
use contracts::RawRecordId;
use contracts::events::connector::{DataReceived, RecordParked};
use contracts::events::data::{EntityDeleted, EntityUpdated};
use spine::ScopedTx;
use spine::ports::{
    Applied, AppliedEntity, Change, GraphError, GroupNaming, Identifier, IntakeBatch, RawRecord, Received,
    RecordIntake, Withdrawal,
};
use uuid::Uuid;

use crate::apply::entity::{members, timeline_anew};
use crate::apply::{ToldApart, Work};
use crate::batch::Batch;
use crate::model::{changes, fold};
use crate::normalise::normalise;
use crate::{Graph, check, raw, store};

#[async_trait]
impl RecordIntake for Graph {
    async fn receive(
        &self,
        tx: &mut ScopedTx,
        source: &str,
        record: RawRecord,
    ) -> Result<Received, GraphError> {
        check::name("source", source).map_err(GraphError::Invalid)?;
        let (connection, stream) = (record.connection, record.stream.clone());
        let received = raw::receive(self, tx, source, &record).await?;
        if !received.known {
            let payload = DataReceived {
                raw_record: received.id,
                connection,
                source: source.to_owned(),
                stream,
            };
            tx.publish_about(received.id, &payload)?;
        }
        Ok(received)
    }

    async fn understand(
        &self,
        tx: &mut ScopedTx,
        record: RawRecordId,
        change: Change,
    ) -> Result<Applied, GraphError> {
        self.understand_apart(tx, record, change, ToldApart::default())
            .await
    }

    async fn relate(
        &self,
        tx: &mut ScopedTx,
        record: RawRecordId,
        change: Change,
        unread: &[&'static str],
    ) -> Result<Applied, GraphError> {
        let types = self.types(tx).await?;
        let change = check::change(types, tx.scope().principal(), change).map_err(GraphError::Invalid)?;
        let mut work = Work::new(types, change.by, &change.source);
        store::savepoint(tx).await?;
        let outcome = work.relate(tx, record, &change, unread).await;
        work.end(tx, outcome).await
    }

    async fn relate_too(
        &self,
        tx: &mut ScopedTx,
        record: RawRecordId,
        change: Change,
    ) -> Result<Applied, GraphError> {
        let types = self.types(tx).await?;
        let change = check::change(types, tx.scope().principal(), change).map_err(GraphError::Invalid)?;
        let mut work = Work::new(types, change.by, &change.source);
        store::savepoint(tx).await?;
        let outcome = work.relate_too(tx, record, &change).await;
        work.end(tx, outcome).await
    }

    async fn groups_naming(
        &self,
        tx: &mut ScopedTx,
        media_type: &str,
        names: &[String],
    ) -> Result<Vec<GroupNaming>, GraphError> {
        // Whoever says something newer of one of them holds it.
        store::group_lock(tx, names).await?;
        Ok(store::group_naming_list(tx, media_type, names).await?)
    }

    async fn park_received(
        &self,
        tx: &mut ScopedTx,
        record: RawRecordId,
        reason: &str,
    ) -> Result<(), GraphError> {
        let reason = raw::reason(reason);
        let Some((source, before)) = store::raw_park(tx, record, &reason).await? else {
            return Err(GraphError::Invalid(format!("there is no record {record}")));
        };
        if before.as_deref() != Some(reason.as_str()) {
            let payload = RecordParked {
                raw_record: record,
                source,
                reason,
            };
            tx.publish_about(record, &payload)?;
        }
        Ok(())
    }

    async fn pass_over(
        &self,
        tx: &mut ScopedTx,
        record: RawRecordId,
        newer: Option<RawRecordId>,
    ) -> Result<(), GraphError> {
        if let Some(newer) = newer {
            store::raw_reinstate(tx, newer).await?;
        }
        Ok(store::raw_settle(tx, record).await?)
    }

    async fn withdraw(
        &self,
        tx: &mut ScopedTx,
        withdrawal: Withdrawal,
    ) -> Result<Option<AppliedEntity>, GraphError> {
        let identifier = normalise(&withdrawal.identifier).map_err(GraphError::Invalid)?;
        let types = self.types(tx).await?;
        types.get(&withdrawal.kind).map_err(GraphError::Invalid)?;
        let mut work = Work::new(types, withdrawal.by, &withdrawal.source);
        store::savepoint(tx).await?;
        let outcome = work.withdraw(tx, &withdrawal.kind, &identifier).await;
        work.end(tx, outcome).await
    }

    fn batch<'a>(&'a self, source: &str, size: usize) -> Box<dyn IntakeBatch + 'a> {
        Box::new(Batch::new(self, source, size))
    }
}

impl Graph {
    /// As [`RecordIntake::understand`], of a record that says of some that they are not the same.
    pub(crate) async fn understand_apart(
        &self,
        tx: &mut ScopedTx,
        record: RawRecordId,
        change: Change,
        told_apart: ToldApart,
    ) -> Result<Applied, GraphError> {
        let types = self.types(tx).await?;
        let change = check::change(types, tx.scope().principal(), change).map_err(GraphError::Invalid)?;
        if !store::raw_hold(tx, record).await? {
            return Err(GraphError::Invalid(format!("there is no record {record}")));
        }
        let mut work = Work::new(types, change.by, &change.source);
        work.told_apart = told_apart;
        store::savepoint(tx).await?;
        let outcome = work.understand(tx, record, &change).await;
        work.end(tx, outcome).await
    }
}

impl Work<'_> {
    async fn withdraw(
        &mut self,
        tx: &mut ScopedTx,
        kind: &str,
        identifier: &Identifier,
    ) -> Result<Option<AppliedEntity>, GraphError> {
        let key = (identifier.scheme.clone(), identifier.value.clone());
        let Some(row) = store::identifier_find(tx, &key).await? else {
            return Ok(None);
        };
        let bearers = store::bearer_list(tx, kind, &[row]).await?;
        let Some(node) = bearers.first().map(|bearer| bearer.entity) else {
            return Ok(None);
        };
        let Some(root) = store::entity_root_lock(tx, node).await? else {
            return Ok(None);
        };
        let members = members(tx, &root).await?;
        let record = if root.folded {
            store::claim_close(tx, node, &self.asserter).await?
        } else {
            (root.asserter == self.asserter).then_some(root.raw.map(Uuid::from))
        };
        let has_ended = self.take_back(tx, node, record.flatten()).await?;
        let fewer = store::identifier_unlink(tx, (node, &members), row, &self.asserter).await?;
        if record.is_none() && !has_ended && fewer == 0 {
            return Ok(None);
        }
        let (id, version) = (root.id, root.version + 1);
        let claims = if root.folded || record.is_some() {
            store::claim_current_list(tx, &members).await?
        } else {
            Vec::new()
        };
        if record.is_some() && claims.is_empty() && root.deleted_by.is_none() {
            store::entity_delete(tx, id, version, Some(self.asserter.by)).await?;
            let payload = EntityDeleted {
                entity: id,
                kind: root.kind,
                version,
            };
            self.tell(&payload, id, version)?;
        } else {
            let after = if claims.is_empty() {
                root.content.clone()
            } else {
                fold(id, &claims)
            };
            let mut changed = changes(&root.content, &after);
            if root.deleted_by.is_some() {
                // Nobody sees a difference before the owner restores it.
                if !changed.is_empty() {
                    store::entity_update(tx, id, &after, root.version, true).await?;
                }
                return Ok(None);
            }
            if fewer > 0 {
                changed.push("identifiers".to_owned());
            }
            if changed.is_empty() {
                return Ok(None);
            }
            store::entity_update(tx, id, &after, version, root.folded).await?;
            if root.content.starts_at.or(after.starts_at).is_some() {
                timeline_anew(tx, id, &root.kind, &after).await?;
            }
            let payload = EntityUpdated {
                entity: id,
                kind: root.kind,
                version,
                changed,
            };
            self.tell(&payload, id, version)?;
        }
        Ok(Some(AppliedEntity {
            id,
            version,
            created: false,
        }))
    }
}
