//! A provider with a memory, that answers as a test tells it to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use contracts::{AttemptId, Clock, ConnectionId, ManualClock};
use spine::ports::{ChannelDriver, ChannelError, Found, Outgoing, Route, SendOutcome};
use spine::{Scope, ScopedTx};
use tokio::sync::oneshot;

pub(super) const GRACE: Duration = Duration::from_secs(60);

/// How the next request ends. `arrived`: the provider has the message, whatever the hub learns of it.
pub(super) enum Answer {
    Accept,
    Refuse {
        permanent: bool,
        retry_after: Option<Duration>,
    },
    Unknown {
        arrived: bool,
    },
    Transient,
    Configuration,
    Bug {
        arrived: bool,
    },
    /// The hub is killed while it waits: no answer ever.
    Silence {
        arrived: bool,
    },
    /// The answer is yes, once the test says so.
    AcceptWhen(oneshot::Receiver<()>),
}

/// A message that the provider has.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) attempt: AttemptId,
    pub(super) to: String,
    pub(super) text: String,
    pub(super) remote: Found,
}

#[derive(Default)]
struct Inner {
    answers: VecDeque<Answer>,
    kept: Vec<Kept>,
    requests: Vec<AttemptId>,
    gone: bool,
    blind: bool,
    slow: Duration,
    asked: usize,
    wait: Option<oneshot::Receiver<()>>,
}

pub(super) struct Provider {
    inner: Mutex<Inner>,
    clock: Arc<ManualClock>,
    pub(super) connection: ConnectionId,
}

impl Provider {
    pub(super) fn new(clock: Arc<ManualClock>) -> Self {
        Self {
            inner: Mutex::default(),
            clock,
            connection: ConnectionId::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it does next; without a word it accepts.
    pub(super) fn will(&self, answer: Answer) {
        self.lock().answers.push_back(answer);
    }

    /// The owner removed the connection, or made it again.
    pub(super) fn gone(&self, gone: bool) {
        self.lock().gone = gone;
    }

    /// Its records don't show anything, or do again.
    pub(super) fn blind(&self, blind: bool) {
        self.lock().blind = blind;
    }

    /// So long its next question takes.
    pub(super) fn answers_after(&self, slow: Duration) {
        self.lock().slow = slow;
    }

    /// Its next question is answered once the test says so.
    pub(super) fn records_wait(&self, told: oneshot::Receiver<()>) {
        self.lock().wait = Some(told);
    }

    /// How often its records were asked.
    pub(super) fn asked(&self) -> usize {
        self.lock().asked
    }

    pub(super) fn requests(&self) -> Vec<AttemptId> {
        self.lock().requests.clone()
    }

    pub(super) fn kept(&self) -> Vec<Kept> {
        self.lock().kept.clone()
    }

    fn keep(&self, message: &Outgoing) -> String {
        let mut inner = self.lock();
        let remote_id = format!("SM{:04}", inner.kept.len() + 1);
        let remote = Found {
            remote_id: remote_id.clone(),
            created_at: self.clock.now(),
            status: "queued".to_owned(),
        };
        inner.kept.push(Kept {
            attempt: message.attempt,
            to: message.to.clone(),
            text: message.text.clone(),
            remote,
        });
        remote_id
    }

    fn accept(&self, message: &Outgoing) -> SendOutcome {
        SendOutcome::Accepted {
            remote_id: self.keep(message),
            status: "queued".to_owned(),
        }
    }
}

#[async_trait]
impl ChannelDriver for Provider {
    async fn route(
        &self,
        _: &mut ScopedTx,
        channel: &str,
        connection: Option<ConnectionId>,
    ) -> Result<Route, ChannelError> {
        let wrong = connection.is_some_and(|wish| wish != self.connection);
        if channel != "sms" || wrong || self.lock().gone {
            return Err(ChannelError::Configuration(format!(
                "no connection serves {channel}: make one"
            )));
        }
        Ok(Route {
            connection: self.connection,
            plugin: "scripted".to_owned(),
            grace: GRACE,
            known: None,
        })
    }

    async fn send(&self, _: &Scope, _: &Route, message: &Outgoing) -> Result<SendOutcome, ChannelError> {
        let answer = {
            let mut inner = self.lock();
            inner.requests.push(message.attempt);
            inner.answers.pop_front().unwrap_or(Answer::Accept)
        };
        match answer {
            Answer::Accept => Ok(self.accept(message)),
            Answer::AcceptWhen(told) => {
                let outcome = self.accept(message);
                let _ = told.await;
                Ok(outcome)
            }
            Answer::Refuse {
                permanent,
                retry_after,
            } => Ok(SendOutcome::Refused {
                reason: "not today".to_owned(),
                permanent,
                retry_after,
            }),
            Answer::Unknown { arrived } => {
                if arrived {
                    self.keep(message);
                }
                Ok(SendOutcome::Unknown {
                    reason: "the connection broke".to_owned(),
                })
            }
            Answer::Transient => Err(ChannelError::Transient("the network is away".to_owned())),
            Answer::Configuration => Err(ChannelError::Configuration("the token is revoked".to_owned())),
            Answer::Bug { arrived } => {
                if arrived {
                    self.keep(message);
                }
                Err(ChannelError::Bug("the script stopped".to_owned()))
            }
            Answer::Silence { arrived } => {
                if arrived {
                    self.keep(message);
                }
                std::future::pending().await
            }
        }
    }

    async fn find(
        &self,
        _: &Scope,
        _: &Route,
        message: &Outgoing,
        after: DateTime<Utc>,
    ) -> Result<Vec<Found>, ChannelError> {
        let wait = {
            let mut inner = self.lock();
            inner.asked += 1;
            inner.wait.take()
        };
        if let Some(told) = wait {
            let _ = told.await;
        }
        let mut inner = self.lock();
        let slow = std::mem::take(&mut inner.slow);
        self.clock.advance(TimeDelta::from_std(slow).unwrap_or_default());
        let same = |kept: &&Kept| kept.to == message.to && kept.text == message.text;
        let same = inner
            .kept
            .iter()
            .filter(same)
            .filter(|kept| kept.remote.created_at >= after);
        Ok(if inner.blind {
            Vec::new()
        } else {
            same.map(|kept| kept.remote.clone()).collect()
        })
    }
}
