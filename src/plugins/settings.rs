//! A connection's settings against the manifest's schema.
//!
//! Invariant: what is stored passed [`check`]; defaults are filled in when it is read, so that a newer pack's default
//! holds for older connections too. Pure. Begin with [`accept`].

use serde_json::{Map, Value};
use url::Url;

use crate::manifest::{Manifest, Setting, SettingType};

/// A default that stands for the address under which the world reaches the hub.
pub(crate) const HUB_PUBLIC_URL: &str = "{hub.public_url}";

const TEXT_BYTES_MAX: usize = 8 * 1024;

/// The settings in their one spelling, or every problem with them, each naming its setting.
pub(crate) fn accept(
    manifest: &Manifest,
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, Vec<String>> {
    let mut accepted = Map::new();
    let mut problems = Vec::new();
    for (name, value) in given {
        match manifest.setting(name) {
            None => {
                let names = manifest.settings.iter().map(|setting| setting.name.as_str());
                let hint = crate::manifest::hint(name, names);
                problems.push(format!("there is no setting `{name}`{hint}"));
            }
            Some(_) if value.is_null() => {}
            Some(setting) => match check(setting, value) {
                Ok(value) => drop(accepted.insert(name.clone(), value)),
                Err(problem) => problems.push(format!("setting `{name}` {problem}")),
            },
        }
    }
    for setting in &manifest.settings {
        let missing = !accepted.contains_key(&setting.name) && !given.contains_key(&setting.name);
        if setting.required && setting.default.is_none() && missing {
            problems.push(format!(
                "setting `{}` is missing: {}",
                setting.name, setting.description
            ));
        }
    }
    if problems.is_empty() {
        Ok(accepted)
    } else {
        Err(problems)
    }
}

/// The stored settings with defaults for the others.
pub(crate) fn effective(
    manifest: &Manifest,
    stored: &Map<String, Value>,
    public_url: &str,
) -> Map<String, Value> {
    let mut settings = stored.clone();
    for setting in &manifest.settings {
        if let Some(default) = &setting.default {
            let value = if default == HUB_PUBLIC_URL {
                Value::from(public_url)
            } else {
                default.clone()
            };
            settings.entry(&setting.name).or_insert(value);
        }
    }
    settings
}

/// The value in its one spelling, or what it must be.
pub(crate) fn check(setting: &Setting, value: &Value) -> Result<Value, String> {
    match setting.kind {
        SettingType::String => Ok(Value::from(text(setting, value)?)),
        SettingType::Integer => integer(setting, value),
        SettingType::Boolean => match value {
            Value::Bool(_) => Ok(value.clone()),
            Value::String(text) if text == "true" || text == "false" => Ok(Value::Bool(text == "true")),
            _ => Err("must be true or false".to_owned()),
        },
        SettingType::Enum => match value.as_str() {
            Some(text) if setting.values.iter().any(|known| known == text) => Ok(value.clone()),
            Some(text) => {
                let hint = crate::manifest::hint(text, setting.values.iter().map(String::as_str));
                Err(format!("must be one of {}{hint}", setting.values.join(", ")))
            }
            None => Err(format!("must be one of {}", setting.values.join(", "))),
        },
        SettingType::Url => base_url(&text(setting, value)?).map(Value::from),
        SettingType::Tel => tel(&text(setting, value)?).map(Value::from),
        SettingType::Json => structure(value),
    }
}

fn text(setting: &Setting, value: &Value) -> Result<String, String> {
    // A command line can't tell the text 123 from the number.
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err("must be text".to_owned()),
    };
    let text = if setting.multiline {
        text
    } else {
        text.trim().to_owned()
    };
    if text.is_empty() && setting.required {
        return Err("must not be empty".to_owned());
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("must be no longer than {TEXT_BYTES_MAX} bytes"));
    }
    if text
        .chars()
        .any(|c| c.is_control() && !(setting.multiline && matches!(c, '\n' | '\r' | '\t')))
    {
        return Err("must not hold control characters".to_owned());
    }
    Ok(text)
}

