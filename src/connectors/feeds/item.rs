//! A feed's items as Documents.
//!
//! Invariant: the same item gives the same record, and an edited one a new revision of it; texts and lists are bounded.
//! Pure. Begin with [`read`] and [`brought`].

use chrono::SecondsFormat;
use contracts::ConnectionId;
use feed_rs::model::{Entry, Feed, Text};
use fetch::Url;
use mail_parser::decoders::html::html_to_text;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use spine::ports::{Brought, EntityChange, Identifier, RawRecord, Target, Thing};

use super::{STREAM, shape};

const TEXT_CHARS_MAX: usize = 40_000;
const TEXT_BYTES_MAX: usize = 44_000;
const SUMMARY_CHARS_MAX: usize = 4_000;
const LINE_CHARS_MAX: usize = 500;
const URL_BYTES_MAX: usize = 2_000;
const ID_BYTES_MAX: usize = 480;
const LIST_MAX: usize = 50;
/// Real parsers need little of it; what isn't used costs nothing.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// Why a feed wasn't read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is a web page.
    Page,
    /// It is broken, or isn't to be trusted.
    Because(String),
}

/// Parses a feed that came from an address.
pub(super) fn read(body: &[u8], url: &Url) -> Result<Feed, Unread> {
    let begin = String::from_utf8_lossy(&body[..body.len().min(512)]).to_lowercase();
    if begin.contains("<html") || begin.contains("<!doctype html") {
        return Err(Unread::Page);
    }
    if let Some(reason) = shape::refusal(body) {
        return Err(Unread::Because(reason.to_owned()));
    }
    let because = |reason: &str| Unread::Because(reason.to_owned());
    let parse = || {
        let parser = feed_rs::parser::Builder::new().base_uri(Some(url.as_str()));
        let parser = parser.id_generator(|links, title, _| {
            let link = links.first().map(|link| link.href.clone());
            link.or_else(|| title.as_ref().map(|title| title.content.clone()))
                .unwrap_or_default()
        });
        parser.build().parse(body)
    };
    let parsed = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("feed".to_owned())
            .stack_size(STACK_BYTES);
        thread.spawn_scoped(scope, parse).ok()?.join().ok()
    });
    let parsed = parsed.ok_or_else(|| because("the feed can't be read: its parser failed on it"))?;
    parsed.map_err(|_| {
        because("this is no feed, or a broken one: neither RSS nor Atom nor JSON Feed can be read from it")
    })
}

/// What an item means; none if it says nothing.
pub(super) fn brought(
    connection: ConnectionId,
    feed_url: &str,
    feed: &Feed,
    entry: &Entry,
) -> Option<Brought> {
    let body = serde_json::to_vec(entry).ok()?;
    let title = entry.title.as_ref().and_then(|title| line(&plain(title)));
    let content = entry.content.as_ref();
    let text = content.and_then(|content| {
        let body = content.body.as_ref()?;
        block(&readable(body, content.content_type.as_str()), TEXT_CHARS_MAX)
    });
    let summary = entry
        .summary
        .as_ref()
        .and_then(|summary| block(&plain(summary), TEXT_CHARS_MAX));
    // What a feed has instead of a text is one, however it calls it.
    let (text, summary) = match (text, summary) {
        (None, summary) => (summary, None),
        (text, summary) => (
            text,
            summary.map(|one| one.chars().take(SUMMARY_CHARS_MAX).collect::<String>()),
        ),
    };
    let page = entry
        .links
        .iter()
        .find(|link| link.rel.as_deref().is_none_or(|rel| rel == "alternate"));
    let url = page.and_then(|link| address(&link.href));
    if title.is_none() && text.is_none() && url.is_none() {
        return None;
    }
    let id = known_by(feed_url, &entry.id, text.as_deref());
    let mut props = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            props.insert(name.to_owned(), value);
        }
    };
    set("url", url.map(Value::from));
    set("text", text.map(Value::from));
    set("description", summary.map(Value::from));
    set(
        "feed",
        feed.title
            .as_ref()
            .and_then(|title| line(&plain(title)))
            .map(Value::from),
    );
    set(
        "language",
        entry
            .language
            .as_deref()
            .or(feed.language.as_deref())
            .filter(|tag| tag.len() <= 35)
            .map(Value::from),
    );
    let published = entry.published.or(entry.updated);
    set(
        "published_at",
        published.map(|at| Value::from(at.to_rfc3339_opts(SecondsFormat::Secs, true))),
    );
    let authors = entry
        .authors
        .iter()
        .filter_map(|one| line(one.name.as_deref().or(one.email.as_deref())?));
    set("authors", list(authors.map(Value::from)));
    let categories = entry
        .categories
        .iter()
        .filter_map(|one| line(one.label.as_deref().unwrap_or(&one.term)));
    set("categories", list(categories.map(Value::from)));
    set("attachments", list(enclosures(entry).into_iter()));
    let entity = EntityChange {
        target: Target::Record,
        kind: "Document".to_owned(),
        title,
        props,
        identifiers: vec![Identifier::new("feed.item", &id)],
        starts_at: published,
    };
    let said = json!([entity.title, entity.props]).to_string();
    Some(Brought::Thing(Thing {
        record: RawRecord {
            connection: Some(connection),
            stream: STREAM.to_owned(),
            remote_id: id,
            revision: hex::encode(Sha256::digest(said.as_bytes())),
            media_type: "application/json".to_owned(),
            body,
        },
        entities: vec![entity],
        relations: Vec::new(),
    }))
}

