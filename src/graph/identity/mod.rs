//! Who is who: when two entities are one, when the owner is asked, and how a merge is taken back.
//!
//! Events in: `data.EntityCreated`, `data.EntityUpdated`, `data.EntityMerged`. Events out: `data.EntityMerged`,
//! `data.EntityUnmerged`, `data.MergeSuggested`.
//! Invariant: nobody is merged by an address that many share, or after the owner said that they are not the same. A
//! merge redirects and rewrites no row, so that it can be taken back.
//! Begin with [`Work::join_bearers`], then `merge`.

mod merge;
mod names;
pub(crate) mod on_somebody_changed;

use contracts::events::data::MergeSuggested;
#[cfg(test)]
pub(crate) use names::compatible as compatible_names;

use contracts::{EntityId, NewEvent};
use spine::ports::{AppliedEntity, EntityChange, GraphError, Identifier, Target};
use spine::{AccessError, ScopedTx};

use crate::apply::Work;
use crate::apply::entity::members;
use crate::check;
use crate::model::shown_title;
use crate::schema::EntityType;
use crate::store::{self, StoredEntity};

/// Schemes of addresses: what a person gives to others. Any other scheme names a record of some source.
const ADDRESSES: [&str; 6] = ["acct", "email", "matrix", "tel", "url", "xmpp"];

/// Both names are spelt differently, yet the address is one: worth a question, not more.
const SCORE_OTHER_NAME: f32 = 0.5;

/// Types whose entities are recognised across sources.
pub(crate) fn is_somebody(kind: &str) -> bool {
    matches!(kind, "Person" | "Organization")
}

fn is_address(identifier: &Identifier) -> bool {
    ADDRESSES.contains(&identifier.scheme.as_str())
}

/// By which of its identifiers an entity is found again. A card that has an id of its own is found by that alone: two
/// cards with one address are two entities, which may then be merged and told apart again.
pub(crate) fn recognised_by<'i>(
    kind: &str,
    identifiers: impl Iterator<Item = &'i Identifier> + Clone,
) -> impl Iterator<Item = &'i Identifier> {
    let by_record = is_somebody(kind) && identifiers.clone().any(|identifier| !is_address(identifier));
    identifiers.filter(move |identifier| !by_record || !is_address(identifier))
}

impl Work<'_> {
    /// Holds everybody who may turn out to be the same, in one order, so that two changes about the same people can't
    /// wait for each other in a ring.
    pub(crate) async fn hold_bearers(
        &mut self,
        tx: &mut ScopedTx,
        kind: &EntityType,
        change: &EntityChange,
    ) -> Result<(), GraphError> {
        let rows = self.rows(check::strong(change));
        let mut roots: Vec<EntityId> = self
            .draft
            .bearers(tx, &kind.name, &rows)
            .await?
            .into_iter()
            .map(|bearer| bearer.root)
            .collect();
        if let Target::Existing(id) = change.target
            && self.draft.held(id).is_none()
        {
            roots.extend(store::entity_root(tx, id).await?);
        }
        roots.sort_by_key(|id| id.0);
        roots.dedup();
        for root in roots {
            // Most are held since they were read.
            if self.draft.held(root).is_none() {
                store::entity_lock(tx, root).await?;
            }
        }
        Ok(())
    }

    /// Merges what was just written with others that bear one of its addresses, or asks.
    pub(crate) async fn join_bearers(
        &mut self,
        tx: &mut ScopedTx,
        kind: &EntityType,
        applied: AppliedEntity,
        change: &EntityChange,
    ) -> Result<AppliedEntity, GraphError> {
        let rows = self.rows(check::strong(change).filter(|identifier| is_address(identifier)));
        if rows.is_empty() {
            return Ok(applied);
        }
        let mut now = applied;
        let mut seen = vec![now.id];
        for bearer in self.draft.bearers(tx, &kind.name, &rows).await? {
            if bearer.deleted || seen.contains(&bearer.root) {
                continue;
            }
            seen.push(bearer.root);
            let (Some(mine), Some(other)) = (
                self.draft.root(tx, now.id).await?,
                self.draft.root(tx, bearer.root).await?,
            ) else {
                continue;
            };
            if mine.deleted_by.is_some() || other.deleted_by.is_some() || mine.id == other.id {
                continue;
            }
            let address = self.draft.address(bearer.identifier);
            let created = now.created;
            if let Some(survivor) = self.join(tx, mine, other, &address).await? {
                seen.push(survivor.id);
                now = AppliedEntity { created, ..survivor };
            }
        }
        Ok(now)
    }

    /// Merges two who bear one address if their names allow it; else asks. The survivor, if they were merged.
    async fn join(
        &mut self,
        tx: &mut ScopedTx,
        mine: StoredEntity,
        other: StoredEntity,
        address: &str,
    ) -> Result<Option<AppliedEntity>, GraphError> {
        self.draft.leave(tx).await?; // what a merge changes is in the database
        let (one, two) = (members(tx, &mine).await?, members(tx, &other).await?);
        if store::decision_distinct(tx, &one, &two).await? {
            return Ok(None);
        }
        let names = (shown_title(&mine.content), shown_title(&other.content));
        if names::compatible(names.0.as_deref(), names.1.as_deref()) {
            let (survivor, absorbed) = merge::elder_first(tx, mine, other).await?;
            let pair = (survivor.id, absorbed.id);
            let merged = self.merge_roots(tx, survivor, absorbed).await?;
            let decision = store::Decision {
                pair,
                standing: "merged",
                reason: &format!("both have {address}, and the names agree"),
                score: 1.0,
                by: "hub",
            };
            store::decision_set(tx, &decision).await?;
            return Ok(Some(merged));
        }
        let reason = format!("both have {address}, under different names");
        self.suggest(tx, (mine.id, other.id), &reason, SCORE_OTHER_NAME)
            .await?;
        Ok(None)
    }

    async fn suggest(
        &mut self,
        tx: &mut ScopedTx,
        pair: (EntityId, EntityId),
        reason: &str,
        score: f32,
    ) -> Result<(), GraphError> {
        if let Some(decision) = store::decision_suggest(tx, pair, reason, score).await? {
            let payload = MergeSuggested {
                decision,
                first: pair.0,
                second: pair.1,
                score,
            };
            let event = NewEvent::of(&payload).map_err(AccessError::Payload)?;
            self.events.push(event.about(pair.0));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_found_again_by_its_own_id_and_a_bare_address_by_itself() {
        let card = [
            Identifier::new("email", "sam@example.org"),
            Identifier::new("vcard.uid", "1"),
        ];
        let by = |kind, identifiers: &[Identifier]| {
            let found: Vec<String> = recognised_by(kind, identifiers.iter())
                .map(|one| one.scheme.clone())
                .collect();
            found
        };
        assert_eq!(by("Person", &card), ["vcard.uid"]);
        assert_eq!(by("Person", &card[..1]), ["email"]);
        assert_eq!(by("Device", &card), ["email", "vcard.uid"]);
    }
}
