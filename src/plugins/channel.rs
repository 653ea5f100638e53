//! The port by which `channels` hands messages to providers.
//!
//! Invariant: one call of `send` makes at most one POST; what came of it is told from its answer alone: taken, certainly
//! not taken, or unknown. A pack can't turn a refusal into a success.
//! Begin with [`outcome`].

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use contracts::ConnectionId;
use fetch::{Reached, StatusCode};
use sandbox::Budget;
use serde::Deserialize;
use serde_json::{Value, json};
use spine::ScopedTx;
use spine::access::{Cause, Scope};
use spine::ports::{ChannelDriver, ChannelError, Found, Outgoing, Route, SendOutcome};

use crate::manager::{Manager, Ready, health_of, shape_problem};
use crate::model::Health;
use crate::script::{Failure, Posted};
use crate::{store, time};

/// How long a provider's records may lag, where the connection has no setting `grace_s`.
const GRACE: Duration = Duration::from_secs(30);
const SEND_BUDGET: Budget = Budget {
    operations: 500_000,
    time: Duration::from_secs(1),
};
const FIND_BUDGET: Budget = Budget {
    operations: 5_000_000,
    time: Duration::from_secs(5),
};
/// The owner has to act first: asking sooner is no use.
const REAUTHORISE_RETRY: Duration = Duration::from_secs(600);

/// What a pack's `send` returns.
#[derive(Debug, Default, Deserialize)]
struct Sent {
    #[serde(default)]
    remote_id: Option<String>,
    #[serde(default)]
    status: Option<String>,
    /// The provider's code for why not.
    #[serde(default)]
    code: Option<Value>,
    /// A refusal before anything was sent, in the pack's own words.
    #[serde(default)]
    refused: Option<String>,
}

/// What a pack's `find` returns a list of.
#[derive(Debug, Deserialize)]
struct FoundByPack {
    remote_id: String,
    created_at: Value,
    status: String,
}

#[async_trait]
impl ChannelDriver for Manager {
    async fn route(
        &self,
        tx: &mut ScopedTx,
        channel: &str,
        connection: Option<ConnectionId>,
    ) -> Result<Route, ChannelError> {
        let plugins = self.registry().serving(channel);
        if plugins.is_empty() {
            return Err(ChannelError::Configuration(format!(
                "no installed plugin serves the channel `{channel}`"
            )));
        }
        let found = store::connection_for_channel(tx, &plugins, connection).await?;
        let Some(found) = found else {
            let plugins = plugins.join(" or ");
            return Err(ChannelError::Configuration(match connection {
                Some(id) => format!("the connection {id} is gone, paused or does not serve `{channel}`"),
                None => format!("nothing is connected for `{channel}`: connect {plugins}"),
            }));
        };
        let (id, plugin) = (found.id, found.plugin.clone());
        let ready = self.ready(found);
        let grace = ready
            .as_ref()
            .and_then(|ready| ready.settings.get("grace_s")?.as_u64())
            .map(Duration::from_secs);
        Ok(Route {
            connection: id,
            plugin,
            grace: grace.unwrap_or(GRACE),
            known: ready.map(|ready| Arc::new(ready) as Arc<dyn Any + Send + Sync>),
        })
    }

    async fn send(
        &self,
        scope: &Scope,
        route: &Route,
        message: &Outgoing,
    ) -> Result<SendOutcome, ChannelError> {
        let (ready, function) = self
            .usable(scope, route, |ready| ready.pack.manifest.functions.send.clone())
            .await?;
        let mut outbound = match self.outbound(&ready) {
            Ok(outbound) => outbound.with_post(),
            Err(failure) => {
                let (health, reason) = health_of(&failure);
                self.note_health(scope, &ready.connection, health, &reason).await;
                return Err(ChannelError::Configuration(reason));
            }
        };
        let args = [self.script_context(&ready), script_message(message)];
        let told = self
            .call(&ready.pack, &function, &args, SEND_BUDGET, Some(&mut outbound))
            .await;
        let outcome = outcome(&route.plugin, outbound.posted, told);
        let says = match &outcome {
            Ok((_, says)) => says.clone(),
            Err(ChannelError::Bug(reason)) => Some((Health::Failed, reason.clone())),
            Err(_) => None,
        };
        if let Some((health, reason)) = says {
            self.note_health(scope, &ready.connection, health, &reason).await;
        }
        outcome.map(|(outcome, _)| outcome)
    }

