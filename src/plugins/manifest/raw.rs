//! The manifest's shape in TOML. Values whose meaning is checked later keep their place in the file.

use serde::Deserialize;
use toml::Spanned;

use super::{BodyForm, Kind, SettingType};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawManifest {
    pub(super) id: Spanned<String>,
    pub(super) version: Spanned<String>,
    pub(super) kind: Spanned<Vec<Kind>>,
    pub(super) description: String,
    pub(super) script: Option<Spanned<String>>,
    pub(super) connector: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) channels: Vec<String>,
    #[serde(default)]
    pub(super) entities: Vec<String>,
    #[serde(default)]
    pub(super) hosts: Vec<Spanned<String>>,
    pub(super) auth: Option<RawAuth>,
    #[serde(default)]
    pub(super) functions: RawFunctions,
    #[serde(default)]
    pub(super) schedule: RawSchedule,
    #[serde(default, rename = "setting")]
    pub(super) settings: Vec<RawSetting>,
    #[serde(default, rename = "secret")]
    pub(super) secrets: Vec<RawSecret>,
    #[serde(default, rename = "webhook")]
    pub(super) webhooks: Vec<RawWebhook>,
    #[serde(default, rename = "stream")]
    pub(super) streams: Vec<RawStream>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStream {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    pub(super) description: String,
    pub(super) function: Option<Spanned<String>>,
    pub(super) again: Option<Spanned<String>>,
    pub(super) modes: Spanned<Vec<Spanned<String>>>,
    pub(super) every_minutes: Option<Spanned<u32>>,
    pub(super) reconcile_every_hours: Option<Spanned<u32>>,
    pub(super) lane: Option<Spanned<String>>,
    pub(super) found_by: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAuth {
    pub(super) scheme: Spanned<String>,
    pub(super) user: Option<Spanned<String>>,
    pub(super) password: Option<Spanned<String>>,
    pub(super) token: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFunctions {
    pub(super) send: Option<Spanned<String>>,
    pub(super) find: Option<Spanned<String>>,
    pub(super) reconcile: Option<Spanned<String>>,
    pub(super) test: Option<Spanned<String>>,
    pub(super) check: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSchedule {
    pub(super) reconcile_every_minutes: Option<Spanned<u32>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSetting {
    pub(super) name: Spanned<String>,
    #[serde(rename = "type")]
    pub(super) kind: SettingType,
    #[serde(default)]
    pub(super) required: bool,
    pub(super) default: Option<Spanned<toml::Value>>,
    pub(super) description: String,
    #[serde(default)]
    pub(super) values: Vec<String>,
    pub(super) min: Option<i64>,
    pub(super) max: Option<i64>,
    #[serde(default)]
    pub(super) multiline: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSecret {
    pub(super) name: Spanned<String>,
    pub(super) description: String,
    #[serde(default = "yes")]
    pub(super) required: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWebhook {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default = "post")]
    pub(super) methods: Vec<Spanned<String>>,
    pub(super) body: BodyForm,
    pub(super) body_max_bytes: Option<Spanned<usize>>,
    pub(super) signature: RawSignature,
    pub(super) function: Spanned<String>,
    pub(super) answer: Option<RawAnswer>,
}

fn post() -> Vec<Spanned<String>> {
    vec![Spanned::new(0..0, "POST".to_owned())]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSignature {
    pub(super) scheme: Spanned<String>,
    pub(super) secret: Spanned<String>,
    /// Twilio: the secret that signs when the request names a shared key.
    pub(super) shared_key: Option<Spanned<String>>,
    /// HMAC: which header holds it.
    pub(super) header: Option<Spanned<String>>,
    pub(super) algorithm: Option<Spanned<String>>,
    pub(super) encoding: Option<Spanned<String>>,
    pub(super) prefix: Option<String>,
    /// HMAC: which header holds the moment, and what is signed with it.
    pub(super) timestamp_header: Option<Spanned<String>>,
    pub(super) template: Option<Spanned<String>>,
    /// Seconds that the moment may lie before or after now.
    pub(super) tolerance_s: Option<Spanned<u32>>,
    /// Token: under which name it stands in the address.
    pub(super) query: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAnswer {
    pub(super) content_type: Spanned<String>,
    pub(super) body: String,
}
