//! `allod demo --kill-points` (feature `failpoints`): the call comes in twice, and the hub is killed with SIGKILL at
//! each named place in between. Exactly one run and one accepted text each time.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::check::Hub;
use super::story::Story;
use super::{DemoError, expect};
use crate::render;

/// Where the hub is killed, in the order in which a call passes them, and whether the provider's callbacks get lost:
/// then only its records can tell what became of the request.
const POINTS: [(&str, bool); 8] = [
    ("accepted", false),
    ("sealed", false),
    ("rules committed", false),
    ("job active", false),
    ("before the POST", false),
    ("before the POST", true),
    ("after the POST", false),
    ("after the POST", true),
];

/// What was seen after a kill at one point.
struct Row {
    point: &'static str,
    silent: bool,
    events: usize,
    runs: usize,
    posts: usize,
    adopted: bool,
}

/// Kills at every point; prints a table; fails when any row is not as it must be.
pub(crate) async fn kill_points() -> Result<(), DemoError> {
    let dir = super::check::temporary_directory()?;
    let mut hub = Hub::start(&dir).await?;
    let mut rows = Vec::new();
    for (point, silent) in POINTS {
        rows.push(kill_at(&mut hub, &dir, point, silent).await?);
    }
    hub.stop().await?;
    render::line(format!(
        "\n{:<16} {:<9} {:>6} {:>5} {:>6}  {}",
        "KILLED AT", "CALLBACKS", "EVENTS", "RUNS", "POSTS", "HOW IT IS KNOWN"
    ));
    for row in &rows {
        let how = if row.adopted {
            "adopted from the provider's records"
        } else {
            "the provider's answer"
        };
        let callbacks = if row.silent { "lost" } else { "come" };
        render::line(format!(
            "{:<16} {callbacks:<9} {:>6} {:>5} {:>6}  {how}",
            row.point, row.events, row.runs, row.posts
        ));
    }
    for row in &rows {
        let seen = format!(
            "{} runs and {} texts after a kill at {}",
            row.runs, row.posts, row.point
        );
        expect(
            "each kill leaves one run and one text",
            row.runs == 1 && row.posts == 1,
            &seen,
        )?;
    }
    let unknown = rows
        .iter()
        .find(|row| row.point == "after the POST" && row.silent);
    let adopted = unknown.is_some_and(|row| row.adopted);
    expect(
        "what nobody told of is found in the provider's records",
        adopted,
        "another way",
    )?;
    std::fs::remove_dir_all(&dir).map_err(|error| DemoError::new(format!("{}: {error}", dir.display())))
}

async fn kill_at(hub: &mut Hub, dir: &Path, point: &'static str, silent: bool) -> Result<Row, DemoError> {
    let failed = |error: std::io::Error| DemoError::new(format!("{point}: {error}"));
    let mut story = Story::begin(&hub.client, hub.address).await?;
    if silent {
        story.provider.fall_silent();
    }
    story.arrive_at_work().await?;
    story.at_rest().await?; // else the kill would hit something that came before the call
    std::fs::write(dir.join("failpoint"), point).map_err(failed)?;
    // At the first point the hub dies before it answers; the provider doesn't know either, and delivers again.
    let answered = story.sam_calls().await;
    let status = tokio::time::timeout(Duration::from_secs(30), hub.child.wait())
        .await
        .map_err(|_| DemoError::new(format!("the hub was not killed at `{point}`: {answered:?}")))?
        .map_err(failed)?;
    expect(
        &format!("the kill at {point} is a SIGKILL"),
        status.signal() == Some(9),
        &status.to_string(),
    )?;
    hub.start_again().await?;
    story.hub_moved(hub.address);
    story.sam_calls().await?;
    story.sam_is_texted().await?;
    if !silent {
        story.text_is_delivered().await?;
    }
    story.text_is_sent().await?;
    story.at_rest().await?;
    let row = look(&story, point, silent).await?;
    story.clean_up().await?;
    Ok(row)
}

async fn look(story: &Story, point: &'static str, silent: bool) -> Result<Row, DemoError> {
    let events = story.events().await?;
    let of = |kind: &str| {
        events
            .iter()
            .filter(|event| event["type"] == kind)
            .collect::<Vec<&Value>>()
    };
    let calls = of("communication.CallStarted").len();
    expect(
        "one call was written down",
        calls == 1,
        &format!("{calls} calls after a kill at {point}"),
    )?;
    let sent = of("communication.MessageSent");
    expect(
        "one text was sent",
        sent.len() == 1,
        &format!("{} after a kill at {point}", sent.len()),
    )?;
    Ok(Row {
        point,
        silent,
        events: events.len(),
        runs: story.runs().await?.len(),
        posts: story.provider.messages().len(),
        adopted: sent.iter().any(|event| event["body"]["adopted"] == true),
    })
}
