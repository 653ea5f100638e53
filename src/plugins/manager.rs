//! What every part of the service shares: packs, interpreter, client, and calling a pack for a connection.

use std::sync::Arc;

use contracts::ConnectionId;
use contracts::events::connector::ConnectionHealthChanged;
use fetch::{Fetch, FetchConfig};
use sandbox::{Budget, Engine};
use serde_json::{Map, Value, json};
use spine::access::{AccessError, Cause, Scope};
use spine::{Context, ScopedTx};
use tokio::sync::Notify;

use crate::intake::Intake;
use crate::model::{self, Connection, Health};
use crate::registry::{Pack, Registry};
use crate::script::{self, Failure, Outbound, Session};
use crate::{settings, store};

/// The plugin manager. A clone shares.
#[derive(Debug, Clone)]
pub(crate) struct Manager {
    inner: Arc<Inner>,
}

struct Inner {
    context: Context,
    engine: Engine<Session>,
    registry: Registry,
    /// None: a certificate authority of the configuration can't be read. Then nothing is asked of anybody.
    fetch: Option<Fetch>,
    /// Told when a webhook could not be taken in.
    missed: Notify,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manager")
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}

/// A connection with its pack and its settings, ready to be used.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) connection: Connection,
    pub(crate) pack: Arc<Pack>,
    /// With defaults.
    pub(crate) settings: Map<String, Value>,
    pub(crate) hooks_url: String,
}

impl Manager {
    /// Reads the packs and makes the client.
    pub(crate) fn new(context: &Context) -> Self {
        let extra_ca_pem = context.settings.extra_ca_pem.clone();
        let fetch = Fetch::new(FetchConfig {
            extra_ca_pem,
            ..FetchConfig::default()
        });
        if let Err(error) = &fetch {
            tracing::error!(%error, "no plugin can ask its provider");
        }
        let engine = script::engine();
        let registry = Registry::load(&context.settings.packs_dir, &engine);
        Self {
            inner: Arc::new(Inner {
                context: context.clone(),
                engine,
                registry,
                fetch: fetch.ok(),
                missed: Notify::new(),
            }),
        }
    }

    /// A webhook could not be taken in: its provider may not say it again, and will be asked.
    pub(crate) fn webhook_missed(&self) {
        self.inner.missed.notify_one();
    }

    /// Waits until a webhook was missed.
    pub(crate) async fn a_webhook_is_missed(&self) {
        self.inner.missed.notified().await;
    }

    pub(crate) fn context(&self) -> &Context {
        &self.inner.context
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    pub(crate) fn hub_url(&self) -> &str {
        &self.inner.context.settings.public_url
    }

    /// The connection with its pack; none when the pack's folder is gone or broken.
    pub(crate) fn ready(&self, connection: Connection) -> Option<Ready> {
        let pack = self.registry().pack(&connection.plugin)?.clone();
        let settings = settings::effective(&pack.manifest, &connection.settings, self.hub_url());
        let hooks_url = connection.hooks_url(self.hub_url());
        Some(Ready {
            connection,
            pack,
            settings,
            hooks_url,
        })
    }

    /// What functions of a pack are given first: settings and addresses, never secrets.
    pub(crate) fn script_context(&self, ready: &Ready) -> Value {
        json!({
            "connection": ready.connection.id,
            "settings": ready.settings,
            // Their names alone.
            "secrets": ready.connection.secrets.keys().collect::<Vec<_>>(),
            "hooks_url": ready.hooks_url,
        })
    }

    /// What a run for this connection may reach.
    pub(crate) fn outbound(&self, ready: &Ready) -> Result<Outbound, Failure> {
        let secrets = ready.connection.open(&self.inner.context.vault);
        let credentials = model::credentials(&ready.pack.manifest, &ready.settings, &secrets)?;
        let hosts = ready.connection.hosts(&ready.pack.manifest, &ready.settings);
        let now = self.inner.context.clock.now();
        let fetch = self.inner.fetch.clone().ok_or_else(|| {
            Failure::Configuration("the hub's own HTTP client can't be set up; its log says why".to_owned())
        })?;
        Ok(Outbound::new(
            fetch,
            hosts,
            ready.connection.ranges(),
            credentials,
            now,
        ))
    }

    /// Calls a function of the pack.
    pub(crate) async fn call(
        &self,
        pack: &Arc<Pack>,
        function: &str,
        args: &[Value],
        budget: Budget,
        outbound: Option<&mut Outbound>,
    ) -> Result<Value, Failure> {
        script::run(&self.inner.engine, pack, function, args, budget, outbound).await
    }

    pub(crate) fn intake<'a>(&'a self, ready: &'a Ready) -> Intake<'a> {
        Intake {
            context: &self.inner.context,
            manifest: &ready.pack.manifest,
            connection: &ready.connection,
        }
    }

    /// Writes the health down and tells of it, if it changed. In the caller's transaction.
    pub(crate) async fn set_health(
        &self,
        tx: &mut ScopedTx,
        id: ConnectionId,
        health: Health,
        reason: &str,
    ) -> Result<(), AccessError> {
        if store::connection_health(tx, id, health, reason).await? {
            let event = ConnectionHealthChanged {
                connection: id,
                health: health.as_str().to_owned(),
                reason: reason.to_owned(),
            };
            tx.publish_about(id, &event)?;
        }
        Ok(())
    }

    /// As [`Manager::set_health`], in a transaction of its own, and only when it differs from what was known. What it
    /// tells is worth no failure: a database that is away is logged.
    pub(crate) async fn note_health(&self, scope: &Scope, known: &Connection, health: Health, reason: &str) {
        if known.health == health && known.reason == reason {
            return;
        }
        let noted = async {
            let mut tx = self.context().access.begin(scope, Cause::outside()).await?;
            self.set_health(&mut tx, known.id, health, reason).await?;
            tx.commit().await
        };
        if let Err(error) = noted.await {
            tracing::warn!(connection = %known.id, %error, "a connection's health could not be written down");
        }
    }
}

/// What a failed run says about the connection. The text holds no address and nothing that a provider wrote.
pub(crate) fn health_of(failure: &Failure) -> (Health, String) {
    match failure {
        Failure::Script(error) => {
            let at = error.position;
            (
                Health::Failed,
                format!(
                    "the pack's script failed at {}:{}:{}",
                    error.file, at.line, at.column
                ),
            )
        }
        Failure::Forbidden(reason) | Failure::Configuration(reason) => (Health::Failed, reason.clone()),
        Failure::Fetch(error) => match error.class() {
            fetch::Class::Denied => (
                Health::Failed,
                format!("a request was refused by the hub: {}", error.failure()),
            ),
            fetch::Class::Transient | fetch::Class::Protocol => (
                Health::Retrying,
                format!("the provider can't be reached: {}", error.failure()),
            ),
        },
    }
}

/// What is wrong with a value's shape, without the value: it may hold a number or a text.
pub(crate) fn shape_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("missing field") {
        text
    } else {
        "a field has another type, or there is an unknown kind".to_owned()
    }
}
