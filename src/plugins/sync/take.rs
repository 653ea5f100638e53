//! A page's pieces on their way into the graph, in one transaction.
//!
//! Invariant: pieces are taken in their order. An error spoils the transaction; whoever asked gives fewer pieces next
//! time, at last each alone, and a piece alone is parked where it can be. Begin with [`take_in`].

use std::collections::BTreeSet;

use serde_json::Value;
use spine::ScopedTx;
use spine::access::AccessError;
use spine::ports::{Brought, GraphError, RawRecord, Thing};

use super::page::Piece;
use crate::intake::{Counts, Intake, Received, Unfit, write_thing};
use crate::record::Record;

/// Why pieces were not taken in.
#[derive(Debug)]
pub(crate) enum Spoilt {
    /// The database, now.
    Away(AccessError),
    /// One of them.
    By(String),
}

impl From<GraphError> for Spoilt {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Access(error) => error.into(),
            error => Self::By(error.to_string()),
        }
    }
}

impl From<AccessError> for Spoilt {
    fn from(error: AccessError) -> Self {
        if error.is_transient() || matches!(error, AccessError::Erased) {
            Self::Away(error)
        } else {
            Self::By("the database refused what the record means".to_owned())
        }
    }
}

impl From<Unfit> for Spoilt {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Away(error) => error.into(),
            Unfit::Park(reason) => Self::By(reason),
        }
    }
}

