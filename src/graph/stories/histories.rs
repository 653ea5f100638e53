//! Random histories of imports, edits, merges, unmerges, deletions and imports again, beside a model that is simple
//! enough to be seen to be right. What differs is shrunk to the shortest history that shows it.

use std::collections::{BTreeMap, BTreeSet};

use contracts::EntityId;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::identity::compatible_names;

const CARDS: usize = 4;
const NAMES: [&str; 4] = ["Sam Miller", "Sam", "Ann Smith", "Miller, S."];
const MAILS: [&str; 3] = ["a@example.org", "b@example.org", "c@example.org"];
const PROPS: [&str; 3] = ["name", "note", "nickname"];

#[derive(Debug, Clone)]
enum Step {
    /// An address book's sync brings a revision of a card, perhaps one that it had brought before.
    Import {
        card: usize,
        name: usize,
        mails: Vec<usize>,
        note: Option<u8>,
        /// The revision is all that the book says of it.
        whole: bool,
    },
    /// The owner writes a property, or takes her word about it back.
    Edit {
        card: usize,
        prop: usize,
        value: Option<u8>,
    },
    Merge(usize, usize),
    Unmerge(usize),
    TellApart(usize, usize),
    Delete(usize),
    Restore(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let card = 0..CARDS;
    prop_oneof![
        6 => (card.clone(), 0..NAMES.len(), proptest::collection::vec(0..MAILS.len(), 0..3), proptest::option::of(0..3u8), any::<bool>())
            .prop_map(|(card, name, mails, note, whole)| Step::Import { card, name, mails, note, whole }),
        3 => (card.clone(), 0..PROPS.len(), proptest::option::of(0..3u8))
            .prop_map(|(card, prop, value)| Step::Edit { card, prop, value }),
        2 => (card.clone(), card.clone()).prop_map(|(a, b)| Step::Merge(a, b)),
        2 => card.clone().prop_map(Step::Unmerge),
        1 => (card.clone(), card.clone()).prop_map(|(a, b)| Step::TellApart(a, b)),
        1 => card.clone().prop_map(Step::Delete),
        1 => card.prop_map(Step::Restore),
    ]
}

/// Of each card that came: what it is part of now, with what that shows; `None`: deleted.
type Dump = BTreeMap<usize, Option<(usize, BTreeMap<String, String>)>>;

/// What one source says, and when it last said something new.
#[derive(Debug, Clone, Default)]
struct Word {
    props: BTreeMap<&'static str, String>,
    at: usize,
}

#[derive(Debug, Clone, Default)]
struct Card {
    born: usize,
    book: Word,
    owner: Word,
    mails: BTreeSet<usize>,
    into: Option<usize>,
    deleted: bool,
}

/// Everything that the graph should know, kept the plain way.
#[derive(Debug, Default)]
struct Model {
    now: usize,
    cards: BTreeMap<usize, Card>,
    seen: BTreeSet<String>,
    /// Of a pair: merged, distinct or suggested.
    decided: BTreeMap<(usize, usize), &'static str>,
}

impl Model {
    fn root(&self, card: usize) -> usize {
        self.cards[&card].into.map_or(card, |into| self.root(into))
    }

    fn members(&self, root: usize) -> Vec<usize> {
        self.cards
            .keys()
            .copied()
            .filter(|card| self.root(*card) == root)
            .collect()
    }

    fn below(&self, top: usize) -> Vec<usize> {
        let mut found = vec![top];
        for (card, kept) in &self.cards {
            if kept.into == Some(top) {
                found.extend(self.below(*card));
            }
        }
        found
    }

    fn living(&self, card: usize) -> Option<usize> {
        self.cards.get(&card)?;
        Some(self.root(card)).filter(|root| !self.cards[root].deleted)
    }

    /// What a root shows: the owner's word over the book's, its own over that of those merged into it, the later over
    /// the earlier.
    fn shown(&self, root: usize) -> BTreeMap<&'static str, String> {
        let mut words: Vec<(bool, bool, usize, &Word)> = Vec::new();
        for card in self.members(root) {
            let kept = &self.cards[&card];
            words.push((true, card == root, kept.owner.at, &kept.owner));
            words.push((false, card == root, kept.book.at, &kept.book));
        }
        words.sort_by_key(|(owner, own, at, _)| (*owner, *own, *at));
        let mut shown = BTreeMap::new();
        for (.., word) in words {
            shown.extend(word.props.clone());
        }
        shown
    }

