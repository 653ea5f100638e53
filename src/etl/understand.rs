//! A meaning reaches the graph: through its ports, in the caller's transaction.
//!
//! Invariant: doing it again adds nothing. Mails of one thread meet in one conversation in whatever order they come; a
//! mailbox becomes a person only where nobody bears it, and gives a name only where none is known.
//! Begin with [`Understanding::record`].

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use contracts::{EntityId, RawRecordId};
use serde_json::{Map, Value};
use spine::ports::{
    AssertedBy, Change, Entity, EntityChange, GraphError, Identifier, IntakeBatch, Ports, RawRecord,
    RelationChange, Target, Withdrawal,
};
use spine::{AccessError, ScopedTx};

use crate::map::{self, Edge, End, Hints, Meaning, Somebody, Thread};

/// The scheme by which a conversation is known: all message ids of its mails.
const THREAD: &str = "mail.thread";
const CONVERSATION: &str = "Conversation";
/// Mailboxes that are remembered as somebody's.
const KNOWN_MAX: usize = 20_000;

/// What is known while records are understood one after the other.
#[derive(Debug)]
pub(crate) struct Understanding {
    pub(crate) hints: Hints,
    places: Vec<(String, EntityId)>,
    /// Mailboxes of people whose name is known.
    known: BTreeSet<String>,
}

/// What a record led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Understood,
    Parked(String),
}

/// The meaning of a record. A parser that fails on it costs that record alone.
pub(crate) fn meaning(record: &RawRecord, hints: &Hints) -> Result<Meaning, String> {
    catch_unwind(AssertUnwindSafe(|| map::map(record, hints)))
        .unwrap_or_else(|_| Err("the record can't be read: its parser failed on it".to_owned()))
}

impl Understanding {
    /// Asks the graph what it knows of the owner and of places.
    pub(crate) async fn begin(ports: &Ports, tx: &mut ScopedTx) -> Result<Self, GraphError> {
        let read = ports.graph_read();
        let mut zone = ports.account_directory().zone(tx).await?;
        let mut hints = Hints::default();
        let me = Identifier::new("allod", "me");
        if let Some(me) = read.entity_by_identifier(tx, "Person", &me).await? {
            let own = me.props.get("time_zone").and_then(Value::as_str);
            zone = own.and_then(|own| own.parse().ok()).unwrap_or(zone);
            for identifier in read.identifiers(tx, me.id).await? {
                match identifier.scheme.as_str() {
                    "email" => hints.mailboxes.push(identifier.value),
                    "tel" if hints.country.is_none() => hints.country = country(&identifier.value),
                    _ => {}
                }
            }
        }
        let by_zone = || map::zone_country(zone.name()).map(ToOwned::to_owned);
        hints.country = hints.country.or_else(by_zone);
        hints.zone = Some(zone);
        let mut places = Vec::new();
        for place in read.entities(tx, "Place").await? {
            let address = place
                .props
                .get("address")
                .and_then(Value::as_str)
                .map(ToOwned::to_owned);
            places.extend(
                [place.title, address]
                    .into_iter()
                    .flatten()
                    .map(|name| (spelling(&name), place.id)),
            );
        }
        Ok(Self {
            hints,
            places,
            known: BTreeSet::new(),
        })
    }

