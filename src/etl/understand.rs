//! A meaning reaches the graph: through its ports, in the caller's transaction.
//!
//! Invariant: doing it again adds nothing. Mails of one thread meet in one conversation in whatever order they come; a
//! mailbox becomes a person only where nobody bears it, and gives a name only where none is known.
//! Begin with [`Understanding::record`].

mod group;
mod mails;
mod work;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use contracts::{EntityId, RawRecordId};
use serde_json::{Map, Value};
use spine::ports::{
    Entity, EntityChange, GraphError, Identifier, IntakeBatch, Ports, RawRecord, RelationChange, Target,
};
use spine::{AccessError, ScopedTx};

use crate::map::{self, Hints, Meaning, Somebody};
use crate::places::Places;
use mails::{CONVERSATION, THREAD};
use work::{Work, own_id};

/// Where something happens.
const LOCATION: &str = "location";
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
    /// Ids of cards of people that came, of which groups may have known before.
    arrived: BTreeSet<String>,
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
            arrived: BTreeSet::new(),
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
        let mut work = Work::new(ports, batch, source, id);
        if let Some(edge) = meaning.edge.take() {
            return work.edge(tx, edge).await;
        }
        if let Some(letter) = &meaning.letter {
            work.letter(tx, &mut meaning.entities, letter).await?;
        }
        for entity in std::mem::take(&mut meaning.entities) {
            match work.own_again(tx, entity).await? {
                Some(entity) => work.entities.push(entity),
                // An exported thing that is as it was: it says what it said.
                None => work.unread.push(LOCATION),
            }
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
        let mut lost = None;
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
            match self.places.insert(places).of(thing, named) {
                Some(place) => later.push((at, LOCATION, Far::Is(place))),
                None if at == 0 => lost = Some(thing.clone()),
                None => {}
            }
        }
        if let Some(thing) = lost
            && work.is_where_it_was(tx, &thing).await?
        {
            // The hub's places changed, not what the record says.
            work.unread.push(LOCATION);
        }
        self.people(&mut work, tx, meaning.people).await?;
        if let Some(one) = work.entities.first()
            && !meaning.told_apart.is_empty()
            && let Some((at, _)) = own_id(&one.identifiers)
        {
            work.batch
                .tell_apart(one.identifiers[at].clone(), meaning.told_apart);
        }
        self.expect_groups(&work.entities);
        let written = work.write(tx).await?;
        let shown = |at: usize| written.entities.get(at).map(|one| one.id);
        // What the record says stays with what it is about, though that was merged.
        let own = |at: usize| written.written_to.get(at).copied();
        if let Some(first) = shown(0).zip(own(0)) {
            work.enclosures(tx, first, meaning.enclosures).await?;
            work.members(tx, first.1, &meaning.members).await?;
        }
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
        work.relate(tx).await
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
}