    fn pair(one: usize, other: usize) -> (usize, usize) {
        (one.min(other), one.max(other))
    }

    fn turn(&mut self, one: &[usize], other: &[usize], from: &str, to: &'static str) {
        for a in one {
            for b in other {
                if let Some(standing) = self.decided.get_mut(&Self::pair(*a, *b))
                    && *standing == from
                {
                    *standing = to;
                }
            }
        }
    }

    fn merge(&mut self, survivor: usize, absorbed: usize) {
        if let Some(card) = self.cards.get_mut(&absorbed) {
            card.into = Some(survivor);
        }
        self.decided.insert(Self::pair(survivor, absorbed), "merged");
    }

    /// What each of those that a root stands for is called by itself.
    fn names(&self, root: usize) -> Vec<String> {
        let called = |card: usize| {
            let Card { book, owner, .. } = &self.cards[&card];
            owner
                .props
                .get("name")
                .or_else(|| book.props.get("name"))
                .cloned()
        };
        self.members(root).into_iter().filter_map(called).collect()
    }

    /// Whether everybody of the one side may be everybody of the other.
    fn agree(&self, one: usize, other: usize) -> bool {
        let theirs = self.names(other);
        let fits = |name: &String| {
            theirs
                .iter()
                .all(|other| compatible_names(Some(name), Some(other)))
        };
        self.names(one).iter().all(fits)
    }

    fn apart(&self, one: usize, other: usize) -> bool {
        let two = self.members(other);
        self.members(one).iter().any(|a| {
            two.iter()
                .any(|b| self.decided.get(&Self::pair(*a, *b)) == Some(&"distinct"))
        })
    }

    /// The address book's word, and who is found to be the same by it.
    fn import(&mut self, card: usize, name: usize, mails: &[usize], note: Option<u8>, whole: bool) {
        if !self.seen.insert(revision(card, name, mails, note, whole)) {
            return;
        }
        let now = self.now;
        let kept = self.cards.entry(card).or_insert_with(|| Card {
            born: now,
            ..Card::default()
        });
        if whole {
            kept.mails.clear();
        }
        let mut said = if whole {
            BTreeMap::new()
        } else {
            kept.book.props.clone()
        };
        said.insert("name", NAMES[name].to_owned());
        if let Some(note) = note {
            said.insert("note", note.to_string());
        }
        if said != kept.book.props {
            kept.book = Word { props: said, at: now };
        }
        kept.mails.extend(mails);
        self.join(card, mails);
    }

    fn join(&mut self, card: usize, mails: &[usize]) {
        // Who bears them is asked once, before anybody is merged.
        let mut bearers: Vec<(usize, bool, usize, usize, usize)> = Vec::new();
        for (bearer, kept) in &self.cards {
            for mail in &kept.mails {
                if let Some(nth) = mails.iter().position(|named| named == mail) {
                    let root = self.root(*bearer);
                    bearers.push((nth, self.cards[&root].deleted, kept.born, *bearer, root));
                }
            }
        }
        bearers.sort_unstable();
        let mine = self.root(card);
        if self.cards[&mine].deleted {
            return;
        }
        let mut met = BTreeSet::from([mine]);
        let mut fits = Vec::new();
        for (_, deleted, _, _, other) in bearers {
            if deleted || !met.insert(other) || self.apart(mine, other) {
                continue;
            }
            if self.agree(mine, other) {
                fits.push(other);
            } else {
                self.decided.entry(Self::pair(mine, other)).or_insert("suggested");
            }
        }
        // Whoever can't be one with another whom the name fits is only asked about.
        let is_meant = |one: &usize| {
            let others = fits.iter().filter(|other| *other != one);
            others
                .into_iter()
                .all(|other| self.agree(*one, *other) && !self.apart(*one, *other))
        };
        let meant: Vec<bool> = fits.iter().map(is_meant).collect();
        let mut root = mine;
        for (other, is_meant) in fits.into_iter().zip(meant) {
            if !is_meant {
                self.decided.entry(Self::pair(root, other)).or_insert("suggested");
                continue;
            }
            let age = |root: usize| self.cards[&root].born;
            let (elder, younger) = if age(other) < age(root) {
                (other, root)
            } else {
                (root, other)
            };
            self.merge(elder, younger);
            root = elder;
        }
    }

