//! Raw records: what came from a source, kept as received, so that it can be understood better later.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use contracts::{ConnectionId, EntityId, RawRecordId};

use super::{Applied, AppliedEntity, AssertedBy, Change, Entity, GraphError, Identifier};
use crate::access::ScopedTx;

/// What came from a source, as received, before it meant anything.
#[derive(Debug, Clone)]
pub struct RawRecord {
    /// The connection that it came by, if by one.
    pub connection: Option<ConnectionId>,
    /// The stream within the source, such as `calls`.
    pub stream: String,
    /// The source's own id of the thing.
    pub remote_id: String,
    /// Distinguishes revisions of the same thing, such as an etag or a status; empty when there is but one.
    pub revision: String,
    /// The media type of the body.
    pub media_type: String,
    /// The bytes as received. Stored sealed.
    pub body: Vec<u8>,
}

/// The stream of records that came in files. Whatever file it was, one source speaks: a newer file replaces an older one.
pub const FILES: &str = "file";

/// As which source the records of a stream speak of what they are about. Each collection (an address book, a calendar)
/// speaks for itself: what stands in two of them under one id is one thing, of which each has a word of its own. By this
/// name a connector takes back what a collection no longer has.
pub fn speaks_as(source: &str, stream: &str) -> String {
    match stream {
        FILES => source.to_owned(),
        _ => format!("{source}/{stream}"),
    }
}

/// A raw record that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRecord {
    /// The record.
    pub id: RawRecordId,
    /// The connection that it came by, if by one.
    pub connection: Option<ConnectionId>,
    /// The source that it came from.
    pub source: String,
    /// The stream within the source.
    pub stream: String,
    /// Why it was parked.
    pub reason: String,
    /// How often it was tried.
    pub tries: i32,
    /// When it came.
    pub received_at: DateTime<Utc>,
}

/// A raw record as received, opened.
#[derive(Debug, Clone)]
pub struct KeptRecord {
    /// The source that it came from.
    pub source: String,
    /// Why it is parked; `None`: it was processed.
    pub parked: Option<String>,
    /// True if its source says something newer of the same thing: understood again, it would put the past back.
    pub superseded: bool,
    /// The record. Given to [`super::GraphWrite::apply`] again, a parked one becomes processed.
    pub record: RawRecord,
}

/// Reads raw records, so that the service that maps them can try a parked one again.
#[async_trait]
pub trait RawRecords: Send + Sync {
    /// The account's parked records, newest first, at most 500.
    async fn parked(&self, tx: &mut ScopedTx) -> Result<Vec<ParkedRecord>, GraphError>;

    /// A record with its bytes; `None`: it isn't there.
    async fn record(&self, tx: &mut ScopedTx, id: RawRecordId) -> Result<Option<KeptRecord>, GraphError>;
}

/// A record that was written down to be understood later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// The record.
    pub id: RawRecordId,
    /// True if this revision of it was there already, and is what the source says: nothing was written.
    pub known: bool,
    /// True if it is known, but was never understood: [`RecordIntake::understand`] of it is no repetition.
    pub parked: bool,
    /// The revision whose place it takes, if there was another one.
    pub before: Option<RawRecordId>,
}

/// A group whose record names some as its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupNaming {
    /// The group that the record is about, also if that was merged.
    pub group: EntityId,
    /// The record.
    pub record: RawRecordId,
    /// As which source it speaks.
    pub source: String,
    /// Those that were asked about and that it names, as it names them.
    pub names: Vec<String>,
}

/// What a source says that it no longer has.
#[derive(Debug, Clone)]
pub struct Withdrawal {
    /// Who says so.
    pub by: AssertedBy,
    /// Through what; only its own word is taken back. Of whole records it is [`speaks_as`].
    pub source: String,
    /// The type of what is gone.
    pub kind: String,
    /// By what the source knows it.
    pub identifier: Identifier,
}

/// Takes records in first and understands them later, in the caller's transaction. What is live goes by
/// [`super::GraphWrite::apply`] instead, in one commit.
#[async_trait]
pub trait RecordIntake: Send + Sync {
    /// Writes a record down as received and publishes `connector.DataReceived`, in the lane of the transaction. It is its
    /// source's word from then on, in place of other revisions; also one that had been so before.
    async fn receive(
        &self,
        tx: &mut ScopedTx,
        source: &str,
        record: RawRecord,
    ) -> Result<Received, GraphError>;

    /// Applies what a record means, however often: a better reading of it adds nothing twice. `change.raw` is not
    /// looked at. The record counts as processed then.
    async fn understand(
        &self,
        tx: &mut ScopedTx,
        record: RawRecordId,
        change: Change,
    ) -> Result<Applied, GraphError>;