/// What is taken in together.
enum Run<'p> {
    Received(Vec<&'p RawRecord>),
    Things(Vec<Thing>),
    One(&'p Piece),
}

/// Holds of which moment these are, before anything of the graph is held; the places of those of which a later word is
/// known.
pub(crate) async fn claim(
    intake: &Intake<'_>,
    tx: &mut ScopedTx,
    pieces: &[Piece],
) -> Result<BTreeSet<usize>, Spoilt> {
    let mut outdated = BTreeSet::new();
    for (at, piece) in pieces.iter().enumerate() {
        if let Piece::Told(record) = piece
            && !intake.is_current(tx, record.origin()).await?
        {
            outdated.insert(at);
        }
    }
    Ok(outdated)
}

/// Takes pieces in.
pub(crate) async fn take_in(
    intake: &Intake<'_>,
    tx: &mut ScopedTx,
    pieces: &[&Piece],
) -> Result<Counts, Spoilt> {
    let mut counts = Counts::default();
    for run in runs(intake, pieces)? {
        counts.add(match run {
            Run::Received(records) => received(intake, tx, records).await?,
            Run::Things(things) => taken(intake, tx, things).await?,
            Run::One(piece) => one(intake, tx, piece).await?,
        });
    }
    Ok(counts)
}

/// Neighbours of a kind together.
fn runs<'p>(intake: &Intake<'_>, pieces: &[&'p Piece]) -> Result<Vec<Run<'p>>, Spoilt> {
    let mut runs: Vec<Run<'p>> = Vec::new();
    for piece in pieces.iter().copied() {
        match piece {
            Piece::Brought(Brought::Received(record)) => match runs.last_mut() {
                Some(Run::Received(records)) => records.push(record),
                _ => runs.push(Run::Received(vec![record])),
            },
            Piece::Brought(Brought::Thing(thing)) => push_thing(&mut runs, thing.clone()),
            Piece::Told(told) => match told.as_ref() {
                Record::Entity(entity) => push_thing(&mut runs, intake.thing(entity, &asked())?),
                _ => runs.push(Run::One(piece)),
            },
            _ => runs.push(Run::One(piece)),
        }
    }
    Ok(runs)
}

fn push_thing(runs: &mut Vec<Run<'_>>, thing: Thing) {
    match runs.last_mut() {
        Some(Run::Things(things)) => things.push(thing),
        _ => runs.push(Run::Things(vec![thing])),
    }
}

/// What a record of a page was made from, where it doesn't say.
fn asked() -> Received<'static> {
    Received {
        media_type: "application/json",
        body: b"{}",
    }
}

async fn received(
    intake: &Intake<'_>,
    tx: &mut ScopedTx,
    records: Vec<&RawRecord>,
) -> Result<Counts, Spoilt> {
    let records = records.into_iter().cloned().collect();
    let source = intake.connection.source();
    let understand = intake.context.ports.understand_records();
    let did = understand.take_in(tx, &source, records).await?;
    Ok(Counts {
        taken: did.new.saturating_sub(did.parked),
        known: did.known,
        parked: did.parked,
    })
}

async fn taken(intake: &Intake<'_>, tx: &mut ScopedTx, things: Vec<Thing>) -> Result<Counts, Spoilt> {
    let source = intake.connection.source();
    let mut batch = intake.context.ports.record_intake().batch(&source, things.len());
    let records = things.iter().map(|thing| thing.record.clone()).collect();
    let received = batch.receive(tx, records).await?;
    let bears = |thing: &Thing| {
        let of = thing.entities.iter();
        of.flat_map(|one| one.identifiers.iter().map(|id| (one.kind.clone(), id.clone())))
            .collect::<Vec<_>>()
    };
    batch.expect(tx, things.iter().flat_map(bears).collect()).await?;
    let mut counts = Counts::default();
    for (thing, received) in things.into_iter().zip(received) {
        let received = received?;
        if received.known && !received.parked {
            counts.known += 1;
            continue;
        }
        intake.settle(tx, received.before).await?;
        match write_thing(batch.as_mut(), tx, &source, received.id, thing).await {
            Ok(()) => counts.taken += 1,
            Err(GraphError::Access(error)) => return Err(error.into()),
            Err(error) if batch.is_spoilt() => return Err(error.into()),
            Err(error) => {
                batch.park(tx, received.id, &error.to_string()).await?;
                counts.parked += 1;
            }
        }
    }
    batch.write(tx).await?;
    Ok(counts)
}

async fn one(intake: &Intake<'_>, tx: &mut ScopedTx, piece: &Piece) -> Result<Counts, Spoilt> {
    let mut counts = Counts::default();
    let is_new = match piece {
        Piece::Told(record) => intake.one(tx, record, &asked()).await?,
        Piece::Brought(Brought::Gone(gone)) => intake.gone(tx, gone).await?,
        Piece::Brought(Brought::Unfit(record, reason)) => {
            intake.park(tx, record.clone(), reason).await?;
            counts.parked += 1;
            return Ok(counts);
        }
        Piece::Misshapen(record, problem) => {
            let reason = format!("the pack made a record without the expected shape: {problem}");
            let raw = misshapen_raw(tx, intake, record);
            intake.park(tx, raw, &reason).await?;
            counts.parked += 1;
            return Ok(counts);
        }
        Piece::Brought(Brought::Received(_) | Brought::Thing(_)) => return Ok(counts), // together with others
    };
    counts.taken += usize::from(is_new);
    counts.known += usize::from(!is_new);
    Ok(counts)
}

/// Keeps a piece that nothing can be made of, with the reason.
pub(crate) async fn park_piece(
    intake: &Intake<'_>,
    tx: &mut ScopedTx,
    piece: &Piece,
    reason: &str,
) -> Result<Counts, AccessError> {
    let raw = match piece {
        Piece::Told(record) => intake.raw_of(record, &asked()),
        Piece::Misshapen(record, _) => misshapen_raw(tx, intake, record),
        Piece::Brought(Brought::Received(record) | Brought::Unfit(record, _)) => record.clone(),
        Piece::Brought(Brought::Thing(thing)) => thing.record.clone(),
        Piece::Brought(Brought::Gone(_)) => return Ok(Counts::default()), // nothing of it is left to keep
    };
    intake.park(tx, raw, reason).await?;
    Ok(Counts {
        parked: 1,
        ..Counts::default()
    })
}

fn misshapen_raw(tx: &ScopedTx, intake: &Intake<'_>, record: &Value) -> RawRecord {
    crate::reconcile::misshapen_raw(tx, intake.connection.id, "misshapen", record)
}
