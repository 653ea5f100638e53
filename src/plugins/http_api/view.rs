//! What the routes answer.

use chrono::{DateTime, Utc};
use contracts::{ConnectionId, JobId};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::manager::Manager;
use crate::manifest::{HostSpec, Kind, Manifest, SecretSpec, Setting};
use crate::model::Connection;
use crate::registry::Broken;
use crate::settings;

/// An installed plugin.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PluginView {
    /// Its id: the name of its folder.
    id: String,
    /// `null` if it can't be used.
    version: Option<String>,
    kind: Vec<Kind>,
    description: String,
    /// Why it can't be used; absent if it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Channels that it serves.
    channels: Vec<String>,
    /// Entity types that it emits.
    entities: Vec<String>,
    /// Hosts that it may call.
    hosts: Vec<String>,
    /// From which the form is drawn.
    settings: Vec<Setting>,
    /// Secrets that it needs.
    secrets: Vec<SecretSpec>,
    /// Webhooks that it takes.
    webhooks: Vec<WebhookView>,
}

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookView {
    name: String,
    description: String,
    methods: Vec<String>,
    /// What to enter at the provider; for a connection only.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

impl PluginView {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let host = |host: &HostSpec| match host {
            HostSpec::Pattern(pattern) => pattern.to_string(),
            HostSpec::Setting(name) => format!("{{settings.{name}}}"),
        };
        Self {
            id: manifest.id.clone(),
            version: Some(manifest.version.clone()),
            kind: manifest.kinds.clone(),
            description: manifest.description.clone(),
            error: None,
            channels: manifest.channels.clone(),
            entities: manifest.entities.clone(),
            hosts: manifest.hosts.iter().map(host).collect(),
            settings: manifest.settings.clone(),
            secrets: manifest.secrets.clone(),
            webhooks: webhooks(manifest, None),
        }
    }

    pub(crate) fn broken(broken: &Broken) -> Self {
        Self {
            id: broken.id.clone(),
            version: None,
            kind: Vec::new(),
            description: "can't be used".to_owned(),
            error: Some(broken.reason.clone()),
            channels: Vec::new(),
            entities: Vec::new(),
            hosts: Vec::new(),
            settings: Vec::new(),
            secrets: Vec::new(),
            webhooks: Vec::new(),
        }
    }
}

fn webhooks(manifest: &Manifest, hooks_url: Option<&str>) -> Vec<WebhookView> {
    let view = |webhook: &crate::manifest::Webhook| WebhookView {
        name: webhook.name.clone(),
        description: webhook.description.clone(),
        methods: webhook.methods.iter().map(ToString::to_string).collect(),
        url: hooks_url.map(|hooks| format!("{hooks}/{}", webhook.name)),
    };
    manifest.webhooks.iter().map(view).collect()
}

/// A connection, without its secrets.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectionView {
    id: ConnectionId,
    plugin: String,
    name: String,
    /// `active`, `retrying`, `needs-reauthorisation`, `failed` or `paused`.
    health: String,
    /// Why, in a sentence; empty if all is well.
    reason: String,
    /// With defaults.
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
    /// The names of the secrets that are stored.
    secrets: Vec<String>,
    /// Ranges that are not public and that it may reach all the same.
    allowed_ranges: Vec<String>,
    /// What to enter at the provider.
    webhooks: Vec<WebhookView>,
    created_at: DateTime<Utc>,
    /// When the provider was last asked for what it may have said meanwhile.
    reconciled_at: Option<DateTime<Utc>>,
}

impl ConnectionView {
    pub(crate) fn of(manager: &Manager, connection: Connection) -> Self {
        let pack = manager.registry().pack(&connection.plugin);
        let (health, reason) = match pack {
            _ if connection.paused => ("paused", "paused by you".to_owned()),
            None => ("failed", format!("the plugin {} is not installed, or can't be used", connection.plugin)),
            Some(_) => (connection.health.as_str(), connection.reason.clone()),
        };
        let hooks_url = connection.hooks_url(manager.hub_url());
        let settings = match pack {
            Some(pack) => settings::effective(&pack.manifest, &connection.settings, manager.hub_url()),
            None => connection.settings,
        };
        Self {
            id: connection.id,
            plugin: connection.plugin,
            name: connection.name,
            health: health.to_owned(),
            reason,
            settings,
            secrets: connection.secrets.into_keys().collect(),
            allowed_ranges: connection.allowed_ranges,
            webhooks: pack.map(|pack| webhooks(&pack.manifest, Some(&hooks_url))).unwrap_or_default(),
            created_at: connection.created_at,
            reconciled_at: connection.asked_at,
        }
    }
}

/// A job was queued.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Queued {
    /// The job; `null` if the same one waits or runs already.
    pub(crate) job: Option<JobId>,
}

/// What the provider said to a test.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestResult {
    pub(crate) ok: bool,
    /// In a sentence.
    pub(crate) detail: String,
}
