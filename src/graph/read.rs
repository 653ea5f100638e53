//! Answers to the other services: who is behind a number, what the graph knows of it.
//!
//! Invariant: an address in any spelling finds what the graph keeps under its one spelling; what can't be an address
//! finds nobody and is no error. Begin with `party`.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use contracts::EntityId;
use contracts::events::communication::Party;
use spine::ScopedTx;
use spine::ports::{CalendarEvent, Entity, GraphError, GraphRead, Identifier};

use crate::normalise::normalise;
use crate::{Graph, store};

/// Entities that are read at once.
const PAGE: i64 = 1_000;
/// Of an address that strangers made up, this much is passed on.
const ADDRESS_CHARS_MAX: usize = 512;

#[async_trait]
impl GraphRead for Graph {
    async fn entity(&self, tx: &mut ScopedTx, id: EntityId) -> Result<Option<Entity>, GraphError> {
        match store::entity_by_id(tx, id).await? {
            None => match store::entity_root(tx, id).await? {
                Some(root) => Ok(store::entity_by_id(tx, root).await?),
                None => Ok(None),
            },
            found => Ok(found),
        }
    }

    async fn entity_by_identifier(
        &self,
        tx: &mut ScopedTx,
        kind: &str,
        identifier: &Identifier,
    ) -> Result<Option<Entity>, GraphError> {
        let Ok(identifier) = normalise(identifier) else {
            return Ok(None);
        };
        match store::entity_by_identifier(tx, kind, &identifier).await? {
            Some(id) => self.entity(tx, id).await,
            None => Ok(None),
        }
    }

    async fn entities(&self, tx: &mut ScopedTx, kind: &str) -> Result<Vec<Entity>, GraphError> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = store::entity_of_kind(tx, kind, after, PAGE).await?;
            let is_last = (page.len() as i64) < PAGE;
            after = page.last().map(|last| (last.created_at, last.id.0));
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    async fn calendar(
        &self,
        tx: &mut ScopedTx,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Vec<CalendarEvent>, GraphError> {
        Ok(store::calendar_list(tx, since, until).await?)
    }

    async fn identifiers(&self, tx: &mut ScopedTx, id: EntityId) -> Result<Vec<Identifier>, GraphError> {
        let members = store::entity_members(tx, id).await?;
        let rows = store::identifier_list(tx, &members).await?;
        let mut identifiers: Vec<Identifier> = rows
            .into_iter()
            .map(|row| Identifier::new(row.scheme, row.value))
            .collect();
        identifiers.dedup(); // sorted by the store: several sources may say the same
        Ok(identifiers)
    }

    async fn party(&self, tx: &mut ScopedTx, identifier: &Identifier) -> Result<Party, GraphError> {
        let mut parties = self.parties(tx, std::slice::from_ref(identifier)).await?;
        Ok(parties.pop().unwrap_or_else(|| stranger(identifier)))
    }

    async fn parties(&self, tx: &mut ScopedTx, identifiers: &[Identifier]) -> Result<Vec<Party>, GraphError> {
        let addresses: Vec<_> = identifiers.iter().map(address).collect();
        let known: Vec<_> = addresses.iter().flatten().cloned().collect();
        let rows = store::party_list(tx, &known).await?;
        let parties = addresses.into_iter().zip(identifiers).map(|(address, given)| {
            let Some(address) = address else {
                return stranger(given);
            };
            let mut rows = rows.iter();
            let row = rows.find(|row| row.scheme == address.scheme && row.value == address.value);
            let (id, name, relations) = row.map_or_else(Default::default, |row| {
                (Some(row.id.into()), row.title.clone(), row.relations.clone())
            });
            Party {
                id,
                name,
                address: address.value,
                relations,
            }
        });
        Ok(parties.collect())
    }

    async fn me(&self, tx: &mut ScopedTx) -> Result<EntityId, GraphError> {
        store::entity_by_identifier(tx, "Person", &Identifier::new("allod", "me"))
            .await?
            .ok_or_else(|| {
                GraphError::Invalid(
                    "this account has no Person of its owner: nobody bears the identifier allod/me"
                        .to_owned(),
                )
            })
    }
}

/// Who is known by what they gave as their address, and by nothing else.
fn stranger(identifier: &Identifier) -> Party {
    let printable = identifier.value.chars().filter(|c| !c.is_control());
    Party {
        id: None,
        name: None,
        address: printable.take(ADDRESS_CHARS_MAX).collect(),
        relations: Vec::new(),
    }
}

/// The address in its one spelling. Providers give short codes where they give numbers.
fn address(identifier: &Identifier) -> Option<Identifier> {
    normalise(identifier).ok().or_else(|| {
        let number = identifier.scheme.eq_ignore_ascii_case("tel");
        number
            .then(|| normalise(&Identifier::new("tel.short", identifier.value.clone())).ok())
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_code_that_comes_as_a_number_is_looked_up_as_a_short_code() {
        let found = |scheme: &str, value: &str| address(&Identifier::new(scheme, value));
        assert_eq!(found("tel", "12345"), Some(Identifier::new("tel.short", "12345")));
        assert_eq!(
            found("tel", "+1 415 555 2671"),
            Some(Identifier::new("tel", "+14155552671"))
        );
        assert_eq!(found("tel", "anonymous"), None);
        assert_eq!(found("email", "12345"), None);
    }
}
