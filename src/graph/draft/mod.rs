//! What changes have read, and what they will write: kept until it is written at once.
//!
//! Invariant: whoever reads through it sees the graph as if each change had been written as it was made. What it holds
//! is locked in the database, so that nobody else changes it meanwhile; what it can't tell, it writes down first and
//! then asks the database. Begin with [`Draft::hold`], then [`Draft::write`] and [`records`].

mod records;

use std::collections::{BTreeSet, HashMap, HashSet};

use contracts::{EntityId, RawRecordId, RelationId};
use spine::ScopedTx;
use spine::ports::{AssertedBy, GraphError, Identifier};
use uuid::Uuid;

use crate::apply::rings::is_ordering;
use crate::model::{Asserter, Claim, Content};
use crate::store::{
    self, Bearer, Bears, Borne, Edge, EdgeRow, Link, Named, NewEdge, NewEntity, StoredEntity,
};

pub(crate) use records::Records;

/// An identifier as it is looked up: scheme and value.
pub(crate) type Key = (String, String);

/// Everything that is read and not yet written.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) records: Records,
    /// The rows of identifiers, locked.
    identifiers: HashMap<Key, Uuid>,
    /// Who bears an identifier, whether it still holds or not.
    bearers: HashMap<Uuid, Vec<Borne>>,
    /// Entities that aren't merged into others, locked or new, as they will be.
    entities: HashMap<Uuid, StoredEntity>,
    /// All that is claimed of these entities now.
    claims: HashMap<Uuid, Vec<Claim>>,
    /// Entities of this transaction: all of their edges went through here.
    born: HashSet<Uuid>,
    /// Edges that went through here, by both ends.
    edges: HashMap<(Uuid, Uuid), Vec<(String, EdgeRow)>>,
    /// Where edges that order begin and end that went through here.
    ordered: (HashSet<Uuid>, HashSet<Uuid>),
    unwritten: Unwritten,
}

/// What a relation needs to know of an entity.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) id: EntityId,
    pub(crate) deleted_by: Option<AssertedBy>,
    absorbed: i32,
}

impl Head {
    /// Of a held entity.
    fn of(entity: &StoredEntity) -> Self {
        Self {
            id: entity.id,
            deleted_by: entity.deleted_by,
            absorbed: entity.absorbed,
        }
    }

    /// It, with all that were merged into it.
    pub(crate) async fn members(self, tx: &mut ScopedTx) -> Result<Vec<Uuid>, GraphError> {
        if self.absorbed == 0 {
            return Ok(vec![self.id.0]);
        }
        Ok(store::entity_members(tx, self.id).await?)
    }
}

#[derive(Debug, Default)]
struct Unwritten {
    fresh: BTreeSet<Uuid>,
    changed: BTreeSet<Uuid>,
    claims: Vec<(Claim, Option<RawRecordId>)>,
    links: Vec<Link>,
    edges: Vec<NewEdge>,
    named: Vec<Named>,
    spoken_of: Vec<(RawRecordId, Uuid, bool)>,
    restated: Vec<(RelationId, RawRecordId)>,
}

impl Draft {
    /// Locks identifiers, and reads and locks who of these types bears them. All at once and in order, so that two
    /// changes that share several can't wait for each other in a ring.
    pub(crate) async fn hold(
        &mut self,
        tx: &mut ScopedTx,
        keys: BTreeSet<Key>,
        kinds: &BTreeSet<String>,
    ) -> Result<(), GraphError> {
        let (mut fresh, mut known) = (Vec::new(), Vec::<Uuid>::new());
        for key in keys {
            match self.identifiers.get(&key) {
                Some(row) if self.bearers.contains_key(row) => {}
                Some(row) => known.push(*row),
                None => fresh.push(key),
            }
        }
        if !known.is_empty() {
            // They are read again, with what was said of them since.
            self.write(tx).await?;
        }
        if !fresh.is_empty() {
            for (key, (row, made)) in store::identifier_lock(tx, &fresh).await? {
                self.identifiers.insert(key, row);
                if made {
                    self.bearers.insert(row, Vec::new());
                } else {
                    known.push(row);
                }
            }
        }
        if !known.is_empty() {
            self.hold_bearers(tx, &known, kinds).await?;
        }
        Ok(())
    }

