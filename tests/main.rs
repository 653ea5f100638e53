//! The stories, in one binary.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a story stops where something goes wrong"
)]

mod api;
mod command_line;
mod erasing;
mod etl;
mod feeds;
mod folders;
mod imap;
mod intentions;
mod kill_points;
mod media;
mod metadata;
mod outage;
mod owner;
mod packs;
mod paging;
mod queue_interop;
mod starting;
mod support;
mod syncing;
mod webhooks;
