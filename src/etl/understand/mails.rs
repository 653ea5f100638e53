//! Mails in the graph: which one a mail is, and to which conversation it belongs.
//!
//! Invariant: a mail never takes another's place by bearing its Message-ID; the same mail, whichever way it came, is one.
//! Begin with [`Work::letter`].

use serde_json::{Map, Value};
use spine::ScopedTx;
use spine::ports::{Entity, EntityChange, GraphError, Identifier, Target};

use super::work::Work;
use crate::map::{LETTER, MESSAGE_ID, Thread};

/// The scheme by which a conversation is known: all message ids of its mails.
pub(super) const THREAD: &str = "mail.thread";
pub(super) const CONVERSATION: &str = "Conversation";
/// What shows that a mail is the one that was taken in before contents were hashed.
const TELLING: [&str; 4] = ["subject", "from", "sent_at", "text"];

impl Work<'_> {
    /// A Message-ID is borne by the first mail that had it; another one that has it, too, is known by its content alone.
    pub(super) async fn letter(
        &mut self,
        tx: &mut ScopedTx,
        entities: &mut [EntityChange],
        letter: &str,
    ) -> Result<(), GraphError> {
        let Some(mail) = entities.first_mut() else {
            return Ok(());
        };
        let Some(id) = mail
            .identifiers
            .iter()
            .find(|one| one.scheme == MESSAGE_ID)
            .cloned()
        else {
            return Ok(());
        };
        let Some(bearer) = self.batch.entity_by_identifier(tx, &mail.kind, &id).await? else {
            return Ok(());
        };
        let letter = Identifier::new(LETTER, letter);
        let known = self.batch.entity_by_identifier(tx, &mail.kind, &letter).await?;
        let is_bearer = match known {
            Some(known) => known.id == bearer.id,
            None => may_be(&bearer, mail),
        };
        if !is_bearer {
            mail.identifiers.retain(|one| one.scheme != MESSAGE_ID);
        }
        Ok(())
    }

    /// Finds or makes the conversation of a thread. Where a late parent shows that several are one, they are merged into
    /// the eldest.
    pub(super) async fn conversation(
        &mut self,
        tx: &mut ScopedTx,
        thread: Thread,
    ) -> Result<usize, GraphError> {
        let mut identifiers: Vec<Identifier> =
            thread.ids.iter().map(|id| Identifier::new(THREAD, id)).collect();
        let mut found: Vec<Entity> = Vec::new();
        for identifier in &identifiers {
            let known = self
                .batch
                .entity_by_identifier(tx, CONVERSATION, identifier)
                .await?;
            found.extend(known.filter(|known| found.iter().all(|one| one.id != known.id)));
        }
        found.sort_by_key(|one| (one.created_at, one.id.0));
        let mut found = found.into_iter();
        let elder = found.next();
        for younger in found {
            if let Some(elder) = &elder {
                self.batch.write(tx).await?;
                self.ports
                    .graph_merge()
                    .unite(tx, elder.id, younger.id, "mails of one thread are in both")
                    .await?;
            }
        }
        identifiers.sort_by(|a, b| a.value.cmp(&b.value));
        identifiers.dedup();
        let mut props = Map::new();
        props.insert("channel".to_owned(), Value::from("email"));
        self.entities.push(EntityChange {
            target: elder
                .as_ref()
                .map_or(Target::Identified, |elder| Target::Existing(elder.id)),
            kind: CONVERSATION.to_owned(),
            title: thread.subject.filter(|_| elder.is_none()),
            props,
            identifiers,
            starts_at: None,
        });
        Ok(self.entities.len() - 1)
    }
}

/// Whether a mail that nobody knows by its content is the one that the graph knows by its id.
fn may_be(bearer: &Entity, mail: &EntityChange) -> bool {
    match bearer.props.get("content_hash") {
        Some(hash) => mail.props.get("content_hash") == Some(hash),
        None => TELLING
            .iter()
            .all(|name| bearer.props.get(*name) == mail.props.get(*name)),
    }
}