    async fn hold_bearers(
        &mut self,
        tx: &mut ScopedTx,
        identifiers: &[Uuid],
        kinds: &BTreeSet<String>,
    ) -> Result<(), GraphError> {
        let mut wanted = BTreeSet::new();
        self.bearers
            .extend(identifiers.iter().map(|row| (*row, Vec::new())));
        for (identifier, borne) in store::borne_list(tx, identifiers).await? {
            if borne.live && kinds.contains(&borne.kind) && !self.entities.contains_key(&borne.entity) {
                wanted.insert(borne.entity);
            }
            self.bearers.entry(identifier).or_default().push(borne);
        }
        // Of what very many bear the database is asked each time.
        self.bearers
            .retain(|_, bearers| bearers.len() <= store::BEARERS_MAX);
        if wanted.is_empty() {
            return Ok(());
        }
        let wanted: Vec<Uuid> = wanted.into_iter().collect();
        let held = store::entity_lock_list(tx, &wanted).await?;
        let folded: Vec<Uuid> = held.iter().filter(|one| one.folded).map(|one| one.id.0).collect();
        for entity in held {
            self.claims.insert(entity.id.0, Vec::new());
            self.entities.insert(entity.id.0, entity);
        }
        if !folded.is_empty() {
            for claim in store::claim_current_list(tx, &folded).await? {
                self.claims.entry(claim.entity.0).or_default().push(claim);
            }
        }
        Ok(())
    }

    /// The row of an identifier that is held.
    pub(crate) fn row(&self, identifier: &Identifier) -> Option<Uuid> {
        self.identifiers.get(&key(identifier)).copied()
    }

    /// A held identifier by its row, as people write it.
    pub(crate) fn address(&self, row: Uuid) -> String {
        let found = self.identifiers.iter().find(|(_, id)| **id == row);
        found.map_or_else(String::new, |((scheme, value), _)| format!("{scheme} {value}"))
    }

    /// As [`store::bearer_list`].
    pub(crate) async fn bearers(
        &mut self,
        tx: &mut ScopedTx,
        kind: &str,
        rows: &[Uuid],
    ) -> Result<Vec<Bearer>, GraphError> {
        if let Some(known) = self.known_bearers(kind, rows) {
            return Ok(known);
        }
        self.write(tx).await?;
        Ok(store::bearer_list(tx, kind, rows).await?)
    }

    fn known_bearers(&self, kind: &str, rows: &[Uuid]) -> Option<Vec<Bearer>> {
        let mut found = Vec::new();
        for (nth, row) in rows.iter().enumerate() {
            let bearers = self.bearers.get(row)?;
            for borne in bearers.iter().filter(|one| one.live && one.kind == kind) {
                let entity = self.entities.get(&borne.entity)?;
                let deleted = entity.deleted_by.is_some();
                let rank = (nth, deleted, !borne.by_user, entity.created_at, borne.entity);
                let bearer = Bearer {
                    entity: entity.id,
                    root: entity.id,
                    identifier: *row,
                    deleted,
                };
                found.push((rank, bearer));
            }
        }
        found.sort_by_key(|(rank, _)| *rank);
        found.truncate(store::BEARERS_MAX);
        Some(found.into_iter().map(|(_, bearer)| bearer).collect())
    }

    /// Who of a type bears an identifier, the living only; `None`: the database must be asked.
    pub(crate) fn known_bearer(&self, kind: &str, identifier: &Identifier) -> Option<Option<&StoredEntity>> {
        let bearers = self.known_bearers(kind, &[self.row(identifier)?])?;
        let first = bearers.iter().find(|one| !one.deleted);
        Some(first.and_then(|one| self.entities.get(&one.entity.0)))
    }

    /// An entity that is held.
    pub(crate) fn held(&self, id: EntityId) -> Option<&StoredEntity> {
        self.entities.get(&id.0)
    }