/// An id that is one in the whole world, by itself; else with the feed that gave it.
fn known_by(feed_url: &str, id: &str, text: Option<&str>) -> String {
    let id = id.trim();
    let is_own = ["http://", "https://", "tag:", "urn:"]
        .iter()
        .any(|scheme| id.starts_with(scheme));
    let id = match (id.is_empty(), is_own) {
        (true, _) => format!("{feed_url}#{}", hash(text.unwrap_or_default())),
        (false, true) => id.to_owned(),
        (false, false) => format!("{feed_url}#{id}"),
    };
    if id.len() > ID_BYTES_MAX || id.chars().any(char::is_control) {
        hash(&id)
    } else {
        id
    }
}

fn hash(text: &str) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(text.as_bytes())))
}

/// What comes with an item, by its address; it isn't fetched.
fn enclosures(entry: &Entry) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    let mut add = |url: &str, media_type: Option<&str>, bytes: Option<u64>, name: Option<&str>| {
        let Some(url) = address(url) else { return };
        if found.iter().all(|one| one["url"] != url.as_str()) {
            let name = name.and_then(line);
            found.push(json!({ "url": url, "media_type": media_type.and_then(line), "size_bytes": bytes, "name": name }));
        }
    };
    let is_page = |rel: Option<&str>| rel.is_some_and(|rel| rel != "enclosure");
    for link in entry.links.iter().filter(|link| !is_page(link.rel.as_deref())) {
        // JSON Feed's attachments have a media type and no relation; pages have neither.
        if link.rel.is_some() || link.media_type.is_some() {
            add(
                &link.href,
                link.media_type.as_deref(),
                link.length,
                link.title.as_deref(),
            );
        }
    }
    for media in &entry.media {
        let title = media.title.as_ref().map(plain);
        for content in &media.content {
            if let Some(url) = &content.url {
                let media_type = content.content_type.as_ref().map(ToString::to_string);
                add(
                    url.as_str(),
                    media_type.as_deref(),
                    content.size,
                    title.as_deref(),
                );
            }
        }
    }
    found
}

fn list(values: impl Iterator<Item = Value>) -> Option<Value> {
    let values: Vec<Value> = values.take(LIST_MAX).collect();
    (!values.is_empty()).then_some(Value::Array(values))
}

fn plain(text: &Text) -> String {
    readable(&text.content, text.content_type.as_str())
}

/// The text for people. Feeds say "text" and write HTML all the same.
fn readable(text: &str, media_type: &str) -> String {
    let is_marked =
        media_type.contains("html") || (text.contains("</") || text.contains("/>") || text.contains("<p>"));
    if is_marked {
        html_to_text(text)
    } else {
        text.to_owned()
    }
}

fn line(text: &str) -> Option<String> {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    let line: String = words.join(" ").chars().take(LINE_CHARS_MAX).collect();
    (!line.is_empty()).then_some(line)
}

fn block(text: &str, most: usize) -> Option<String> {
    let is_text = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    let mut block: String = text.trim().chars().filter(is_text).take(most).collect();
    while block.len() > TEXT_BYTES_MAX {
        block.pop();
    }
    (!block.is_empty()).then_some(block)
}