    /// Says how what a record spoke of is related: `change.relations` are all the relations that it states. What it stated
    /// before, in any revision, and doesn't state now is over, unless another record of its source states it. Comes after
    /// [`RecordIntake::understand`]; `change.entities` is empty. Of the predicates in `unread` it can't be told now what the
    /// record states: what it stated stays.
    async fn relate(
        &self,
        tx: &mut ScopedTx,
        record: RawRecordId,
        change: Change,
        _unread: &[&'static str],
    ) -> Result<Applied, GraphError> {
        self.understand(tx, record, change).await
    }

    /// Says that a record states these relations, too, beside all that it stated; `change.entities` is empty.
    async fn relate_too(
        &self,
        _tx: &mut ScopedTx,
        _record: RawRecordId,
        _change: Change,
    ) -> Result<Applied, GraphError> {
        Ok(Applied::default())
    }

    /// The groups of which records of a media type name any of these as members, as those records say it now. None of
    /// them says anything newer until the transaction ends.
    async fn groups_naming(
        &self,
        _tx: &mut ScopedTx,
        _media_type: &str,
        _names: &[String],
    ) -> Result<Vec<GroupNaming>, GraphError> {
        Ok(Vec::new())
    }

    /// Says why a received record can't be understood; it is kept, and can be tried again.
    async fn park_received(
        &self,
        tx: &mut ScopedTx,
        record: RawRecordId,
        reason: &str,
    ) -> Result<(), GraphError>;

    /// Leaves a received record without any consequence: its source said something newer. It counts as processed.
    /// `newer`: the revision that is the source's word again, if this one had taken its place.
    async fn pass_over(
        &self,
        tx: &mut ScopedTx,
        record: RawRecordId,
        newer: Option<RawRecordId>,
    ) -> Result<(), GraphError>;

    /// Takes a source's word about an entity back, with what the source stated of its relations and all that the source
    /// said it bears but this one, by which it is found again. The entity stays while anybody else speaks of it; else it is
    /// deleted in the source's name, and comes back when the source has it again. `None`: nothing to take back.
    async fn withdraw(
        &self,
        tx: &mut ScopedTx,
        withdrawal: Withdrawal,
    ) -> Result<Option<AppliedEntity>, GraphError>;

    /// A batch of about so many records of one source, which are read and written together in one transaction. A record
    /// alone is written at each step, and what is refused of it can be parked in the same transaction.
    fn batch<'a>(&'a self, source: &str, size: usize) -> Box<dyn IntakeBatch + 'a>;
}

/// Records of one source that are taken in and understood together: what one of them needs is read for all, and what
/// they change is written at once. Each means what it would mean alone, after those before it.
///
/// What was given to the batch stands in the database only after [`IntakeBatch::write`]: until then the graph is asked
/// through the batch. One of several records that is spoilt can't be gone on with, and its transaction is not to be
/// committed: the records are given to smaller batches, and at last each to one of its own.
#[async_trait]
pub trait IntakeBatch: Send {
    /// Takes records in, as [`RecordIntake::receive`]; an error of one record is its own.
    async fn receive(
        &mut self,
        tx: &mut ScopedTx,
        records: Vec<RawRecord>,
    ) -> Result<Vec<Result<Received, GraphError>>, GraphError>;

    /// Reads and holds whatever bears these, by the type that will be asked for: what comes will say that it does.
    async fn expect(
        &mut self,
        tx: &mut ScopedTx,
        known_by: Vec<(String, Identifier)>,
    ) -> Result<(), GraphError>;

    /// As [`super::GraphRead::entity`].
    async fn entity(&mut self, tx: &mut ScopedTx, id: EntityId) -> Result<Option<Entity>, GraphError>;

    /// As [`super::GraphRead::entity_by_identifier`].
    async fn entity_by_identifier(
        &mut self,
        tx: &mut ScopedTx,
        kind: &str,
        identifier: &Identifier,
    ) -> Result<Option<Entity>, GraphError>;

    /// Says of whom what bears `one` is not the same, by what they bear. It is remembered of those who are there before the
    /// next record is understood, which is of `one`, so that they aren't merged by it; what the owner decided here stays.
    fn tell_apart(&mut self, one: Identifier, others: Vec<Identifier>);

    /// As [`RecordIntake::understand`], for a record that the batch took in.
    async fn understand(
        &mut self,
        tx: &mut ScopedTx,
        record: RawRecordId,
        change: Change,
    ) -> Result<Applied, GraphError>;

    /// As [`RecordIntake::relate`], for a record that the batch took in.
    async fn relate(
        &mut self,
        tx: &mut ScopedTx,
        record: RawRecordId,
        change: Change,
        unread: &[&'static str],
    ) -> Result<Applied, GraphError>;

    /// As [`RecordIntake::park_received`].
    async fn park(&mut self, tx: &mut ScopedTx, record: RawRecordId, reason: &str) -> Result<(), GraphError>;

    /// Whether a change was refused when part of it may have been taken in.
    fn is_spoilt(&self) -> bool;

    /// Writes what isn't written yet, so that the database can be asked, and changed past the batch.
    async fn write(&mut self, tx: &mut ScopedTx) -> Result<(), GraphError>;
}

/// What became of records that were taken in and understood.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Understood {
    /// Records that were not there before.
    pub new: usize,
    /// Records that were there, or were older than what is.
    pub known: usize,
    /// Of the new ones, those that can't be understood.
    pub parked: usize,
}

/// Takes records in and understands them by their media type, in the caller's transaction: mails, cards, calendars as
/// files have them. Answered by the service that maps.
#[async_trait]
pub trait UnderstandRecords: Send + Sync {
    /// Records of one source, in order. What one means is parked where it can't be understood; an error is one of all of
    /// them, and their transaction is not to be committed: they are given in smaller batches, at last each alone.
    async fn take_in(
        &self,
        tx: &mut ScopedTx,
        source: &str,
        records: Vec<RawRecord>,
    ) -> Result<Understood, GraphError>;

    /// Understands a record that was taken in before once more; why it stays parked, if it does. [`GraphError::Invalid`]:
    /// it isn't there, or of a media type that is not understood here.
    async fn again(&self, tx: &mut ScopedTx, record: RawRecordId) -> Result<Option<String>, GraphError>;
}
