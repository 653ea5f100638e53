//! The actions of rules as plain data: what a script's arguments mean, or why they mean nothing.
//!
//! Invariant: an action that was recorded can be queued; whatever could be wrong with its arguments was said to
//! the script when it called.

use contracts::ConnectionId;
use contracts::tel::{self, SMS_CHARS_MAX};
use serde_json::Value;

/// A line of the log channel.
const LOG_CHARS_MAX: usize = 4_000;

/// A message that a rule wants to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// `sms`, `log`.
    pub(crate) channel: &'static str,
    /// The recipient's address.
    pub(crate) to: String,
    /// The text.
    pub(crate) text: String,
    /// The connection that the rule wants it to go by.
    pub(crate) connection: Option<ConnectionId>,
}

/// The message that an effect's arguments mean.
pub(crate) fn message(name: &str, args: &[Value]) -> Result<Message, String> {
    match name {
        "sms.send" => sms(args),
        "log.write" => log(args),
        other => Err(format!("`{other}` is no action")),
    }
}

/// Whether the arguments of `sms.send` are good.
pub(crate) fn check_sms(args: &[Value]) -> Result<(), String> {
    sms(args).map(drop)
}

/// Whether the arguments of `log.write` are good.
pub(crate) fn check_log(args: &[Value]) -> Result<(), String> {
    log(args).map(drop)
}

fn sms(args: &[Value]) -> Result<Message, String> {
    let to = args.first().and_then(phone).ok_or(
        "the recipient must be a person with a phone number or a number in international form, such as \"+15550100\"",
    )?;
    let text = text(args.get(1), SMS_CHARS_MAX)?;
    let connection = match args.get(2) {
        None | Some(Value::Null) => None,
        Some(options) => Some(connection(options)?),
    };
    Ok(Message {
        channel: "sms",
        to,
        text,
        connection,
    })
}

fn log(args: &[Value]) -> Result<Message, String> {
    Ok(Message {
        channel: "log",
        to: "owner".to_owned(),
        text: text(args.first(), LOG_CHARS_MAX)?,
        connection: None,
    })
}

fn text(value: Option<&Value>, chars_max: usize) -> Result<String, String> {
    let text = value.and_then(Value::as_str).ok_or("the text must be a string")?;
    if text.trim().is_empty() {
        return Err("the text is empty".to_owned());
    }
    if text.contains('\0') {
        return Err("the text holds the character NUL".to_owned());
    }
    if text.chars().count() > chars_max {
        return Err(format!("the text has more than {chars_max} characters"));
    }
    Ok(text.to_owned())
}

fn connection(options: &Value) -> Result<ConnectionId, String> {
    let fields = options
        .as_object()
        .filter(|fields| fields.keys().all(|key| key == "connection"));
    let id = fields
        .and_then(|fields| fields.get("connection"))
        .and_then(Value::as_str);
    let id = id.and_then(|id| id.parse().ok());
    id.ok_or_else(|| "the third argument is #{ connection: … } with a connection's id".to_owned())
}

/// A number itself, a party of an event (`address`) or a person of the graph (the first of `tel`).
fn phone(to: &Value) -> Option<String> {
    let address = match to {
        Value::String(number) => Some(number.as_str()),
        Value::Object(party) => party.get("address").and_then(Value::as_str).or_else(|| {
            party
                .get("tel")
                .and_then(|tel| tel.get(0))
                .and_then(Value::as_str)
        }),
        _ => None,
    };
    address.filter(|address| tel::is_e164(address)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_a_party_and_a_person_can_be_texted() {
        for to in [
            json!("+15550100"),
            json!({ "address": "+15550100", "id": null }),
            json!({ "tel": ["+15550100"] }),
        ] {
            let message = message("sms.send", &[to, json!("Hello")]).unwrap();
            assert_eq!(
                (message.to.as_str(), message.channel, message.connection),
                ("+15550100", "sms", None)
            );
        }
    }

    #[test]
    fn whom_no_text_can_reach_is_refused() {
        for to in [
            json!("0155501"),
            json!("+0155501000"),
            json!("sam"),
            json!({ "name": "Sam" }),
            json!({ "tel": [] }),
            json!(15550100),
        ] {
            assert!(
                check_sms(&[to.clone(), json!("Hello")])
                    .unwrap_err()
                    .contains("recipient"),
                "{to}"
            );
        }
    }

    #[test]
    fn an_empty_or_endless_text_is_refused() {
        assert!(
            check_sms(&[json!("+15550100"), json!(" ")])
                .unwrap_err()
                .contains("empty")
        );
        assert!(
            check_sms(&[json!("+15550100"), json!("x".repeat(1_600))]).is_ok(),
            "what the channel takes"
        );
        assert!(check_sms(&[json!("+15550100"), json!("x".repeat(1_601))]).is_err());
        assert!(
            check_log(&[json!("x".repeat(LOG_CHARS_MAX + 1))])
                .unwrap_err()
                .contains("4000")
        );
        assert!(check_log(&[json!("x".repeat(LOG_CHARS_MAX))]).is_ok());
        assert!(check_log(&[json!(7)]).is_err());
        assert!(check_log(&[json!("a\0b")]).unwrap_err().contains("NUL"));
    }

    #[test]
    fn a_connection_can_be_wished_for() {
        let id = ConnectionId::new();
        let args = [json!("+15550100"), json!("Hello"), json!({ "connection": id })];
        assert_eq!(message("sms.send", &args).unwrap().connection, Some(id));
        for wrong in [
            json!({}),
            json!({ "connection": "x" }),
            json!({ "conn": id }),
            json!(7),
        ] {
            assert!(
                check_sms(&[json!("+15550100"), json!("Hello"), wrong])
                    .unwrap_err()
                    .contains("connection")
            );
        }
    }
}
