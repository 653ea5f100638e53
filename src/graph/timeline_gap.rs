//! Puts on their timelines what was written before there were timelines, once after the update, in the background.
//!
//! Invariant: how far it is moves in the commit that fills the gap up to there: killed in the middle, the next start goes
//! on; an item that is there already stays as it is. Begin with [`fill`].

use std::time::Duration;

use spine::{Access, AccessError, Cause, Scope};
use tokio_util::sync::CancellationToken;

use crate::participants::participants;
use crate::store;

/// Entities a commit.
const PAGE: i64 = 200;
/// After a database that was away, it is tried again.
const PAUSE: Duration = Duration::from_secs(10);

/// Fills the gaps of all accounts.
pub(crate) async fn fill(access: Access, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match fill_some(&access, &stop).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "old timelines are filled later");
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }
}

/// In how many accounts there was a gap.
async fn fill_some(access: &Access, stop: &CancellationToken) -> Result<usize, AccessError> {
    let scopes = access.scopes_of_timeline_gaps().await?;
    for scope in &scopes {
        while !stop.is_cancelled() && fill_page(access, scope).await? {}
    }
    Ok(scopes.len())
}

/// The next entities of an account. False: there are no more.
pub(crate) async fn fill_page(access: &Access, scope: &Scope) -> Result<bool, AccessError> {
    let mut tx = access.begin(scope, Cause::outside()).await?;
    let Some(after) = store::gap_hold(&mut tx).await? else {
        return Ok(false);
    };
    let items = store::gap_items(&mut tx, after, PAGE).await?;
    let named = items.iter().flat_map(|item| {
        let named = participants(&item.props).into_iter();
        named.map(|(role, address)| store::Named {
            item: item.id,
            kind: item.kind.clone(),
            at: item.at,
            role,
            address,
        })
    });
    let named: Vec<_> = named.collect();
    if !named.is_empty() {
        store::timeline_named_all(&mut tx, &named).await?;
    }
    match items.last() {
        Some(last) => {
            let ids: Vec<_> = items.iter().map(|item| item.id.0).collect();
            store::gap_relate(&mut tx, &ids).await?;
            store::gap_move(&mut tx, last.id.0).await?;
        }
        None => store::gap_close(&mut tx).await?,
    }
    tx.commit().await?;
    Ok(!items.is_empty())
}
