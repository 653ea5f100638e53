//! Checking: what is accepted here needs no further checking.

use std::path::{Path, PathBuf};

use super::{Config, ConfigError};

impl Config {
    /// The configuration, if every value makes sense; paths are then absolute.
    pub(super) fn validated(self) -> Result<Self, ConfigError> {
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