    /// As [`store::entity_root_lock`].
    pub(crate) async fn root(
        &mut self,
        tx: &mut ScopedTx,
        id: EntityId,
    ) -> Result<Option<StoredEntity>, GraphError> {
        if let Some(entity) = self.held(id) {
            return Ok(Some(entity.clone()));
        }
        self.write(tx).await?;
        Ok(store::entity_root_lock(tx, id).await?)
    }

    /// As [`Draft::root`], without what it shows.
    pub(crate) async fn root_head(
        &mut self,
        tx: &mut ScopedTx,
        id: EntityId,
    ) -> Result<Option<Head>, GraphError> {
        match self.held(id) {
            Some(entity) => Ok(Some(Head::of(entity))),
            None => Ok(store::entity_root_lock(tx, id).await?.as_ref().map(Head::of)),
        }
    }

    /// The entity that an id stands for, without locking it; `None` if it isn't there or is deleted.
    pub(crate) async fn far_head(
        &mut self,
        tx: &mut ScopedTx,
        id: EntityId,
    ) -> Result<Option<Head>, GraphError> {
        if let Some(entity) = self.held(id) {
            return Ok(Some(Head::of(entity)).filter(|head| head.deleted_by.is_none()));
        }
        let root = store::entity_root(tx, id).await?;
        Ok(root.map(|id| Head {
            id,
            deleted_by: None,
            absorbed: self.held(id).map_or(1, |entity| entity.absorbed),
        }))
    }

    /// Brings an entity into the graph, with nothing claimed of it. False: there is one of this id, if `is_named`.
    pub(crate) async fn insert(
        &mut self,
        tx: &mut ScopedTx,
        entity: &NewEntity<'_>,
        is_named: bool,
    ) -> Result<bool, GraphError> {
        let id = entity.id.0;
        if is_named {
            self.write(tx).await?;
            if !store::entity_insert(tx, entity).await? {
                return Ok(false);
            }
        } else {
            self.unwritten.fresh.insert(id);
        }
        let Content {
            title,
            props,
            starts_at,
        } = entity.content.clone();
        let stored = StoredEntity {
            id: entity.id,
            kind: entity.kind.to_owned(),
            content: Content::stored(title, props, starts_at),
            version: 1,
            folded: entity.folded,
            asserter: entity.asserter.clone(),
            raw: entity.raw,
            created_at: tx.now(),
            updated_at: tx.now(),
            merged_into: None,
            absorbed: 0,
            deleted_by: None,
        };
        self.entities.insert(id, stored);
        self.claims.insert(id, Vec::new());
        self.born.insert(id);
        Ok(true)
    }

    /// As [`store::entity_update`].
    pub(crate) async fn update(
        &mut self,
        tx: &mut ScopedTx,
        id: EntityId,
        content: &Content,
        version: i64,
        folded: bool,
    ) -> Result<(), GraphError> {
        let Some(entity) = self.entities.get_mut(&id.0) else {
            return Ok(store::entity_update(tx, id, content, version, folded).await?);
        };
        let Content {
            title,
            props,
            starts_at,
        } = content.clone();
        entity.content = Content::stored(title, props, starts_at);
        entity.version = version;
        entity.folded = folded;
        entity.updated_at = entity.updated_at.max(tx.now());
        self.unwritten.changed.insert(id.0);
        Ok(())
    }

    /// As [`store::entity_mark_folded`].
    pub(crate) async fn mark_folded(&mut self, tx: &mut ScopedTx, id: EntityId) -> Result<(), GraphError> {
        let Some(entity) = self.entities.get_mut(&id.0) else {
            return Ok(store::entity_mark_folded(tx, id).await?);
        };
        entity.folded = true;
        self.unwritten.changed.insert(id.0);
        Ok(())
    }

    /// As [`store::claim_current_list`].
    pub(crate) async fn claims(
        &mut self,
        tx: &mut ScopedTx,
        members: &[Uuid],
    ) -> Result<Vec<Claim>, GraphError> {
        let known: Option<Vec<&Vec<Claim>>> = members.iter().map(|one| self.claims.get(one)).collect();
        if let Some(known) = known {
            return Ok(known.into_iter().flatten().cloned().collect());
        }
        self.write(tx).await?;
        Ok(store::claim_current_list(tx, members).await?)
    }

