//! Packs' scripts in the sandbox: what the hub offers them, and the loop that makes their requests.
//!
//! A script that calls `http.get` or `http.post_form` is suspended; the hub makes the request, writes the answer into
//! the run's journal and enters the function again, which now finds the answer there. So no thread waits for a provider.
//! Invariant: a script sees no secret, no clock and no host that its manifest doesn't declare.
//! Begin with [`run`].

mod api;
mod outbound;

use std::sync::Arc;

use sandbox::{Arg, Budget, Engine, Outcome, ScriptError};
use serde_json::Value;

pub(crate) use api::{Session, engine};
pub(crate) use outbound::{Credentials, Outbound, Posted};

use crate::registry::Pack;

/// Why a function of a pack gave no value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The script is wrong or ran away.
    #[error("{0}")]
    Script(Box<ScriptError>),
    /// It asked for what it may not have: another host, too many requests.
    #[error("{0}")]
    Forbidden(String),
    /// A setting or secret of the connection is missing or doesn't fit.
    #[error("{0}")]
    Configuration(String),
    /// A request got no answer.
    #[error("{0}")]
    Fetch(#[from] fetch::FetchError),
}

/// Calls a function of a pack. Without `outbound` the function can't make requests.
pub(crate) async fn run(
    engine: &Engine<Session>,
    pack: &Arc<Pack>,
    function: &str,
    args: &[Value],
    budget: Budget,
    mut outbound: Option<&mut Outbound>,
) -> Result<Value, Failure> {
    let mut session = Session::new(outbound.is_some());
    loop {
        let (engine, pack, function) = (engine.clone(), pack.clone(), function.to_owned());
        let args: Vec<Arg> = args.iter().cloned().map(Arg::Json).collect();
        // A script may take its whole time: not on a thread that serves others.
        let entered = tokio::task::spawn_blocking(move || {
            session.rewind();
            let outcome = pack.script.as_ref().map(|script| {
                engine
                    .call(script, &function, &args, &mut session, &budget)
                    .outcome
            });
            (outcome, session)
        });
        let outcome = match entered.await {
            Ok((outcome, back)) => {
                session = back;
                outcome.ok_or_else(|| {
                    Failure::Forbidden("a connector that is built in has no script".to_owned())
                })?
            }
            Err(_) => {
                return Err(Failure::Forbidden(
                    "the script was stopped with the hub".to_owned(),
                ));
            }
        };
        match outcome.map_err(|error| Failure::Script(Box::new(error)))? {
            Outcome::Returned(value) => return Ok(value),
            Outcome::Suspended { payload, .. } => {
                let Some(outbound) = outbound.as_deref_mut() else {
                    return Err(Failure::Forbidden("this function can't make requests".to_owned()));
                };
                let answer = outbound.perform(&payload).await?;
                session.answered(payload, answer);
            }
        }
    }
}

#[cfg(test)]
mod tests;
