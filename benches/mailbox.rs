//! A generated mailbox of any length, streamed: some hundred correspondents who write in threads, as text, as HTML and as
//! both, in several charsets, encodings and zones, 2 to 5 kB a mail. The same number gives the same mailbox.

use std::collections::VecDeque;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Duration, FixedOffset, Utc};

/// Whose mailbox it is.
pub(crate) const OWNER: &str = "owner@bench.example";
const CORRESPONDENTS: u64 = 600;
/// Threads that are still answered.
const OPEN_THREADS: usize = 300;
/// Of ten mails so many begin a thread.
const FRESH_OF_TEN: u64 = 3;
const REFERENCES_MAX: usize = 12;
const CHUNK: usize = 64 * 1024;
/// Before each mail of an mbox.
const BEGIN: &[u8] = b"From MAILER-DAEMON Fri May  1 12:00:00 2026\n";

const GIVEN: [&str; 12] = [
    "Ana", "Björn", "Chloé", "Dmitri", "Élodie", "Farid", "Greta", "Håkon", "Inês", "Jürgen", "Kaito",
    "Łucja",
];
const FAMILY: [&str; 10] = [
    "Almeida",
    "Bergström",
    "Çelik",
    "Dubois",
    "Fischer",
    "García",
    "Horváth",
    "Jensen",
    "Kowalska",
    "Müller",
];
const WORDS: [&str; 32] = [
    "harbour", "invoice", "morning", "the", "a", "of", "we", "meeting", "garden", "train", "café", "naïve",
    "Straße", "tomorrow", "letter", "with", "roof", "and", "window", "kettle", "paper", "to", "river",
    "market", "for", "in", "coffee", "Thursday", "question", "ticket", "is", "señor",
];

/// A random sequence that is always the same (xorshift).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Below a bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }
}

struct Thread {
    subject: String,
    ids: Vec<String>,
    who: u64,
}

/// The mailbox; an iterator over its bytes, some mails at a time.
pub(crate) struct Mailbox {
    chance: Chance,
    threads: VecDeque<Thread>,
    at: DateTime<Utc>,
    number: u64,
    count: u64,
    /// Threads that were begun.
    pub(crate) begun: u64,
}

impl Mailbox {
    pub(crate) fn new(count: u64) -> Self {
        Self {
            chance: Chance::new(20_260_501),
            threads: VecDeque::new(),
            at: DateTime::UNIX_EPOCH + Duration::days(16_000),
            number: 0,
            count,
            begun: 0,
        }
    }

    /// How many people write in it, once it is long enough.
    pub(crate) fn people() -> u64 {
        CORRESPONDENTS
    }

    /// The message id of a mail.
    pub(crate) fn message_id(number: u64) -> String {
        format!(
            "{number:08x}.{:x}@mail.bench.example",
            number.wrapping_mul(2_654_435_761)
        )
    }

    /// The next mail by itself.
    pub(crate) fn one(&mut self) -> Option<Vec<u8>> {
        if self.number >= self.count {
            return None;
        }
        let mut out = Vec::with_capacity(8 * 1024);
        self.mail(&mut out);
        out.drain(..BEGIN.len());
        Some(out)
    }