    /// As [`store::claim_insert`].
    pub(crate) async fn claim(
        &mut self,
        tx: &mut ScopedTx,
        claim: &Claim,
        raw: Option<RawRecordId>,
    ) -> Result<(), GraphError> {
        let Some(claims) = self.claims.get_mut(&claim.entity.0) else {
            self.write(tx).await?;
            return Ok(store::claim_insert(tx, claim, raw).await?);
        };
        claims.push(claim.clone());
        self.unwritten.claims.push((claim.clone(), raw));
        Ok(())
    }

    /// As [`store::claim_close`].
    pub(crate) async fn claim_close(
        &mut self,
        tx: &mut ScopedTx,
        entity: EntityId,
        asserter: &Asserter,
    ) -> Result<bool, GraphError> {
        self.write(tx).await?;
        if let Some(claims) = self.claims.get_mut(&entity.0) {
            claims.retain(|claim| claim.asserter != *asserter);
        }
        Ok(store::claim_close(tx, entity, asserter).await?.is_some())
    }

    /// As [`store::claims_replace`].
    pub(crate) async fn claims_replace(
        &mut self,
        tx: &mut ScopedTx,
        entity: EntityId,
        asserter: &Asserter,
        replaced: store::Replaced,
    ) -> Result<(), GraphError> {
        if !self.claims.contains_key(&entity.0) {
            self.write(tx).await?;
            return Ok(store::claims_replace(tx, entity, asserter, &replaced).await?);
        }
        if replaced.closes {
            self.claim_close(tx, entity, asserter).await?;
        }
        for (claim, raw) in &replaced.written {
            self.claim(tx, claim, *raw).await?;
        }
        Ok(())
    }

    /// A record spoke of an entity; `subject`: it is all that its source says of it.
    pub(crate) fn spoke(&mut self, record: RawRecordId, entity: EntityId, subject: bool) {
        self.unwritten.spoken_of.push((record, entity.0, subject));
    }

    /// As [`store::identifier_link`].
    pub(crate) async fn link(
        &mut self,
        tx: &mut ScopedTx,
        kind: &str,
        bears: &Bears<'_>,
        asserter: &Asserter,
    ) -> Result<i64, GraphError> {
        let Bears {
            entity,
            members,
            identifiers: rows,
            is_all,
        } = *bears;
        let is_mine = |one: &Borne| one.entity == entity.0 && one.source == asserter.source;
        let is_over = |row: &Uuid| {
            self.bearers
                .get(row)
                .is_none_or(|bearers| bearers.iter().any(|one| is_mine(one) && !one.live))
        };
        if is_all || rows.iter().any(is_over) {
            self.leave(tx).await?; // which others end is in the database
            return Ok(store::identifier_link(tx, bears, asserter).await?);
        }
        let mut told = 0;
        for row in rows {
            let bearers = self.bearers.entry(*row).or_default();
            if bearers.iter().any(is_mine) {
                continue;
            }
            told += i64::from(
                !bearers
                    .iter()
                    .any(|one| one.live && members.contains(&one.entity)),
            );
            bearers.push(Borne {
                entity: entity.0,
                kind: kind.to_owned(),
                source: asserter.source.clone(),
                by_user: asserter.by == AssertedBy::User,
                live: true,
            });
            self.unwritten.links.push(Link {
                entity: entity.0,
                identifier: *row,
                asserter: asserter.clone(),
            });
        }
        Ok(told)
    }

    /// Puts an item on the timelines of the addresses that it names.
    pub(crate) fn name(&mut self, named: impl Iterator<Item = Named>) {
        self.unwritten.named.extend(named);
    }

