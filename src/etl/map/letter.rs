//! By what a mail is known: what was written, not which way it came.
//!
//! Hashed are Message-ID, senders, date, subject, and each part of the body as it reads: text without how its lines end
//! and without what an mbox does to `From `, anything else by its bytes. Trace and status headers (Received, X-Status,
//! Delivered-To) are not: they differ between two copies of one mail. A Message-ID alone isn't it: whoever knows that of
//! another's mail can write it into a mail of her own. Pure. Begin with [`hash`].

use mail_parser::{Message, PartType};

use super::mail::bytes;
use super::{Somebody, text};

/// What is hashed of a mail with this id.
pub(super) fn hash(mail: &Message<'_>, id: Option<&str>, from: &[Somebody], subject: Option<&str>) -> String {
    let senders: Vec<&str> = from.iter().map(|one| one.email.as_str()).collect();
    let date = mail.date().filter(|date| date.is_valid());
    let date = date
        .map(|date| date.to_timestamp().to_string())
        .unwrap_or_default();
    let mut parts: Vec<Vec<u8>> = vec![
        id.unwrap_or_default().into(),
        senders.join(" ").into_bytes(),
        date.into_bytes(),
        subject.unwrap_or_default().into(),
    ];
    for part in &mail.parts {
        match &part.body {
            PartType::Multipart(_) => {}
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) => parts.push(bytes.to_vec()),
            PartType::Text(_) | PartType::Html(_) | PartType::Message(_) => {
                parts.push(plain(bytes(mail, part)));
            }
        }
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    text::hash(&parts)
}

/// Text as all copies of it read.
fn plain(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.trim_ascii_end().split(|byte| *byte == b'\n') {
        let quotes = line.iter().take_while(|byte| **byte == b'>').count();
        let line = if line[quotes..].starts_with(b"From ") {
            &line[quotes..]
        } else {
            line
        };
        out.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        out.push(b'\n');
    }
    out
}
