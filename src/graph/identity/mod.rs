//! Who is who: when two entities are one, when the owner is asked, and how a merge is taken back.
//!
//! Events in: `data.EntityCreated`, `data.EntityUpdated`, `data.EntityMerged`. Events out: `data.EntityMerged`,
//! `data.EntityUnmerged`, `data.MergeSuggested`.
//! Invariant: nobody is merged by an address that many share, or after the owner said that they are not the same; nor
//! unless everybody of the one side may be everybody of the other by their names, and nobody else could be meant. A merge
//! redirects and rewrites no row, so that it can be taken back.
//! Begin with [`Work::join_bearers`], then `merge`.

mod merge;
mod names;
pub(crate) mod on_somebody_changed;
mod unite;

use contracts::events::data::MergeSuggested;
#[cfg(test)]
pub(crate) use names::compatible as compatible_names;

use contracts::{EntityId, NewEvent};
use spine::ports::{AppliedEntity, EntityChange, GraphError, Identifier, Target};
use spine::{AccessError, ScopedTx};
use uuid::Uuid;

use crate::apply::Work;
use crate::apply::entity::members;
use crate::draft::key;
use crate::model::{fold, shown_title};
use crate::schema::EntityType;
use crate::store::{self, StoredEntity};
use crate::{check, normalise};

/// Schemes of addresses: what a person gives to others. Any other scheme names a record of some source.
const ADDRESSES: [&str; 6] = ["acct", "email", "matrix", "tel", "url", "xmpp"];

/// Both names are spelt differently, yet the address is one: worth a question, not more.
const SCORE_OTHER_NAME: f32 = 0.5;
/// The names agree, but others, who are somebody else, bear the address under names that agree, too.
const SCORE_SEVERAL: f32 = 0.7;

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

/// Somebody who bears an address, with all that were merged into them.
struct Candidate {
    root: StoredEntity,
    members: Vec<Uuid>,
    /// What each of them is called by itself, where it has a name.
    names: Vec<String>,
    /// By which address they were found, as people write it.
    address: String,
}