    /// By what the things of these meanings will be looked up in the graph.
    pub(crate) fn expected<'m>(
        &self,
        meanings: impl Iterator<Item = &'m Meaning>,
    ) -> Vec<(String, Identifier)> {
        let mut expected = Vec::new();
        for meaning in meanings {
            for entity in &meaning.entities {
                // An exported entity may have come back to where it was exported, and bear no such id.
                let own = entity
                    .identifiers
                    .iter()
                    .filter(|one| one.scheme != map::EXPORTED_ID);
                expected.extend(own.map(|one| (entity.kind.clone(), one.clone())));
            }
            let thread = meaning.thread.iter().flat_map(|thread| &thread.ids);
            expected.extend(thread.map(|id| (CONVERSATION.to_owned(), Identifier::new(THREAD, id))));
            let people = meaning
                .people
                .iter()
                .filter(|one| !self.known.contains(&one.email));
            expected.extend(people.map(|one| ("Person".to_owned(), Identifier::new("email", &one.email))));
        }
        expected
    }

    /// Applies what a record means, or parks it with the reason why it means nothing. An error of a batch that is spoilt
    /// is one of all of its records.
    pub(crate) async fn record(
        &mut self,
        ports: &Ports,
        batch: &mut dyn IntakeBatch,
        tx: &mut ScopedTx,
        id: RawRecordId,
        source: &str,
        meaning: Result<Meaning, String>,
    ) -> Result<Outcome, GraphError> {
        let applied = match meaning {
            Ok(meaning) => self.apply(ports, batch, tx, id, source, meaning).await,
            Err(reason) => Err(GraphError::Invalid(reason)),
        };
        match applied {
            Ok(()) => Ok(Outcome::Understood),
            Err(GraphError::Access(error)) => Err(error.into()),
            Err(error) if batch.is_spoilt() => Err(error),
            Err(error) => {
                // The people that it would have made may not be there.
                self.known.clear();
                let reason = error.to_string();
                batch.park(tx, id, &reason).await?;
                Ok(Outcome::Parked(reason))
            }
        }
    }

    async fn apply(
        &mut self,
        ports: &Ports,
        batch: &mut dyn IntakeBatch,
        tx: &mut ScopedTx,
        id: RawRecordId,
        source: &str,
        mut meaning: Meaning,
    ) -> Result<(), GraphError> {
        let mut work = Work {
            ports,
            batch,
            source,
            record: id,
            entities: Vec::new(),
            relations: Vec::new(),
        };
        if let Some(edge) = meaning.edge.take() {
            return work.edge(tx, edge).await;
        }
        for entity in std::mem::take(&mut meaning.entities) {
            let entity = work.own_again(tx, entity).await?;
            work.entities.extend(entity);
        }
        let mut later: Vec<(usize, &str, Far)> = Vec::new();
        later.extend(
            meaning
                .relations
                .into_iter()
                .map(|(from, predicate, to)| (from, predicate, Far::At(to))),
        );
        if let Some(thread) = meaning.thread {
            let (at, moved) = work.conversation(tx, thread).await?;
            later.push((0, "part-of", Far::At(at)));
            later.extend(moved.into_iter().map(|mail| (at, "part-of", Far::From(mail))));
        }
        if let Some(place) = meaning.place.and_then(|place| self.place(&place)) {
            later.push((0, "location", Far::Is(place)));
        }
        self.people(&mut work, tx, meaning.people).await?;
        let ids = work.write(tx).await?;
        let id = |at: usize| ids.get(at).copied();
        work.relations = later
            .into_iter()
            .filter_map(|(at, predicate, far)| {
                let (from, to) = match far {
                    Far::At(to) => (id(at)?, id(to)?),
                    Far::Is(to) => (id(at)?, to),
                    Far::From(from) => (from, id(at)?),
                };
                Some(RelationChange {
                    from,
                    predicate: predicate.to_owned(),
                    to,
                })
            })
            .filter(|relation| relation.from != relation.to)
            .collect();
        if !work.relations.is_empty() {
            work.write(tx).await?;
        }
        Ok(())
    }

    fn place(&self, name: &str) -> Option<EntityId> {
        let name = spelling(name);
        self.places
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, id)| *id)
    }

    /// Makes people of mailboxes that nobody bears, and names those that have none.
    async fn people(
        &mut self,
        work: &mut Work<'_>,
        tx: &mut ScopedTx,
        people: Vec<Somebody>,
    ) -> Result<(), GraphError> {
        for somebody in people {
            if self.known.contains(&somebody.email) {
                continue;
            }
            let email = Identifier::new("email", &somebody.email);
            let found = work.batch.entity_by_identifier(tx, "Person", &email).await?;
            let is_named = |one: &Entity| one.title.as_deref().is_some_and(|title| !title.contains('@'));
            let is_complete = found
                .as_ref()
                .is_some_and(|one| is_named(one) || somebody.name.is_none());
            if found.as_ref().is_some_and(is_named) || (found.is_none() && somebody.name.is_some()) {
                if self.known.len() >= KNOWN_MAX {
                    self.known.clear();
                }
                self.known.insert(somebody.email.clone());
            }
            if !is_complete {
                work.entities.push(person(email, somebody.name));
            }
        }
        Ok(())
    }
}

/// The far end of a relation that is written once the entities are.
enum Far {
    /// This one of the change.
    At(usize),
    /// An entity of the graph.
    Is(EntityId),
    /// An entity of the graph, which is the near end.
    From(EntityId),
}

fn person(email: Identifier, name: Option<String>) -> EntityChange {
    let mut props = Map::new();
    if let Some(name) = &name {
        props.insert("name".to_owned(), Value::from(name.as_str()));
    }
    EntityChange {
        target: Target::Identified,
        kind: "Person".to_owned(),
        title: name.or_else(|| Some(email.value.clone())),
        props,
        identifiers: vec![email],
        starts_at: None,
    }
}

