//! Configuration: `allod.toml`, then environment `ALLOD_*`, then flags; the later wins.
//!
//! Invariant: an unknown key or a bad value is refused with file, line and the nearest valid key; a configuration
//! that was accepted needs no further checking.
//! Begin with [`Config`], which lists every key with its default.

mod environment;
mod load;
mod range;
#[cfg(test)]
mod tests;
mod validate;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub(crate) use load::{Flags, load};
pub(crate) use range::AddressRange;

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
    /// Address ranges of your own proxies, such as `127.0.0.1` or `10.0.0.0/24`: from them alone `X-Forwarded-For` is
    /// believed. Default: none.
    pub(crate) trusted_proxies: Vec<AddressRange>,
    /// True: anybody may read `/metrics`. Default: false; an API token or the control socket is needed.
    pub(crate) metrics_public: bool,
    /// How the hub logs.
    pub(crate) log: Log,
    /// The database.
    pub(crate) database: Database,
    /// How many jobs run at once.
    pub(crate) jobs: Jobs,
    /// Outgoing requests.
    pub(crate) fetch: Fetch,
    /// Files that are imported.
    pub(crate) imports: Imports,
    /// Contents: pictures, documents, recordings.
    pub(crate) media: Media,
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

/// `[imports]`
#[derive(Debug, Clone, Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Imports {
    /// Bytes of one uploaded file, which lies in the data directory until it is read. Default: 17179869184 (16 GiB).
    pub(crate) upload_bytes_max: u64,
}

impl Default for Imports {
    fn default() -> Self {
        Self {
            upload_bytes_max: 16 * 1024 * 1024 * 1024,
        }
    }
}

/// `[media]`
#[derive(Clone, Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Media {
    /// The largest file that is taken, in bytes. Default: 1073741824 (1 GiB).
    pub(crate) file_bytes_max: u64,
    /// How much an account may keep, in bytes. Default: 53687091200 (50 GiB).
    pub(crate) account_bytes_max: u64,
    /// Days for which a deletion can be taken back; after that the bytes go. Default: 7.
    pub(crate) grace_days: u32,
    /// A bucket of a store that speaks S3. Default: none; contents lie in the folder `media` of the data directory.
    pub(crate) bucket: Option<String>,
    /// Where the store is, such as `https://s3.example.com`. Default: at Amazon's, by the region.
    pub(crate) endpoint: Option<String>,
    /// The bucket's region. Default: `us-east-1`.
    pub(crate) region: String,
    /// Below which name the hub's objects lie in the bucket. Default: none; the bucket is the hub's alone.
    pub(crate) prefix: String,
    /// The name of the key for the bucket.
    pub(crate) access_key_id: Option<String>,
    /// The key for the bucket; better by `ALLOD_MEDIA_SECRET_ACCESS_KEY` or in a file.
    pub(crate) secret_access_key: Option<String>,
    /// A file that holds the key.
    pub(crate) secret_access_key_file: Option<PathBuf>,
    /// Address ranges that are not public and in which the endpoint may be, such as `10.0.0.0/24`. Default: none; an
    /// endpoint that is named by its address needs none.
    pub(crate) allowed_ranges: Vec<AddressRange>,
}

impl std::fmt::Debug for Media {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Media")
            .field("bucket", &self.bucket)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Default for Media {
    fn default() -> Self {
        let settings = spine::MediaSettings::default();
        Self {
            file_bytes_max: settings.file_bytes_max,
            account_bytes_max: settings.account_bytes_max,
            grace_days: 7,
            bucket: None,
            endpoint: None,
            region: "us-east-1".to_owned(),
            prefix: String::new(),
            access_key_id: None,
            secret_access_key: None,
            secret_access_key_file: None,
            allowed_ranges: Vec::new(),
        }
    }
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
            trusted_proxies: Vec::new(),
            metrics_public: false,
            log: Log::default(),
            database: Database::default(),
            jobs: Jobs::default(),
            fetch: Fetch::default(),
            imports: Imports::default(),
            media: Media::default(),
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

/// Why a configuration was refused; says where and what would be right.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConfigError(String);

impl Config {
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
        if let Some(secret) = &mut shown.media.secret_access_key {
            "***".clone_into(secret);
        }
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
