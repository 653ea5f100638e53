//! That erasing the demo's account leaves nothing of it, table by table.

use std::path::Path;
use std::time::{Duration, Instant};

use super::leftovers::{Found, Search};
use super::story::Story;
use super::{DemoError, expect};
use crate::render;

/// What was under way when the account went is swept some seconds later.
const SWEPT: Duration = Duration::from_secs(30);
/// Where the id of an erased account stays: envelopes of the log, which hold no content and can't be removed without
/// breaking the chain; the mark by which nothing is written for it any more; and the hub's own event that tells of the
/// erasure.
const ENVELOPES: [&str; 2] = ["spine.event_log_000000", "spine.erasure"];
const BODIES: &str = "spine.event_body";
const TOLD_BY: [&str; 1] = ["accounts.AccountErased"];

/// Erases the account and looks for it everywhere, before and after.
pub(super) async fn prove(story: &Story, dir: &Path) -> Result<(), DemoError> {
    let mut search = Search::open(dir).await?;
    let content = story.content();
    let account = story.account_id().await?;
    let before = search.finds(&content).await?;
    for text in &content {
        expect(
            "the search finds what is there before the erasure",
            before.contains_key(text),
            &format!("nothing for {text:?}"),
        )?;
    }
    let secrets = search.finds(&story.secrets()).await?;
    expect(
        "no secret stands in any table as it is",
        secrets.is_empty(),
        &told(&secrets),
    )?;
    let tables: std::collections::BTreeSet<&String> = before.values().flatten().collect();
    render::line(format!(
        "· before the erasure, names, numbers and texts of the demo stand in {} tables, its secrets in none",
        tables.len()
    ));
    story.clean_up().await?;
    let until = Instant::now() + SWEPT;
    loop {
        let mut left = search.finds(&content).await?;
        left.extend(search.finds(std::slice::from_ref(&account)).await?);
        let by_design = |table: &String| ENVELOPES.contains(&table.as_str()) || *table == BODIES;
        if let Some(tables) = left.get_mut(&account) {
            tables.retain(|table| !by_design(table));
        }
        left.retain(|_, tables| !tables.is_empty());
        let bodies = search.bodies_of(&account).await?;
        let bodies_left = bodies.iter().any(|kind| !TOLD_BY.contains(&kind.as_str()));
        if left.is_empty() && !bodies_left {
            break;
        }
        if Instant::now() > until {
            let seen = format!("{}; bodies of {}", told(&left), bodies.join(", "));
            return expect("nothing of the account is left", false, &seen);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    render::line(
        "· every table was looked through: nothing of the demo is left but its account's id in the log's envelopes, \
         in the mark of the erasure and in the event that tells of it",
    );
    Ok(())
}

fn told(found: &Found) -> String {
    let lines: Vec<String> = found
        .iter()
        .map(|(text, tables)| format!("{text:?} in {}", tables.join(", ")))
        .collect();
    lines.join("; ")
}
