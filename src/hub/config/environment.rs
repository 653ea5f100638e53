//! Keys as text: what the environment and the flags say.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Table, Value};

use super::{Config, ConfigError};

/// Every key, with the type that its text has in the environment. The environment's name is `ALLOD_` and the key in
/// capitals, with `_` for the dot.
pub(super) const KEYS: [(&str, Kind); 30] = [
    ("data_dir", Kind::Text),
    ("listen", Kind::Text),
    ("domain", Kind::Text),
    ("public_url", Kind::Text),
    ("packs_dir", Kind::Text),
    ("recipes_dir", Kind::Text),
    ("log.format", Kind::Text),
    ("log.level", Kind::Text),
    ("database.url", Kind::Text),
    ("postgres_bin", Kind::Text),
    ("database.app_connections", Kind::Number),
    ("database.spine_connections", Kind::Number),
    ("jobs.realtime", Kind::Number),
    ("jobs.interactive", Kind::Number),
    ("jobs.background", Kind::Number),
    ("fetch.extra_ca", Kind::List),
    ("imports.upload_bytes_max", Kind::Number),
    ("media.file_bytes_max", Kind::Number),
    ("media.account_bytes_max", Kind::Number),
    ("media.grace_days", Kind::Number),
    ("media.bucket", Kind::Text),
    ("media.endpoint", Kind::Text),
    ("media.region", Kind::Text),
    ("media.prefix", Kind::Text),
    ("media.access_key_id", Kind::Text),
    ("media.secret_access_key", Kind::Text),
    ("media.secret_access_key_file", Kind::Text),
    ("media.allowed_ranges", Kind::Addresses),
    ("trusted_proxies", Kind::Addresses),
    ("metrics_public", Kind::Truth),
];

/// Variables of ours that are no keys of the configuration.
const OTHER_VARIABLES: [&str; 7] = [
    "ALLOD_CONFIG",
    "ALLOD_ACCOUNT",
    "ALLOD_FAILPOINT_FILE",
    "ALLOD_DATABASE_ADMIN_URL",
    "ALLOD_DATABASE_OWNER_URL",
    "ALLOD_DATABASE_APP_URL",
    "ALLOD_DATABASE_SPINE_URL",
];

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Number,
    /// Separated by `:`, as paths are.
    List,
    /// Separated by `,`.
    Addresses,
    /// `true` or `false`.
    Truth,
}

pub(super) fn apply_environment(
    table: &mut Table,
    environment: &BTreeMap<String, String>,
) -> Result<(), ConfigError> {
    if let Some(url) = environment.get("DATABASE_URL") {
        set(table, "database.url", url, "DATABASE_URL")?;
    }
    let names: BTreeMap<String, &str> = KEYS.iter().map(|(key, _)| (variable(key), *key)).collect();
    for (name, text) in environment {
        if !name.starts_with("ALLOD_")
            || OTHER_VARIABLES.contains(&name.as_str())
            || name.starts_with("ALLOD_TEST_")
        {
            continue;
        }
        let Some(key) = names.get(name) else {
            let near = nearest(name, names.keys().map(String::as_str)).unwrap_or_default();
            return Err(ConfigError(format!(
                "environment: {name} is no setting of allod\n  did you mean {near}?"
            )));
        };
        set(table, key, text, name)?;
    }
    Ok(())
}

/// The variable by which a key is set, if one does.
pub(super) fn set_by(key: &str, environment: &BTreeMap<String, String>) -> Option<String> {
    let own = variable(key);
    let common = (key == "database.url").then(|| "DATABASE_URL".to_owned());
    [Some(own), common]
        .into_iter()
        .flatten()
        .find(|name| environment.contains_key(name))
}

fn variable(key: &str) -> String {
    format!("ALLOD_{}", key.replace('.', "_").to_uppercase())
}

/// Puts the text into the table as the key's type; `whence` names the variable or flag in a refusal.
pub(super) fn set(table: &mut Table, key: &str, text: &str, whence: &str) -> Result<(), ConfigError> {
    let kind = KEYS
        .iter()
        .find(|(name, _)| *name == key)
        .map_or(Kind::Text, |(_, kind)| *kind);
    let value = match kind {
        Kind::Text => Value::String(text.to_owned()),
        Kind::Number => Value::Integer(
            text.trim()
                .parse()
                .map_err(|_| ConfigError(format!("{whence}: `{text}` is not a whole number")))?,
        ),
        Kind::List => parts(text, ':'),
        Kind::Addresses => parts(text, ','),
        Kind::Truth => Value::Boolean(
            text.trim()
                .parse()
                .map_err(|_| ConfigError(format!("{whence}: `{text}` is neither true nor false")))?,
        ),
    };
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, key)) => {
            let section = table
                .entry(section.to_owned())
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(section) = section {
                section.insert(key.to_owned(), value);
            }
        }
    }
    // Checked at once, so that the message can name the variable or flag.
    Config::deserialize(table.clone())
        .map(drop)
        .map_err(|error| ConfigError(format!("{whence}: {}", error.message())))
}

fn parts(text: &str, separator: char) -> Value {
    let parts = text.split(separator).filter(|part| !part.trim().is_empty());
    Value::Array(parts.map(|part| Value::String(part.to_owned())).collect())
}

/// The choice that a mistyped word most likely meant.
pub(super) fn nearest<'a>(word: &str, choices: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    choices.min_by_key(|choice| strsim::damerau_levenshtein(word, choice))
}
