//! A group of contacts and its members: who is in it is who its card names, as far as their cards are here.
//!
//! Invariant: nobody is made of an id alone; whom a newer card of the group leaves out is no member any more.
//! Begin with [`Work::members`].

use contracts::EntityId;
use spine::ScopedTx;
use spine::ports::{GraphError, Identifier, RelationChange};

use super::work::{Work, own_id};

const PREDICATE: &str = "member-of";
/// Ids of cards, with which members are named, are URNs in one file and bare in another.
const URN: &str = "urn:uuid:";

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
        let bare = uid.strip_prefix(URN).unwrap_or(uid);
        for kind in ["Person", "Organization"] {
            for spelt in [bare.to_owned(), format!("{URN}{bare}")] {
                let identifier = Identifier::new("vcard.uid", spelt);
                let found = self.batch.entity_by_identifier(tx, kind, &identifier).await?;
                if let Some(found) = found {
                    return Ok(Some(found.id));
                }
            }
        }
        let Some((_, own)) = own_id(&[Identifier::new("vcard.uid", uid)]) else {
            return Ok(None);
        };
        Ok(self.batch.entity(tx, own).await?.map(|found| found.id))
    }
}
