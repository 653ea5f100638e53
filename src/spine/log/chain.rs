//! The chain: each row's link is a hash over the link before it and all of the row's envelope; each batch's last
//! link is signed. The preimage is frozen in docs/adr/0005.
//!
//! Invariant: knows nothing of the database; the same bytes in give the same link out, for ever.

use chrono::{DateTime, Utc};
use contracts::Position;
use ed25519_dalek::{Signature, Signer, SigningKey, Verifier};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// What a link covers: everything in the row but the batch's number and the link itself.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its place in the log.
    pub position: Position,
    /// The event's id.
    pub id: Uuid,
    /// Type.
    pub kind: String,
    /// Version of the body's shape.
    pub version: i16,
    /// Account.
    pub account: Uuid,
    /// Lane.
    pub lane: String,
    /// Subject.
    pub subject: Option<String>,
    /// The subject's version.
    pub subject_version: Option<i64>,
    /// Who did it.
    pub actor: String,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was written down.
    pub recorded_at: DateTime<Utc>,
    /// Correlation id.
    pub correlation: Uuid,
    /// Causation id.
    pub causation: Option<Uuid>,
    /// Depth of the chain of causes.
    pub depth: i16,
    /// SHA-256 of salt and body.
    pub body_hash: Vec<u8>,
}

/// A link of the chain.
pub type Link = [u8; 32];

/// A [`Row`] out of whatever a query returned, with the columns of the same names.
macro_rules! row_of {
    ($found:expr, $position:expr) => {{
        let found = $found;
        $crate::log::chain::Row {
            position: $position,
            id: found.id,
            kind: found.kind,
            version: found.version,
            account: found.account,
            lane: found.lane,
            subject: found.subject,
            subject_version: found.subject_version,
            actor: found.actor,
            occurred_at: found.occurred_at,
            recorded_at: found.recorded_at,
            correlation: found.correlation,
            causation: found.causation,
            depth: found.depth,
            body_hash: found.body_hash,
        }
    }};
}
pub(super) use row_of;

/// The link of a row after the link `before` it (empty before the first row).
///
/// Every field is written with its length first (absent: length `u32::MAX`), so that no two rows share a preimage.
pub fn link(before: &[u8], row: &Row) -> Link {
    let mut hash = Sha256::new();
    let mut field = |bytes: Option<&[u8]>| match bytes {
        Some(bytes) => {
            hash.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX - 1).to_be_bytes());
            hash.update(bytes);
        }
        None => hash.update(u32::MAX.to_be_bytes()),
    };
    field(Some(b"allod-event-1"));
    field(Some(before));
    field(Some(&row.position.to_be_bytes()));
    field(Some(row.id.as_bytes()));
    field(Some(row.kind.as_bytes()));
    field(Some(&row.version.to_be_bytes()));
    field(Some(row.account.as_bytes()));
    field(Some(row.lane.as_bytes()));
    field(row.subject.as_deref().map(str::as_bytes));
    field(
        row.subject_version
            .map(i64::to_be_bytes)
            .as_ref()
            .map(<[u8; 8]>::as_slice),
    );
    field(Some(row.actor.as_bytes()));
    field(Some(&row.occurred_at.timestamp_micros().to_be_bytes()));
    field(Some(&row.recorded_at.timestamp_micros().to_be_bytes()));
    field(Some(row.correlation.as_bytes()));
    field(row.causation.as_ref().map(|id| id.as_bytes().as_slice()));
    field(Some(&row.depth.to_be_bytes()));
    field(Some(&row.body_hash));
    hash.finalize().into()
}

/// The key that signs the chain's head. Kept outside the database.
#[derive(Debug, Clone)]
pub struct ChainKey(SigningKey);

impl ChainKey {
    /// The key of these 32 secret bytes.
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// Names the key: the first 8 bytes of the public key's hash, in hex.
    pub fn id(&self) -> String {
        hex::encode(&Sha256::digest(self.0.verifying_key().as_bytes())[..8])
    }

    /// Signs a batch: its number, its last position and its last link.
    pub fn sign(&self, batch: i64, last: Position, link: &[u8]) -> Vec<u8> {
        self.0.sign(&statement(batch, last, link)).to_bytes().to_vec()
    }

    /// True if this key signed that batch.
    pub fn verify(&self, batch: i64, last: Position, link: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| {
            self.0
                .verifying_key()
                .verify(&statement(batch, last, link), &signature)
                .is_ok()
        })
    }
}

fn statement(batch: i64, last: Position, link: &[u8]) -> Vec<u8> {
    [
        b"allod-batch-1".as_slice(),
        &batch.to_be_bytes(),
        &last.to_be_bytes(),
        link,
    ]
    .concat()
}
