//! What the routes answer.

use chrono::{DateTime, Utc};
use contracts::{ConnectionId, JobId};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::manager::Manager;
use crate::manifest::{HostSpec, Kind, Manifest, SecretSpec, Setting, StreamSpec};
use crate::model::Connection;
use crate::registry::Broken;
use crate::settings;
use crate::stream::{Class, Stream};

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
    /// What it reads.
    streams: Vec<StreamSpecView>,
}

/// A stream that a plugin declares.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamSpecView {
    name: String,
    description: String,
    /// How it can be read.
    modes: Vec<&'static str>,
    /// How often it is read by itself.
    every_minutes: Option<u64>,
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
            streams: manifest.streams.iter().map(stream_spec).collect(),
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
            streams: Vec::new(),
        }
    }
}

fn stream_spec(spec: &StreamSpec) -> StreamSpecView {
    let modes = spec.modes.iter().map(|mode| mode.as_str());
    StreamSpecView {
        name: spec.name.clone(),
        description: spec.description.clone(),
        modes: modes.chain(spec.pushed.then_some("push")).collect(),
        every_minutes: spec.every.map(|every| every.as_secs() / 60),
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
    /// What it reads, and how far it is; for a single connection only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    streams: Vec<StreamView>,
}

/// A stream of a connection, or a part of one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamView {
    /// As the plugin declares it.
    name: String,
    /// Which part, such as a folder; absent if the stream has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    part: String,
    /// `full`, `incremental` or `reconcile`: what is read now, or next.
    mode: &'static str,
    /// True while a reading has pages left.
    under_way: bool,
    /// How far that is: `12,400 of about 58,000, 6 min left`.
    progress: Option<String>,
    /// Records of the reading that is under way or was the last.
    done: i64,
    /// Records that it has in all, about.
    estimate: Option<i64>,
    /// Seconds until it is at its end, about.
    remaining_s: Option<i64>,
    /// Records of all readings that were new.
    taken: i64,
    /// Records of all readings that can't be understood.
    parked: i64,
    /// When a reading last came to its end.
    read_at: Option<DateTime<Utc>>,
    /// When the hub asks next by itself; `null`: not before somebody wants it.
    next_at: Option<DateTime<Utc>>,
    /// Failures in a row.
    failures: i32,
    /// Of the last failure: `configuration`, `transient` or `bug`.
    class: Option<&'static str>,
    /// Why; empty if all is well.
    reason: String,
}

impl From<Stream> for StreamView {
    fn from(stream: Stream) -> Self {
        Self {
            progress: stream.progress(),
            remaining_s: stream.remaining_s(),
            mode: stream.mode.as_str(),
            class: stream.class.map(Class::as_str),
            name: stream.name.stream,
            part: stream.name.part,
            under_way: stream.under_way,
            done: stream.done,
            estimate: stream.estimate,
            taken: stream.taken,
            parked: stream.parked,
            read_at: stream.read_at,
            next_at: stream.next_at,
            failures: stream.failures,
            reason: stream.reason,
        }
    }
}

impl ConnectionView {
    pub(crate) fn of(manager: &Manager, connection: Connection) -> Self {
        let pack = manager.registry().pack(&connection.plugin);
        let (health, reason) = match pack {
            _ if connection.paused => ("paused", "paused by you".to_owned()),
            None => (
                "failed",
                format!(
                    "the plugin {} is not installed, or can't be used",
                    connection.plugin
                ),
            ),
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
            webhooks: pack
                .map(|pack| webhooks(&pack.manifest, Some(&hooks_url)))
                .unwrap_or_default(),
            created_at: connection.created_at,
            reconciled_at: connection.asked_at,
            streams: Vec::new(),
        }
    }

    pub(crate) fn with_streams(self, streams: Vec<Stream>) -> Self {
        Self {
            streams: streams.into_iter().map(Into::into).collect(),
            ..self
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

/// What is read now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reading {
    /// How many streams and parts of streams.
    pub(crate) streams: usize,
}