    fn mail(&mut self, out: &mut Vec<u8>) {
        let id = Self::message_id(self.number);
        let is_fresh = self.threads.is_empty() || self.chance.below(10) < FRESH_OF_TEN;
        let thread = if is_fresh {
            self.begun += 1;
            Thread {
                subject: self.words(4),
                ids: Vec::new(),
                who: self.chance.below(CORRESPONDENTS),
            }
        } else {
            let open = self.chance.below(self.threads.len() as u64) as usize;
            self.threads.swap_remove_back(open).expect("a thread")
        };
        self.at += Duration::seconds(60 + self.chance.below(4_000) as i64);
        let head = self.head(&id, &thread);
        let body = self.body();
        out.extend_from_slice(BEGIN);
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&body);
        out.extend_from_slice(b"\n\n");
        self.keep(thread, id);
        self.number += 1;
    }

    fn keep(&mut self, mut thread: Thread, id: String) {
        thread.ids.push(id);
        if thread.ids.len() > REFERENCES_MAX {
            thread.ids.remove(1); // the root stays, as mail programs have it
        }
        self.threads.push_back(thread);
        if self.threads.len() > OPEN_THREADS {
            self.threads.pop_front();
        }
    }

    fn head(&mut self, id: &str, thread: &Thread) -> String {
        let zone = [0, 60, 120, -300, 330, 540][self.chance.below(6) as usize];
        let zone = FixedOffset::east_opt(zone * 60).expect("a zone");
        let date = self.at.with_timezone(&zone).to_rfc2822();
        let other = mailbox(thread.who);
        let owner = format!("The Owner <{OWNER}>");
        let (from, to) = if self.chance.below(4) == 0 {
            (&owner, &other)
        } else {
            (&other, &owner)
        };
        let re = if thread.ids.is_empty() { "" } else { "Re: " };
        let mut head = format!(
            "Received: from relay{r}.bench.example (relay{r}.bench.example [192.0.2.{r}])\n\tby mx.bench.example with ESMTPS \
             id {n:08X}\n\tfor <{OWNER}>; {date}\nDate: {date}\nFrom: {from}\nTo: {to}\nMessage-ID: <{id}>\nSubject: {re}{}\n\
             MIME-Version: 1.0\nUser-Agent: Bench/1.0\n",
            encoded(&thread.subject),
            r = self.chance.below(200) + 1,
            n = self.number,
        );
        if self.chance.below(5) == 0 {
            let (one, two) = (
                self.chance.below(CORRESPONDENTS),
                self.chance.below(CORRESPONDENTS),
            );
            let _ = writeln!(head, "Cc: {},\n {}", mailbox(one), mailbox(two));
        }
        if let Some(parent) = thread.ids.last() {
            let ids: Vec<String> = thread.ids.iter().map(|id| format!("<{id}>")).collect();
            let _ = writeln!(head, "In-Reply-To: <{parent}>\nReferences: {}", ids.join("\n "));
        }
        head
    }

    fn body(&mut self) -> Vec<u8> {
        let count = 150 + self.chance.below(250);
        let text = self.words(count);
        let plain = "Content-Type: text/plain; charset=";
        match self.chance.below(5) {
            0 => format!(
                "{plain}utf-8\nContent-Transfer-Encoding: 8bit\n\n{}",
                wrapped(&text)
            )
            .into_bytes(),
            1 => {
                let head = format!("{plain}iso-8859-1\nContent-Transfer-Encoding: 8bit\n\n");
                let latin = wrapped(&text)
                    .chars()
                    .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
                    .collect();
                [head.into_bytes(), latin].concat()
            }
            2 => {
                let html = format!(
                    "<html><body><p>{}</p><p>-- <br>Sent by <b>Bench</b></p></body></html>",
                    wrapped(&text)
                );
                let lines: Vec<String> = STANDARD.encode(html).as_bytes().chunks(76).map(ascii).collect();
                let head = "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64";
                format!("{head}\n\n{}", lines.join("\n")).into_bytes()
            }
            3 => format!(
                "{plain}utf-8\nContent-Transfer-Encoding: quoted-printable\n\n{}",
                quoted(&text)
            )
            .into_bytes(),
            _ => {
                let edge = format!("=_{:x}", self.number);
                format!(
                    "Content-Type: multipart/alternative; boundary=\"{edge}\"\n\n--{edge}\n{plain}utf-8\n\
                     Content-Transfer-Encoding: quoted-printable\n\n{}\n--{edge}\nContent-Type: text/html; charset=utf-8\n\
                     Content-Transfer-Encoding: quoted-printable\n\n<html><body><p>{}</p></body></html>\n--{edge}--",
                    quoted(&text),
                    quoted(&text)
                )
                .into_bytes()
            }
        }
    }

    fn words(&mut self, count: u64) -> String {
        let words: Vec<&str> = (0..count)
            .map(|_| WORDS[self.chance.below(32) as usize])
            .collect();
        words.join(" ")
    }
}

impl Iterator for Mailbox {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(CHUNK + 8 * 1024);
        while self.number < self.count && out.len() < CHUNK {
            self.mail(&mut out);
        }
        (!out.is_empty()).then_some(out)
    }
}

fn mailbox(who: u64) -> String {
    let (given, family) = (GIVEN[(who % 12) as usize], FAMILY[(who / 12 % 10) as usize]);
    let name = format!("{given} {family} {}", who / 120);
    format!("{} <person{who}@people{}.example>", encoded(&name), who % 40)
}

/// Words that are not ASCII, as headers write them.
fn encoded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    format!("=?UTF-8?B?{}?=", STANDARD.encode(text))
}

fn wrapped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    for word in text.split(' ') {
        if column + word.len() > 72 {
            out.push('\n');
            column = 0;
        }
        out.push_str(word);
        out.push(' ');
        column += word.len() + 1;
    }
    out
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in wrapped(text).bytes() {
        match byte {
            b'\n' => out.push('\n'),
            b'=' | 0x7F.. => {
                let _ = write!(out, "={byte:02X}");
            }
            _ => out.push(char::from(byte)),
        }
    }
    out.replace(" \n", "=20\n")
}

fn ascii(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
