//! A mail (RFC 5322 and MIME) is a Message of the channel `email`.
//!
//! Invariant: parts, addresses and text are bounded, however the mail is nested. Begin with [`map`].

use chrono::DateTime;
use mail_parser::{Address, Encoding, HeaderValue, Message, MessagePart, MimeHeaders, PartType};
use serde_json::{Value, json};

use super::{Enclosure, Hints, Meaning, Somebody, Thread, identified, letter, mime, set, text};

/// By what a mail is known: its content, and, of the first one that bears it, its id.
pub(crate) const LETTER: &str = "mail.content";
pub(crate) const MESSAGE_ID: &str = "mail.message-id";

const MAIL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The text in the graph; the whole of it stays in the record.
const TEXT_CHARS_MAX: usize = 40_000;
const TEXT_BYTES_MAX: usize = 44_000;
/// Of each header; a mailing to more is found by the first of them.
const RECIPIENTS_MAX: usize = 100;
/// People made from one mail: who writes to a hundred at once doesn't introduce them.
const PEOPLE_MAX: usize = 20;
const ATTACHMENTS_MAX: usize = 50;
const REFERENCES_MAX: usize = 100;
const ID_BYTES_MAX: usize = 480;

pub(super) fn map(body: &[u8], hints: &Hints) -> Result<Meaning, String> {
    if body.len() > MAIL_BYTES_MAX {
        return Err(format!("a mail has at most {MAIL_BYTES_MAX} bytes"));
    }
    mime::read(body, |mail| {
        let from = people(mail.from());
        if from.is_empty() && mail.date().is_none() && mail.subject().is_none() && mail.message_id().is_none()
        {
            return Err("this is no mail: its header names no sender, date, subject or id".to_owned());
        }
        Ok(message(mail, body, &from, hints))
    })
}