impl Candidate {
    /// Whether everybody of the one may be everybody of the other: "Anna" may be Anna Schmidt and Anna Weber, who are two.
    fn agrees(&self, other: &Self) -> bool {
        let mut pairs = self
            .names
            .iter()
            .flat_map(|one| other.names.iter().map(move |two| (one, two)));
        pairs.all(|(one, two)| names::compatible(Some(one), Some(two)))
    }
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
        let own = |identifier: &&Identifier| is_address(identifier) && !normalise::is_shared(identifier);
        let rows = self.rows(change.identifiers.iter().filter(own));
        if rows.is_empty() {
            return Ok(applied);
        }
        let bearers = self.draft.bearers(tx, &kind.name, &rows).await?;
        if bearers
            .iter()
            .all(|bearer| bearer.deleted || bearer.root == applied.id)
        {
            return Ok(applied);
        }
        let Some(mine) = self.candidate(tx, applied.id, None).await? else {
            return Ok(applied);
        };
        let mut others: Vec<Candidate> = Vec::new();
        for bearer in bearers.iter().filter(|bearer| !bearer.deleted) {
            let is_met = |one: &Candidate| one.root.id == bearer.root;
            if bearer.root == mine.root.id || others.iter().any(is_met) {
                continue;
            }
            let other = self.candidate(tx, bearer.root, Some(bearer.identifier)).await?;
            others.extend(other.filter(|one| one.root.id != mine.root.id));
        }
        self.join(tx, applied, mine, others).await
    }

    /// The root of an entity, held, with who it stands for; `None`: it is deleted.
    async fn candidate(
        &mut self,
        tx: &mut ScopedTx,
        id: EntityId,
        by: Option<Uuid>,
    ) -> Result<Option<Candidate>, GraphError> {
        let held = self.draft.root(tx, id).await?;
        let Some(root) = held.filter(|root| root.deleted_by.is_none()) else {
            return Ok(None);
        };
        let members = members(tx, &root).await?;
        let names = if root.absorbed == 0 {
            shown_title(&root.content).into_iter().collect()
        } else {
            let claims = self.draft.claims(tx, &members).await?;
            let called = |member: &Uuid| {
                let own = claims.iter().filter(|claim| claim.entity.0 == *member).cloned();
                shown_title(&fold((*member).into(), &own.collect::<Vec<_>>()))
            };
            members.iter().filter_map(called).collect()
        };
        Ok(Some(Candidate {
            root,
            members,
            names,
            address: by.map(|row| self.draft.address(row)).unwrap_or_default(),
        }))
    }

    /// Merges those who bear one of its addresses if their names allow it and nobody else can be meant; else asks.
    async fn join(
        &mut self,
        tx: &mut ScopedTx,
        applied: AppliedEntity,
        mine: Candidate,
        others: Vec<Candidate>,
    ) -> Result<AppliedEntity, GraphError> {
        if others.is_empty() {
            return Ok(applied);
        }
        self.draft.leave(tx).await?; // what a question or a merge names is in the database
        let mut fits = Vec::new();
        for other in others {
            if store::decision_distinct(tx, &mine.members, &other.members).await? {
                continue;
            }
            if mine.agrees(&other) {
                fits.push(other);
            } else {
                let reason = format!("both have {}, under different names", other.address);
                self.suggest(tx, (mine.root.id, other.root.id), &reason, SCORE_OTHER_NAME)
                    .await?;
            }
        }
        // Of two who can't be one, at most one can be meant, and nothing says which.
        let mut meant = vec![true; fits.len()];
        for one in 0..fits.len() {
            for other in one + 1..fits.len() {
                let (a, b) = (&fits[one], &fits[other]);
                if !a.agrees(b) || store::decision_distinct(tx, &a.members, &b.members).await? {
                    meant[one] = false;
                    meant[other] = false;
                }
            }
        }
        let (mut now, mut root) = (applied, mine.root);
        for (other, is_meant) in fits.into_iter().zip(meant) {
            if !is_meant {
                let reason = format!(
                    "both have {}, as has somebody else whom the name fits",
                    other.address
                );
                self.suggest(tx, (root.id, other.root.id), &reason, SCORE_SEVERAL)
                    .await?;
                continue;
            }
            let (survivor, absorbed) = merge::elder_first(tx, root, other.root).await?;
            let pair = (survivor.id, absorbed.id);
            let merged = self.merge_roots(tx, survivor, absorbed).await?;
            let decision = store::Decision {
                pair,
                standing: "merged",
                reason: &format!("both have {}, and the names agree", other.address),
                score: 1.0,
                by: "hub",
            };
            store::decision_set(tx, &decision).await?;
            now = AppliedEntity {
                created: now.created,
                ..merged
            };
            let Some(held) = store::entity_root_lock(tx, now.id).await? else {
                break;
            };
            root = held;
        }
        Ok(now)
    }

    /// Remembers of which others, who are there, its source says that it isn't the same. A merge that stands here stands.
    pub(crate) async fn keep_apart(
        &mut self,
        tx: &mut ScopedTx,
        node: EntityId,
        change: &EntityChange,
    ) -> Result<(), GraphError> {
        let mut others = Vec::new();
        for identifier in &change.identifiers {
            others.extend(self.told_apart.remove(&key(identifier)).unwrap_or_default());
        }
        if others.is_empty() {
            return Ok(());
        }
        self.draft.write(tx).await?; // what a decision names is in the database
        let mine = store::entity_root(tx, node).await?;
        for other in others {
            let other = store::entity_by_identifier(tx, &change.kind, &other).await?;
            if let Some(other) = other.filter(|other| Some(*other) != mine) {
                store::decision_apart(tx, (node, other)).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn suggest(
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
