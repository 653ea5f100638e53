//! Configuration: `allod.toml`, then environment `ALLOD_*`, then flags; the later wins.
//!
//! Invariant: an unknown key or a bad value is refused with file, line and the nearest valid key; a configuration
//! that was accepted needs no further checking.
//! Begin with [`Config`], which lists every key with its default.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

/// Everything that can be set. `allod config show` prints what holds.
#[derive(Debug, Clone, Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Where the hub keeps everything. Default: `/var/lib/allod` for the user `allod` and for root, else
    /// `$XDG_DATA_HOME/allod` (`~/.local/share/allod`).
    pub(crate) data_dir: PathBuf,
    /// Where the hub listens. Default: `127.0.0.1:8640`.
    pub(crate) listen: SocketAddr,
    /// The public domain, such as `hub.example`. Default: none; the hub is then known by its address.
    pub(crate) domain: Option<String>,
    /// Under which address the world reaches the hub. Default: `https://<domain>`, else `http://<listen>`.
    pub(crate) public_url: Option<String>,
    /// A folder with plugin packs. Default: `plugins` beside the binary's prefix, else in the source tree.
    pub(crate) packs_dir: Option<PathBuf>,
    /// A folder with the rules that come with the hub. Default: likewise.
    pub(crate) recipes_dir: Option<PathBuf>,
    /// Where the installed PostgreSQL's binaries are. Default: found.
    pub(crate) postgres_bin: Option<PathBuf>,
    /// How the hub logs.
    pub(crate) log: Log,
    /// The database.
    pub(crate) database: Database,
    /// How many jobs run at once.
    pub(crate) jobs: Jobs,
    /// Outgoing requests.
    pub(crate) fetch: Fetch,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// `human` or `json`. Default: `human`.
    pub(crate) format: LogFormat,
    /// A filter such as `info` or `info,spine=debug`. Default: `info`.
    pub(crate) level: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// `[database]`
#[derive(Debug, Clone, Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Database {
    /// An external PostgreSQL 15 or newer (also `DATABASE_URL`). Default: none; the hub starts its own.
    pub(crate) url: Option<String>,
    /// Connections for requests, consumers and jobs. Default: 16.
    pub(crate) app_connections: u32,
    /// Connections of the spine itself. Default: 10.
    pub(crate) spine_connections: u32,
}

/// `[jobs]`
#[derive(Debug, Clone, Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Jobs {
    /// Jobs of class realtime at once. Default: 4.
    pub(crate) realtime: u32,
    /// Jobs of class interactive at once. Default: 8.
    pub(crate) interactive: u32,
    /// Jobs of class background at once. Default: 4.
    pub(crate) background: u32,
}

/// `[fetch]`
#[derive(Debug, Clone, Default, Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Fetch {
    /// Files with certificate authorities beside the public ones, in PEM. Default: none.
    pub(crate) extra_ca: Vec<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: default_data_dir(),
            listen: SocketAddr::from(([127, 0, 0, 1], 8640)),
            domain: None,
            public_url: None,
            packs_dir: None,
            recipes_dir: None,
            postgres_bin: None,
            log: Log::default(),
            database: Database::default(),
            jobs: Jobs::default(),
            fetch: Fetch::default(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Human,
            level: "info".to_owned(),
        }
    }
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            app_connections: 16,
            spine_connections: 10,
        }
    }
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            realtime: 4,
            interactive: 8,
            background: 4,
        }
    }
}