    async fn find(
        &self,
        scope: &Scope,
        route: &Route,
        message: &Outgoing,
        after: DateTime<Utc>,
    ) -> Result<Vec<Found>, ChannelError> {
        let usable = self
            .usable(scope, route, |ready| ready.pack.manifest.functions.find.clone())
            .await;
        let (ready, function) = usable?;
        let mut outbound = self.outbound(&ready).map_err(channel_error)?;
        let args = [
            self.script_context(&ready),
            script_message(message),
            Value::from(time::to_script(after)),
        ];
        let told = self
            .call(&ready.pack, &function, &args, FIND_BUDGET, Some(&mut outbound))
            .await;
        let told = told.map_err(channel_error)?;
        if let Some(status) = outbound.last_status.filter(|status| !status.is_success()) {
            return Err(ChannelError::Transient(format!(
                "{} answered HTTP {} when asked",
                route.plugin,
                status.as_u16()
            )));
        }
        let found: Vec<FoundByPack> = serde_json::from_value(told).map_err(|error| {
            ChannelError::Bug(format!(
                "the pack's `{function}` returned something else: {}",
                shape_problem(&error)
            ))
        })?;
        found.into_iter().map(found_of).collect()
    }
}

impl Manager {
    /// The route's connection with the pack's function, if the owner lets it be used.
    async fn usable(
        &self,
        scope: &Scope,
        route: &Route,
        function: impl Fn(&Ready) -> Option<String>,
    ) -> Result<(Ready, String), ChannelError> {
        let known = route
            .known
            .as_deref()
            .and_then(|known| known.downcast_ref::<Ready>());
        let ready = match known {
            Some(ready) => ready.clone(),
            None => self.look_up(scope, route).await?,
        };
        let function = function(&ready).ok_or_else(|| {
            ChannelError::Configuration(format!("the plugin {} can't do this", route.plugin))
        })?;
        Ok((ready, function))
    }

    async fn look_up(&self, scope: &Scope, route: &Route) -> Result<Ready, ChannelError> {
        let mut tx = self.context().access.begin(scope, Cause::outside()).await?;
        let connection = store::connection_by_id(&mut tx, route.connection).await?;
        drop(tx);
        let gone = || ChannelError::Configuration(format!("the connection {} is gone", route.connection));
        let connection = connection.ok_or_else(gone)?;
        if connection.paused {
            return Err(ChannelError::Configuration(
                "the connection is paused by its owner".to_owned(),
            ));
        }
        self.ready(connection).ok_or_else(|| {
            ChannelError::Configuration(format!("the plugin {} is not installed", route.plugin))
        })
    }
}

fn script_message(message: &Outgoing) -> Value {
    json!({ "to": message.to, "text": message.text, "attempt": message.attempt, "message": message.message })
}

fn found_of(found: FoundByPack) -> Result<Found, ChannelError> {
    let created_at = time::parse(&found.created_at)
        .ok_or_else(|| ChannelError::Bug("the pack gave a time that can't be read".to_owned()))?;
    Ok(Found {
        remote_id: found.remote_id,
        created_at,
        status: found.status,
    })
}

fn channel_error(failure: Failure) -> ChannelError {
    let (health, reason) = health_of(&failure);
    match (&failure, health) {
        (Failure::Configuration(_), _) => ChannelError::Configuration(reason),
        (_, Health::Retrying) => ChannelError::Transient(reason),
        _ => ChannelError::Bug(reason),
    }
}

/// What an outcome says about the connection.
type Says = Option<(Health, String)>;

/// What became of the message: from how the POST ended, and from what the pack read in its answer.
fn outcome(
    plugin: &str,
    posted: Posted,
    told: Result<Value, Failure>,
) -> Result<(SendOutcome, Says), ChannelError> {
    match posted {
        Posted::No => unposted(told),
        Posted::Lost(Reached::Unknown) => {
            let reason = format!("{plugin} gave no answer");
            Ok((
                SendOutcome::Unknown {
                    reason: reason.clone(),
                },
                Some((Health::Retrying, reason)),
            ))
        }
        Posted::Lost(Reached::No) => {
            let (health, reason) = told
                .err()
                .map_or((Health::Retrying, String::new()), |failure| health_of(&failure));
            let permanent = health == Health::Failed;
            Ok((
                SendOutcome::Refused {
                    reason: reason.clone(),
                    permanent,
                    retry_after: None,
                },
                Some((health, reason)),
            ))
        }
        Posted::Answered { status, retry_after } => Ok(answered(plugin, status, retry_after, told)),
    }
}

