//! Feeds: RSS, Atom and JSON Feed. Each item is a Document.
//!
//! Events: none; records go to whoever asks for a page (port `Connector`).
//! Invariant: a feed that says nothing new costs its server one short answer, and is asked less and less often; nothing of
//! a feed is parsed before its size and shape are known to be harmless. Begin with [`Feeds::sync`]; `shape.rs` refuses,
//! `item.rs` says what an item means.

mod item;
mod shape;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use fetch::{
    Allowance, Class, Failure, Fetch, FetchConfig, FetchError, Limits, Request, Response, StatusCode, Url,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use spine::Context;
use spine::ports::{Ask, Brought, Connected, Connector, Page, RawRecord, SyncError};

/// By which manifests name it.
const NAME: &str = "feeds";
const STREAM: &str = "items";
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Of one reading; a feed is what is new, not an archive.
const ITEMS_MAX: usize = 1_000;
/// How often a feed is asked, at the most and at the least.
const EVERY_MIN: Duration = Duration::from_secs(15 * 60);
const EVERY_MAX: Duration = Duration::from_secs(24 * 3600);

/// The connector.
#[derive(Debug)]
pub(crate) struct Feeds {
    fetch: Option<Fetch>,
}

/// What is remembered of the last answer.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
struct Place {
    etag: Option<String>,
    last_modified: Option<String>,
    /// Of the body: servers without the other two send it again as it was.
    hash: String,
    /// Seconds until it is asked again.
    every_s: u64,
}

impl Feeds {
    pub(crate) fn new(context: &Context) -> Self {
        let fetch = Fetch::new(FetchConfig {
            extra_ca_pem: context.settings.extra_ca_pem.clone(),
            ..FetchConfig::default()
        });
        if let Err(error) = &fetch {
            tracing::error!(%error, "no feed can be asked for");
        }
        Self { fetch: fetch.ok() }
    }

    async fn get(&self, connected: &Connected, place: &Place) -> Result<Response, SyncError> {
        let fetch = self.fetch.as_ref().ok_or_else(|| {
            SyncError::Configuration(
                "the hub's certificate authorities can't be read: see its log".to_owned(),
            )
        })?;
        let bad = |_| SyncError::Configuration("`url` is no address of a feed".to_owned());
        let mut request = Request::get(connected.text("url")).map_err(bad)?;
        let is_plain = request.url.scheme() == "http";
        let user = connected.text("user");
        if !user.is_empty() {
            if is_plain && connected.allowed_ranges.is_empty() {
                return Err(SyncError::Configuration(
                    "over http the password would be read by others on the way: give an https address"
                        .to_owned(),
                ));
            }
            request = request
                .basic_auth(user, connected.secret("password")?)
                .map_err(bad)?;
        }
        let accepted = "application/atom+xml, application/rss+xml, application/feed+json, application/xml;q=0.9, */*;q=0.5";
        request = request.header("accept", accepted).map_err(bad)?;
        let conditions = [
            ("if-none-match", &place.etag),
            ("if-modified-since", &place.last_modified),
        ];
        for (name, value) in conditions {
            if let Some(value) = value {
                request = request.header(name, value).map_err(bad)?;
            }
        }
        let ranges = connected
            .allowed_ranges
            .iter()
            .filter_map(|range| range.parse().ok());
        let allowance = Allowance {
            ranges: ranges.collect(),
            plain_http: is_plain,
            limits: Limits {
                body_max: BODY_BYTES_MAX,
                redirects_max: 5,
                connect_timeout: Duration::from_secs(10),
                total_timeout: Duration::from_secs(50),
            },
            ..Allowance::default()
        };
        fetch.send(request, &allowance).await.map_err(unreached)
    }

    async fn items(&self, connected: &Connected, ask: &Ask) -> Result<Page, SyncError> {
        let place: Place = ask
            .cursor
            .clone()
            .and_then(|cursor| serde_json::from_value(cursor).ok())
            .unwrap_or_default();
        let answer = self.get(connected, &place).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(unchanged(place, &answer));
        }
        if !answer.status.is_success() {
            return Err(refused(&answer, ask.now));
        }
        let hash = hex::encode(Sha256::digest(&answer.body));
        if hash == place.hash {
            return Ok(unchanged(place, &answer));
        }
        let (body, url) = (answer.body.clone(), answer.url.clone());
        let read = tokio::task::spawn_blocking(move || item::read(&body, &url)).await;
        let read =
            read.map_err(|_| SyncError::Bug("a feed can't be read: its parser failed on it".to_owned()))?;
        let records = match read {
            Ok(feed) => {
                let feed_url = connected.text("url");
                let items = feed.entries.iter().take(ITEMS_MAX);
                // Newest first, as feeds have it: what is oldest is told first.
                items
                    .rev()
                    .filter_map(|entry| item::brought(connected.id, feed_url, &feed, entry))
                    .collect()
            }
            Err(item::Unread::Page) => {
                let reason =
                    "the address leads to a web page, not to a feed: look for the feed's own address there";
                return Err(SyncError::Configuration(reason.to_owned()));
            }
            Err(item::Unread::Because(reason)) => vec![unfit(connected, &hash, &answer, &reason)],
        };
        let place = Place {
            every_s: closer(place.every_s),
            hash,
            ..Place::of(&answer)
        };
        Ok(page(records, &place, &answer))
    }
}

