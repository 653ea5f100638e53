//! The stream of mails of one folder, page by page: what is new, which flags changed, what is there no more.
//!
//! Invariant: a page can be asked for twice. What is written down here says where mails lie, and is true whether or not
//! the page is taken in; that a mail went is settled only by the page after the one that told it.
//! Begin with [`Reading::page`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use contracts::ConnectionId;
use serde::{Deserialize, Serialize};
use spine::access::{AccessError, Cause};
use spine::ports::{Ask, Mode, Page, SyncError};
use spine::{Access, ScopedTx};
use uuid::Uuid;

use super::line::Line;
use super::mail;
use super::mailbox::{Flags, HEADER_BYTES_MAX, Opened, Seen};
use super::store::{self, Folder};

/// Mails of a page, and their bytes together unless it is one alone.
const MAILS_MAX: usize = 250;
const BYTES_MAX: u64 = 4 * 1024 * 1024;
/// A larger one is not taken: 25 MB as attachments, and what coding them adds.
const MAIL_BYTES_MAX: u64 = 36_000_000;
/// Flags of a page, or mails that went.
const WORDS_MAX: usize = 500;
/// UIDs that are looked at together, at first; more where there are none.
const WINDOW: u32 = 500;
const WINDOW_MAX: u32 = 1 << 24;
/// A page ends after this, though it found nothing.
const PAGE_TIME: Duration = Duration::from_secs(20);

/// Where a reading stands; what the next one begins with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Place {
    /// UIDVALIDITY.
    validity: u32,
    /// Mails with lower UIDs were read.
    next: u32,
    /// The modification sequence up to which flags are known.
    modseq: Option<u64>,
    step: Step,
    /// When the reading began.
    begun: DateTime<Utc>,
    /// What `next` was then.
    first: u32,
    /// What `modseq` will be when the reading is at its end.
    top: Option<u64>,
}

/// What a page is about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Step {
    /// Mails that weren't read.
    Mails,
    /// Flags from this UID on.
    Flags(u32),
    /// What went.
    Rest,
    /// More of it, now that what this page told was taken in.
    Told(Uuid),
    /// The reading is at its end.
    End,
}

/// One page that is about to be read.
pub(super) struct Reading<'a> {
    pub(super) access: &'a Access,
    pub(super) connection: ConnectionId,
    pub(super) ask: &'a Ask,
    pub(super) line: &'a mut Line,
}

impl<'a> Reading<'a> {
    /// Reads it.
    pub(super) async fn page(mut self) -> Result<Page, SyncError> {
        let place: Option<Place> = match &self.ask.cursor {
            None => None,
            Some(cursor) => Some(serde_json::from_value(cursor.clone()).map_err(|_| {
                SyncError::CursorLost("the place in the folder is written in another way".to_owned())
            })?),
        };
        if let Some(Place {
            step: Step::Told(batch),
            ..
        }) = &place
        {
            let mut tx = self.begin().await?;
            store::gone_settle(&mut tx, self.connection, *batch).await?;
            tx.commit().await?;
        }
        let Some(opened) = self.line.examine_if_there(&self.ask.part).await? else {
            // Renamed or deleted: the folders' own stream finds that, and what lay here.
            return Ok(Page {
                cursor: self.ask.cursor.clone(),
                ..Page::default()
            });
        };
        let mut place = match place {
            Some(place) if place.validity != opened.validity => {
                return Err(SyncError::CursorLost(
                    "the server numbers the folder's mails anew".to_owned(),
                ));
            }
            Some(place) if place.step != Step::End => place,
            place => self.begun(place, opened),
        };
        let is_first = place.next == 1 && self.ask.mode == Mode::Full;
        let mut page = Page {
            estimate: is_first.then_some(u64::from(opened.exists)),
            more: true,
            ..Page::default()
        };
        loop {
            let step = place.step;
            match step {
                Step::Mails => self.mails(&mut place, opened, &mut page).await?,
                Step::Flags(from) => self.flags(&mut place, from, &mut page).await?,
                Step::Rest | Step::Told(_) => self.vanished(&mut place, opened, &mut page).await?,
                Step::End => break,
            }
            if !page.records.is_empty() || place.step == step {
                break;
            }
        }
        page.cursor = serde_json::to_value(&place).ok();
        Ok(page)
    }

