//! The job `send-outgoing-message`: hands one Message to its channel.
//!
//! Jobs in: `send-outgoing-message`. Events out: `communication.MessageSent`, `communication.MessageFailed`.
//! Invariant: a second run of a job whose message the provider has changes nothing; between the commit of an attempt
//! and the commit of its outcome the hub may die at any point, and the next run asks the provider before it sends.
//! Begin with [`Sending::deliver`].

use std::time::Duration;

use async_trait::async_trait;
use contracts::jobs::SendOutgoingMessage;
use contracts::{EntityId, failpoint};
use serde_json::{Value, json};
use spine::ports::{ChannelError, Entity, GraphError, Outgoing, Ports, Route, SendOutcome};
use spine::queue::{JobContext, JobError, JobHandler};
use spine::{Access, AccessError, Cause, Context, Scope, ScopedTx};

use crate::model::{
    Attempt, AttemptState, OutgoingMessage, REQUEST_MAX, Step, Verdict, asked_since, judge, next_step,
    outgoing,
};
use crate::settle::{self, Proof};
use crate::store;

/// When to look again after an answer that doesn't tell: the provider's records are mostly right by then.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// A run asks about an open attempt, disproves it, and makes a new one: more steps than that go in circles.
const STEPS_MAX: usize = 4;

/// Sends messages.
#[derive(Clone)]
pub(crate) struct Sending {
    access: Access,
    ports: Ports,
}

/// The provider has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) attempt: Attempt,
}

/// Why a run ended without the message being sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It may work later.
    Retry { after: Option<Duration>, reason: String },
    /// It will not work by itself. `told`: the Message and its listeners know already.
    Fail { reason: String, told: bool },
}

impl Stop {
    fn retry(reason: impl std::fmt::Display) -> Self {
        Self::Retry {
            after: None,
            reason: reason.to_string(),
        }
    }

    fn fail(reason: impl std::fmt::Display) -> Self {
        Self::Fail {
            reason: reason.to_string(),
            told: false,
        }
    }
}

impl From<AccessError> for Stop {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Database(_)
            | AccessError::Queue(_)
            | AccessError::Store(_)
            | AccessError::Vault(_)
            | AccessError::Behind { .. } => Self::retry(error),
            // Nothing can be written for this message any more, not even that it failed.
            AccessError::Payload(_) | AccessError::Erased | AccessError::TooDeep => Self::Fail {
                reason: error.to_string(),
                told: true,
            },
        }
    }
}

impl From<GraphError> for Stop {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Access(error) => error.into(),
            GraphError::Invalid(_) | GraphError::NotFound(_) => Self::fail(error),
        }
    }
}

impl From<ChannelError> for Stop {
    fn from(error: ChannelError) -> Self {
        match error {
            ChannelError::Access(error) => error.into(),
            ChannelError::Transient(_) => Self::retry(error),
            // The owner has something to do first, and then retries the dead letter.
            ChannelError::Configuration(_) | ChannelError::Bug(_) => Self::fail(error),
        }
    }
}

/// The handler of the job.
pub(crate) struct SendHandler(pub(crate) Sending);

#[async_trait]
impl JobHandler for SendHandler {
    type Payload = SendOutgoingMessage;

    async fn run(&self, job: &JobContext, payload: SendOutgoingMessage) -> Result<Value, JobError> {
        // The job's own number: the owner's retry of a dead letter adds to it, and an order may ask for another.
        let last = job.attempt >= job.attempts_max;
        match self.0.run(job.scope(), job.cause(), payload.message, last).await {
            Ok(Sent { attempt }) => Ok(json!({
                "attempt": attempt.id, "state": attempt.state, "remote_id": attempt.remote_id,
            })),
            Err(Stop::Retry {
                after: Some(after),
                reason,
            }) => Err(JobError::retry_after(after, reason)),
            Err(Stop::Retry { after: None, reason }) => Err(JobError::retry(reason)),
            Err(Stop::Fail { reason, .. }) => Err(JobError::fail(reason)),
        }
    }
}