fn structure(value: &Value) -> Result<Value, String> {
    let read = match value {
        Value::String(text) => serde_json::from_str(text).ok(),
        other => Some(other.clone()),
    };
    let read = read.filter(|read: &Value| read.is_object() || read.is_array());
    let read = read.ok_or_else(|| "must be a JSON object or list, such as {\"limit\": 100}".to_owned())?;
    if read.to_string().len() > TEXT_BYTES_MAX {
        return Err(format!("must be no longer than {TEXT_BYTES_MAX} bytes"));
    }
    Ok(read)
}

fn integer(setting: &Setting, value: &Value) -> Result<Value, String> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_i64(),
    };
    let (min, max) = (setting.min.unwrap_or(i64::MIN), setting.max.unwrap_or(i64::MAX));
    match number {
        Some(number) if (min..=max).contains(&number) => Ok(Value::from(number)),
        Some(_) => Err(format!("must be {min} to {max}")),
        None => Err("must be a whole number".to_owned()),
    }
}

/// An address to which paths are appended: no query, no trailing slash, no password.
fn base_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|_| "must be an address such as https://hub.example".to_owned())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("must begin with https:// or http://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password: secrets have a place of their own".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not have a ? or # part".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// A phone number as E.164, or why it is none.
pub(crate) fn tel(text: &str) -> Result<String, String> {
    contracts::tel::normalise(text)
        .map_err(|_| "must be a phone number with its country code, such as +4915112345678".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn setting(kind: SettingType) -> Setting {
        Setting {
            name: "one".into(),
            kind,
            required: true,
            default: None,
            description: String::new(),
            values: vec!["say".into(), "reject".into()],
            min: Some(1),
            max: Some(9),
            multiline: false,
        }
    }

    #[test]
    fn each_type_takes_what_it_is_and_refuses_the_rest() {
        use SettingType::{Boolean, Enum, Integer, Json, String, Tel, Url};
        let taken = [
            (String, json!(" a "), json!("a")),
            (String, json!(42), json!("42")),
            (Integer, json!(3), json!(3)),
            (Integer, json!("3"), json!(3)),
            (Boolean, json!("true"), json!(true)),
            (Enum, json!("say"), json!("say")),
            (Json, json!("{\"a\": [1]}"), json!({ "a": [1] })),
            (Json, json!([1]), json!([1])),
            (Url, json!("https://hub.example/"), json!("https://hub.example")),
            (
                Url,
                json!("http://127.0.0.1:8080/api/"),
                json!("http://127.0.0.1:8080/api"),
            ),
            (Tel, json!("+1 415 867 5309"), json!("+14158675309")),
            // The graph takes these, so a call from there must reach it.
            (Tel, json!("+78005553535"), json!("+78005553535")),
        ];
        for (kind, value, kept) in taken {
            assert_eq!(check(&setting(kind), &value), Ok(kept), "{kind:?} {value}");
        }
        let refused = [
            (String, json!("")),
            (String, json!("a\u{0}b")),
            (String, json!([])),
            (Integer, json!(10)),
            (Integer, json!(1.5)),
            (Boolean, json!(1)),
            (Enum, json!("sya")),
            (Json, json!("{")),
            (Json, json!("1")),
            (Json, json!(1)),
            (Url, json!("hub.example")),
            (Url, json!("ftp://hub.example")),
            (Url, json!("https://user:password@hub.example")),
            (Url, json!("https://hub.example/?a=b")),
            (Tel, json!("12345")),
            (Tel, json!("+12")),
            (Tel, json!("+999123456789")),
        ];
        for (kind, value) in refused {
            assert!(check(&setting(kind), &value).is_err(), "{kind:?} took {value}");
        }
        assert!(
            check(&setting(Enum), &json!("sya"))
                .unwrap_err()
                .contains("did you mean `say`")
        );
    }
}