/// Nothing was posted: a channel without a provider, or a pack that refused or failed beforehand.
fn unposted(told: Result<Value, Failure>) -> Result<(SendOutcome, Says), ChannelError> {
    let told = match told {
        Ok(told) => told,
        // A request before the POST got no answer: nothing was sent.
        Err(failure @ Failure::Fetch(_)) => {
            let (health, reason) = health_of(&failure);
            let permanent = health == Health::Failed;
            let refused = SendOutcome::Refused {
                reason: reason.clone(),
                permanent,
                retry_after: None,
            };
            return Ok((refused, Some((health, reason))));
        }
        Err(failure) => return Err(channel_error(failure)),
    };
    let sent = Sent::deserialize(&told).map_err(|error| {
        ChannelError::Bug(format!(
            "the pack's `send` returned something else: {}",
            shape_problem(&error)
        ))
    })?;
    match (sent.remote_id, sent.refused) {
        (Some(remote_id), _) => {
            let status = sent.status.unwrap_or_else(|| "accepted".to_owned());
            Ok((
                SendOutcome::Accepted { remote_id, status },
                Some((Health::Active, String::new())),
            ))
        }
        (None, Some(reason)) => Ok((
            SendOutcome::Refused {
                reason,
                permanent: true,
                retry_after: None,
            },
            None,
        )),
        (None, None) => Err(ChannelError::Bug(
            "the pack's `send` neither sent nor refused".to_owned(),
        )),
    }
}

fn answered(
    plugin: &str,
    status: StatusCode,
    retry_after: Option<Duration>,
    told: Result<Value, Failure>,
) -> (SendOutcome, Says) {
    let sent = told
        .ok()
        .and_then(|told| Sent::deserialize(&told).ok())
        .unwrap_or_default();
    let reason = match sent.code.as_ref().and_then(code) {
        Some(code) => format!("{plugin} refused it: HTTP {}, code {code}", status.as_u16()),
        None => format!("{plugin} refused it: HTTP {}", status.as_u16()),
    };
    let refused = |permanent, retry_after| SendOutcome::Refused {
        reason: reason.clone(),
        permanent,
        retry_after,
    };
    match status.as_u16() {
        200..300 => match sent.remote_id {
            Some(remote_id) => {
                let status = sent.status.unwrap_or_else(|| "accepted".to_owned());
                (
                    SendOutcome::Accepted { remote_id, status },
                    Some((Health::Active, String::new())),
                )
            }
            None => {
                let reason = format!("{plugin} took it, but its answer can't be read");
                (
                    SendOutcome::Unknown {
                        reason: reason.clone(),
                    },
                    Some((Health::Failed, reason)),
                )
            }
        },
        401 | 403 => (
            refused(false, Some(retry_after.unwrap_or(REAUTHORISE_RETRY))),
            Some((
                Health::NeedsReauthorisation,
                format!("{plugin} refused the secret (HTTP {})", status.as_u16()),
            )),
        ),
        404 => (
            refused(true, None),
            Some((
                Health::Failed,
                format!("{plugin} does not know the account (HTTP 404)"),
            )),
        ),
        // The request was not taken in time, came too early or too often.
        408 | 425 | 429 => (
            refused(false, retry_after),
            Some((Health::Retrying, reason.clone())),
        ),
        400..500 => (refused(true, None), Some((Health::Active, String::new()))),
        _ => {
            let reason = format!("{plugin} answered HTTP {}", status.as_u16());
            (
                SendOutcome::Unknown {
                    reason: reason.clone(),
                },
                Some((Health::Retrying, reason)),
            )
        }
    }
}

/// A provider's code, if it looks like one and not like text.
fn code(code: &Value) -> Option<String> {
    let text = match code {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    let fits = (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    fits.then_some(text)
}

#[cfg(test)]
mod tests;