    fn edit(&mut self, card: usize, prop: usize, value: Option<u8>) {
        let Some(root) = self.living(card) else { return };
        let now = self.now;
        let Some(kept) = self.cards.get_mut(&root) else {
            return;
        };
        let mut said = kept.owner.props.clone();
        match value {
            Some(value) => drop(said.insert(PROPS[prop], value.to_string())),
            None => drop(said.remove(PROPS[prop])),
        }
        if said != kept.owner.props {
            kept.owner = Word { props: said, at: now };
        }
    }

    fn unmerge(&mut self, card: usize) {
        let Some(root) = self.living(card) else { return };
        if self.cards[&card].into.is_none() {
            return;
        }
        if let Some(kept) = self.cards.get_mut(&card) {
            kept.into = None;
        }
        let (one, other) = (self.members(root), self.below(card));
        self.turn(&one, &other, "merged", "distinct");
        self.decided.insert(Self::pair(root, card), "distinct");
    }

    fn play(&mut self, step: &Step) {
        self.now += 1;
        match step {
            Step::Import {
                card,
                name,
                mails,
                note,
                whole,
            } => self.import(*card, *name, mails, *note, *whole),
            Step::Edit { card, prop, value } => self.edit(*card, *prop, *value),
            Step::Merge(survivor, absorbed) => {
                let ends = (self.living(*survivor), self.living(*absorbed));
                if let (Some(survivor), Some(absorbed)) = ends
                    && survivor != absorbed
                {
                    let (one, other) = (self.members(survivor), self.members(absorbed));
                    self.merge(survivor, absorbed);
                    self.turn(&one, &other, "distinct", "merged");
                    self.turn(&one, &other, "suggested", "merged");
                }
            }
            Step::Unmerge(card) => self.unmerge(*card),
            Step::TellApart(one, other) => {
                let ends = (self.living(*one), self.living(*other));
                if let (Some(one), Some(other)) = ends
                    && one != other
                {
                    self.decided.insert(Self::pair(one, other), "distinct");
                }
            }
            Step::Delete(card) | Step::Restore(card) if self.cards.contains_key(card) => {
                let root = self.root(*card);
                if let Some(kept) = self.cards.get_mut(&root) {
                    kept.deleted = matches!(step, Step::Delete(_));
                }
            }
            Step::Delete(_) | Step::Restore(_) => {}
        }
    }

    /// The whole account, written the one way.
    fn dump(&self) -> Dump {
        let one = |card: &usize| {
            let root = self.living(*card)?;
            let shown = self.shown(root);
            Some((
                root,
                shown
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect(),
            ))
        };
        self.cards.keys().map(|card| (*card, one(card))).collect()
    }
}

fn revision(card: usize, name: usize, mails: &[usize], note: Option<u8>, whole: bool) -> String {
    format!("{card} {name} {mails:?} {note:?} {whole}")
}

/// The same history at the graph.
struct Real<'a> {
    hub: &'a TestHub,
    graph: std::sync::Arc<crate::Graph>,
    alice: Scope,
    ids: BTreeMap<usize, EntityId>,
}