fn message(mail: &Message<'_>, body: &[u8], from: &[Somebody], hints: &Hints) -> Meaning {
    let sender = from.first();
    let is_own = sender.is_some_and(|one| hints.mailboxes.contains(&one.email));
    let (to, cc, bcc) = (people(mail.to()), people(mail.cc()), people(mail.bcc()));
    let own = mail.message_id().and_then(message_id);
    let subject = mail.subject().and_then(|subject| text::line(subject, 1_000));
    let letter = letter::hash(mail, own.as_deref(), from, subject.as_deref());
    let id = own.clone().unwrap_or_else(|| text::hash(&[body]));
    let mut entity = identified(
        "Message",
        subject.as_deref().and_then(text::title),
        [(LETTER, letter.as_str()), (MESSAGE_ID, id.as_str())]
            .into_iter()
            .filter_map(|(scheme, id)| text::own_id(scheme, id))
            .collect(),
    );
    let props = &mut entity.props;
    set(props, "message_id", own);
    set(props, "content_hash", Some(letter.clone()));
    set(props, "direction", Some(if is_own { "out" } else { "in" }));
    set(props, "channel", Some("email"));
    set(props, "status", Some(if is_own { "sent" } else { "received" }));
    set(props, "subject", subject.clone());
    set(props, "from", sender.map(|one| one.email.clone()));
    set(props, "to", to.first().map(|one| one.email.clone()));
    for (name, list) in [("recipients", &to), ("cc", &cc), ("bcc", &bcc)] {
        let many: Vec<&str> = list.iter().map(|one| one.email.as_str()).collect();
        // One recipient stands in `to` already.
        set(
            props,
            name,
            (many.len() > usize::from(name == "recipients")).then(|| json!(many)),
        );
    }
    let answers = people(mail.reply_to()).into_iter().next().map(|one| one.email);
    set(
        props,
        "reply_to",
        answers.filter(|to| sender.is_none_or(|from| from.email != *to)),
    );
    set(props, "text", plain_text(mail));
    let enclosures = enclosures(mail);
    set(props, "attachments", attachments(&enclosures));
    let thread = thread(mail, &id, subject);
    set(props, "in_reply_to", ids(mail.in_reply_to()).pop());
    if let Some(at) = mail
        .date()
        .filter(|date| date.is_valid())
        .and_then(|date| DateTime::from_timestamp(date.to_timestamp(), 0))
    {
        entity.starts_at = Some(at);
        set(
            props,
            "sent_at",
            Some(at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
        );
    }
    let all = from.iter().chain(&to).chain(&cc);
    let known =
        |one: &&Somebody| !contracts::mailbox::is_role(&one.email) && !hints.mailboxes.contains(&one.email);
    let mut people: Vec<Somebody> = all.filter(known).take(PEOPLE_MAX).cloned().collect();
    let is_list = mail.header("List-Id").is_some() || mail.header("List-Unsubscribe").is_some();
    if is_list {
        // Newsletters write in the name of machines; lists carry strangers' mails.
        people.clear();
    }
    let mut seen = std::collections::BTreeSet::new();
    people.retain(|one| seen.insert(one.email.clone()));
    Meaning {
        entities: vec![entity],
        people,
        thread: Some(thread),
        letter: Some(letter),
        enclosures,
        ..Meaning::default()
    }
}

/// Root, parent and the mail itself: whichever comes first, all of them meet in one conversation.
fn thread(mail: &Message<'_>, id: &str, subject: Option<String>) -> Thread {
    let references = ids(mail.references());
    let parent = ids(mail.in_reply_to())
        .into_iter()
        .next()
        .or_else(|| references.last().cloned());
    let root = references.first().cloned().or_else(|| parent.clone());
    let mut thread: Vec<String> = Vec::new();
    for one in [root, parent, Some(id.to_owned())].into_iter().flatten() {
        if !thread.contains(&one) {
            thread.push(one);
        }
    }
    let subject = subject.and_then(|subject| text::title(mail.thread_name().unwrap_or(&subject)));
    Thread { ids: thread, subject }
}

fn message_id(text: &str) -> Option<String> {
    let id = text.trim().trim_start_matches('<').trim_end_matches('>').trim();
    if id.is_empty() || id.chars().any(char::is_control) {
        return None;
    }
    Some(if id.len() > ID_BYTES_MAX {
        text::hash(&[id.as_bytes()])
    } else {
        id.to_owned()
    })
}

fn ids(value: &HeaderValue<'_>) -> Vec<String> {
    let texts: Vec<&str> = match value {
        HeaderValue::Text(one) => vec![one.as_ref()],
        HeaderValue::TextList(many) => many.iter().map(AsRef::as_ref).collect(),
        _ => Vec::new(),
    };
    texts
        .into_iter()
        .take(REFERENCES_MAX)
        .filter_map(message_id)
        .collect()
}

fn people(address: Option<&Address<'_>>) -> Vec<Somebody> {
    let Some(address) = address else {
        return Vec::new();
    };
    address
        .iter()
        .take(RECIPIENTS_MAX)
        .filter_map(|one| {
            let email = text::email(one.address()?)?;
            let name = one
                .name()
                .and_then(|name| text::line(name, 200))
                .filter(|name| !name.contains('@'));
            Some(Somebody { email, name })
        })
        .collect()
}

/// The text for people: the plain parts, or the HTML without its marks.
fn plain_text(mail: &Message<'_>) -> Option<String> {
    let body = mail.body_text(0)?;
    let mut text = text::block(&body, TEXT_CHARS_MAX)?;
    while text.len() > TEXT_BYTES_MAX {
        text.pop();
    }
    Some(text)
}

/// Attachments, and what is shown within the text, such as pictures.
fn enclosures(mail: &Message<'_>) -> Vec<Enclosure> {
    mail.attachments()
        .take(ATTACHMENTS_MAX)
        .map(|part| {
            let media_type = part
                .content_type()
                .map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("octet-stream")));
            Enclosure {
                predicate: "attachment",
                filename: part.attachment_name().and_then(file_name),
                declared_type: media_type.and_then(|one| text::line(&one, 120)),
                bytes: bytes(mail, part).to_vec(),
            }
        })
        .collect()
}

/// What is in a part: text in UTF-8, everything else as it was before it was coded for the way. A message that lies open
/// in the mail is cut out of it, since the parser gives each the bytes of the whole.
pub(super) fn bytes<'a>(mail: &'a Message<'_>, part: &'a MessagePart<'_>) -> &'a [u8] {
    match &part.body {
        PartType::Text(text) | PartType::Html(text) => text.as_bytes(),
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => bytes,
        PartType::Message(inner) if part.encoding == Encoding::None => {
            let (from, to) = (part.offset_body as usize, part.offset_end as usize);
            mail.raw_message.get(from..to).unwrap_or(&inner.raw_message[..0])
        }
        PartType::Message(inner) => &inner.raw_message,
        PartType::Multipart(_) => &[],
    }
}

/// What the Message says of them; whether they are kept, its relations tell.
fn attachments(enclosures: &[Enclosure]) -> Option<Value> {
    let list: Vec<Value> = enclosures
        .iter()
        .map(|one| {
            json!({
                "name": one.filename,
                "media_type": one.declared_type,
                "size_bytes": one.bytes.len(),
                "content_hash": format!("sha256:{}", text::sha256(&one.bytes)),
            })
        })
        .collect();
    (!list.is_empty()).then_some(Value::Array(list))
}

/// The last part of what may be a path.
fn file_name(name: &str) -> Option<String> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    text::line(name, 200).filter(|name| name != "." && name != "..")
}