impl Sending {
    pub(crate) fn new(context: &Context) -> Self {
        Self {
            access: context.access.clone(),
            ports: context.ports.clone(),
        }
    }

    /// One run of the job; on the `last` one, not sent means failed.
    pub(crate) async fn run(
        &self,
        scope: &Scope,
        cause: Cause,
        message: EntityId,
        last: bool,
    ) -> Result<Sent, Stop> {
        let stop = match self.deliver(scope, cause, message).await {
            Ok(sent) => return Ok(sent),
            Err(stop) => stop,
        };
        match &stop {
            Stop::Fail { reason, told: false } => {
                if let Some(sent) = self.give_up(scope, cause, message, reason).await? {
                    return Ok(sent);
                }
            }
            Stop::Retry { reason, .. } if last => {
                let reason = format!("all tries are used up; the last one said: {reason}");
                if let Some(sent) = self.give_up(scope, cause, message, &reason).await? {
                    return Ok(sent);
                }
                return Err(Stop::Fail { reason, told: true });
            }
            Stop::Fail { .. } | Stop::Retry { .. } => {}
        }
        Err(stop)
    }

    /// Takes steps until the provider has the message or something is to be waited for.
    async fn deliver(&self, scope: &Scope, cause: Cause, message: EntityId) -> Result<Sent, Stop> {
        for _ in 0..STEPS_MAX {
            if let Some(sent) = self.step(scope, cause, message).await? {
                return Ok(sent);
            }
        }
        Err(Stop::Retry {
            after: Some(LOOK_AGAIN),
            reason: "another run works on this message".to_owned(),
        })
    }

    async fn step(&self, scope: &Scope, cause: Cause, id: EntityId) -> Result<Option<Sent>, Stop> {
        let mut tx = self.access.begin(scope, cause).await?;
        let entity = self.ports.graph_read().entity(&mut tx, id).await?;
        let entity = entity.ok_or_else(|| Stop::fail("the Message is not there any more"))?;
        let message = outgoing(&entity).map_err(Stop::fail)?;
        if waits(&entity)
            && let Some((route, attempt)) = self.first_attempt(&mut tx, id, &message).await?
        {
            return self.make(tx, &entity, &message, &route, &attempt).await;
        }
        let attempts = store::attempt_list(&mut tx, id).await?;
        match next_step(&attempts) {
            Step::Done(attempt) => Ok(Some(Sent {
                attempt: attempt.clone(),
            })),
            Step::Ask(attempt) => self.ask(tx, &entity, &message, attempt).await,
            Step::Attempt => self.attempt(tx, &entity, &message).await,
        }
    }

    /// Asks the provider's records about an attempt whose outcome is open.
    async fn ask(
        &self,
        mut tx: ScopedTx,
        entity: &Entity,
        message: &OutgoingMessage,
        attempt: &Attempt,
    ) -> Result<Option<Sent>, Stop> {
        let (scope, cause) = (tx.scope().clone(), tx.cause());
        let driver = self.ports.channel_driver();
        let route = driver
            .route(&mut tx, &message.channel, Some(attempt.connection))
            .await?;
        let asked_at = tx.now();
        drop(tx); // no transaction stays open while the provider is asked
        let wanted = order(entity.id, message, attempt);
        let found = driver.find(&scope, &route, &wanted, asked_since(attempt)).await?;
        let mut tx = self.access.begin(&scope, cause).await?;
        let ids: Vec<_> = found.iter().map(|each| each.remote_id.clone()).collect();
        let taken = store::remote_id_list_taken(&mut tx, attempt.connection, &ids).await?;
        match judge(attempt, &found, &taken, asked_at, route.grace) {
            Verdict::Adopt(found) => {
                let proof = Proof {
                    remote_id: &found.remote_id,
                    status: &found.status,
                    error: None,
                };
                self.proven(tx, entity, attempt, AttemptState::Adopted, &proof)
                    .await
            }
            Verdict::Wait(left) => Err(Stop::Retry {
                after: Some(left),
                reason: "the provider's records don't hold it yet, and may lag".to_owned(),
            }),
            Verdict::Disproved => {
                let reason = "the provider's records did not hold it after the grace";
                store::attempt_end(&mut tx, attempt.id, AttemptState::Disproved, reason).await?;
                tx.commit().await?;
                Ok(None)
            }
        }
    }