impl Real<'_> {
    async fn import(&mut self, card: usize, name: usize, mails: &[usize], note: Option<u8>, whole: bool) {
        let mut said = json!({ "name": NAMES[name] });
        if let Some(note) = note {
            said["note"] = note.to_string().into();
        }
        let mut entity = identified("Person", "vcard.uid", &card.to_string(), said);
        if whole {
            entity.target = Target::Record;
        }
        entity
            .identifiers
            .extend(mails.iter().map(|mail| Identifier::new("email", MAILS[*mail])));
        let mut change = change(AssertedBy::Connector, "dav/1", vec![entity]);
        change.raw = Some(record(
            "cards",
            &card.to_string(),
            &revision(card, name, mails, note, whole),
        ));
        apply(self.hub, &self.alice, change).await.unwrap();
        if !self.ids.contains_key(&card) {
            let mut tx = self.hub.begin(&self.alice).await;
            let id = sqlx::query_scalar(
                "SELECT b.entity FROM graph.entity_identifier b JOIN graph.identifier i ON i.account = b.account \
                 AND i.id = b.identifier WHERE i.scheme = 'vcard.uid' AND i.value = $1",
            )
            .bind(card.to_string())
            .fetch_one(tx.conn())
            .await
            .unwrap();
            self.ids.insert(card, EntityId(id));
        }
    }

    async fn play(&mut self, step: &Step) {
        if let Step::Import {
            card,
            name,
            mails,
            note,
            whole,
        } = step
        {
            return self.import(*card, *name, mails, *note, *whole).await;
        }
        // What is asked of a card that never came is asked of nothing.
        let id = |card: &usize| self.ids.get(card).copied().unwrap_or(EntityId(uuid::Uuid::nil()));
        let mut tx = self.hub.begin(&self.alice).await;
        let outcome = match step {
            Step::Import { .. } => Ok(()),
            Step::Edit { card, prop, value } => {
                let value = value.map_or(Value::Null, |value| value.to_string().into());
                let edit = entity(
                    "Person",
                    Target::Existing(id(card)),
                    json!({ PROPS[*prop]: value }),
                );
                let change = change(AssertedBy::User, "user", vec![edit]);
                self.hub
                    .context
                    .ports
                    .graph_write()
                    .apply(&mut tx, change)
                    .await
                    .map(drop)
            }
            Step::Merge(survivor, absorbed) => self
                .graph
                .merge(&mut tx, id(survivor), id(absorbed))
                .await
                .map(drop),
            Step::Unmerge(card) => self.graph.unmerge(&mut tx, id(card)).await.map(drop),
            Step::TellApart(one, other) => self.graph.tell_apart(&mut tx, id(one), id(other)).await,
            Step::Delete(card) => self.graph.delete(&mut tx, id(card)).await,
            Step::Restore(card) => self.graph.restore(&mut tx, id(card)).await.map(drop),
        };
        match outcome {
            Ok(()) | Err(GraphError::Invalid(_) | GraphError::NotFound(_)) => tx.commit().await.unwrap(),
            Err(away) => panic!("{away:?}"),
        }
    }

    async fn dump(&self) -> Dump {
        let cards: BTreeMap<EntityId, usize> = self.ids.iter().map(|(card, id)| (*id, *card)).collect();
        let mut tx = self.hub.begin(&self.alice).await;
        let mut dump = BTreeMap::new();
        for (card, id) in &self.ids {
            let found = self
                .hub
                .context
                .ports
                .graph_read()
                .entity(&mut tx, *id)
                .await
                .unwrap();
            let shown = found.map(|entity| {
                let text = |value: Value| value.as_str().unwrap().to_owned();
                let props = entity.props.into_iter().map(|(name, value)| (name, text(value)));
                (cards[&entity.id], props.collect())
            });
            dump.insert(*card, shown);
        }
        dump
    }
}

#[test]
fn random_histories_end_where_a_simple_model_says() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Without its consumer: suggestions would come whenever it gets to them.
    let hub = runtime.block_on(spine::testing::hub(|context| {
        let mut service = crate::service(context);
        service.consumers.clear();
        vec![service]
    }));
    let mut runner = TestRunner::new(Config {
        cases: 48,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    });
    let histories = proptest::collection::vec(step(), 1..24);
    runner
        .run(&histories, |history| {
            let mut model = Model::default();
            let mut real = Real {
                hub: &hub,
                graph: graph(&hub),
                alice: hub.somebody(),
                ids: BTreeMap::new(),
            };
            runtime.block_on(async {
                for (nth, step) in history.iter().enumerate() {
                    model.play(step);
                    real.play(step).await;
                    prop_assert_eq!(model.dump(), real.dump().await, "after step {} {:?}", nth, step);
                }
                // Everything that ever came, once more: nothing changes, and nothing is told.
                let before = told(&hub, &real.alice).await.len();
                for step in history.iter().filter(|step| matches!(step, Step::Import { .. })) {
                    real.play(step).await;
                }
                prop_assert_eq!(model.dump(), real.dump().await, "after all imports again");
                prop_assert_eq!(before, told(&hub, &real.alice).await.len());
                Ok(())
            })
        })
        .unwrap();
}
