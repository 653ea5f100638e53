//! What a pack declares of itself in `plugin.toml`: hosts, secrets, settings, webhooks, functions.
//!
//! Invariant: a [`Manifest`] that exists is consistent: every secret, setting and function that it names is there.
//! Begin with [`Manifest`]; `read.rs` makes it from the file's text.

mod error;
mod raw;
mod read;

use std::time::Duration;

use contracts::Lane;
use fetch::HostPattern;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spine::ports::Mode;

pub(crate) use error::hint;
pub(crate) use read::read;

use crate::signature::Scheme;

/// What a plugin is to the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// It hands messages over.
    Channel,
    /// It takes data in.
    Connector,
}

/// A pack's declaration.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) description: String,
    pub(crate) code: Code,
    /// Channels that it serves, such as `sms`.
    pub(crate) channels: Vec<String>,
    /// Entity types that it emits.
    pub(crate) entities: Vec<String>,
    pub(crate) hosts: Vec<HostSpec>,
    pub(crate) auth: Option<Auth>,
    pub(crate) functions: Functions,
    /// How often the provider is asked for what it may have said meanwhile.
    pub(crate) reconcile_every: Option<Duration>,
    pub(crate) settings: Vec<Setting>,
    pub(crate) secrets: Vec<SecretSpec>,
    pub(crate) webhooks: Vec<Webhook>,
    pub(crate) streams: Vec<StreamSpec>,
}

/// Who does what the manifest declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Code {
    /// The script of this file name within the pack.
    Script(String),
    /// The connector of this name that is built into the hub.
    BuiltIn(String),
}

/// Something that a source has, read page by page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamSpec {
    pub(crate) name: String,
    pub(crate) description: String,
    /// The script's function; none for a connector that is built in.
    pub(crate) function: Option<String>,
    /// The script's function that says what one kept record of it means.
    pub(crate) again: Option<String>,
    /// How it can be read.
    pub(crate) modes: Vec<Mode>,
    /// Webhooks bring its records, too.
    pub(crate) pushed: bool,
    /// How often it is read by itself.
    pub(crate) every: Option<Duration>,
    /// How often all of it is read again.
    pub(crate) reconcile_every: Option<Duration>,
    /// In which lane is told what comes after the first reading.
    pub(crate) lane: Lane,
    /// The stream that finds the parts of which this one consists.
    pub(crate) found_by: Option<String>,
}

impl Manifest {
    pub(crate) fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// The settings that say which hosts it may call.
    pub(crate) fn host_settings(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().filter_map(|host| match host {
            HostSpec::Setting(name) => Some(name.as_str()),
            HostSpec::Pattern(_) => None,
        })
    }

    pub(crate) fn secret(&self, name: &str) -> Option<&SecretSpec> {
        self.secrets.iter().find(|secret| secret.name == name)
    }

    pub(crate) fn webhook(&self, name: &str) -> Option<&Webhook> {
        self.webhooks.iter().find(|webhook| webhook.name == name)
    }

    pub(crate) fn stream(&self, name: &str) -> Option<&StreamSpec> {
        self.streams.iter().find(|stream| stream.name == name)
    }

    pub(crate) fn serves(&self, channel: &str) -> bool {
        self.kinds.contains(&Kind::Channel) && self.channels.iter().any(|served| served == channel)
    }
}

/// A host that the pack may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostSpec {
    /// As the manifest writes it.
    Pattern(HostPattern),
    /// Exactly the host and port of a setting of type url; of a built-in connector, any setting that says where secrets
    /// are sent.
    Setting(String),
}

/// How the hub signs in for the pack, which never sees the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Auth {
    /// RFC 7617.
    Basic { user: ValueRef, password: ValueRef },
    /// RFC 6750.
    Bearer { token: ValueRef },
}

/// Where a value is taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ValueRef {
    Setting(String),
    Secret(String),
}

/// The script's functions by what they are for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Functions {
    pub(crate) send: Option<String>,
    pub(crate) find: Option<String>,
    pub(crate) reconcile: Option<String>,
    pub(crate) test: Option<String>,
    pub(crate) check: Option<String>,
}

/// The type of a setting; the app chooses its field by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SettingType {
    String,
    Integer,
    Boolean,
    Enum,
    Url,
    Tel,
    /// A JSON object or list, given as such or as text.
    Json,
}

/// A setting of a connection, from which the app draws its form.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub(crate) struct Setting {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: SettingType,
    pub(crate) required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) default: Option<Value>,
    pub(crate) description: String,
    /// The values of an enum.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) values: Vec<String>,
    /// The least and the largest integer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) min: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max: Option<i64>,
    /// True if the form should offer several lines.
    pub(crate) multiline: bool,
}

/// A secret of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct SecretSpec {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) required: bool,
}

/// How a webhook's body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BodyForm {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// JSON.
    Json,
}

/// An address below `/hooks/{plugin}/{connection}/`.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    /// The first part of the address after the connection.
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) methods: Vec<http::Method>,
    pub(crate) body: BodyForm,
    pub(crate) body_max_bytes: usize,
    pub(crate) signature: Scheme,
    pub(crate) function: String,
    /// What is answered when the script has no answer.
    pub(crate) answer_content_type: String,
    pub(crate) answer_body: String,
}

#[cfg(test)]
mod tests;
