//! A mail's structure, read within bounds that no mail of hostile shape exceeds.
//!
//! Invariant: neither the stack nor more than about ten times a mail's size is needed, however the mail is made. The
//! parser puts no bound on how deep messages lie in messages, and taking that apart again is recursive. Begin with
//! [`read`].

use mail_parser::{Message, MessageParser};

/// Messages in messages; real ones have a handful, and these many need less than half of a thread's usual stack.
const NESTED_MAX: usize = 200;
/// A coded part may hide messages in messages: one in 26 bytes, which take less than 13 KiB of stack, unoptimised.
const CODED_STACK_PER_BYTE: usize = 512;
const CODED_BYTES_MAX: usize = 1024 * 1024;
/// A mail may have this many lines, and more if they are of some length: each may open a part or be a header, which
/// take a hundred times their bytes.
const LINES_FREE: usize = 20_000;
const LINE_BYTES: usize = 40;
/// Of a mail whose body is left unread.
const HEADER_BYTES_MAX: usize = 256 * 1024;

/// What `look` finds in the mail. Of a mail of hostile shape only the header is read.
///
/// # Errors
/// Why the mail can't be read, without its content.
pub(super) fn read<T: Send>(
    body: &[u8],
    look: impl FnOnce(&Message<'_>) -> Result<T, String> + Send,
) -> Result<T, String> {
    let look = move |mail: Option<Message<'_>>| {
        look(&mail.ok_or_else(|| "this is no mail: it has no header".to_owned())?)
    };
    let nested = nested(body);
    let is_coded = nested > 0 && (holds(body, b"base64") || holds(body, b"quoted-printable"));
    if nested > NESTED_MAX || has_outlandish_lines(body) || (is_coded && body.len() > CODED_BYTES_MAX) {
        let header = &body[..body.len().min(HEADER_BYTES_MAX)];
        return look(MessageParser::default().parse_headers(header));
    }
    if !is_coded {
        return look(MessageParser::default().parse(body));
    }
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("nested-mail".to_owned())
            .stack_size(CODED_STACK_PER_BYTE * body.len().max(8 * 1024))
            .spawn_scoped(scope, || look(MessageParser::default().parse(body)))
            .map_err(|_| "the mail nests messages and is too large to be read here".to_owned())?
            .join()
            .map_err(|_| "the mail can't be read: its parser failed on it".to_owned())?
    })
}

fn has_outlandish_lines(body: &[u8]) -> bool {
    let lines = body.iter().filter(|byte| **byte == b'\n').count();
    lines > LINES_FREE + body.len() / LINE_BYTES
}

/// At most how many parts are messages themselves: by the subtypes of RFC 2046 section 5.2 and RFC 6532 section 3.7, and
/// digests, whose parts are messages without saying so. Before a subtype stand a slash and perhaps a comment.
fn nested(body: &[u8]) -> usize {
    let is_subtype = |at: usize, six: &[u8]| {
        (six.eq_ignore_ascii_case(b"rfc822")
            || six.eq_ignore_ascii_case(b"global")
            || six.eq_ignore_ascii_case(b"digest"))
            && matches!(body[..at].trim_ascii_end().last(), Some(b'/' | b')'))
    };
    body.windows(6)
        .enumerate()
        .filter(|(at, six)| is_subtype(*at, six))
        .count()
}

fn holds(body: &[u8], word: &[u8]) -> bool {
    body.windows(word.len())
        .any(|some| some.eq_ignore_ascii_case(word))
}
