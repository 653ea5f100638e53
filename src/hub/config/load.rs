//! Reading: file, environment and flags become one table, and that a configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Table;

use super::environment::{apply_environment, nearest, set, set_by};
use super::{Config, ConfigError, default_data_dir};

/// What the command line says about the configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    /// The file to read instead of `<data_dir>/allod.toml`.
    pub(crate) file: Option<PathBuf>,
    /// Keys set by flags.
    pub(crate) set: BTreeMap<&'static str, String>,
}

/// Reads file, environment and flags.
pub(crate) fn load(flags: &Flags) -> Result<Config, ConfigError> {
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    load_from(flags, &environment)
}

pub(super) fn load_from(
    flags: &Flags,
    environment: &BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let named = flags
        .file
        .clone()
        .or_else(|| environment.get("ALLOD_CONFIG").map(PathBuf::from));
    let data_dir = flags
        .set
        .get("data_dir")
        .or_else(|| environment.get("ALLOD_DATA_DIR"))
        .map_or_else(default_data_dir, PathBuf::from);
    let file = named.clone().unwrap_or_else(|| data_dir.join("allod.toml"));
    let mut lines = String::new();
    let mut table = match std::fs::read_to_string(&file) {
        Ok(text) => {
            let table = read_file(&file, &text)?;
            lines = text;
            table
        }
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => Table::new(),
        Err(error) => return Err(ConfigError(format!("{}: can't be read: {error}", file.display()))),
    };
    apply_environment(&mut table, environment)?;
    for (key, text) in &flags.set {
        set(
            &mut table,
            key,
            text,
            &format!("--{}", key.replace(['.', '_'], "-")),
        )?;
    }
    let config = Config::deserialize(table)
        .map_err(|error| ConfigError(format!("the configuration is not valid: {}", error.message())))?;
    config.validated().map_err(|(key, why)| {
        let whence = flags
            .set
            .contains_key(key)
            .then(|| format!("--{}", key.replace(['.', '_'], "-")))
            .or_else(|| set_by(key, environment))
            .or_else(|| line_of(&lines, key).map(|line| format!("{}:{line}: {key}", file.display())))
            .unwrap_or_else(|| key.to_owned());
        ConfigError(format!("{whence}: {why}"))
    })
}

/// The line in which a key is set.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
    let mut now = String::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(head) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
            now = head.trim().to_owned();
        } else if let Some((left, _)) = line.split_once('=')
            && (now == section && left.trim() == name || now.is_empty() && left.trim() == key)
        {
            return Some(index + 1);
        }
    }
    None
}

/// Checks a file by itself, so that what is wrong has a line.
fn read_file(file: &Path, text: &str) -> Result<Table, ConfigError> {
    let at = |error: &toml::de::Error| {
        let line = error.span().map_or(1, |span| {
            text[..span.start.min(text.len())].matches('\n').count() + 1
        });
        format!(
            "{}:{line}: {}{}",
            file.display(),
            error.message().trim(),
            nearest_hint(error.message())
        )
    };
    toml::from_str::<Config>(text).map_err(|error| ConfigError(at(&error)))?;
    toml::from_str(text).map_err(|error| ConfigError(at(&error)))
}

/// "unknown field `lisen`, expected one of `listen`, …" names its choices; we say which is the nearest.
fn nearest_hint(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let Some(unknown) = quoted.next().filter(|_| message.starts_with("unknown")) else {
        return String::new();
    };
    nearest(unknown, quoted)
        .map(|key| format!("\n  did you mean `{key}`?"))
        .unwrap_or_default()
}