    /// Begins the first attempt of a message that has none. `None`: it has one, or no connection can take it; the
    /// attempts so far are to be looked at.
    async fn first_attempt(
        &self,
        tx: &mut ScopedTx,
        id: EntityId,
        message: &OutgoingMessage,
    ) -> Result<Option<(Route, Attempt)>, Stop> {
        let driver = self.ports.channel_driver();
        let route = match driver.route(tx, &message.channel, message.connection).await {
            Ok(route) => route,
            Err(ChannelError::Access(error)) => return Err(error.into()),
            Err(_) => return Ok(None),
        };
        let attempt = store::attempt_start_first(tx, id, &route).await?;
        Ok(attempt.map(|attempt| (route, attempt)))
    }

    /// Makes another attempt.
    async fn attempt(
        &self,
        mut tx: ScopedTx,
        entity: &Entity,
        message: &OutgoingMessage,
    ) -> Result<Option<Sent>, Stop> {
        let driver = self.ports.channel_driver();
        let route = driver
            .route(&mut tx, &message.channel, message.connection)
            .await?;
        let Some(attempt) = store::attempt_start(&mut tx, entity.id, &route).await? else {
            return Ok(None); // another run was quicker: look again
        };
        self.make(tx, entity, message, &route, &attempt).await
    }

    /// Makes an attempt that was begun: committed first, then the request, then its outcome.
    async fn make(
        &self,
        tx: ScopedTx,
        entity: &Entity,
        message: &OutgoingMessage,
        route: &Route,
        attempt: &Attempt,
    ) -> Result<Option<Sent>, Stop> {
        let (scope, cause) = (tx.scope().clone(), tx.cause());
        tx.commit().await?;
        failpoint::hit("before the POST");
        let outcome = self
            .request(&scope, route, &order(entity.id, message, attempt))
            .await;
        failpoint::hit("after the POST");
        let tx = self.access.begin(&scope, cause).await?;
        match outcome {
            Outcome::Answered(SendOutcome::Accepted { remote_id, status }) => {
                let proof = Proof {
                    remote_id: &remote_id,
                    status: &status,
                    error: None,
                };
                self.proven(tx, entity, attempt, AttemptState::Accepted, &proof)
                    .await
            }
            Outcome::Answered(SendOutcome::Refused {
                reason,
                permanent,
                retry_after,
            }) => {
                self.refused(tx, entity, attempt, reason, permanent, retry_after)
                    .await
            }
            Outcome::Answered(SendOutcome::Unknown { reason }) => self.unknown(tx, attempt, reason).await,
            Outcome::NotMade { reason, permanent } => {
                self.refused(tx, entity, attempt, reason, permanent, None).await
            }
        }
    }

    async fn request(&self, scope: &Scope, route: &Route, order: &Outgoing) -> Outcome {
        let unknown = |reason: String| Outcome::Answered(SendOutcome::Unknown { reason });
        let sending = self.ports.channel_driver().send(scope, route, order);
        match tokio::time::timeout(REQUEST_MAX, sending).await {
            Ok(Ok(outcome)) => Outcome::Answered(outcome),
            Ok(Err(ChannelError::Transient(reason))) => Outcome::NotMade {
                reason,
                permanent: false,
            },
            Ok(Err(ChannelError::Configuration(reason))) => Outcome::NotMade {
                reason,
                permanent: true,
            },
            // It may have failed before or after the request: only the provider knows.
            Ok(Err(error @ (ChannelError::Access(_) | ChannelError::Bug(_)))) => unknown(error.to_string()),
            Err(_) => unknown(format!("no answer within {} s", REQUEST_MAX.as_secs())),
        }
    }

