//! What was known of an entity when, and who said so.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use chrono::{DateTime, Utc};
use contracts::{EntityId, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spine::edge::{Caller, Json};
use spine::{AccessError, ScopedTx};
use uuid::Uuid;

use super::entities::missing;
use crate::model::{by_name, fold, provenance, shown_title};
use crate::{Graph, store};

/// At which moment.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoryQuery {
    /// What the graph knew then (RFC 3339); now if not said.
    at: Option<DateTime<Utc>>,
}

/// The value of a field, with who said so.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct KnownField {
    /// The value.
    value: Value,
    /// `user`, `connector`, `rule`, `agent` or `peer`.
    asserted_by: String,
    /// Through what.
    source: String,
    /// Since when the graph has it from this source, in this form.
    recorded_from: DateTime<Utc>,
    /// Of which entity it was said: this one, or one that was merged into it.
    said_of: Uuid,
}

/// An entity as it was known at a moment.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct KnownThen {
    /// The entity.
    id: Uuid,
    /// The moment.
    at: DateTime<Utc>,
    /// What it was called; absent if nothing was known of it.
    title: Option<String>,
    /// Its fields, `title` and `starts_at` among them. Empty: nothing was known of it.
    fields: BTreeMap<String, KnownField>,
    /// What it was known by until then, newest first, at most 500: what had gone by then with when it went.
    identifiers: Vec<KnownIdentifier>,
    /// What it was related to then, as it was said then, newest first, at most 200.
    relations: Vec<KnownRelation>,
}

/// An address or id that an entity is or was known by.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct KnownIdentifier {
    /// Of which kind.
    scheme: String,
    /// Its value.
    value: String,
    /// `user`, `connector`, `rule`, `agent` or `peer`.
    asserted_by: String,
    /// Through what.
    source: String,
    /// Since when the graph knew; of one that came back, since it last came.
    recorded_at: DateTime<Utc>,
    /// Since when the source doesn't say so any more; absent: it did then.
    #[serde(skip_serializing_if = "Option::is_none")]
    gone_at: Option<DateTime<Utc>>,
}

impl From<store::PastIdentifier> for KnownIdentifier {
    fn from(row: store::PastIdentifier) -> Self {
        Self {
            scheme: row.scheme,
            value: row.value,
            asserted_by: row.asserted_by,
            source: row.source,
            recorded_at: row.recorded_at,
            gone_at: row.gone_at,
        }
    }
}

/// A relation that held at a moment.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct KnownRelation {
    /// Its id.
    id: Uuid,
    /// From which entity.
    from: Uuid,
    /// What the second was to the first.
    predicate: String,
    /// To which entity.
    to: Uuid,
    /// `user`, `connector`, `rule`, `agent` or `peer`.
    asserted_by: String,
    /// Through what.
    source: String,
    /// Since when the graph knew.
    recorded_at: DateTime<Utc>,
    /// Until when it held; absent: it holds still.
    removed_at: Option<DateTime<Utc>>,
}

impl From<store::PastRelation> for KnownRelation {
    fn from(row: store::PastRelation) -> Self {
        Self {
            id: row.id,
            from: row.from,
            predicate: row.predicate,
            to: row.to,
            asserted_by: row.asserted_by,
            source: row.source,
            recorded_at: row.recorded_at,
            removed_at: row.removed_at,
        }
    }
}

/// What was known of an entity at a moment, field by field, and who said so.
///
/// What is one entity by now is read as one also for the time before its merge.
#[utoipa::path(get, path = "/entities/{id}/history", tag = "graph",
    params(("id" = String, Path, description = "The entity's id, or `me`"), HistoryQuery),
    responses(
        (status = 200, body = KnownThen),
        (status = 404, description = "There is no such entity", body = Problem),
    )
)]
pub(crate) async fn history(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<KnownThen>, Problem> {
    let mut tx = graph.begin(&caller).await?;
    let id = graph.resolve(&mut tx, &id).await?;
    let at = query.at.unwrap_or_else(|| tx.now());
    let Some(known) = known_at(&mut tx, id, at).await.map_err(AccessError::from)? else {
        return Err(missing(&mut tx, id).await);
    };
    tx.audit("read", format!("entity/{id}/history"), Some(1))?;
    tx.commit().await?;
    Ok(Json(known))
}

async fn known_at(
    tx: &mut ScopedTx,
    id: EntityId,
    at: DateTime<Utc>,
) -> Result<Option<KnownThen>, sqlx::Error> {
    let Some(root) = store::entity_root(tx, id).await? else {
        return Ok(None);
    };
    let members = store::entity_members(tx, root).await?;
    let mut claims = store::claim_list_at(tx, &members, Some(at)).await?;
    if claims.is_empty() {
        claims.extend(
            store::claim_of_unfolded(tx, root)
                .await?
                .filter(|claim| claim.recorded_from <= at),
        );
    }
    let relations = store::relation_list_at(tx, &members, at).await?;
    let identifiers = store::identifier_list_at(tx, &members, at).await?;
    let entity = fold(root, &claims);
    let mut fields = BTreeMap::new();
    for (name, claim) in provenance(root, &claims) {
        let value = match name.as_str() {
            "title" => entity.title.clone().map(Value::from),
            "starts_at" => entity.starts_at.map(|at| at.to_rfc3339().into()),
            name => entity.props.get(name).cloned(),
        };
        let Some(value) = value else { continue };
        fields.insert(
            name,
            KnownField {
                value,
                asserted_by: by_name(claim.asserter.by).to_owned(),
                source: claim.asserter.source.clone(),
                recorded_from: claim.recorded_from,
                said_of: claim.entity.0,
            },
        );
    }
    Ok(Some(KnownThen {
        id: root.0,
        at,
        title: shown_title(&entity),
        fields,
        identifiers: identifiers.into_iter().map(Into::into).collect(),
        relations: relations.into_iter().map(Into::into).collect(),
    }))
}
