//! Messages whose job ended without its handler's word: killed, or too slow, too often.
//!
//! Events out: `communication.MessageFailed`.
//! Invariant: a message that waits has a job that will send it, or is told to have failed within a minute.
//! Begin with [`DeadLetters::look`].

use std::time::{Duration, Instant};

use contracts::jobs::SendOutgoingMessage;
use spine::{AccessError, Context};
use tokio_util::sync::CancellationToken;

use crate::send::{Sending, Stop};

/// How often dead letters are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// So far back the first look goes.
const FIRST_LOOK: Duration = Duration::from_secs(30 * 24 * 3600);
/// So far before the last look each later one goes: a commit may be seen later than its time says.
const OVERLAP: Duration = Duration::from_secs(600);

/// Looks for dead letters until the hub stops.
pub(crate) struct DeadLetters {
    context: Context,
    sending: Sending,
    last_look: Option<Instant>,
}

impl DeadLetters {
    pub(crate) fn new(context: &Context, sending: Sending) -> Self {
        Self {
            context: context.clone(),
            sending,
            last_look: None,
        }
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "dead letters will be looked for when the database is back");
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Tells of each message that still waits and whose job was given up.
    pub(crate) async fn look(&mut self) -> Result<(), AccessError> {
        let begun = Instant::now();
        let within = self.last_look.map_or(FIRST_LOOK, |last| last.elapsed() + OVERLAP);
        let letters = self.context.access.dead_letters(within).await?;
        for letter in letters {
            let SendOutgoingMessage { message } = letter.payload;
            let why = letter.reason.as_deref().unwrap_or("nobody knows why");
            match self
                .sending
                .dead_letter(&letter.scope, letter.cause, message, why)
                .await
            {
                Ok(()) => {}
                Err(Stop::Retry { reason, .. }) => {
                    tracing::debug!(reason, "dead letters are looked for again later");
                    return Ok(());
                }
                Err(Stop::Fail { reason, .. }) => {
                    tracing::warn!(message = %message, reason, "a failed message can't be told of");
                }
            }
        }
        self.last_look = Some(begun);
        Ok(())
    }
}
