//! What holds of merging and of importing again whatever was there before: compared by a dump of the whole account.
//!
//! Several sources speak: two address books, the owner, a rule, an agent and a peer; and of relations, too.
//! Begin with [`Saying`].

use contracts::EntityId;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::*;

const PEOPLE: usize = 4;
const PROPS: [&str; 2] = ["note", "nickname"];
const PREDICATES: [&str; 2] = ["colleague", "friend"];
/// Who speaks: the first three of things of their own, the others of what they see.
const VOICES: [(AssertedBy, &str); 6] = [
    (AssertedBy::Connector, "dav/1"),
    (AssertedBy::Connector, "dav/2"),
    (AssertedBy::Peer, "peer/1"),
    (AssertedBy::Agent, "agent/1"),
    (AssertedBy::Rule, "rule/1"),
    (AssertedBy::User, "user"),
];
/// When, how often, and what follows from the rest: not what is known. A merge shows in the versions for ever.
const LEFT_OUT: [&str; 10] = [
    "version",
    "created_at",
    "updated_at",
    "recorded_at",
    "recorded_from",
    "recorded_to",
    "removed_at",
    "decided_at",
    "received_at",
    "settled_at",
];

/// What somebody says.
#[derive(Debug, Clone)]
enum Saying {
    /// Something of a person; `None` takes it back.
    Prop {
        voice: usize,
        person: usize,
        prop: usize,
        value: Option<u8>,
    },
    /// What one person is to another.
    Relation {
        voice: usize,
        from: usize,
        predicate: usize,
        to: usize,
    },
    /// That it isn't so any more.
    NoRelation {
        voice: usize,
        from: usize,
        predicate: usize,
        to: usize,
    },
}

fn prop() -> impl Strategy<Value = Saying> {
    let value = proptest::option::weighted(0.8, 0..3u8);
    (0..VOICES.len(), 0..PEOPLE, 0..PROPS.len(), value).prop_map(|(voice, person, prop, value)| {
        Saying::Prop {
            voice,
            person,
            prop,
            value,
        }
    })
}

fn relation() -> impl Strategy<Value = Saying> {
    (0..VOICES.len(), 0..PEOPLE, 0..PREDICATES.len(), 0..PEOPLE).prop_map(|(voice, from, predicate, to)| {
        Saying::Relation {
            voice,
            from,
            predicate,
            to,
        }
    })
}

fn saying() -> impl Strategy<Value = Saying> {
    let taken_back = relation().prop_map(|said| match said {
        Saying::Relation {
            voice,
            from,
            predicate,
            to,
        } => Saying::NoRelation {
            voice,
            from,
            predicate,
            to,
        },
        other => other,
    });
    prop_oneof![4 => prop(), 3 => relation(), 1 => taken_back]
}

/// Somebody's account with a few people, in which things are said.
struct Account<'a> {
    hub: &'a TestHub,
    graph: std::sync::Arc<crate::Graph>,
    scope: Scope,
    people: Vec<EntityId>,
    /// For whom the owner, rules and agents speak of a person: after a merge, of the survivor.
    seen_as: Vec<usize>,
}

impl<'a> Account<'a> {
    async fn new(hub: &'a TestHub) -> Self {
        let mut account = Self {
            hub,
            graph: graph(hub),
            scope: hub.somebody(),
            people: Vec::new(),
            seen_as: (0..PEOPLE).collect(),
        };
        for person in 0..PEOPLE {
            account.people.push(account.import(person).await);
        }
        account
    }

    /// A card of the first address book.
    async fn import(&self, person: usize) -> EntityId {
        let name = format!("Person {person}");
        let card = identified(
            "Person",
            "vcard.uid",
            &person.to_string(),
            json!({ "name": name }),
        );
        let mut change = change(AssertedBy::Connector, "cards/1", vec![card]);
        change.raw = Some(record("cards", &person.to_string(), "1"));
        let applied = apply(self.hub, &self.scope, change).await.unwrap();
        match applied.entities.first() {
            Some(entity) => entity.id,
            None => self.people[person],
        }
    }

    fn id(&self, voice: usize, person: usize) -> EntityId {
        let follows_record = voice < 3;
        self.people[if follows_record {
            person
        } else {
            self.seen_as[person]
        }]
    }

    async fn play(&self, said: &Saying) {
        let mut tx = self.hub.begin(&self.scope).await;
        let write = self.hub.context.ports.graph_write();
        let outcome = match said {
            Saying::Prop {
                voice,
                person,
                prop,
                value,
            } => {
                let value = value.map_or(Value::Null, |value| value.to_string().into());
                let target = Target::Existing(self.id(*voice, *person));
                let entity = entity("Person", target, json!({ PROPS[*prop]: value }));
                let (by, source) = VOICES[*voice];
                write
                    .apply(&mut tx, change(by, source, vec![entity]))
                    .await
                    .map(drop)
            }
            Saying::Relation {
                voice,
                from,
                predicate,
                to,
            } => {
                let (by, source) = VOICES[*voice];
                let mut change = change(by, source, vec![]);
                change.relations.push(self.edge(*voice, *from, *predicate, *to));
                write.apply(&mut tx, change).await.map(drop)
            }
            Saying::NoRelation {
                voice,
                from,
                predicate,
                to,
            } => {
                let (by, source) = VOICES[*voice];
                let edge = self.edge(*voice, *from, *predicate, *to);
                write.unrelate(&mut tx, by, source, &edge).await.map(drop)
            }
        };
        match outcome {
            Ok(()) | Err(GraphError::Invalid(_)) => tx.commit().await.unwrap(),
            Err(away) => panic!("{away:?}"),
        }
    }

