//! A folder that is looked at: what the server says of it, and of the mails in it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_imap::imap_proto::{
    AttributeValue, MailboxDatum, MessageSection, Response, ResponseCode, SectionPath,
};
use spine::ports::SyncError;

use super::line::{Line, PATIENCE, TALK_BYTES};
use super::names::encoded;

/// For a page of mails over a slow line.
const LONG_PATIENCE: Duration = Duration::from_secs(300);
/// What stands around a mail in an answer, at the most.
const AROUND_BYTES: u64 = 64 * 1024;
/// A header alone may have this.
pub(super) const HEADER_BYTES_MAX: u64 = 1024 * 1024;

/// What the server says when a folder is opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) exists: u32,
    pub(super) validity: u32,
    /// The UID that the next mail will have.
    pub(super) next: u32,
    /// HIGHESTMODSEQ (RFC 7162); none if the server keeps none.
    pub(super) modseq: Option<u64>,
}

/// What the server says of a mail without showing it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) bytes: u64,
    pub(super) flags: Flags,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) seen: bool,
    pub(super) flagged: bool,
}

impl Line {
    /// Opens a folder and changes nothing in it.
    pub(super) async fn examine(&mut self, folder: &str) -> Result<Opened, SyncError> {
        let opened = self.examine_if_there(folder).await?;
        opened.ok_or_else(|| SyncError::transient("a folder isn't there any more"))
    }

    /// As [`Line::examine`]; none if the server has no such folder.
    pub(super) async fn examine_if_there(&mut self, folder: &str) -> Result<Option<Opened>, SyncError> {
        let name = quoted(folder);
        let how = if self.can("CONDSTORE") { " (CONDSTORE)" } else { "" };
        let mut opened = Opened::default();
        let examine = format!("EXAMINE {name}{how}");
        let is_open = self.ask_for(&examine, TALK_BYTES, PATIENCE, |response| match response {
            Response::MailboxData(MailboxDatum::Exists(count)) => opened.exists = *count,
            Response::Data { outcome, .. } => match &outcome.code {
                Some(ResponseCode::UidValidity(validity)) => opened.validity = *validity,
                Some(ResponseCode::UidNext(next)) => opened.next = *next,
                Some(ResponseCode::HighestModSeq(modseq)) => opened.modseq = Some(*modseq),
                _ => {}
            },
            _ => {}
        });
        if !is_open.await? {
            let mut is_there = false;
            self.ask(&format!("LIST \"\" {name}"), TALK_BYTES, PATIENCE, |response| {
                is_there |= matches!(response, Response::MailboxData(MailboxDatum::List(_)));
            })
            .await?;
            return match is_there {
                true => Err(SyncError::transient("the mail server doesn't open a folder")),
                false => Ok(None),
            };
        }
        if opened.next == 0 {
            // Old servers don't say; the highest UID tells.
            opened.next = self.uids().await?.last().map_or(1, |last| last.saturating_add(1));
        }
        Ok(Some(opened))
    }

    /// Size and flags of the mails of a range, by UID.
    pub(super) async fn look(&mut self, from: u32, to: u32) -> Result<BTreeMap<u32, Seen>, SyncError> {
        let question = format!("UID FETCH {from}:{to} (UID RFC822.SIZE FLAGS)");
        let mut found = BTreeMap::new();
        self.ask(&question, TALK_BYTES, PATIENCE, |response| {
            let Response::Fetch(_, attributes) = response else {
                return;
            };
            let mut seen = Seen::default();
            for attribute in attributes {
                match attribute {
                    AttributeValue::Rfc822Size(bytes) => seen.bytes = u64::from(*bytes),
                    AttributeValue::Flags(flags) => seen.flags = Flags::of(flags),
                    _ => {}
                }
            }
            // `n:*` names the last mail, too, though it lies below n.
            if let Some(uid) = uid(attributes).filter(|uid| (from..=to).contains(uid)) {
                found.insert(uid, seen);
            }
        })
        .await?;
        Ok(found)
    }

