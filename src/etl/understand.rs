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
    Applied, AssertedBy, Change, Entity, EntityChange, GraphError, Identifier, IntakeBatch, KeepMedia,
    MediaError, Ports, RawRecord, RelationChange, Target,
};
use spine::{AccessError, ScopedTx};

use crate::map::{self, Edge, Enclosure, End, Hints, Meaning, Somebody, Thread};
use crate::places::Places;

/// The scheme by which a conversation is known: all message ids of its mails.
const THREAD: &str = "mail.thread";
const CONVERSATION: &str = "Conversation";
/// Mailboxes that are remembered as somebody's.
const KNOWN_MAX: usize = 20_000;

/// What is known while records are understood one after the other.
#[derive(Debug)]
pub(crate) struct Understanding {
    pub(crate) hints: Hints,
    /// Read once something happens somewhere.
    places: Option<Places>,
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
        let (mut hints, mut countries) = (Hints::default(), Vec::new());
        let me = Identifier::new("allod", "me");
        if let Some(me) = read.entity_by_identifier(tx, "Person", &me).await? {
            let own = me.props.get("time_zone").and_then(Value::as_str);
            zone = own.and_then(|own| own.parse().ok()).unwrap_or(zone);
            for identifier in read.identifiers(tx, me.id).await? {
                match identifier.scheme.as_str() {
                    "email" => hints.mailboxes.push(identifier.value),
                    "tel" => countries.extend(country(&identifier.value)),
                    _ => {}
                }
            }
        }
        hints.country = home(map::zone_country(zone.name()), countries);
        hints.zone = Some(zone);
        Ok(Self {
            hints,
            places: None,
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
                // What was exported may have come back to where it was, and bear no such id.
                let is_own =
                    |one: &Identifier| map::is_owner(one) || own_id(std::slice::from_ref(one)).is_some();
                let others = entity.identifiers.iter().filter(|one| !is_own(one));
                expected.extend(others.map(|one| (entity.kind.clone(), one.clone())));
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
            let at = work.conversation(tx, thread).await?;
            later.push((0, "part-of", Far::At(at)));
        }
        for (at, thing) in work.entities.iter().enumerate() {
            let named = meaning.place.as_deref().filter(|_| at == 0);
            if !Places::may_know(thing, named) {
                continue;
            }
            let places = match self.places.take() {
                Some(places) => places,
                None => {
                    work.batch.write(tx).await?;
                    Places::read(ports, tx).await?
                }
            };
            let place = self.places.insert(places).of(thing, named);
            later.extend(place.map(|place| (at, "location", Far::Is(place))));
        }
        self.people(&mut work, tx, meaning.people).await?;
        if let Some(one) = work.entities.first()
            && !meaning.told_apart.is_empty()
            && let Some((at, _)) = own_id(&one.identifiers)
        {
            work.batch
                .tell_apart(one.identifiers[at].clone(), meaning.told_apart);
        }
        let written = work.write(tx).await?;
        let shown = |at: usize| written.entities.get(at).map(|one| one.id);
        // What the record says stays with what it is about, though that was merged.
        let own = |at: usize| written.written_to.get(at).copied();
        let all_kept = match shown(0).zip(own(0)) {
            Some(first) => work.enclosures(tx, first, meaning.enclosures).await?,
            None => true,
        };
        for (at, predicate, far) in later {
            let (ends, roots) = match far {
                Far::At(to) => ((own(at), own(to)), (shown(at), shown(to))),
                Far::Is(to) => ((own(at), Some(to)), (shown(at), Some(to))),
            };
            let (Some(from), Some(to)) = ends else { continue };
            if roots.0 != roots.1 {
                let predicate = predicate.to_owned();
                work.relations.push(RelationChange { from, predicate, to });
            }
        }
        work.relate(tx, all_kept).await
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
}

fn person(email: Identifier, name: Option<String>) -> EntityChange {
    let mut props = Map::new();
    if let Some(name) = &name {
        props.insert("name".to_owned(), Value::from(name.as_str()));
    }
    EntityChange {
        target: Target::Identified,
        kind: "Person".to_owned(),
        title: name,
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
    /// Writes what was collected.
    async fn write(&mut self, tx: &mut ScopedTx) -> Result<Applied, GraphError> {
        let change = self.collected();
        self.batch.understand(tx, self.record, change).await
    }

    /// Writes the relations that were collected; if they are all, in the place of those that the record stated before.
    async fn relate(&mut self, tx: &mut ScopedTx, are_all: bool) -> Result<(), GraphError> {
        let change = self.collected();
        if are_all {
            self.batch.relate(tx, self.record, change).await?;
        } else if !change.relations.is_empty() {
            self.batch.understand(tx, self.record, change).await?;
        }
        Ok(())
    }

    fn collected(&mut self) -> Change {
        Change {
            by: AssertedBy::Connector,
            source: self.source.to_owned(),
            raw: None,
            entities: std::mem::take(&mut self.entities),
            relations: std::mem::take(&mut self.relations),
        }
    }

    /// Keeps what came with the first thing, which `own` is, and `holder` shows. What isn't taken is still told of by the
    /// thing itself, and by the record. False: something wasn't taken.
    async fn enclosures(
        &mut self,
        tx: &mut ScopedTx,
        (holder, own): (EntityId, EntityId),
        enclosures: Vec<Enclosure>,
    ) -> Result<bool, GraphError> {
        let mut all_kept = true;
        if !enclosures.is_empty() {
            self.batch.write(tx).await?;
        }
        for enclosure in enclosures {
            let media = KeepMedia {
                bytes: enclosure.bytes,
                filename: enclosure.filename,
                declared_type: enclosure.declared_type,
                holder,
            };
            match self.ports.media_store().keep(tx, media).await {
                Ok(kept) => self.relations.push(RelationChange {
                    from: own,
                    predicate: enclosure.predicate.to_owned(),
                    to: kept.media,
                }),
                Err(MediaError::Access(error)) => return Err(error.into()),
                Err(MediaError::Refused(reason)) => {
                    all_kept = false;
                    tracing::info!(record = %self.record, reason, "an enclosure is not kept by itself");
                }
            }
        }
        Ok(all_kept)
    }

    /// An exported entity that comes back to where it was exported is the one it was; if nothing differs, there is nothing
    /// to say.
    async fn own_again(
        &mut self,
        tx: &mut ScopedTx,
        mut entity: EntityChange,
    ) -> Result<Option<EntityChange>, GraphError> {
        let is_owners = entity.identifiers.iter().any(map::is_owner);
        entity.identifiers.retain(|one| !map::is_owner(one));
        let Some((at, id)) = own_id(&entity.identifiers) else {
            return Ok(Some(entity));
        };
        let Some(here) = self.batch.entity(tx, id).await? else {
            if is_owners && let Some(me) = self.owner_without_data(tx).await? {
                entity.target = Target::Existing(me);
            }
            return Ok(Some(entity));
        };
        if here.kind != entity.kind {
            return Ok(Some(entity));
        }
        let is_whole = entity.identifiers.remove(at).scheme == map::EXPORTED_ID;
        if is_whole
            && here.title == entity.title
            && here.props == entity.props
            && here.starts_at == entity.starts_at
        {
            return Ok(None);
        }
        if here.props.contains_key("recurrence_start") {
            // A calendar counts from the occurrence that it was given; here the count goes on.
            entity.props.remove("recurrence");
        }
        entity.target = Target::Existing(id);
        Ok(Some(entity))
    }

    /// The owner's Person while nothing is known of her: then an export that comes into the account is taken for her own.
    /// Later its owner is somebody like everybody else, who is recognised by addresses: it may be her partner's.
    async fn owner_without_data(&mut self, tx: &mut ScopedTx) -> Result<Option<EntityId>, GraphError> {
        self.batch.write(tx).await?;
        let read = self.ports.graph_read();
        let me = Identifier::new("allod", "me");
        let Some(me) = read.entity_by_identifier(tx, "Person", &me).await? else {
            return Ok(None);
        };
        let known = read.identifiers(tx, me.id).await?;
        Ok(known.iter().all(map::is_owner).then_some(me.id))
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
        match self.write(tx).await?.rings.first() {
            None => Ok(()),
            Some(ring) => Err(GraphError::Invalid(format!(
                "the relation would close a ring of `{}`: take one of the others away first",
                ring.predicate
            ))),
        }
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

    /// Finds or makes the conversation of a thread. Where a late parent shows that several are one, they are merged into
    /// the eldest.
    async fn conversation(&mut self, tx: &mut ScopedTx, thread: Thread) -> Result<usize, GraphError> {
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

/// The id that we gave an entity when we exported it, and which of its identifiers says so. Cards and calendars have it
/// as their UID.
fn own_id(identifiers: &[Identifier]) -> Option<(usize, EntityId)> {
    let read = |one: &Identifier| match one.scheme.as_str() {
        map::EXPORTED_ID => one.value.parse().ok(),
        "vcard.uid" | "ical.uid" => one.value.strip_prefix("urn:uuid:")?.parse().ok(),
        _ => None,
    };
    identifiers
        .iter()
        .enumerate()
        .find_map(|(at, one)| Some((at, read(one)?)))
}

/// In which country the owner is at home: of those of her own numbers the one that she lives in, else the first.
fn home(lives_in: Option<&str>, countries: Vec<String>) -> Option<String> {
    let lives_in = lives_in.map(ToOwned::to_owned);
    let is_there = |home: &String| countries.is_empty() || countries.contains(home);
    lives_in.filter(is_there).or_else(|| countries.into_iter().next())
}

fn country(tel: &str) -> Option<String> {
    let number = phonenumber::parse(None, tel).ok()?;
    Some(number.country().id()?.as_ref().to_owned())
}

/// True if the database may answer another time.
pub(crate) fn is_transient(error: &GraphError) -> bool {
    matches!(error, GraphError::Access(error) if error.is_transient() || matches!(error, AccessError::Erased))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_is_at_home_where_she_lives_if_she_has_a_number_there() {
        let at_home = |lives_in, numbers: &[&str]| {
            let numbers = numbers.iter().filter_map(|tel| country(tel)).collect();
            home(lives_in, numbers)
        };
        let both = ["+14155552671", "+4930901820"];
        assert_eq!(at_home(Some("DE"), &both).as_deref(), Some("DE"));
        assert_eq!(at_home(Some("FR"), &both).as_deref(), Some("US"));
        assert_eq!(at_home(None, &both).as_deref(), Some("US"));
        assert_eq!(at_home(Some("FR"), &[]).as_deref(), Some("FR"));
    }

    #[test]
    fn our_own_id_is_known_in_each_format_and_that_of_an_occurrence_is_none() {
        let id = EntityId::new();
        let known = |scheme: &str, value: String| own_id(&[Identifier::new(scheme, value)]);
        for scheme in ["vcard.uid", "ical.uid"] {
            assert_eq!(known(scheme, format!("urn:uuid:{id}")), Some((0, id)));
            assert_eq!(known(scheme, id.to_string()), None);
        }
        assert_eq!(known(map::EXPORTED_ID, id.to_string()), Some((0, id)));
        assert_eq!(known("ical.uid", format!("urn:uuid:{id}#2026-05-01")), None);
    }
}
