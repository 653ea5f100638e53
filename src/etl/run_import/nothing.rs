//! Why a file that gave no record is not what it was said to be.

use std::path::Path;

use tokio::io::AsyncReadExt;

use crate::format::Format;

/// A file that gives no record is looked at so far.
const START_BYTES: u64 = 64 * 1024;

/// The reason; none, if it is empty, or gave records up to `position`.
pub(super) async fn reason(path: &Path, format: Option<Format>, position: i64) -> Option<&'static str> {
    let (begins, reason): (&[u8], _) = match format? {
        Format::Vcard => (b"begin:vcard", "there is no card in the file (BEGIN:VCARD)"),
        Format::Ical => (
            b"begin:vcalendar",
            "there is no calendar in the file (BEGIN:VCALENDAR)",
        ),
        _ => return None,
    };
    let mut start = Vec::new();
    let file = tokio::fs::File::open(path).await.ok()?;
    file.take(START_BYTES).read_to_end(&mut start).await.ok()?;
    let is_empty = position > 0 || start.trim_ascii().is_empty();
    let is_one = start
        .windows(begins.len())
        .any(|window| window.eq_ignore_ascii_case(begins));
    (!is_empty && !is_one).then_some(reason)
}
