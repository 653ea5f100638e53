//! What a mailbox's connection is configured with.
//!
//! Invariant: a [`Settings`] that exists can be tried. Its debug text shows neither user nor password.

use fetch::IpNet;
use serde_json::Value;
use sha2::{Digest, Sha256};
use spine::ports::{Connected, SyncError};
use zeroize::Zeroizing;

/// How the way to the server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tls {
    /// From the first byte on (RFC 8314).
    Implicit,
    /// After a word in the clear (RFC 3501, STARTTLS).
    Explicit,
    /// Not at all.
    None,
}

/// A mailbox.
pub(super) struct Settings {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) user: String,
    pub(super) password: Zeroizing<String>,
    pub(super) ranges: Vec<IpNet>,
    /// Folders that aren't read, as the owner wrote them.
    pub(super) exclude: Vec<String>,
    /// Whether what is thrown away or unwanted is read, too.
    pub(super) with_junk: bool,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl Settings {
    pub(super) fn of(connected: &Connected) -> Result<Self, SyncError> {
        let wrong = |what: &str| SyncError::Configuration(what.to_owned());
        let tls = match connected.text("tls") {
            "starttls" => Tls::Explicit,
            "none" => Tls::None,
            _ => Tls::Implicit,
        };
        let usual = if tls == Tls::Implicit { 993 } else { 143 };
        let port = connected
            .settings
            .get("port")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        let port = u16::try_from(port).map_err(|_| wrong("`port` is 1 to 65535"))?;
        let host = connected.text("host").trim().to_owned();
        if host.is_empty() {
            return Err(wrong(
                "`host` is empty: name the server, such as imap.example.org",
            ));
        }
        let user = connected.text("user").to_owned();
        let password = Zeroizing::new(connected.secret("password")?.to_owned());
        if [user.as_str(), password.as_str()]
            .iter()
            .any(|text| text.contains(['\0', '\r', '\n']))
        {
            return Err(wrong("user name and password are of one line each"));
        }
        let ranges = connected.allowed_ranges.iter().map(|range| range.parse());
        Ok(Self {
            host,
            port: if port == 0 { usual } else { port },
            tls,
            user,
            password,
            ranges: ranges
                .collect::<Result<_, _>>()
                .map_err(|_| wrong("an allowed range is none"))?,
            exclude: lines(connected.text("exclude")),
            with_junk: connected
                .settings
                .get("with_junk")
                .and_then(Value::as_bool)
                .unwrap_or_default(),
        })
    }

    /// By which two of them are told apart: another server, user or password.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [&self.host, &self.user, &*self.password] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.update(self.port.to_be_bytes());
        hash.update([self.tls as u8]);
        hash.finalize().into()
    }
}

fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(ToOwned::to_owned).collect()
}