    /// As [`store::relation_rows`].
    pub(crate) async fn edges(
        &mut self,
        tx: &mut ScopedTx,
        edge: &Edge<'_>,
    ) -> Result<Vec<EdgeRow>, GraphError> {
        let born = |ends: &[Uuid]| ends.iter().all(|end| self.born.contains(end));
        let mut rows = if born(edge.from) || born(edge.to) {
            Vec::new()
        } else {
            store::relation_rows(tx, edge).await?
        };
        for ends in edge
            .from
            .iter()
            .flat_map(|from| edge.to.iter().map(move |to| (*from, *to)))
        {
            for (_, row) in self
                .edges
                .get(&ends)
                .into_iter()
                .flatten()
                .filter(|one| one.0 == edge.predicate)
            {
                if rows.iter().all(|known| known.id != row.id) {
                    rows.push(row.clone());
                }
            }
        }
        Ok(rows)
    }

    /// False: nothing leads to `near`, or nothing leads on from `far`, by edges that order.
    pub(crate) fn may_close_ring(&self, near: EntityId, far: EntityId) -> bool {
        let (begins, ends) = &self.ordered;
        let is_led_to = !self.born.contains(&near.0) || ends.contains(&near.0);
        let leads_on = !self.born.contains(&far.0) || begins.contains(&far.0);
        is_led_to && leads_on
    }

    /// Writes an edge that its source hasn't said, and its item on the timeline.
    pub(crate) fn relate(&mut self, edge: NewEdge) {
        let row = EdgeRow {
            id: edge.id,
            source: edge.asserter.source.clone(),
            live: true,
            refused: false,
            from: edge.from,
            to: edge.to,
            raw: edge.raw,
        };
        if is_ordering(&edge.predicate) {
            self.ordered.0.insert(edge.from);
            self.ordered.1.insert(edge.to);
        }
        let edges = self.edges.entry((edge.from, edge.to)).or_default();
        edges.push((edge.predicate.clone(), row));
        self.unwritten.edges.push(edge);
    }

    /// A record states what another one of its source stated first.
    pub(crate) fn restate(&mut self, record: RawRecordId, relations: &[RelationId]) {
        let said = relations.iter().map(|relation| (*relation, record));
        self.unwritten.restated.extend(said);
    }

    /// Writes what isn't written yet, and forgets what it held: what comes next changes it past the draft.
    pub(crate) async fn leave(&mut self, tx: &mut ScopedTx) -> Result<(), GraphError> {
        self.write(tx).await?;
        self.bearers.clear();
        self.entities.clear();
        self.claims.clear();
        self.born.clear();
        self.edges.clear();
        self.ordered = Default::default();
        Ok(())
    }

    /// Writes what isn't written yet, in the order in which rows refer to each other.
    pub(crate) async fn write(&mut self, tx: &mut ScopedTx) -> Result<(), GraphError> {
        self.records.write(tx).await?;
        let Unwritten {
            fresh,
            mut changed,
            claims,
            links,
            edges,
            named,
            spoken_of,
            restated,
        } = std::mem::take(&mut self.unwritten);
        changed.retain(|id| !fresh.contains(id));
        let held = |id: &Uuid| self.entities.get(id);
        if !fresh.is_empty() {
            let fresh: Vec<&StoredEntity> = fresh.iter().filter_map(held).collect();
            store::entity_insert_all(tx, &fresh).await?;
        }
        if !changed.is_empty() {
            let changed: Vec<&StoredEntity> = changed.iter().filter_map(held).collect();
            store::entity_update_all(tx, &changed).await?;
        }
        if !claims.is_empty() {
            store::claim_insert_all(tx, &claims).await?;
        }
        if !links.is_empty() {
            store::link_insert_all(tx, &links).await?;
        }
        if !edges.is_empty() {
            store::relation_insert_all(tx, &edges).await?;
        }
        if !named.is_empty() {
            store::timeline_named_all(tx, &named).await?;
        }
        if !spoken_of.is_empty() {
            store::record_link_all(tx, &spoken_of).await?;
        }
        if !restated.is_empty() {
            store::restate_all(tx, &restated).await?;
        }
        self.records.settle(tx).await
    }
}

/// An identifier as it is looked up.
pub(crate) fn key(identifier: &Identifier) -> Key {
    (identifier.scheme.clone(), identifier.value.clone())
}