impl Place {
    fn of(answer: &Response) -> Self {
        let text = |name: &str| {
            let value = answer.headers.get(name)?.to_str().ok()?;
            (value.len() <= 512).then(|| value.to_owned())
        };
        Self {
            etag: text("etag"),
            last_modified: text("last-modified"),
            ..Self::default()
        }
    }
}

/// Something new came: half as long as before.
fn closer(every_s: u64) -> u64 {
    (every_s / 2).max(EVERY_MIN.as_secs())
}

/// Nothing came: half as long again.
fn farther(every_s: u64) -> u64 {
    let before = every_s.max(EVERY_MIN.as_secs());
    (before + before / 2).min(EVERY_MAX.as_secs())
}

fn unchanged(place: Place, answer: &Response) -> Page {
    let place = Place {
        every_s: farther(place.every_s),
        ..place
    };
    page(Vec::new(), &place, answer)
}

fn page(records: Vec<Brought>, place: &Place, answer: &Response) -> Page {
    let fresh_s = answer
        .headers
        .get("cache-control")
        .and_then(|value| max_age(value.to_str().ok()?));
    let wait_s = place
        .every_s
        .max(fresh_s.unwrap_or_default())
        .min(EVERY_MAX.as_secs());
    Page {
        records,
        cursor: serde_json::to_value(place).ok(),
        wait: Some(Duration::from_secs(wait_s)),
        ..Page::default()
    }
}

/// For how many seconds the source says that its answer holds (RFC 9111).
fn max_age(value: &str) -> Option<u64> {
    let mut directives = value.split(',').map(str::trim);
    directives.find_map(|one| one.to_ascii_lowercase().strip_prefix("max-age=")?.parse().ok())
}

/// A feed that can't be read, kept as it came.
fn unfit(connected: &Connected, hash: &str, answer: &Response, reason: &str) -> Brought {
    let record = RawRecord {
        connection: Some(connected.id),
        stream: STREAM.to_owned(),
        remote_id: "feed".to_owned(),
        revision: hash.to_owned(),
        media_type: "application/xml".to_owned(),
        body: answer.body.to_vec(),
    };
    Brought::Unfit(record, reason.to_owned())
}

fn refused(answer: &Response, now: DateTime<Utc>) -> SyncError {
    let status = answer.status.as_u16();
    match status {
        401 | 403 => SyncError::Refused(format!(
            "the feed's server wants another user or password (HTTP {status})"
        )),
        410 => SyncError::Configuration(
            "the feed is no longer there (HTTP 410): remove it, or give another address".to_owned(),
        ),
        _ => SyncError::Transient {
            reason: format!("the feed's server answered HTTP {status}"),
            retry_after: retry_after(answer, now),
        },
    }
}

/// Seconds, or a date (RFC 9110).
fn retry_after(answer: &Response, now: DateTime<Utc>) -> Option<Duration> {
    let value = answer.headers.get("retry-after")?.to_str().ok()?;
    let wait = match value.trim().parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => (DateTime::parse_from_rfc2822(value).ok()?.to_utc() - now)
            .to_std()
            .ok()?,
    };
    Some(wait.min(EVERY_MAX))
}

fn unreached(error: FetchError) -> SyncError {
    let failure = error.failure();
    match failure {
        Failure::AddressDenied => SyncError::Configuration(
            "the feed's address is not public: allow its range for this connection".to_owned(),
        ),
        _ if failure.class() == Class::Denied => {
            SyncError::Configuration(format!("the feed can't be asked for: {failure}"))
        }
        _ => SyncError::transient(format!("the feed can't be reached: {failure}")),
    }
}

#[async_trait]
impl Connector for Feeds {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn test(&self, connected: &Connected) -> Result<String, SyncError> {
        let answer = self.get(connected, &Place::default()).await?;
        if !answer.status.is_success() {
            return Err(refused(&answer, DateTime::UNIX_EPOCH));
        }
        let (body, url): (_, Url) = (answer.body, answer.url);
        let read = tokio::task::spawn_blocking(move || item::read(&body, &url)).await;
        match read.map_err(|_| SyncError::Bug("the feed can't be read".to_owned()))? {
            Ok(feed) => Ok(format!("the feed has {} items", feed.entries.len())),
            Err(item::Unread::Page) => Err(SyncError::Configuration(
                "the address leads to a web page, not to a feed".to_owned(),
            )),
            Err(item::Unread::Because(reason)) => Err(SyncError::Configuration(reason)),
        }
    }

    async fn sync(&self, connected: &Connected, ask: &Ask) -> Result<Page, SyncError> {
        match ask.stream.as_str() {
            STREAM => self.items(connected, ask).await,
            other => Err(SyncError::Bug(format!("a feed has no stream `{other}`"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_asked_less_and_less_often_until_it_says_something() {
        let mut every = closer(0);
        assert_eq!(every, 900);
        let mut asked = Vec::new();
        for _ in 0..20 {
            every = farther(every);
            asked.push(every);
        }
        assert_eq!(asked[..3], [1350, 2025, 3037]);
        assert_eq!(asked.last(), Some(&86_400));
        assert_eq!(closer(86_400), 43_200);
    }

    #[test]
    fn how_long_an_answer_holds_is_what_its_server_says() {
        assert_eq!(max_age("public, Max-Age=7200"), Some(7200));
        assert_eq!(max_age("no-cache"), None);
        assert_eq!(max_age("max-age=never"), None);
    }
}
