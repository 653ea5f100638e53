//! The stories, in one binary.

mod queue_interop;
