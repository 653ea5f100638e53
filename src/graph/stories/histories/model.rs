//! What may happen in a history, and a model of the graph that is simple enough to be seen to be right.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use spine::ports::AssertedBy;

use crate::identity::compatible_names;

const CARDS: usize = 4;
pub(super) const NAMES: [&str; 4] = ["Sam Miller", "Sam", "Ann Smith", "Miller, S."];
pub(super) const MAILS: [&str; 3] = ["a@example.org", "b@example.org", "c@example.org"];
pub(super) const PROPS: [&str; 3] = ["name", "note", "nickname"];
/// Who speaks beside the address book that brings the cards, from the lightest word to the heaviest.
pub(super) const VOICES: [(AssertedBy, &str); 5] = [
    (AssertedBy::Peer, "peer/1"),
    (AssertedBy::Agent, "agent/1"),
    (AssertedBy::Rule, "rule/1"),
    (AssertedBy::Connector, "dav/2"),
    (AssertedBy::User, "user"),
];
const FOLLOWS_RECORD: [bool; VOICES.len()] = [true, false, false, true, false];
/// The rank of all address books.
const SECOND_BOOK: usize = 3;
const OWNER: usize = 4;
/// The address book that brings the cards, among those who take back.
const BOOK: usize = VOICES.len();
/// Who takes a thing of their own back: address books and peers.
const TAKE_BACK: [usize; 3] = [BOOK, 0, 3];

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// An address book's sync brings a revision of a card, perhaps one that it had brought before.
    Import {
        card: usize,
        name: usize,
        mails: Vec<usize>,
        note: Option<u8>,
        /// The revision is all that the book says of it.
        whole: bool,
    },
    /// Somebody writes a property, or takes his word about it back.
    Edit {
        voice: usize,
        card: usize,
        prop: usize,
        value: Option<u8>,
    },
    /// Somebody says that one card is something to another.
    Relate {
        voice: usize,
        from: usize,
        to: usize,
    },
    /// Somebody takes that back; the owner, whoever said it.
    Unrelate {
        voice: usize,
        from: usize,
        to: usize,
    },
    /// A source has a card no longer: one of the voices, or the address book that brought it.
    Withdraw {
        source: usize,
        card: usize,
    },
    Merge(usize, usize),
    Unmerge(usize),
    TellApart(usize, usize),
    Delete(usize),
    Restore(usize),
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let card = 0..CARDS;
    prop_oneof![
        6 => (card.clone(), 0..NAMES.len(), proptest::collection::vec(0..MAILS.len(), 0..3), proptest::option::of(0..3u8), any::<bool>())
            .prop_map(|(card, name, mails, note, whole)| Step::Import { card, name, mails, note, whole }),
        4 => (0..VOICES.len(), card.clone(), 0..PROPS.len(), proptest::option::of(0..3u8))
            .prop_map(|(voice, card, prop, value)| Step::Edit { voice, card, prop, value }),
        3 => (0..VOICES.len(), card.clone(), card.clone())
            .prop_map(|(voice, from, to)| Step::Relate { voice, from, to }),
        1 => (0..VOICES.len(), card.clone(), card.clone())
            .prop_map(|(voice, from, to)| Step::Unrelate { voice, from, to }),
        2 => (proptest::sample::select(&TAKE_BACK[..]), card.clone())
            .prop_map(|(source, card)| Step::Withdraw { source, card }),
        2 => (card.clone(), card.clone()).prop_map(|(a, b)| Step::Merge(a, b)),
        2 => card.clone().prop_map(Step::Unmerge),
        1 => (card.clone(), card.clone()).prop_map(|(a, b)| Step::TellApart(a, b)),
        1 => card.clone().prop_map(Step::Delete),
        1 => card.prop_map(Step::Restore),
    ]
}

/// Of each card that came: what it is part of now, with what that shows and what it is related to; `None`: deleted.
pub(super) type Dump = BTreeMap<usize, Option<(usize, BTreeMap<String, String>, BTreeSet<usize>)>>;

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
    /// Of each of the voices.
    words: [Word; VOICES.len()],
    mails: BTreeSet<usize>,
    into: Option<usize>,
    /// By the owner.
    deleted: bool,
    /// Deleted in the name of its sources, of which none speaks of it any more.
    forsaken: bool,
    /// When a source said nothing more of it the last time, and whether that was the owner.
    silent: (usize, bool),
}

/// What one voice says of two cards.
#[derive(Debug)]
struct Edge {
    voice: usize,
    from: usize,
    to: usize,
    live: bool,
    /// The owner took it away.
    refused: bool,
}

