//! mbox: each mail as it was received, with `From ` at the beginning of its lines quoted. A mail of which no bytes are
//! kept is written from its properties.

use contracts::RawRecordId;
use spine::ports::GraphError;
use spine::{Context, ScopedTx};

use super::Exported;

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
    let body = body.map_or_else(|| written(one).into_bytes(), |record| record.body);
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

fn written(one: &Exported) -> String {
    let flat = |text: &str| text.replace(['\r', '\n'], " ");
    let mut mail = format!("Message-ID: <{}>\n", flat(&one.uid("mail.message-id")));
    for (header, prop) in [
        ("From", "from"),
        ("Subject", "subject"),
        ("In-Reply-To", "in_reply_to"),
    ] {
        if let Some(text) = one.text(prop) {
            mail.push_str(&format!("{header}: {}\n", flat(text)));
        }
    }
    let to = one.texts("recipients");
    let to = if to.is_empty() { one.texts("to") } else { to };
    for (header, many) in [("To", to), ("Cc", one.texts("cc"))] {
        if !many.is_empty() {
            mail.push_str(&format!("{header}: {}\n", flat(&many.join(", "))));
        }
    }
    if let Some(at) = one.entity.starts_at {
        mail.push_str(&format!("Date: {}\n", at.to_rfc2822()));
    }
    mail.push_str(
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n",
    );
    mail.push_str(one.text("text").unwrap_or_default());
    mail
}
