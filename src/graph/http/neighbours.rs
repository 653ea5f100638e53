//! Who and what is around an entity, step by step.
//!
//! Invariant: the walk is bounded whatever the graph looks like: a page reads a few index ranges, never all relations
//! of a node. Paths come shortest first, and those of one length in order of the ids on them, so that a cursor is a
//! path. Begin with [`neighbours`].

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use contracts::Problem;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use spine::edge::{Caller, Json, page_size};
use spine::{AccessError, ScopedTx};
use uuid::Uuid;

use super::entities::missing;
use crate::{Graph, store};

const DEPTH_MAX: usize = 3;
/// Prefixes of paths that are walked on at once.
const FRONT: i64 = 64;
/// Steps that one page looks at before it hands over what it has found.
const STEPS_MAX: usize = 2_000;

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
        .map(read_cursor)
        .transpose()?
        .unwrap_or_default();
    let mut tx = graph.begin(&caller).await?;
    let id = graph.resolve(&mut tx, &id).await?;
    let walked = walk(&mut tx, id.into(), depth, after, size)
        .await
        .map_err(AccessError::from)?;
    let Some(page) = walked else {
        return Err(missing(&mut tx, id).await);
    };
    let asked = format!("entity/{id}/neighbours?depth={depth}");
    tx.audit("read", asked, Some(page.items.len() as u64))?;
    tx.commit().await?;
    Ok(Json(page))
}

/// A cursor is the path that was looked at last: its ids.
fn read_cursor(text: &str) -> Result<Vec<Uuid>, Problem> {
    let path: Option<Vec<Uuid>> = text.split('_').map(|id| Uuid::parse_str(id).ok()).collect();
    path.filter(|path| path.len() <= DEPTH_MAX).ok_or_else(|| {
        Problem::bad_request("`cursor` is not one that a list gave; leave it out to begin anew")
    })
}

fn write_cursor(path: &[Uuid]) -> String {
    let ids: Vec<String> = path.iter().map(|id| id.simple().to_string()).collect();
    ids.join("_")
}

async fn walk(
    tx: &mut ScopedTx,
    id: Uuid,
    depth: usize,
    after: Vec<Uuid>,
    size: usize,
) -> Result<Option<NeighbourPage>, sqlx::Error> {
    let Some(root) = store::entity_root(tx, id.into()).await? else {
        return Ok(None);
    };
    let members = store::entity_members(tx, root).await?;
    let mut at = after;
    let mut length = at.len().max(1);
    let mut found: Vec<Vec<Uuid>> = Vec::new();
    let mut looked_at = 0;
    let mut more = true;
    while found.len() < size && looked_at < STEPS_MAX {
        let paths = paths(tx, root.0, length, &at, size as i64).await?;
        let Some(last) = paths.last() else {
            if length == depth {
                more = false;
                break;
            }
            (at, length) = (Vec::new(), length + 1);
            continue;
        };
        looked_at += paths.len();
        let end = last.clone();
        let mut fresh = nearest_only(tx, &members, paths).await?;
        let room = size - found.len();
        if fresh.len() > room {
            fresh.truncate(room);
            at = fresh.last().cloned().unwrap_or(end);
        } else {
            at = end;
        }
        found.extend(fresh);
    }
    let next_cursor = (more && !at.is_empty()).then(|| write_cursor(&at));
    let items = shown(tx, root.0, found).await?;
    Ok(Some(NeighbourPage { items, next_cursor }))
}

/// Paths of one length from `root`, after one of them, in order.
fn paths<'a>(
    tx: &'a mut ScopedTx,
    root: Uuid,
    length: usize,
    after: &'a [Uuid],
    limit: i64,
) -> BoxFuture<'a, Result<Vec<Vec<Uuid>>, sqlx::Error>> {
    async move {
        if length == 1 {
            let begin = after.first().copied().unwrap_or_default();
            let steps = store::step_list(tx, &[root], begin, limit).await?;
            return Ok(steps.into_iter().map(|step| vec![step.far]).collect());
        }
        // First on with the way that was being walked, then the ones after it.
        let (mut prefix, mut begin) = match after.split_last() {
            Some((last, way)) if after.len() == length => (vec![way.to_vec()], *last),
            _ => (Vec::new(), Uuid::nil()),
        };
        let mut last_way: Vec<Uuid> = prefix.first().cloned().unwrap_or_default();
        loop {
            if !prefix.is_empty() {
                let starts: Vec<Uuid> = prefix.iter().filter_map(|way| way.last().copied()).collect();
                let steps = store::step_list(tx, &starts, begin, limit).await?;
                let cut = steps.last().filter(|_| steps.len() as i64 == limit).cloned();
                let found: Vec<Vec<Uuid>> = steps
                    .into_iter()
                    .filter_map(|step| Some([prefix.get(step.start)?.as_slice(), &[step.far]].concat()))
                    .filter(|path| !path[..path.len() - 1].contains(&path[path.len() - 1]))
                    .collect();
                if !found.is_empty() {
                    return Ok(found);
                }
                if let Some(way) = cut.as_ref().and_then(|step| prefix.get(step.start)).cloned() {
                    last_way.clone_from(&way);
                    (prefix, begin) = (vec![way], cut.map_or_else(Uuid::nil, |step| step.far));
                    continue;
                }
            }
            prefix = paths(tx, root, length - 1, &last_way, FRONT).await?;
            begin = Uuid::nil();
            match prefix.last() {
                Some(way) => last_way.clone_from(way),
                None => return Ok(Vec::new()),
            }
        }
    }
    .boxed()
}

/// Leaves out paths that lead back to the entity, or to one that is next to it.
async fn nearest_only(
    tx: &mut ScopedTx,
    members: &[Uuid],
    paths: Vec<Vec<Uuid>>,
) -> Result<Vec<Vec<Uuid>>, sqlx::Error> {
    let ends: Vec<Uuid> = paths
        .iter()
        .filter(|path| path.len() > 1)
        .filter_map(|path| path.last().copied())
        .collect();
    let near = if ends.is_empty() {
        Vec::new()
    } else {
        store::adjacent(tx, members, &ends).await?
    };
    let far = |path: &Vec<Uuid>| {
        path.last()
            .is_some_and(|end| !members.contains(end) && (path.len() == 1 || !near.contains(end)))
    };
    Ok(paths.into_iter().filter(far).collect())
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