/// Every key, with the type that its text has in the environment. The environment's name is `ALLOD_` and the key in
/// capitals, with `_` for the dot.
const KEYS: [(&str, Kind); 16] = [
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
enum Kind {
    Text,
    Number,
    /// Separated by `:`, as paths are.
    List,
}

/// Why a configuration was refused; says where and what would be right.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConfigError(String);

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

fn load_from(flags: &Flags, environment: &BTreeMap<String, String>) -> Result<Config, ConfigError> {
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
    let mut table = match std::fs::read_to_string(&file) {
        Ok(text) => read_file(&file, &text)?,
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
    config.validated()
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

fn nearest<'a>(word: &str, choices: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    choices.min_by_key(|choice| strsim::damerau_levenshtein(word, choice))
}

fn apply_environment(table: &mut Table, environment: &BTreeMap<String, String>) -> Result<(), ConfigError> {
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

fn variable(key: &str) -> String {
    format!("ALLOD_{}", key.replace('.', "_").to_uppercase())
}

fn set(table: &mut Table, key: &str, text: &str, whence: &str) -> Result<(), ConfigError> {
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
        Kind::List => Value::Array(
            text.split(':')
                .map(|part| Value::String(part.to_owned()))
                .collect(),
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

impl Config {
    fn validated(self) -> Result<Self, ConfigError> {
        let refuse = |text: String| Err(ConfigError(text));
        for (key, number) in [
            ("database.app_connections", self.database.app_connections),
            ("database.spine_connections", self.database.spine_connections),
            ("jobs.realtime", self.jobs.realtime),
            ("jobs.interactive", self.jobs.interactive),
            ("jobs.background", self.jobs.background),
        ] {
            if !(1..=200).contains(&number) {
                return refuse(format!("{key} must be between 1 and 200, not {number}"));
            }
        }
        if let Some(domain) = &self.domain
            && !is_domain(domain)
        {
            return refuse(format!(
                "domain: `{domain}` is not a domain name such as hub.example"
            ));
        }
        if let Some(url) = &self.public_url
            && (!url.starts_with("https://") && !url.starts_with("http://") || url.ends_with('/'))
        {
            return refuse(format!(
                "public_url: `{url}` must begin with https:// and have no slash at the end"
            ));
        }
        if self.data_dir.as_os_str().is_empty() {
            return refuse("data_dir must not be empty".to_owned());
        }
        Ok(Self {
            data_dir: absolute(&self.data_dir),
            ..self
        })
    }

    /// Under which address the world reaches the hub, without a slash at the end.
    pub(crate) fn public_url(&self, listen: SocketAddr) -> String {
        match (&self.public_url, &self.domain) {
            (Some(url), _) => url.clone(),
            (None, Some(domain)) => format!("https://{domain}"),
            (None, None) => format!("http://{listen}"),
        }
    }

    /// For showing: the database's address may hold a password.
    pub(crate) fn without_secrets(&self) -> Self {
        let mut shown = self.clone();
        if let Some(url) = &mut shown.database.url
            && let Ok(mut parsed) = url::Url::parse(url)
            && parsed.password().is_some()
        {
            let _ = parsed.set_password(Some("***"));
            *url = parsed.into();
        }
        shown
    }

    /// The folder of plugin packs.
    pub(crate) fn packs_dir(&self) -> PathBuf {
        self.packs_dir.clone().unwrap_or_else(|| shipped("plugins"))
    }

    /// The folder of shipped rules.
    pub(crate) fn recipes_dir(&self) -> PathBuf {
        self.recipes_dir
            .clone()
            .unwrap_or_else(|| shipped("rules/recipes"))
    }

    /// Where the CLI speaks to the hub.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.data_dir.join("control.sock")
    }
}

/// What came with the binary: below its prefix (`<prefix>/bin/allod`, `<prefix>/share/allod`), else in the tree that
/// it was built from.
fn shipped(what: &str) -> PathBuf {
    let installed = std::env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.parent()?.join("share/allod").join(what)))
        .filter(|folder| folder.is_dir());
    installed.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(what))
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(label)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn default_data_dir() -> PathBuf {
    let installed = Path::new("/var/lib/allod");
    let home = std::env::var_os("HOME").map(PathBuf::from);
    if rustix::process::geteuid().is_root() || home.as_deref() == Some(installed) {
        return installed.to_owned();
    }
    let share = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    share
        .or_else(|| home.map(|home| home.join(".local/share")))
        .unwrap_or_else(|| ".".into())
        .join("allod")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(
        text: &str,
        environment: &[(&str, &str)],
        set: &[(&'static str, &str)],
    ) -> Result<Config, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("allod.toml");
        std::fs::write(&file, text).unwrap();
        let flags = Flags {
            file: Some(file),
            set: set
                .iter()
                .map(|(key, value)| (*key, (*value).to_owned()))
                .collect(),
        };
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        load_from(&flags, &environment)
            .map_err(|error| error.to_string().replace(&dir.path().display().to_string(), ""))
    }

    #[test]
    fn flags_win_over_environment_and_environment_over_the_file() {
        let text = "listen = \"127.0.0.1:1\"\ndomain = \"file.example\"\n[jobs]\nrealtime = 2\n";
        let environment = [
            ("ALLOD_DOMAIN", "env.example"),
            ("ALLOD_JOBS_REALTIME", "3"),
            ("ALLOD_LISTEN", "127.0.0.1:2"),
        ];
        let config = load_text(text, &environment, &[("listen", "127.0.0.1:3")]).unwrap();
        assert_eq!(config.listen.port(), 3);
        assert_eq!(config.domain.as_deref(), Some("env.example"));
        assert_eq!(config.jobs.realtime, 3);
        assert_eq!(config.public_url(config.listen), "https://env.example");
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_nearest_key() {
        let error = load_text("domain = \"a.example\"\nlisen = \"127.0.0.1:1\"\n", &[], &[]).unwrap_err();
        assert!(
            error.starts_with("/allod.toml:2: unknown field `lisen`"),
            "{error}"
        );
        assert!(error.contains("did you mean `listen`?"), "{error}");
        let error = load_text("[log]\n\nformt = \"json\"\n", &[], &[]).unwrap_err();
        assert!(
            error.contains("allod.toml:3:") && error.contains("did you mean `format`?"),
            "{error}"
        );
    }

    #[test]
    fn a_bad_value_is_refused_where_it_stands() {
        let error = load_text("\nlisten = \"nowhere\"\n", &[], &[]).unwrap_err();
        assert!(error.starts_with("/allod.toml:2:"), "{error}");
        let error = load_text("", &[("ALLOD_JOBS_REALTIME", "many")], &[]).unwrap_err();
        assert!(
            error.contains("ALLOD_JOBS_REALTIME") && error.contains("`many`"),
            "{error}"
        );
        let error = load_text("", &[("ALLOD_LOG_FORMAT", "xml")], &[]).unwrap_err();
        assert!(
            error.contains("ALLOD_LOG_FORMAT") && error.contains("json"),
            "{error}"
        );
        assert!(
            load_text("domain = \"not a domain\"", &[], &[])
                .unwrap_err()
                .contains("domain")
        );
        assert!(
            load_text("[jobs]\nrealtime = 0", &[], &[])
                .unwrap_err()
                .contains("between 1 and 200")
        );
    }

    #[test]
    fn an_unknown_variable_is_refused_with_the_nearest_one() {
        let error = load_text("", &[("ALLOD_DATADIR", "/x")], &[]).unwrap_err();
        assert!(
            error.contains("ALLOD_DATADIR") && error.contains("ALLOD_DATA_DIR"),
            "{error}"
        );
    }

    #[test]
    fn every_key_can_be_set_from_the_environment() {
        let shown = Value::try_from(Config {
            domain: Some("a.b".into()),
            public_url: Some("x".into()),
            packs_dir: Some("x".into()),
            recipes_dir: Some("x".into()),
            postgres_bin: Some("x".into()),
            database: Database {
                url: Some("x".into()),
                ..Database::default()
            },
            ..Config::default()
        })
        .unwrap();
        let mut keys = Vec::new();
        for (key, value) in shown.as_table().unwrap() {
            match value {
                Value::Table(section) => keys.extend(section.keys().map(|inner| format!("{key}.{inner}"))),
                _ => keys.push(key.clone()),
            }
        }
        keys.sort();
        let mut listed: Vec<_> = KEYS.iter().map(|(key, _)| (*key).to_owned()).collect();
        listed.sort();
        assert_eq!(keys, listed);
    }
}