/// Everything that the graph should know, kept the plain way.
#[derive(Debug, Default)]
pub(super) struct Model {
    now: usize,
    cards: BTreeMap<usize, Card>,
    seen: BTreeSet<String>,
    edges: Vec<Edge>,
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
        Some(self.root(card)).filter(|root| self.is_alive(*root))
    }

    fn is_alive(&self, root: usize) -> bool {
        !self.cards[&root].deleted && !self.cards[&root].forsaken
    }

    /// Whether anybody says anything of what a root stands for.
    fn is_spoken_of(&self, root: usize) -> bool {
        let speaks = |card: &usize| {
            let kept = &self.cards[card];
            let mut words = kept.words.iter().chain([&kept.book]);
            words.any(|word| !word.props.is_empty())
        };
        self.members(root).iter().any(speaks)
    }

    /// What a root shows: of words of one rank its own over those of what was merged into it, and the later over the
    /// earlier.
    fn shown(&self, root: usize) -> BTreeMap<&'static str, String> {
        let mut words: Vec<(usize, bool, usize, &Word)> = Vec::new();
        for card in self.members(root) {
            let kept = &self.cards[&card];
            words.push((SECOND_BOOK, card == root, kept.book.at, &kept.book));
            let voices = kept.words.iter().enumerate();
            words.extend(voices.map(|(rank, word)| (rank, card == root, word.at, word)));
        }
        words.sort_by_key(|(rank, own, at, _)| (*rank, *own, *at));
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
            let kept = &self.cards[&card];
            let mut words: Vec<(usize, &Word)> = kept.words.iter().enumerate().collect();
            words.push((SECOND_BOOK, &kept.book));
            words.sort_by_key(|(rank, word)| (*rank, word.at));
            let named = words.iter().rev().find_map(|(_, word)| word.props.get("name"));
            named.cloned()
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
        let apart = |a: usize, b: &usize| self.decided.get(&Self::pair(a, *b)) == Some(&"distinct");
        self.members(one)
            .into_iter()
            .any(|a| two.iter().any(|b| apart(a, b)))
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
        let mut said = BTreeMap::new();
        if whole {
            kept.mails.clear();
        } else {
            said.clone_from(&kept.book.props);
        }
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
                    bearers.push((nth, !self.is_alive(root), kept.born, *bearer, root));
                }
            }
        }
        bearers.sort_unstable();
        let mine = self.root(card);
        // Its source has it again.
        if let Some(kept) = self.cards.get_mut(&mine) {
            kept.forsaken = false;
        }
        if !self.is_alive(mine) {
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
            let mut others = fits.iter().filter(|other| *other != one);
            others.all(|other| self.agree(*one, *other) && !self.apart(*one, *other))
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

    /// Whom a voice means by a card: address books and peers a thing of their own, the others what they see.
    fn meant(&self, voice: usize, card: usize) -> usize {
        if FOLLOWS_RECORD[voice] {
            card
        } else {
            self.root(card)
        }
    }

    fn edit(&mut self, voice: usize, card: usize, prop: usize, value: Option<u8>) {
        if self.living(card).is_none() {
            return;
        }
        let (now, meant) = (self.now, self.meant(voice, card));
        let Some(kept) = self.cards.get_mut(&meant) else {
            return;
        };
        let mut said = kept.words[voice].props.clone();
        match value {
            Some(value) => drop(said.insert(PROPS[prop], value.to_string())),
            None => drop(said.remove(PROPS[prop])),
        }
        if said != kept.words[voice].props {
            if said.is_empty() {
                kept.silent = (now, voice == OWNER);
            }
            kept.words[voice] = Word { props: said, at: now };
        }
    }

    /// A source says nothing more of a card: not what it is, nor how it is reached, nor to whom it is related.
    fn withdraw(&mut self, source: usize, card: usize) {
        let now = self.now;
        let Some(kept) = self.cards.get_mut(&card) else {
            return;
        };
        let word = if source == BOOK {
            kept.mails.clear();
            &mut kept.book
        } else {
            &mut kept.words[source]
        };
        let spoke = !std::mem::take(&mut word.props).is_empty();
        if spoke {
            kept.silent = (now, false);
        }
        for edge in &mut self.edges {
            edge.live &= (edge.voice, edge.from) != (source, card);
        }
        let root = self.root(card);
        if spoke
            && !self.is_spoken_of(root)
            && let Some(kept) = self.cards.get_mut(&root)
        {
            kept.forsaken = !kept.deleted;
        }
    }

    /// What only its sources spoke of, and none speaks of any more, is deleted once it stands alone.
    fn leave_if_forsaken(&mut self, root: usize) {
        let last = self
            .members(root)
            .into_iter()
            .map(|card| self.cards[&card].silent)
            .max();
        let by_owner = last.is_some_and(|(_, by_owner)| by_owner);
        if !self.is_spoken_of(root)
            && let Some(kept) = self.cards.get_mut(&root)
        {
            kept.forsaken = !by_owner;
        }
    }

    /// True if both cards came, and are not one: what is related to itself is nobody's question.
    fn are_two(&self, from: usize, to: usize) -> bool {
        self.cards.contains_key(&from) && self.cards.contains_key(&to) && self.root(from) != self.root(to)
    }

    /// The edges between all that stand for two cards.
    fn between(&self, from: usize, to: usize) -> Vec<usize> {
        let (near, far) = (self.members(self.root(from)), self.members(self.root(to)));
        let between = |edge: &Edge| near.contains(&edge.from) && far.contains(&edge.to);
        let edges = self.edges.iter().enumerate();
        edges
            .filter(|(_, edge)| between(edge))
            .map(|(nth, _)| nth)
            .collect()
    }

    fn relate(&mut self, voice: usize, from: usize, to: usize) {
        if !self.are_two(from, to) || self.living(from).is_none() || self.living(to).is_none() {
            return;
        }
        let there = self.between(from, to);
        let owner = voice == OWNER;
        let any = |wanted: &dyn Fn(&Edge) -> bool| there.iter().any(|nth| wanted(&self.edges[*nth]));
        let (from, to) = (self.meant(voice, from), self.meant(voice, to));
        let is_said = |edge: &Edge| edge.live && (edge.voice, edge.from, edge.to) == (voice, from, to);
        if (!owner && any(&|edge| edge.refused)) || any(&is_said) {
            return;
        }
        for nth in there {
            self.edges[nth].refused &= !owner;
        }
        self.edges.push(Edge {
            voice,
            from,
            to,
            live: true,
            refused: false,
        });
    }

    fn unrelate(&mut self, voice: usize, from: usize, to: usize) {
        if !self.are_two(from, to) {
            return;
        }
        for nth in self.between(from, to) {
            let edge = &mut self.edges[nth];
            if edge.live && (voice == OWNER || edge.voice == voice) {
                edge.live = false;
                edge.refused = voice == OWNER;
            }
        }
    }

    /// The living ones that a root is related to.
    fn related(&self, root: usize) -> BTreeSet<usize> {
        let live = self
            .edges
            .iter()
            .filter(|edge| edge.live && self.root(edge.from) == root);
        let far = live.filter_map(|edge| self.living(edge.to));
        far.filter(|far| *far != root).collect()
    }

    /// Whether the graph is asked at all.
    pub(super) fn is_asked(&self, step: &Step) -> bool {
        match step {
            Step::Relate { from, to, .. } | Step::Unrelate { from, to, .. } => self.are_two(*from, *to),
            // What nobody speaks of any more is restored as it was last.
            Step::Restore(card) => self.cards.contains_key(card) && self.is_spoken_of(self.root(*card)),
            _ => true,
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
        self.leave_if_forsaken(root);
        self.leave_if_forsaken(card);
    }

    pub(super) fn play(&mut self, step: &Step) {
        self.now += 1;
        match step {
            Step::Import {
                card,
                name,
                mails,
                note,
                whole,
            } => self.import(*card, *name, mails, *note, *whole),
            Step::Edit {
                voice,
                card,
                prop,
                value,
            } => self.edit(*voice, *card, *prop, *value),
            Step::Relate { voice, from, to } => self.relate(*voice, *from, *to),
            Step::Unrelate { voice, from, to } => self.unrelate(*voice, *from, *to),
            Step::Withdraw { source, card } => self.withdraw(*source, *card),
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
                let is_spoken_of = self.is_spoken_of(root);
                if let Some(kept) = self.cards.get_mut(&root) {
                    let is_deleted = matches!(step, Step::Delete(_));
                    kept.deleted = is_deleted || (kept.deleted && !is_spoken_of);
                    kept.forsaken &= !is_deleted && !is_spoken_of;
                }
            }
            Step::Delete(_) | Step::Restore(_) => {}
        }
    }

    /// The whole account, written the one way.
    pub(super) fn dump(&self) -> Dump {
        let one = |card: &usize| {
            let root = self.living(*card)?;
            let shown = self.shown(root);
            Some((
                root,
                shown
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect(),
                self.related(root),
            ))
        };
        self.cards.keys().map(|card| (*card, one(card))).collect()
    }
}

pub(super) fn revision(card: usize, name: usize, mails: &[usize], note: Option<u8>, whole: bool) -> String {
    format!("{card} {name} {mails:?} {note:?} {whole}")
}