/// The changes of one record.
struct Work<'a> {
    ports: &'a Ports,
    batch: &'a mut dyn IntakeBatch,
    source: &'a str,
    record: RawRecordId,
    entities: Vec<EntityChange>,
    relations: Vec<RelationChange>,
}

impl Work<'_> {
    /// Writes what was collected; gives the entities' ids in their order.
    async fn write(&mut self, tx: &mut ScopedTx) -> Result<Vec<EntityId>, GraphError> {
        let change = Change {
            by: AssertedBy::Connector,
            source: self.source.to_owned(),
            raw: None,
            entities: std::mem::take(&mut self.entities),
            relations: std::mem::take(&mut self.relations),
        };
        let applied = self.batch.understand(tx, self.record, change).await?;
        Ok(applied.entities.into_iter().map(|entity| entity.id).collect())
    }

    /// An exported entity that comes back to where it was exported is the one it was; if nothing differs, there is nothing
    /// to say.
    async fn own_again(
        &mut self,
        tx: &mut ScopedTx,
        mut entity: EntityChange,
    ) -> Result<Option<EntityChange>, GraphError> {
        let exported = entity
            .identifiers
            .iter()
            .find(|one| one.scheme == map::EXPORTED_ID);
        let Some(id) = exported.and_then(|one| one.value.parse::<EntityId>().ok()) else {
            return Ok(Some(entity));
        };
        let Some(here) = self.batch.entity(tx, id).await? else {
            return Ok(Some(entity));
        };
        if here.kind != entity.kind {
            return Ok(Some(entity));
        }
        if here.title == entity.title && here.props == entity.props && here.starts_at == entity.starts_at {
            return Ok(None);
        }
        entity.identifiers.retain(|one| one.scheme != map::EXPORTED_ID);
        entity.target = Target::Existing(id);
        Ok(Some(entity))
    }

    async fn edge(&mut self, tx: &mut ScopedTx, edge: Edge) -> Result<(), GraphError> {
        let (from, to) = (self.end(tx, &edge.from).await?, self.end(tx, &edge.to).await?);
        // Merged into one meanwhile, there is no relation left to tell.
        if from != to {
            self.relations.push(RelationChange {
                from,
                predicate: edge.predicate,
                to,
            });
        }
        self.write(tx).await.map(drop)
    }

    async fn end(&mut self, tx: &mut ScopedTx, end: &End) -> Result<EntityId, GraphError> {
        if let Some(here) = self.batch.entity(tx, EntityId(end.id)).await? {
            return Ok(here.id);
        }
        let exported = Identifier::new(map::EXPORTED_ID, end.id.to_string());
        let found = self.batch.entity_by_identifier(tx, &end.kind, &exported).await?;
        let found =
            found.ok_or_else(|| GraphError::Invalid("an end of the relation isn't here".to_owned()))?;
        Ok(found.id)
    }

    /// Finds or makes the conversation of a thread. Where a late parent shows that two are one, the younger is given up:
    /// its mails, which are returned, belong to the elder then.
    async fn conversation(
        &mut self,
        tx: &mut ScopedTx,
        thread: Thread,
    ) -> Result<(usize, Vec<EntityId>), GraphError> {
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
        let mut moved = Vec::new();
        for younger in found {
            self.batch.write(tx).await?;
            moved.extend(
                self.ports
                    .graph_export()
                    .related_to(tx, younger.id, "part-of")
                    .await?,
            );
            let known = self.ports.graph_read().identifiers(tx, younger.id).await?;
            let own = known.into_iter().filter(|one| one.scheme == THREAD);
            if let Some(identifier) = own.clone().next() {
                let withdrawal = Withdrawal {
                    by: AssertedBy::Connector,
                    source: self.source.to_owned(),
                    kind: CONVERSATION.to_owned(),
                    identifier,
                };
                self.ports.record_intake().withdraw(tx, withdrawal).await?;
            }
            identifiers.extend(own.take(40));
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
        Ok((self.entities.len() - 1, moved))
    }
}

/// A name as it is compared.
fn spelling(name: &str) -> String {
    name.trim().to_lowercase()
}

fn country(tel: &str) -> Option<String> {
    let number = phonenumber::parse(None, tel).ok()?;
    Some(number.country().id()?.as_ref().to_owned())
}

/// True if the database may answer another time.
pub(crate) fn is_transient(error: &GraphError) -> bool {
    matches!(error, GraphError::Access(error) if error.is_transient() || matches!(error, AccessError::Erased))
}
