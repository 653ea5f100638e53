//! What a provider tells of a message of ours: proof for the attempt, and the Message's status.
//!
//! Events in: `communication.MessageStatusChanged`. Events out: `communication.MessageSent`, if this is the first proof.

use async_trait::async_trait;
use contracts::events::communication::MessageStatusChanged;
use contracts::{Event, EventPayload};
use spine::ports::{Entity, GraphError, Ports};
use spine::{Consumer, Context, HandleError, ScopedTx};

use crate::model::{Attempt, AttemptState};
use crate::settle::{self, Proof};
use crate::store;

/// The consumer `channels`.
pub(crate) struct StatusFold {
    ports: Ports,
}

impl StatusFold {
    pub(crate) fn new(context: &Context) -> Self {
        Self {
            ports: context.ports.clone(),
        }
    }

    async fn fold(&self, tx: &mut ScopedTx, told: &MessageStatusChanged) -> Result<(), GraphError> {
        let attempt = store::attempt_spoken_of(tx, told.message, told.attempt, &told.remote_id).await?;
        let Some(attempt) = attempt else { return Ok(()) }; // not a message that this hub sent
        let Some(message) = self.ports.graph_read().entity(tx, told.message).await? else {
            return Ok(());
        };
        let proof = Proof {
            remote_id: &told.remote_id,
            status: &told.status,
            error: told.error_code.as_deref(),
        };
        match &attempt.remote_id {
            Some(known) if *known != told.remote_id => Ok(()), // of a message that is not this attempt's
            Some(_) => settle::status_moved(tx, self.ports.graph_write(), &message, &proof).await,
            None => self.prove(tx, &message, &attempt, &proof).await,
        }
    }

    /// The provider speaks of an attempt whose outcome this hub does not know: it has the message.
    async fn prove(
        &self,
        tx: &mut ScopedTx,
        message: &Entity,
        attempt: &Attempt,
        proof: &Proof<'_>,
    ) -> Result<(), GraphError> {
        let ids = [proof.remote_id.to_owned()];
        if !store::remote_id_list_taken(tx, attempt.connection, &ids)
            .await?
            .is_empty()
        {
            return Ok(()); // adopted by an attempt of the same text: that one is proven, this one looks on
        }
        let graph = self.ports.graph_write();
        match attempt.state {
            AttemptState::Refused | AttemptState::Disproved => {
                if store::attempt_prove_late(tx, attempt.id, proof.remote_id).await? {
                    settle::sent(tx, graph, message, attempt, AttemptState::Adopted, proof).await?;
                }
            }
            AttemptState::Started
            | AttemptState::Unknown
            | AttemptState::Accepted
            | AttemptState::Adopted => {
                settle::accepted(tx, graph, message, attempt, AttemptState::Accepted, proof).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Consumer for StatusFold {
    fn name(&self) -> &'static str {
        "channels"
    }

    fn types(&self) -> Vec<String> {
        vec![MessageStatusChanged::TYPE.to_owned()]
    }

    async fn handle(&self, tx: &mut ScopedTx, event: &Event) -> Result<(), HandleError> {
        let Some(told) = event.payload::<MessageStatusChanged>() else {
            return Ok(());
        }; // erased
        match self.fold(tx, &told?).await {
            Ok(()) => Ok(()),
            Err(GraphError::Access(error)) => Err(error.into()),
            Err(error) => Err(HandleError::Poison(error.to_string())),
        }
    }
}