    fn edge(&self, voice: usize, from: usize, predicate: usize, to: usize) -> RelationChange {
        RelationChange {
            from: self.id(voice, from),
            predicate: PREDICATES[predicate].to_owned(),
            to: self.id(voice, to),
        }
    }

    async fn merge(&self, survivor: usize, absorbed: usize) {
        let mut tx = self.hub.begin(&self.scope).await;
        let (survivor, absorbed) = (self.people[survivor], self.people[absorbed]);
        self.graph.merge(&mut tx, survivor, absorbed).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn unmerge(&self, absorbed: usize) {
        let mut tx = self.hub.begin(&self.scope).await;
        self.graph.unmerge(&mut tx, self.people[absorbed]).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn tell_apart(&self, one: usize, other: usize) {
        let mut tx = self.hub.begin(&self.scope).await;
        let (one, other) = (self.people[one], self.people[other]);
        self.graph.tell_apart(&mut tx, one, other).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Everything that the graph knows.
    async fn dump(&self, left_out: &[&str]) -> Vec<String> {
        let mut behind = self.hub.database.superuser().await;
        spine::testing::dump(&mut behind, "graph", self.scope.account(), left_out).await
    }
}

/// Runs a story over random sayings before and after something, with two people to merge.
fn hold(story: impl AsyncFn(&TestHub, &[Saying], &[Saying], (usize, usize)) -> Result<(), TestCaseError>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Without its consumer: suggestions would come whenever it gets to them.
    let hub = runtime.block_on(spine::testing::hub(|context| {
        let mut service = crate::service(context);
        service.consumers.clear();
        vec![service]
    }));
    let mut runner = TestRunner::new(Config {
        cases: 32,
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Config::default()
    });
    let sayings = || proptest::collection::vec(saying(), 0..12);
    let pair = (0..PEOPLE, 1..PEOPLE).prop_map(|(one, by)| (one, (one + by) % PEOPLE));
    runner
        .run(&(sayings(), sayings(), pair), |(before, after, pair)| {
            runtime.block_on(story(&hub, &before, &after, pair))
        })
        .unwrap();
}

#[test]
fn a_merge_that_is_taken_back_at_once_leaves_the_account_as_it_was() {
    hold(async |hub, before, _, (survivor, absorbed)| {
        let account = Account::new(hub).await;
        for said in before {
            account.play(said).await;
        }
        account.tell_apart(survivor, absorbed).await; // what taking a merge back remembers
        let dump = account.dump(&["version", "updated_at", "decided_at"]).await;
        account.merge(survivor, absorbed).await;
        prop_assert_ne!(
            &dump,
            &account.dump(&["version", "updated_at", "decided_at"]).await
        );
        account.unmerge(absorbed).await;
        prop_assert_eq!(dump, account.dump(&["version", "updated_at", "decided_at"]).await);
        Ok(())
    });
}

#[test]
fn what_is_imported_or_said_again_leaves_the_account_as_it_is() {
    hold(async |hub, before, after, (survivor, absorbed)| {
        let mut account = Account::new(hub).await;
        for said in before {
            account.play(said).await;
        }
        account.merge(survivor, absorbed).await;
        account.seen_as[absorbed] = survivor;
        // The last word of each voice counts: that one is said again.
        for said in after {
            account.play(said).await;
        }
        let dump = account.dump(&[]).await;
        let told_before = told(hub, &account.scope).await.len();
        for person in 0..PEOPLE {
            account.import(person).await;
        }
        if let Some(last) = after.last() {
            account.play(last).await;
        }
        prop_assert_eq!(dump, account.dump(&[]).await);
        prop_assert_eq!(told_before, told(hub, &account.scope).await.len());
        Ok(())
    });
}

#[test]
fn after_a_merge_edits_and_its_end_each_has_what_its_records_say_and_the_survivor_the_owners_edits() {
    hold(async |hub, before, after, (survivor, absorbed)| {
        let (merged, mut plain) = (Account::new(hub).await, Account::new(hub).await);
        for said in before {
            merged.play(said).await;
            plain.play(said).await;
        }
        merged.merge(survivor, absorbed).await;
        // While they are one, the owner, rules and agents speak of the survivor, whichever of the two they name.
        plain.seen_as[absorbed] = survivor;
        for said in after.iter().filter(|said| stays_apart(said)) {
            merged.play(said).await;
            plain.play(said).await;
        }
        merged.unmerge(absorbed).await;
        plain.tell_apart(survivor, absorbed).await;
        prop_assert_eq!(merged.dump(&LEFT_OUT).await, plain.dump(&LEFT_OUT).await);
        Ok(())
    });
}

/// What is taken away of two that are one is taken away of both; so it is no edit of the survivor alone.
fn stays_apart(said: &Saying) -> bool {
    !matches!(said, Saying::NoRelation { .. })
}
