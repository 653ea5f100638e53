//! A group of contacts and its members: who is in it is who its card names, as far as their cards are here.
//!
//! Invariant: nobody is made of an id alone; whom a newer card of the group leaves out is no member any more.
//! Begin with [`Work::members`].

use contracts::EntityId;
use serde_json::Value;
use spine::ScopedTx;
use spine::ports::{AssertedBy, GraphError, Identifier, RelationChange};

use super::work::{Work, own_id};
use crate::map::Meaning;

const PREDICATE: &str = "member-of";
/// Ids of cards, with which members are named, are URNs in one file and bare in another.
const URN: &str = "urn:uuid:";

impl Work<'_> {
    /// Members that the graph knows and the card doesn't name any more, by the ids of their cards.
    pub(super) async fn members_left(
        &mut self,
        tx: &mut ScopedTx,
        meaning: &Meaning,
    ) -> Result<Vec<String>, GraphError> {
        let Some(group) = meaning.entities.first().filter(|one| one.kind == "Group") else {
            return Ok(Vec::new());
        };
        let mut before = None;
        for identifier in &group.identifiers {
            before = self
                .batch
                .entity_by_identifier(tx, "Group", identifier)
                .await?
                .or(before);
        }
        let named = before
            .as_ref()
            .and_then(|group| group.props.get("members")?.as_array());
        let named = named.into_iter().flatten().filter_map(Value::as_str);
        let named = named.filter(|one| meaning.members.iter().all(|other| other != one));
        Ok(named.map(ToOwned::to_owned).collect())
    }

    /// Relates who is in the group, and takes it back of who has left.
    pub(super) async fn members(
        &mut self,
        tx: &mut ScopedTx,
        group: EntityId,
        named: &[String],
        left: &[String],
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
        for uid in left {
            if let Some(member) = self.member(tx, uid).await? {
                self.batch.write(tx).await?;
                let graph = self.ports.graph_write();
                graph
                    .unrelate(tx, AssertedBy::Connector, self.source, &edge(member))
                    .await?;
            }
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