    /// A reading that begins now.
    fn begun(&self, before: Option<Place>, opened: Opened) -> Place {
        let (next, modseq) = match before {
            Some(before) => (before.next, before.modseq),
            None => (1, None),
        };
        Place {
            validity: opened.validity,
            next,
            modseq,
            step: Step::Mails,
            begun: self.ask.now,
            first: next,
            top: opened.modseq,
        }
    }

    async fn mails(&mut self, place: &mut Place, opened: Opened, page: &mut Page) -> Result<(), SyncError> {
        let wanted = self.next_mails(place, opened).await?;
        let (large, usual): (Vec<_>, Vec<_>) =
            wanted.iter().partition(|(_, seen)| seen.bytes > MAIL_BYTES_MAX);
        let uids = |some: &[(&u32, &Seen)]| some.iter().map(|(uid, _)| **uid).collect::<Vec<u32>>();
        let bytes = usual.iter().map(|(_, seen)| seen.bytes).sum();
        let mut bodies = self.line.bodies(&uids(&usual), bytes, false).await?;
        let headers = HEADER_BYTES_MAX * large.len() as u64;
        bodies.extend(self.line.bodies(&uids(&large), headers, true).await?);
        let known: BTreeMap<u32, (String, bool)> = bodies
            .iter()
            .map(|(uid, body)| (*uid, mail::known_by(body)))
            .collect();
        let times = self.write_down(place, &known).await?;
        let mut words = Vec::new();
        for (uid, body) in bodies {
            let (Some(seen), Some((name, has_id))) = (wanted.get(&uid), known.get(&uid)) else {
                continue;
            };
            let times = times.get(name).copied().unwrap_or_default();
            if seen.bytes > MAIL_BYTES_MAX {
                let rest = mail::too_large(self.connection, body.clone(), seen.bytes, MAIL_BYTES_MAX);
                words.push(rest);
            }
            page.records.push(mail::received(self.connection, body, times));
            // Most mails are read and not flagged; that goes without saying.
            if *has_id
                && seen.flags
                    != (Flags {
                        seen: true,
                        flagged: false,
                    })
            {
                words.push(mail::flagged(self.connection, name, seen.flags));
            }
        }
        page.records.append(&mut words);
        if place.next >= opened.next {
            place.step = Step::Flags(1);
        }
        Ok(())
    }

    /// The mails of the page, and moves the place behind them.
    async fn next_mails(
        &mut self,
        place: &mut Place,
        opened: Opened,
    ) -> Result<BTreeMap<u32, Seen>, SyncError> {
        let (begun, mut window, mut bytes) = (Instant::now(), WINDOW, 0);
        let mut wanted = BTreeMap::new();
        while place.next < opened.next && begun.elapsed() < PAGE_TIME {
            let last = place.next.saturating_add(window - 1).min(opened.next - 1);
            let mut found = self.line.look(place.next, last).await?;
            let is_empty = found.is_empty();
            if self.ask.mode == Mode::Reconcile && !is_empty {
                let (from, to) = (i64::from(place.next), i64::from(last));
                let mut tx = self.begin().await?;
                let known = store::mails_between(&mut tx, self.folder(place), from, to).await?;
                found.retain(|uid, _| !known.contains_key(&i64::from(*uid)));
            }
            for (uid, seen) in found {
                let size = seen.bytes.min(MAIL_BYTES_MAX);
                if !wanted.is_empty() && (wanted.len() >= MAILS_MAX || bytes + size > BYTES_MAX) {
                    return Ok(wanted);
                }
                wanted.insert(uid, seen);
                bytes += size;
                place.next = uid.saturating_add(1);
            }
            place.next = last.saturating_add(1);
            window = if is_empty {
                window.saturating_mul(4).min(WINDOW_MAX)
            } else {
                WINDOW
            };
        }
        Ok(wanted)
    }

