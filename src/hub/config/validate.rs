//! Checking: what is accepted here needs no further checking.

use std::path::{Path, PathBuf};

use super::{Config, Media};

/// A value that makes no sense: its key, and why.
pub(super) type Refusal = (&'static str, String);

/// The words that a part of `log.level` may be by itself, or after a target and `=`.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl Config {
    /// The configuration, if every value makes sense; paths are then absolute.
    pub(super) fn validated(self) -> Result<Self, Refusal> {
        for (key, number) in [
            ("database.app_connections", self.database.app_connections),
            ("database.spine_connections", self.database.spine_connections),
            ("jobs.realtime", self.jobs.realtime),
            ("jobs.interactive", self.jobs.interactive),
            ("jobs.background", self.jobs.background),
        ] {
            if !(1..=200).contains(&number) {
                return Err((key, format!("must be between 1 and 200, not {number}")));
            }
        }
        if let Some(domain) = &self.domain
            && !is_domain(domain)
        {
            return Err((
                "domain",
                format!("`{domain}` is not a domain name such as hub.example"),
            ));
        }
        if let Some(url) = &self.public_url
            && (!url.starts_with("https://") && !url.starts_with("http://") || url.ends_with('/'))
        {
            let why = format!("`{url}` must begin with https:// and have no slash at the end");
            return Err(("public_url", why));
        }
        if let Some(url) = &self.database.url
            && !["postgres://", "postgresql://"]
                .iter()
                .any(|scheme| url.starts_with(scheme))
        {
            // Not quoted: it may hold a password.
            return Err(("database.url", "must begin with postgres://".to_owned()));
        }
        self.media.validated()?;
        if !is_filter(&self.log.level) {
            let why = format!(
                "`{}` is no filter such as info or info,spine=debug",
                self.log.level
            );
            return Err(("log.level", why));
        }
        if self.imports.upload_bytes_max == 0 {
            let why = "must be at least 1: how many bytes an uploaded file may have".to_owned();
            return Err(("imports.upload_bytes_max", why));
        }
        if self.data_dir.as_os_str().is_empty() {
            return Err(("data_dir", "must not be empty".to_owned()));
        }
        Ok(Self {
            data_dir: absolute(&self.data_dir),
            ..self
        })
    }

    /// What is named and isn't there. Only for who starts a hub or asks: the other commands need none of it.
    pub(crate) fn missing(&self) -> Vec<String> {
        let folders = [
            ("packs_dir", &self.packs_dir),
            ("recipes_dir", &self.recipes_dir),
            ("postgres_bin", &self.postgres_bin),
        ];
        let folders = folders.into_iter().filter_map(|(key, folder)| {
            let folder = folder.as_ref().filter(|folder| !folder.is_dir())?;
            Some(format!("{key}: {} is no folder", folder.display()))
        });
        let secret = self.media.secret_access_key_file.iter().filter_map(|file| {
            let error = std::fs::metadata(file).err()?;
            Some(format!(
                "media.secret_access_key_file: {}: {error}",
                file.display()
            ))
        });
        let authorities = self.fetch.extra_ca.iter().filter_map(|file| {
            let why = match std::fs::read_to_string(file) {
                Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => return None,
                Ok(_) => "holds no certificate in PEM".to_owned(),
                Err(error) => error.to_string(),
            };
            Some(format!("fetch.extra_ca: {}: {why}", file.display()))
        });
        folders.chain(secret).chain(authorities).collect()
    }
}

/// An object is copied within an S3 store in one request, which takes no larger ones.
const S3_FILE_BYTES_MAX: u64 = 5 << 30;
const GRACE_DAYS_MAX: u32 = 3650;

impl Media {
    fn validated(&self) -> Result<(), Refusal> {
        if self.file_bytes_max == 0 {
            return Err(("media.file_bytes_max", "must be at least 1".to_owned()));
        }
        if self.account_bytes_max < self.file_bytes_max || self.account_bytes_max > 1 << 62 {
            let why = "must be at least media.file_bytes_max, and at most 4611686018427387904";
            return Err(("media.account_bytes_max", why.to_owned()));
        }
        if self.grace_days > GRACE_DAYS_MAX {
            let why = format!("must be at most {GRACE_DAYS_MAX}, not {}", self.grace_days);
            return Err(("media.grace_days", why));
        }
        if let Some(bucket) = &self.bucket {
            return self.bucket_validated(bucket);
        }
        if self.endpoint.is_some() {
            return Err(("media.endpoint", "needs media.bucket beside it".to_owned()));
        }
        Ok(())
    }

    fn bucket_validated(&self, bucket: &str) -> Result<(), Refusal> {
        let plain = |text: &str, more: &[u8]| {
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
        };
        if !(3..=63).contains(&bucket.len()) || !plain(bucket, b".-") {
            return Err(("media.bucket", format!("`{bucket}` is no name of a bucket")));
        }
        if self.region.is_empty() || !plain(&self.region, b"-") {
            return Err(("media.region", format!("`{}` is no region", self.region)));
        }
        if !plain(&self.prefix, b"-_/") || self.prefix.starts_with('/') || self.prefix.ends_with('/') {
            let why = "has letters, digits, `-`, `_` and, in between, `/`";
            return Err(("media.prefix", why.to_owned()));
        }
        if let Some(endpoint) = &self.endpoint
            && !url::Url::parse(endpoint).is_ok_and(|url| {
                ["http", "https"].contains(&url.scheme())
                    && url.has_host()
                    && url.username().is_empty()
                    && url.password().is_none()
            })
        {
            // Not quoted: it may hold a password.
            return Err(("media.endpoint", "must be like https://s3.example.com".to_owned()));
        }
        if self.access_key_id.as_deref().unwrap_or_default().is_empty() {
            return Err(("media.access_key_id", "is needed with media.bucket".to_owned()));
        }
        if self.secret_access_key.is_none() && self.secret_access_key_file.is_none() {
            let why = "is needed with media.bucket: set ALLOD_MEDIA_SECRET_ACCESS_KEY, or name a file";
            return Err(("media.secret_access_key_file", why.to_owned()));
        }
        if self.file_bytes_max > S3_FILE_BYTES_MAX {
            let why = format!("must be at most {S3_FILE_BYTES_MAX} with media.bucket");
            return Err(("media.file_bytes_max", why));
        }
        Ok(())
    }
}

/// `info`, `spine=debug`, or several of them: a mistyped level would else be taken for a target.
fn is_filter(text: &str) -> bool {
    let is_level = |word: &str| LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level));
    text.split(',')
        .map(str::trim)
        .all(|part| match part.rsplit_once('=') {
            Some((target, level)) => !target.trim().is_empty() && is_level(level.trim()),
            None => is_level(part),
        })
        && tracing_subscriber::EnvFilter::try_new(text).is_ok()
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
