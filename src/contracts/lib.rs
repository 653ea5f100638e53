//! What the services say to each other: event types (one file a domain), job payloads, ids, problems, the clock.
//!
//! Invariant: knows nothing of databases or services, and of HTTP only how a problem is answered ([`problem`]). It
//! reaches for nothing: no file, no network. Names that stand here are for ever; a new shape
//! of an event is a new version of it.
//! Begin with [`event`] (the envelope), then any file below `events/`.
#![warn(missing_docs)]

pub mod clock;
pub mod event;
pub mod events;
pub mod failpoint;
pub mod id;
pub mod job;
pub mod jobs;
pub mod mailbox;
pub mod nearest;
pub mod problem;
pub mod tel;

pub use clock::{Clock, ManualClock, SystemClock};
pub use event::{Event, EventPayload, Lane, NewEvent, Position};
pub use id::*;
pub use job::{JobClass, JobPayload, RetryPolicy};
pub use nearest::nearest;
pub use problem::Problem;
