//! Names of folders, as servers write them: modified UTF-7 (RFC 3501 section 5.1.3). Pure.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::IMAP_MUTF7,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// The name as people read it; none if it isn't written by the rules.
pub(super) fn decoded(name: &str) -> Option<String> {
    let mut text = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('&') {
        text.push_str(before);
        let (coded, after) = after.split_once('-')?;
        if coded.is_empty() {
            text.push('&');
        } else {
            let bytes = BASE64.decode(coded).ok()?;
            if bytes.len() % 2 != 0 {
                return None;
            }
            let units: Vec<u16> = bytes
                .chunks_exact(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
                .collect();
            text.push_str(&String::from_utf16(&units).ok()?);
        }
        rest = after;
    }
    text.push_str(rest);
    (!text.chars().any(char::is_control)).then_some(text)
}

/// The name as servers write it.
pub(super) fn encoded(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    let mut pending: Vec<u8> = Vec::new();
    let flush = |pending: &mut Vec<u8>, name: &mut String| {
        if !pending.is_empty() {
            name.push('&');
            name.push_str(&BASE64.encode(&pending));
            name.push('-');
            pending.clear();
        }
    };
    for c in text.chars() {
        if matches!(c, ' '..='~') {
            flush(&mut pending, &mut name);
            name.push(c);
            if c == '&' {
                name.push('-');
            }
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                pending.extend(unit.to_be_bytes());
            }
        }
    }
    flush(&mut pending, &mut name);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_as_servers_do() {
        for (name, text) in [
            ("INBOX", "INBOX"),
            ("Gel&APY-scht", "Gelöscht"),
            ("Tom &- Jerry", "Tom & Jerry"),
            ("~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),
            ("&2D3eAA-", "😀"),
        ] {
            assert_eq!(decoded(name).as_deref(), Some(text));
            assert_eq!(encoded(text), name);
        }
    }

    #[test]
    fn what_is_not_written_by_the_rules_has_no_name() {
        for name in ["&", "&AAo-", "&A-", "&2D0-", "a\r\nb", "&!!-"] {
            assert_eq!(decoded(name), None, "{name:?}");
        }
    }
}