    async fn proven(
        &self,
        mut tx: ScopedTx,
        entity: &Entity,
        attempt: &Attempt,
        state: AttemptState,
        proof: &Proof<'_>,
    ) -> Result<Option<Sent>, Stop> {
        let graph = self.ports.graph_write();
        if !settle::accepted(&mut tx, graph, entity, attempt, state, proof).await? {
            return Ok(None); // a callback came first, or another run: look again
        }
        tx.commit().await?;
        let remote_id = Some(proof.remote_id.to_owned());
        Ok(Some(Sent {
            attempt: Attempt {
                state,
                remote_id,
                ..attempt.clone()
            },
        }))
    }

    async fn refused(
        &self,
        mut tx: ScopedTx,
        entity: &Entity,
        attempt: &Attempt,
        reason: String,
        permanent: bool,
        after: Option<Duration>,
    ) -> Result<Option<Sent>, Stop> {
        if !store::attempt_end(&mut tx, attempt.id, AttemptState::Refused, &reason).await? {
            return Ok(None); // a callback proves the contrary: look again
        }
        if permanent {
            settle::failed(&mut tx, self.ports.graph_write(), entity.id, &reason).await?;
        }
        tx.commit().await?;
        Err(if permanent {
            Stop::Fail { reason, told: true }
        } else {
            Stop::Retry { after, reason }
        })
    }

    async fn unknown(
        &self,
        mut tx: ScopedTx,
        attempt: &Attempt,
        reason: String,
    ) -> Result<Option<Sent>, Stop> {
        if !store::attempt_end(&mut tx, attempt.id, AttemptState::Unknown, &reason).await? {
            return Ok(None);
        }
        tx.commit().await?;
        Err(Stop::Retry {
            after: Some(LOOK_AGAIN),
            reason,
        })
    }

    /// Tells the owner that the message was not sent, as far as is known. Skipped if it is not there any more, or if
    /// its provider was heard of meanwhile: then it is sent.
    async fn give_up(
        &self,
        scope: &Scope,
        cause: Cause,
        message: EntityId,
        reason: &str,
    ) -> Result<Option<Sent>, Stop> {
        let mut tx = self.access.begin(scope, cause).await?;
        // Locked, so that no callback's proof comes between this look and what is written.
        let attempts = store::attempt_list_locked(&mut tx, message).await?;
        if let Step::Done(attempt) = next_step(&attempts) {
            let attempt = attempt.clone();
            return Ok(Some(Sent { attempt }));
        }
        let found = self.ports.graph_read().entity(&mut tx, message).await?;
        if found.is_some_and(|entity| entity.kind == "Message") {
            settle::failed(&mut tx, self.ports.graph_write(), message, reason).await?;
            tx.commit().await?;
        }
        Ok(None)
    }

    /// The message's job ended without this handler's word. Tells the owner, unless the message doesn't wait any more.
    pub(crate) async fn dead_letter(
        &self,
        scope: &Scope,
        cause: Cause,
        message: EntityId,
        reason: &str,
    ) -> Result<(), Stop> {
        let mut tx = match self.access.begin(scope, cause).await {
            Err(AccessError::Erased) => return Ok(()),
            begun => begun?,
        };
        let found = self.ports.graph_read().entity(&mut tx, message).await?;
        drop(tx);
        if found.is_some_and(|entity| waits(&entity)) {
            let reason = format!("its job was given up: {reason}");
            self.give_up(scope, cause, message, &reason).await?;
        }
        Ok(())
    }
}

fn waits(message: &Entity) -> bool {
    let status = message.props.get("status").and_then(Value::as_str);
    message.kind == "Message" && matches!(status, Some("queued" | "sending"))
}

/// What became of a request.
enum Outcome {
    /// The driver says.
    Answered(SendOutcome),
    /// No request left the hub.
    NotMade { reason: String, permanent: bool },
}

fn order(id: EntityId, message: &OutgoingMessage, attempt: &Attempt) -> Outgoing {
    Outgoing {
        message: id,
        attempt: attempt.id,
        to: message.to.clone(),
        text: message.text.clone(),
    }
}
