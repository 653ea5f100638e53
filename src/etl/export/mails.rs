//! mbox: each mail as it was received, with `From ` at the beginning of its lines quoted. A mail of which no bytes are
//! kept is written from its properties.

use contracts::RawRecordId;
use mail_builder::MessageBuilder;
use spine::ports::GraphError;
use spine::{Context, ScopedTx};

use super::Exported;
use crate::map::MESSAGE_ID;

pub(super) async fn mail(
    context: &Context,
    tx: &mut ScopedTx,
    one: &Exported,
    out: &mut Vec<u8>,
) -> Result<(), GraphError> {
    if one.text("channel") != Some("email") {
        return Ok(());
    }
    let kept = match one.entity.raw_record {
        Some(id) => context.ports.raw_records().record(tx, RawRecordId(id)).await?,
        None => None,
    };
    let body = kept
        .map(|kept| kept.record)
        .filter(|record| record.media_type.starts_with("message/"));
    let body = body.map_or_else(|| written(one), |record| record.body);
    let at = one.entity.starts_at.unwrap_or(one.entity.created_at);
    out.extend_from_slice(format!("From MAILER-DAEMON {}\n", at.format("%a %b %e %H:%M:%S %Y")).as_bytes());
    for line in body.trim_ascii_end().split_inclusive(|byte| *byte == b'\n') {
        let quotes = line.iter().take_while(|byte| **byte == b'>').count();
        if line[quotes..].starts_with(b"From ") {
            out.push(b'>');
        }
        out.extend_from_slice(line);
    }
    out.extend_from_slice(b"\n\n");
    Ok(())
}

/// A mail of which no bytes are kept, as any mail program would write it.
pub(super) fn written(one: &Exported) -> Vec<u8> {
    // Control characters in a header are somebody's trick.
    let flat = |text: &str| text.replace(|c: char| c.is_control(), " ");
    let at = one.entity.starts_at.unwrap_or(one.entity.created_at);
    let id = one.text("message_id").map(ToOwned::to_owned);
    let id = id.unwrap_or_else(|| one.uid(MESSAGE_ID));
    let mut mail = MessageBuilder::new()
        .message_id(flat(&id))
        .date(at.timestamp())
        .text_body(one.text("text").unwrap_or_default());
    if let Some(from) = one.text("from") {
        mail = mail.from(flat(from));
    }
    if let Some(subject) = one.text("subject") {
        mail = mail.subject(flat(subject));
    }
    if let Some(id) = one.text("in_reply_to") {
        mail = mail.in_reply_to(flat(id).trim_matches(['<', '>', ' ']).to_owned());
    }
    let many = |texts: Vec<&str>| texts.into_iter().map(flat).collect::<Vec<String>>();
    let (cc, to) = (one.texts("cc"), one.texts("recipients"));
    let to = if to.is_empty() { one.texts("to") } else { to };
    if !to.is_empty() {
        mail = mail.to(many(to));
    }
    if !cc.is_empty() {
        mail = mail.cc(many(cc));
    }
    // Into memory.
    mail.write_to_vec().unwrap_or_default()
}
