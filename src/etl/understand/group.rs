//! A group of contacts and its members: who is in it is who its card names, as far as their cards are here.
//!
//! Invariant: nobody is made of an id alone; who is named becomes a member by the group's card, whichever card comes
//! first, and whom a newer card of the group leaves out is no member any more.
//! Begin with [`Work::members`].

use contracts::EntityId;
use spine::ScopedTx;
use spine::ports::{EntityChange, GraphError, Identifier, Ports, RelationChange};

use super::Understanding;
use super::work::{Work, own_id};
use crate::format::Format;

const PREDICATE: &str = "member-of";
/// Ids of cards, with which members are named, are URNs in one file and bare in another.
const URN: &str = "urn:uuid:";
const UID: &str = "vcard.uid";
const KINDS: [&str; 2] = ["Person", "Organization"];

impl Understanding {
    /// Remembers whose cards come.
    pub(super) fn expect_groups(&mut self, entities: &[EntityChange]) {
        let people = entities.iter().filter(|one| KINDS.contains(&one.kind.as_str()));
        let known_by = people.flat_map(|one| &one.identifiers);
        let uids = known_by.filter(|one| one.scheme == UID);
        self.arrived.extend(uids.flat_map(|uid| spelt(&uid.value)));
    }

    /// Relates whom cards of groups named before their own cards came. What was understood is written.
    pub(crate) async fn join_groups(&mut self, ports: &Ports, tx: &mut ScopedTx) -> Result<(), GraphError> {
        let arrived: Vec<String> = std::mem::take(&mut self.arrived).into_iter().collect();
        if arrived.is_empty() {
            return Ok(());
        }
        let intake = ports.record_intake();
        let cards = Format::Vcard.media_type();
        for named in intake.groups_naming(tx, cards, &arrived).await? {
            let mut batch = intake.batch(&named.source, 1);
            let mut work = Work::new(ports, batch.as_mut(), &named.source, named.record);
            work.members(tx, named.group, &named.names).await?;
            let change = work.collected();
            intake.relate_too(tx, named.record, change).await?;
        }
        Ok(())
    }
}

/// How cards may spell an id.
fn spelt(uid: &str) -> [String; 2] {
    let bare = uid.strip_prefix(URN).unwrap_or(uid);
    [bare.to_owned(), format!("{URN}{bare}")]
}

impl Work<'_> {
    /// Relates who is in the group. Whom its card named before and leaves out now is no member by that.
    pub(super) async fn members(
        &mut self,
        tx: &mut ScopedTx,
        group: EntityId,
        named: &[String],
    ) -> Result<(), GraphError> {
        let edge = |from| RelationChange {
            from,
            predicate: PREDICATE.to_owned(),
            to: group,
        };
        for uid in named {
            let member = self.member(tx, uid).await?;
            self.relations
                .extend(member.filter(|member| *member != group).map(edge));
        }
        Ok(())
    }

    async fn member(&mut self, tx: &mut ScopedTx, uid: &str) -> Result<Option<EntityId>, GraphError> {
        for kind in KINDS {
            for spelt in spelt(uid) {
                let identifier = Identifier::new(UID, spelt);
                let found = self.batch.entity_by_identifier(tx, kind, &identifier).await?;
                if let Some(found) = found {
                    return Ok(Some(found.id));
                }
            }
        }
        let Some((_, own)) = own_id(&[Identifier::new(UID, uid)]) else {
            return Ok(None);
        };
        Ok(self.batch.entity(tx, own).await?.map(|found| found.id))
    }
}
