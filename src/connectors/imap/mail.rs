//! Mails as records, and what the mailbox says of them beside. Pure.
//!
//! Invariant: a mail is the same record in whichever folder it lies and however the server numbers it.

use mail_parser::MessageParser;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use spine::ports::{Brought, EntityChange, Gone, Identifier, RawRecord, Target, Thing};

use contracts::ConnectionId;

use super::mailbox::Flags;

/// The stream of all records of a mailbox, so that a mail that moves stays what it is.
pub(super) const STREAM: &str = "mail";
/// By which the graph knows a mail.
const MESSAGE_ID: &str = "mail.message-id";
const ID_BYTES_MAX: usize = 480;
/// More of a mail isn't looked at for its id.
const HEADER_BYTES: usize = 256 * 1024;

/// By what the graph knows the mail: its Message-ID, or its content where it has none. The second says which.
pub(super) fn known_by(mail: &[u8]) -> (String, bool) {
    let header = &mail[..mail.len().min(HEADER_BYTES)];
    let parsed = MessageParser::default().parse_headers(header);
    let id = parsed
        .as_ref()
        .and_then(|parsed| parsed.message_id())
        .and_then(message_id);
    match id {
        Some(id) => (id, true),
        None => (hash(mail), false),
    }
}

fn message_id(text: &str) -> Option<String> {
    let id = text.trim().trim_start_matches('<').trim_end_matches('>').trim();
    if id.is_empty() || id.chars().any(char::is_control) {
        return None;
    }
    Some(if id.len() > ID_BYTES_MAX {
        hash(id.as_bytes())
    } else {
        id.to_owned()
    })
}

/// As what has no id is named where mails are understood.
fn hash(bytes: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update((bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
    format!("sha256:{}", hex::encode(hasher.finalize()))
}

/// The mail; `times`: how often it went for good before.
pub(super) fn received(connection: ConnectionId, mail: Vec<u8>, times: i32) -> Brought {
    Brought::Received(record(connection, mail, times))
}

/// What is left of a mail that is too large.
pub(super) fn too_large(connection: ConnectionId, header: Vec<u8>, bytes: u64, most: u64) -> Brought {
    let mut rest = record(connection, header, 0);
    rest.remote_id.push_str("/rest");
    let mega = |bytes: u64| bytes / 1_000_000;
    let reason = format!(
        "the mail has {} MB, and at most {} are taken: only its header is here",
        mega(bytes),
        mega(most)
    );
    Brought::Unfit(rest, reason)
}

fn record(connection: ConnectionId, mail: Vec<u8>, times: i32) -> RawRecord {
    RawRecord {
        connection: Some(connection),
        stream: STREAM.to_owned(),
        remote_id: hex::encode(Sha256::digest(&mail)),
        revision: if times > 0 {
            times.to_string()
        } else {
            String::new()
        },
        media_type: "message/rfc822".to_owned(),
        body: mail,
    }
}

/// What the mailbox says of a mail that it has.
pub(super) fn flagged(connection: ConnectionId, mail: &str, flags: Flags) -> Brought {
    let said = json!({ "seen": flags.seen, "flagged": flags.flagged });
    let props: Map<String, Value> = said.as_object().cloned().unwrap_or_default();
    Brought::Thing(Thing {
        record: RawRecord {
            connection: Some(connection),
            stream: STREAM.to_owned(),
            remote_id: format!("flags {mail}"),
            revision: format!("{}{}", u8::from(flags.seen), u8::from(flags.flagged)),
            media_type: "application/json".to_owned(),
            body: said.to_string().into_bytes(),
        },
        entities: vec![EntityChange {
            target: Target::Identified,
            kind: "Message".to_owned(),
            title: None,
            props,
            identifiers: vec![Identifier::new(MESSAGE_ID, mail)],
            starts_at: None,
        }],
        relations: Vec::new(),
    })
}

/// No folder has it any more.
pub(super) fn gone(mail: &str) -> Brought {
    Brought::Gone(Gone {
        stream: STREAM.to_owned(),
        kind: "Message".to_owned(),
        identifier: Identifier::new(MESSAGE_ID, mail),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_known_by_its_id_and_without_one_by_what_it_says() {
        let (id, has_id) = known_by(b"From: a@example.org\r\nMessage-ID: <1@example.org>\r\n\r\nhi\r\n");
        assert_eq!((id.as_str(), has_id), ("1@example.org", true));
        let (one, has_id) = known_by(b"From: a@example.org\r\n\r\nhi\r\n");
        assert!(!has_id && one.starts_with("sha256:"));
        assert_ne!(one, known_by(b"From: a@example.org\r\n\r\nho\r\n").0);
        let long = format!("Message-ID: <{}@example.org>\r\n\r\n", "x".repeat(500));
        assert!(known_by(long.as_bytes()).0.starts_with("sha256:"));
        assert!(!known_by(b"").1);
    }
}
