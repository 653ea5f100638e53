//! All SQL of the intentions service.

pub(crate) mod completion;
pub(crate) mod link;
pub(crate) mod moment;
pub(crate) mod plan;
pub(crate) mod schedule;