fn address(url: &str) -> Option<String> {
    let url = Url::parse(url.trim()).ok()?;
    let is_web = matches!(url.scheme(), "http" | "https");
    (is_web && url.as_str().len() <= URL_BYTES_MAX).then(|| url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSS: &str = r#"<?xml version="1.0"?><rss version="2.0"><channel><title>News &amp; more</title>
        <item><title>One</title><link>https://example.org/1</link><guid isPermaLink="false">a1</guid>
        <pubDate>Fri, 01 May 2026 12:00:00 +0200</pubDate><category>garden</category>
        <description>&lt;p&gt;Hello &lt;b&gt;there&lt;/b&gt;&lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt;</description>
        <enclosure url="https://example.org/1.mp3" type="audio/mpeg" length="1234"/></item>
        </channel></rss>"#;
    const ATOM: &str = r#"<feed xmlns="http://www.w3.org/2005/Atom"><title>Atom</title><id>urn:f</id>
        <entry><id>urn:e1</id><title type="html">A &lt;i&gt;b&lt;/i&gt;</title><updated>2026-05-01T10:00:00Z</updated>
        <author><name>Kim</name></author><link href="/e1"/><content type="html">&lt;p&gt;x&lt;/p&gt;</content></entry></feed>"#;
    const JSON: &str = r#"{"version":"https://jsonfeed.org/version/1.1","title":"J","items":[{"id":"7",
        "url":"https://example.org/7","content_text":"seven","attachments":[{"url":"https://example.org/7.pdf",
        "mime_type":"application/pdf","size_in_bytes":7}]}]}"#;

    fn documents(body: &str) -> Vec<Thing> {
        let url = Url::parse("https://example.org/feed").unwrap();
        let feed = read(body.as_bytes(), &url).unwrap();
        let connection = ConnectionId::new();
        let brought = feed
            .entries
            .iter()
            .filter_map(|entry| brought(connection, url.as_str(), &feed, entry));
        brought
            .map(|one| match one {
                Brought::Thing(thing) => thing,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn document(body: &str) -> EntityChange {
        documents(body).remove(0).entities.remove(0)
    }

    #[test]
    fn an_item_of_each_kind_of_feed_is_a_document() {
        let rss = document(RSS);
        assert_eq!(
            (rss.kind.as_str(), rss.title.as_deref()),
            ("Document", Some("One"))
        );
        assert_eq!(rss.identifiers[0].value, "https://example.org/feed#a1");
        let text = rss.props["text"].as_str().unwrap();
        assert!(
            text.contains("Hello there") && !text.contains('<') && !text.contains("alert"),
            "{text}"
        );
        assert_eq!(rss.props["published_at"], "2026-05-01T10:00:00Z");
        assert_eq!(rss.props["feed"], "News & more");
        let enclosure = &rss.props["attachments"][0];
        assert_eq!(
            (&enclosure["url"], &enclosure["size_bytes"]),
            (&json!("https://example.org/1.mp3"), &json!(1234))
        );
        assert_eq!(rss.props["categories"], json!(["garden"]));

        let atom = document(ATOM);
        assert_eq!(
            (atom.title.as_deref(), atom.identifiers[0].value.as_str()),
            (Some("A b"), "urn:e1")
        );
        assert_eq!(
            (&atom.props["url"], &atom.props["authors"]),
            (&json!("https://example.org/e1"), &json!(["Kim"]))
        );
        assert!(atom.starts_at.is_some());

        let json = document(JSON);
        assert_eq!(
            (&json.props["text"], &json.props["url"]),
            (&"seven".into(), &json!("https://example.org/7"))
        );
        assert_eq!(json.props["attachments"][0]["url"], "https://example.org/7.pdf");
        assert_eq!(json.props["attachments"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn the_same_item_is_the_same_record_and_an_edited_one_a_new_revision() {
        let (one, again) = (documents(RSS).remove(0).record, documents(RSS).remove(0).record);
        assert_eq!(
            (&one.remote_id, &one.revision),
            (&again.remote_id, &again.revision)
        );
        let edited = documents(&RSS.replace("there", "again")).remove(0).record;
        assert_eq!(one.remote_id, edited.remote_id);
        assert_ne!(one.revision, edited.revision);
        let nameless =
            "<rss version=\"2.0\"><channel><item><description>x</description></item></channel></rss>";
        let (one, again) = (
            documents(nameless).remove(0).record,
            documents(nameless).remove(0).record,
        );
        assert_eq!(
            one.remote_id, again.remote_id,
            "what has no id is known by its text"
        );
    }

    #[test]
    fn what_is_no_feed_is_refused_with_a_reason() {
        let url = Url::parse("https://example.org/feed").unwrap();
        assert_eq!(read(b"<!doctype HTML><html></html>", &url), Err(Unread::Page));
        for broken in ["", "hello", "<rss><channel>", "{\"items\": 7}", "<svg/>"] {
            assert!(
                matches!(read(broken.as_bytes(), &url), Err(Unread::Because(_))),
                "{broken}"
            );
        }
    }
}