    /// Where the page's mails lie; how often each went before.
    async fn write_down(
        &self,
        place: &Place,
        known: &BTreeMap<u32, (String, bool)>,
    ) -> Result<BTreeMap<String, i32>, SyncError> {
        if known.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows: Vec<(i64, String)> = known
            .iter()
            .map(|(uid, (name, _))| (i64::from(*uid), name.clone()))
            .collect();
        let names: Vec<String> = rows.iter().map(|(_, name)| name.clone()).collect();
        let mut tx = self.begin().await?;
        store::mails_put(&mut tx, self.folder(place), &rows).await?;
        let times = store::gone_times(&mut tx, self.connection, &names).await?;
        tx.commit().await?;
        Ok(times)
    }

    /// Flags of mails that were read before this reading began; those of newer ones came with them.
    async fn flags(&mut self, place: &mut Place, from: u32, page: &mut Page) -> Result<(), SyncError> {
        let last = place.first.saturating_sub(1);
        let (Some(since), Some(top)) = (place.modseq, place.top) else {
            place.step = Step::Rest;
            return Ok(());
        };
        if from > last || top <= since || !self.line.can("CONDSTORE") {
            place.step = Step::Rest;
            return Ok(());
        }
        let changed = self.line.changed((from, last), since).await?;
        let Some((first, _)) = changed.first_key_value() else {
            place.step = Step::Rest;
            return Ok(());
        };
        let some: Vec<(u32, Flags)> = changed
            .iter()
            .take(WORDS_MAX)
            .map(|(uid, flags)| (*uid, *flags))
            .collect();
        let until = some.last().map_or(*first, |(uid, _)| *uid);
        let mut tx = self.begin().await?;
        let folder = self.folder(place);
        let names = store::mails_between(&mut tx, folder, i64::from(*first), i64::from(until)).await?;
        for (uid, flags) in some {
            if let Some(name) = names
                .get(&i64::from(uid))
                .filter(|name| !name.starts_with("sha256:"))
            {
                page.records.push(mail::flagged(self.connection, name, flags));
            }
        }
        place.step = if changed.len() > WORDS_MAX {
            Step::Flags(until.saturating_add(1))
        } else {
            Step::Rest
        };
        Ok(())
    }

    /// What went, and then the end.
    async fn vanished(
        &mut self,
        place: &mut Place,
        opened: Opened,
        page: &mut Page,
    ) -> Result<(), SyncError> {
        let folder = self.folder(place);
        let mut tx = self.begin().await?;
        let known = store::mail_count(&mut tx, folder).await?;
        drop(tx); // none stays open while the server is asked
        let mut there: Option<Vec<i64>> = None;
        if known != i64::from(opened.exists) || self.ask.mode != Mode::Incremental {
            there = Some(self.line.uids().await?.into_iter().map(i64::from).collect());
        }
        let batch = Uuid::now_v7();
        let mut tx = self.begin().await?;
        if let Some(there) = there {
            store::mails_vanish(&mut tx, folder, i64::from(place.next), &there).await?;
        }
        store::folder_looked(&mut tx, folder, place.begun).await?;
        let most = i64::try_from(WORDS_MAX).unwrap_or(i64::MAX);
        let gone = store::gone_tell(&mut tx, self.connection, batch, most).await?;
        tx.commit().await?;
        if gone.is_empty() {
            place.modseq = place.top;
            (place.step, page.more) = (Step::End, false);
        } else {
            page.records.extend(gone.iter().map(|name| mail::gone(name)));
            place.step = Step::Told(batch);
        }
        Ok(())
    }

    fn folder(&self, place: &Place) -> Folder<'a> {
        Folder {
            connection: self.connection,
            name: &self.ask.part,
            validity: i64::from(place.validity),
        }
    }

    async fn begin(&self) -> Result<ScopedTx, AccessError> {
        self.access.begin(&self.ask.scope, Cause::outside()).await
    }
}
