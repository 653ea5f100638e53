//! Who and what is around an entity, step by step: a cursor is the path that was looked at last.
//!
//! Begin with [`neighbours`].

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use contracts::Problem;
use serde::{Deserialize, Serialize};
use spine::edge::{Caller, Json, page_size};
use spine::{AccessError, ScopedTx};
use uuid::Uuid;

use super::entities::missing;
use crate::walk::walk;
use crate::{Graph, store};

const DEPTH_MAX: usize = 3;

/// How far to walk.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WalkQuery {
    /// How many steps, 1 to 3; 1 if not said.
    depth: Option<usize>,
    /// How many, 1 to 200; 50 if not said. A page may hold fewer although there is a next one.
    limit: Option<u32>,
    /// Where the list goes on.
    cursor: Option<String>,
}

/// A neighbour.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct Neighbour {
    /// How many steps away.
    depth: usize,
    /// Its id.
    id: Uuid,
    /// Its type.
    #[serde(rename = "type")]
    kind: String,
    /// What it is called.
    title: Option<String>,
    /// The neighbour before it on the way; the entity itself at depth 1.
    via: Uuid,
    /// What it is to that one.
    outgoing: Vec<String>,
    /// What that one is to it.
    incoming: Vec<String>,
}

/// A page of neighbours.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct NeighbourPage {
    /// Nearest first. What several ways lead to comes once a way, but what is near is not named again as far.
    items: Vec<Neighbour>,
    /// Where the list goes on; absent on the last page.
    next_cursor: Option<String>,
}

/// Who and what is around an entity, nearest first.
#[utoipa::path(get, path = "/entities/{id}/neighbours", tag = "graph",
    params(("id" = String, Path, description = "The entity's id, or `me`"), WalkQuery),
    responses(
        (status = 200, body = NeighbourPage),
        (status = 404, description = "There is no such entity", body = Problem),
    )
)]
pub(crate) async fn neighbours(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<WalkQuery>,
) -> Result<Json<NeighbourPage>, Problem> {
    let size = page_size(query.limit)?;
    let depth = query.depth.unwrap_or(1);
    if !(1..=DEPTH_MAX).contains(&depth) {
        return Err(Problem::bad_request(format!("`depth` is 1 to {DEPTH_MAX}")));
    }
    let after = query
        .cursor
        .as_deref()
        .map(|text| read_cursor(text, depth))
        .transpose()?;
    let mut tx = graph.begin(&caller).await?;
    let id = graph.resolve(&mut tx, &id).await?;
    let root = store::entity_root(&mut tx, id).await.map_err(AccessError::from)?;
    let Some(root) = root else {
        return Err(missing(&mut tx, id).await);
    };
    let walked = walk(&mut tx, root, depth, after, size)
        .await
        .map_err(AccessError::from)?;
    let items = shown(&mut tx, root.into(), walked.paths)
        .await
        .map_err(AccessError::from)?;
    let page = NeighbourPage {
        items,
        next_cursor: walked.next.as_deref().map(write_cursor),
    };
    let asked = format!("entity/{id}/neighbours?depth={depth}");
    tx.audit("read", asked, Some(page.items.len() as u64))?;
    tx.commit().await?;
    Ok(Json(page))
}

/// A cursor is the path that was looked at last: its ids.
fn read_cursor(text: &str, depth: usize) -> Result<Vec<Uuid>, Problem> {
    let path: Option<Vec<Uuid>> = text.split('_').map(|id| Uuid::parse_str(id).ok()).collect();
    path.filter(|path| path.len() <= depth).ok_or_else(|| {
        Problem::bad_request("`cursor` is not one that a list of this depth gave; leave it out to begin anew")
    })
}

fn write_cursor(path: &[Uuid]) -> String {
    let ids: Vec<String> = path.iter().map(|id| id.simple().to_string()).collect();
    ids.join("_")
}

async fn shown(tx: &mut ScopedTx, root: Uuid, paths: Vec<Vec<Uuid>>) -> Result<Vec<Neighbour>, sqlx::Error> {
    let via = |path: &[Uuid]| path.len().checked_sub(2).map_or(root, |before| path[before]);
    let vias: Vec<Uuid> = paths.iter().map(|path| via(path)).collect();
    let fars: Vec<Uuid> = paths.iter().filter_map(|path| path.last().copied()).collect();
    let rows = store::neighbour_list(tx, &vias, &fars).await?;
    Ok(rows
        .into_iter()
        .filter_map(|(nth, row)| {
            Some(Neighbour {
                depth: paths.get(nth)?.len(),
                id: row.id,
                kind: row.kind,
                title: row.title,
                via: *vias.get(nth)?,
                outgoing: row.outgoing,
                incoming: row.incoming,
            })
        })
        .collect())
}
