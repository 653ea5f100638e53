//! What tasks, goals and schedules mean: times as people say them, recurrence, reminders, and the plan that follows.
//!
//! Invariant: pure. What can't be understood becomes a sentence that says what would be right; nothing panics.
//! Begin with [`plan`], then [`when`] (times) and [`recurrence`].

pub(crate) mod budget;
pub(crate) mod happening;
pub(crate) mod plan;
pub(crate) mod planned;
pub(crate) mod recurrence;
pub(crate) mod reminder;
pub(crate) mod when;
