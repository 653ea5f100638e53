//! `allod demo`: the main story, played over the same HTTP endpoints, queue and plugin that real use takes. Only the
//! provider's base URL differs: a stand-in inside this command answers for it.
//!
//! Invariant: the demo owns an account of its own and erases it again, whatever happens on the way.
//! Begin with [`story`].

mod check;
mod erasure;
#[cfg(feature = "failpoints")]
mod kill_points;
mod leftovers;
mod provider;
mod story;
mod wire;

pub(crate) use check::check;
#[cfg(feature = "failpoints")]
pub(crate) use kill_points::kill_points;

/// Where `demo --check` may leave a log behind; made for the hub's user when it is started as root.
pub(crate) const CHECK_HOME: &str = "/var/lib/allod";

use std::net::SocketAddr;

use crate::client::Client;
use crate::render;

/// Why the demo ended early: which step, and what was seen instead.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct DemoError(String);

impl DemoError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<crate::client::ClientError> for DemoError {
    fn from(error: crate::client::ClientError) -> Self {
        Self(error.to_string())
    }
}

/// Plays the story on the running hub and cleans up.
pub(crate) async fn play(client: &Client) -> Result<(), DemoError> {
    let address = hub_address(client).await?;
    render::line(format!("playing on the hub at http://{address}"));
    let mut story = story::Story::begin(client, address).await?;
    let played = story.play().await;
    let cleaned = story.clean_up().await;
    played.and(cleaned)?;
    render::line("the demo is over; nothing of it is left");
    Ok(())
}

fn expect(what: &str, holds: bool, seen: &str) -> Result<(), DemoError> {
    if holds {
        Ok(())
    } else {
        Err(DemoError::new(format!("expected that {what}; saw: {seen}")))
    }
}

/// Where the hub listens, by its own word.
async fn hub_address(client: &Client) -> Result<SocketAddr, DemoError> {
    let status = client.get("/status").await?;
    render::cell(&status, "hub.listen")
        .parse()
        .map_err(|_| DemoError::new("the hub doesn't say where it listens"))
}
