//! What sources sent, as received: taken in once, or parked with its reason until it can be understood.
//!
//! Events out: `connector.RecordParked`.
//! Invariant: a record is known by account, source, stream, remote id and revision; bytes and remote id are sealed for
//! their row. A parked record that is applied later becomes processed; it is not a second record.
//! Begin with [`take_in`], then [`park`].

use async_trait::async_trait;
use contracts::events::connector::RecordParked;
use contracts::{AccountId, RawRecordId};
use spine::ports::{GraphError, KeptRecord, ParkedRecord, RawRecord, RawRecords, Received};
use spine::vault::VaultError;
use spine::{AccessError, ScopedTx};

use crate::{Graph, check, store};

const REVISION_CHARS_MAX: usize = 256;
const REASON_CHARS_MAX: usize = 2_000;
const PARKED_LIST_MAX: i64 = 500;

/// A record in the graph.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) id: RawRecordId,
    /// It was processed before: nothing is to be done.
    pub(crate) known: bool,
}

/// Writes the record down, or finds that it was there. Waits for another transaction that is writing the same one.
pub(crate) async fn take_in(
    graph: &Graph,
    tx: &mut ScopedTx,
    source: &str,
    record: &RawRecord,
) -> Result<Taken, GraphError> {
    let row = row(graph, tx, source, record, "processed", None)?;
    if store::raw_insert(tx, &row).await?.is_some() {
        return Ok(Taken {
            id: row.id,
            known: false,
        });
    }
    let found = store::raw_by_key(tx, &row).await?;
    if found.parked {
        store::raw_settle(tx, found.id).await?;
    }
    Ok(Taken {
        id: found.id,
        known: !found.parked,
    })
}

/// Writes the record down, to be understood later. One that is there, but isn't its source's word any more, is that again.
pub(crate) async fn receive(
    graph: &Graph,
    tx: &mut ScopedTx,
    source: &str,
    record: &RawRecord,
) -> Result<Received, GraphError> {
    let row = row(graph, tx, source, record, "received", None)?;
    if let Some(before) = store::raw_insert(tx, &row).await? {
        return Ok(Received {
            id: row.id,
            known: false,
            parked: false,
            before,
        });
    }
    let found = store::raw_by_key(tx, &row).await?;
    // The source says again what it had said before it said something else.
    let before = match found.superseded {
        true => store::raw_reinstate(tx, found.id).await?,
        false => None,
    };
    Ok(Received {
        id: found.id,
        known: !found.superseded,
        parked: found.parked,
        before,
    })
}

/// A reason as it is kept: printable and bounded.
pub(crate) fn reason(reason: &str) -> String {
    printable(reason, REASON_CHARS_MAX)
}

/// Keeps the record with its reason. Parking it again counts the try; a new reason is told, the same one is not.
pub(crate) async fn park(
    graph: &Graph,
    tx: &mut ScopedTx,
    source: &str,
    record: RawRecord,
    reason: &str,
) -> Result<RawRecordId, GraphError> {
    check::name("source", source).map_err(GraphError::Invalid)?;
    let reason = self::reason(reason);
    let row = row(graph, tx, source, &record, "parked", Some(reason.clone()))?;
    let id = if store::raw_insert(tx, &row).await?.is_some() {
        row.id
    } else {
        let found = store::raw_by_key(tx, &row).await?;
        if !found.parked {
            return Ok(found.id);
        }
        store::raw_park_again(tx, found.id, &reason).await?;
        if found.reason.as_deref() == Some(&reason) {
            return Ok(found.id);
        }
        found.id
    };
    tx.publish_about(
        id,
        &RecordParked {
            raw_record: id,
            source: source.to_owned(),
            reason,
        },
    )?;
    Ok(id)
}

#[async_trait]
impl RawRecords for Graph {
    async fn parked(&self, tx: &mut ScopedTx) -> Result<Vec<ParkedRecord>, GraphError> {
        let filter = store::RawFilter {
            status: Some("parked"),
            limit: PARKED_LIST_MAX,
            ..Default::default()
        };
        Ok(store::raw_list(tx, &filter)
            .await?
            .into_iter()
            .map(Into::into)
            .collect())
    }

    async fn record(&self, tx: &mut ScopedTx, id: RawRecordId) -> Result<Option<KeptRecord>, GraphError> {
        let Some(stored) = store::raw_by_id(tx, id).await? else {
            return Ok(None);
        };
        let account = tx.account();
        let remote_id = self
            .vault
            .open(&place(account, id, "remote_id"), &stored.remote_id)
            .map_err(unopened)?;
        let body = self
            .vault
            .open(&place(account, id, "body"), &stored.body)
            .map_err(unopened)?;
        Ok(Some(KeptRecord {
            source: stored.source,
            parked: stored.reason,
            superseded: stored.superseded,
            record: RawRecord {
                connection: stored.connection.map(Into::into),
                stream: stored.stream,
                remote_id: String::from_utf8_lossy(&remote_id).into_owned(),
                revision: stored.revision,
                media_type: stored.media_type,
                body: body.to_vec(),
            },
        }))
    }
}

pub(crate) fn row(
    graph: &Graph,
    tx: &ScopedTx,
    source: &str,
    record: &RawRecord,
    status: &'static str,
    reason: Option<String>,
) -> Result<store::RawRow, GraphError> {
    check::name("stream", &record.stream).map_err(GraphError::Invalid)?;
    let (account, id) = (tx.account(), RawRecordId::new());
    let keyed = |purpose: &str, data: &[u8]| {
        // The account is part of what is hashed: the same number in two accounts can't be told to be the same.
        tx.pseudonym(purpose, &[account.0.as_bytes(), data].concat())
            .to_vec()
    };
    let body_key = keyed("graph.raw_record/body", &record.body);
    let remote_key = match record.remote_id.as_str() {
        "" => body_key.clone(), // without an id of its own a record is known by its bytes
        remote_id => keyed("graph.raw_record/remote_id", remote_id.as_bytes()),
    };
    let seal = |field: &str, secret: &[u8]| {
        graph
            .vault
            .seal(&place(account, id, field), secret)
            .map_err(AccessError::Vault)
    };
    Ok(store::RawRow {
        id,
        connection: record.connection.map(Into::into),
        source: source.to_owned(),
        stream: record.stream.clone(),
        remote_key,
        revision: printable(&record.revision, REVISION_CHARS_MAX),
        media_type: printable(&record.media_type, REVISION_CHARS_MAX),
        remote_id: seal("remote_id", record.remote_id.as_bytes())?,
        body: seal("body", &record.body)?,
        body_key,
        status,
        reason,
    })
}

/// Where a sealed field of a record belongs: it opens nowhere else.
fn place(account: AccountId, id: RawRecordId, field: &str) -> String {
    format!("graph.raw_record/{account}/{id}/{field}")
}

fn unopened(error: VaultError) -> GraphError {
    GraphError::Invalid(format!("the record can't be opened: {error}"))
}

/// Strangers' text as the tables take it: without control characters, and no longer than that.
fn printable(text: &str, chars_max: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(chars_max).collect()
}