    /// Flags that changed since, of the mails of a range.
    pub(super) async fn changed(
        &mut self,
        (from, to): (u32, u32),
        since: u64,
    ) -> Result<BTreeMap<u32, Flags>, SyncError> {
        let question = format!("UID FETCH {from}:{to} (UID FLAGS) (CHANGEDSINCE {since})");
        let mut found = BTreeMap::new();
        self.ask(&question, TALK_BYTES, PATIENCE, |response| {
            let Response::Fetch(_, attributes) = response else {
                return;
            };
            let flags = attributes.iter().find_map(|attribute| match attribute {
                AttributeValue::Flags(flags) => Some(Flags::of(flags)),
                _ => None,
            });
            if let (Some(uid), Some(flags)) = (uid(attributes), flags)
                && (from..=to).contains(&uid)
            {
                found.insert(uid, flags);
            }
        })
        .await?;
        Ok(found)
    }

    /// All UIDs of the folder, in order.
    pub(super) async fn uids(&mut self) -> Result<Vec<u32>, SyncError> {
        let mut all = Vec::new();
        self.ask("UID SEARCH ALL", TALK_BYTES, PATIENCE, |response| {
            if let Response::MailboxData(MailboxDatum::Search(uids)) = response {
                all.extend_from_slice(uids);
            }
        })
        .await?;
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// Mails as they are, or only their headers; by UID. One that went meanwhile is missing.
    pub(super) async fn bodies(
        &mut self,
        uids: &[u32],
        bytes: u64,
        only_headers: bool,
    ) -> Result<BTreeMap<u32, Vec<u8>>, SyncError> {
        let mut found = BTreeMap::new();
        if uids.is_empty() {
            return Ok(found);
        }
        let section = if only_headers { "HEADER" } else { "" };
        let question = format!("UID FETCH {} (UID BODY.PEEK[{section}])", set(uids));
        // Sizes are estimates on some servers.
        let most = bytes + bytes / 8 + AROUND_BYTES * (uids.len() as u64 + 1);
        self.ask(&question, most, LONG_PATIENCE, |response| {
            let Response::Fetch(_, attributes) = response else {
                return;
            };
            let body = attributes.iter().find_map(|attribute| match attribute {
                AttributeValue::BodySection {
                    section: None | Some(SectionPath::Full(MessageSection::Header)),
                    data: Some(data),
                    ..
                } => Some(data.to_vec()),
                _ => None,
            });
            if let (Some(uid), Some(body)) = (uid(attributes), body) {
                found.insert(uid, body);
            }
        })
        .await?;
        found.retain(|uid, _| uids.contains(uid));
        Ok(found)
    }
}

impl Flags {
    fn of(names: &[std::borrow::Cow<'_, str>]) -> Self {
        let has = |wanted: &str| names.iter().any(|name| name.eq_ignore_ascii_case(wanted));
        Self {
            seen: has("\\Seen"),
            flagged: has("\\Flagged"),
        }
    }
}

fn quoted(folder: &str) -> String {
    let name = encoded(folder).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{name}\"")
}

fn uid(attributes: &[AttributeValue<'_>]) -> Option<u32> {
    attributes.iter().find_map(|attribute| match attribute {
        AttributeValue::Uid(uid) => Some(*uid),
        _ => None,
    })
}

/// `1:3,7`, of numbers in order.
fn set(uids: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for uid in uids {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*uid) => *last = *uid,
            _ => runs.push((*uid, *uid)),
        }
    }
    let runs: Vec<String> = runs
        .into_iter()
        .map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}:{last}"),
        })
        .collect();
    runs.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_uids_is_written_in_runs() {
        assert_eq!(set(&[1, 2, 3, 7, 9, 10]), "1:3,7,9:10");
        assert_eq!(set(&[u32::MAX - 1, u32::MAX]), "4294967294:4294967295");
    }

    #[test]
    fn flags_are_known_in_any_case() {
        let flags = Flags::of(&["\\SEEN".into(), "$Junk".into()]);
        assert_eq!(
            flags,
            Flags {
                seen: true,
                flagged: false
            }
        );
    }
}
