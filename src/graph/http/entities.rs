//! Reading entities.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use chrono::{DateTime, SecondsFormat, Utc};
use contracts::{EntityId, Problem};
use serde::{Deserialize, Serialize};
use spine::ScopedTx;
use spine::edge::{Caller, Cursor, Json, page, page_size};
use spine::ports::{Entity, GraphError, Identifier};
use uuid::Uuid;

use super::{ClaimView, EntityDetail, IdentifierView, RelationView};
use crate::normalise::normalise;
use crate::{Graph, store};

/// A part of a name is at most so long.
const NAME_CHARS_MAX: usize = 200;

/// Which entities.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Of this type only, such as `Person`.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    kind: Option<String>,
    /// Whose title has this part, in any case.
    name: Option<String>,
    /// Who bears this, in any spelling: `tel:+1 415 555 2671`, `email:sam@example.org`.
    identifier: Option<String>,
    /// True: what was deleted, instead of what is there.
    #[serde(default)]
    deleted: bool,
    /// How many at most: 1 to 200, 50 if not said.
    limit: Option<u32>,
    /// Where the list before this one ended.
    cursor: Option<String>,
}

/// A page of entities.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct EntityPage {
    /// Newest first; of what was deleted the latest deletion first.
    items: Vec<EntityListed>,
    /// For the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// An entity in a list.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct EntityListed {
    /// The entity as it is shown.
    #[serde(flatten)]
    entity: Entity,
    /// When it was deleted; absent of what is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<DateTime<Utc>>,
    /// Who deleted it: `user`, or a source's kind if it took back all that it had said.
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_by: Option<String>,
}

/// Lists entities, newest first.
#[utoipa::path(get, path = "/entities", tag = "graph", params(ListQuery), responses(
    (status = 200, body = EntityPage),
    (status = 400, description = "The cursor, limit or type is not one", body = Problem),
    (status = 422, description = "The identifier can't be one", body = Problem),
))]
pub(crate) async fn list(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<EntityPage>, Problem> {
    let size = page_size(query.limit)?;
    let before = Cursor::read_dated(query.cursor.as_deref())?;
    let identifier = query.identifier.as_deref().map(read_identifier).transpose()?;
    let name = query.name.as_deref().map(read_name).transpose()?;
    let mut tx = graph.begin(&caller).await?;
    if let Some(kind) = &query.kind {
        graph
            .types(&mut tx)
            .await?
            .get(kind)
            .map_err(Problem::bad_request)?;
    }
    let filter = store::EntityFilter {
        kind: query.kind.as_deref(),
        identifier: identifier
            .as_ref()
            .map(|one| (one.scheme.as_str(), one.value.as_str())),
        name,
        deleted: query.deleted,
        before,
        limit: size as i64 + 1,
    };
    let items = store::entity_list(&mut tx, &filter)
        .await
        .map_err(spine::AccessError::from)?;
    let (items, next_cursor) = page(items, size, |one| {
        (one.deleted_at.unwrap_or(one.entity.created_at), one.entity.id.0)
    });
    // The audit names the kind of address that was asked for, never the address, nor a name.
    let asked = format!(
        "entities?type={}&identifier={}{}{}",
        query.kind.as_deref().unwrap_or("*"),
        identifier.as_ref().map_or("*", |one| one.scheme.as_str()),
        name.map_or("", |_| "&name=…"),
        if query.deleted { "&deleted=true" } else { "" },
    );
    tx.audit("read", asked, Some(items.len() as u64))?;
    tx.commit().await?;
    let items = items.into_iter().map(Into::into).collect();
    Ok(Json(EntityPage { items, next_cursor }))
}

impl From<store::Listed> for EntityListed {
    fn from(listed: store::Listed) -> Self {
        Self {
            entity: listed.entity,
            deleted_at: listed.deleted_at,
            deleted_by: listed.deleted_by,
        }
    }
}

fn read_name(text: &str) -> Result<&str, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > NAME_CHARS_MAX || text.contains('\0') {
        return Err(Problem::bad_request(format!(
            "`name` is a part of a title, of 1 to {NAME_CHARS_MAX} characters"
        )));
    }
    Ok(text)
}

/// A type, with what may be said of its entities.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct TypeView {
    /// Its name, such as `Person`.
    name: String,
    /// Its properties, each with what is expected there, such as "a day, such as 1990-05-01".
    properties: BTreeMap<String, PropertyView>,
}

/// A property of a type.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct PropertyView {
    /// The type of its value in JSON Schema; absent: any.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// What is expected, in words.
    expected: String,
    /// Whether an entity can't be without it.
    required: bool,
}

/// All types.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct TypeList {
    /// By name.
    items: Vec<TypeView>,
}

/// The types that entities may have, with their properties.
#[utoipa::path(get, path = "/entity-types", tag = "graph", responses((status = 200, body = TypeList)))]
pub(crate) async fn types(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
) -> Result<Json<TypeList>, Problem> {
    // No personal data: nothing for the audit.
    let mut tx = graph.begin(&caller).await?;
    let types = graph.types(&mut tx).await?;
    let view = |kind: &crate::schema::EntityType| TypeView {
        name: kind.name.clone(),
        properties: kind
            .properties()
            .map(|(name, json, expected, required)| {
                let view = PropertyView {
                    kind: json.map(str::to_owned),
                    expected,
                    required,
                };
                (name.to_owned(), view)
            })
            .collect(),
    };
    let items = types.all().map(view).collect();
    Ok(Json(TypeList { items }))
}

fn read_identifier(text: &str) -> Result<Identifier, Problem> {
    let (scheme, value) = text.split_once(':').ok_or_else(|| {
        Problem::bad_request("`identifier` is written scheme:value, such as tel:+14155552671")
    })?;
    // In a query a plus that was not escaped arrives as a space.
    let value = match value.strip_prefix(' ') {
        Some(rest) if scheme.eq_ignore_ascii_case("tel") => format!("+{rest}"),
        _ => value.to_owned(),
    };
    normalise(&Identifier::new(scheme, value)).map_err(Problem::unprocessable)
}

/// An entity with its identifiers, relations, and what each source says of it.
#[utoipa::path(get, path = "/entities/{id}", tag = "graph",
    params(("id" = String, Path, description = "The entity's id, or `me`")),
    responses(
        (status = 200, body = EntityDetail),
        (status = 404, description = "There is no such entity", body = Problem),
    )
)]
pub(crate) async fn detail(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<EntityDetail>, Problem> {
    let mut tx = graph.begin(&caller).await?;
    let id = graph.resolve(&mut tx, &id).await?;
    let detail = entity_detail(&mut tx, id).await?;
    tx.audit("read", format!("entity/{id}"), Some(1))?;
    tx.commit().await?;
    Ok(Json(detail))
}

/// Everything about an entity that its page shows.
pub(super) async fn entity_detail(tx: &mut ScopedTx, id: EntityId) -> Result<EntityDetail, Problem> {
    let found = read_detail(tx, id).await.map_err(spine::AccessError::from)?;
    match found {
        Some(detail) => Ok(detail),
        None => Err(missing(tx, id).await),
    }
}

/// Why an entity can't be shown: there is none of this id, or it was deleted, and how that is taken back.
pub(super) async fn missing(tx: &mut ScopedTx, id: EntityId) -> Problem {
    match store::erasure_job(tx, id).await {
        Err(error) => return spine::AccessError::from(error).into(),
        Ok(Some(job)) => return being_erased(Problem::not_found, id.0, job),
        Ok(None) => {}
    }
    match store::entity_deleted(tx, id).await {
        Err(error) => spine::AccessError::from(error).into(),
        Ok(None) => Problem::not_found(format!("there is no entity {id}")),
        Ok(Some(store::Listed {
            entity, deleted_at, ..
        })) => {
            let what = entity.title.map_or_else(
                || format!("{} {id}", entity.kind),
                |title| format!("{} {title}", entity.kind),
            );
            let at = deleted_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
            Problem::not_found(format!("{what} was deleted at {}", at.unwrap_or_default()))
                .hint(format!("POST /entities/{}/restore takes that back", entity.id))
        }
    }
}

/// The answer of whatever is being erased, without a word of what it was.
pub(super) fn being_erased(answer: impl FnOnce(String) -> Problem, id: Uuid, job: Uuid) -> Problem {
    answer(format!("{id} is being erased, which can't be taken back"))
        .hint(format!("GET /jobs/{job} tells how far it is"))
}

/// As [`missing`], of what the graph itself looked for in vain.
pub(super) async fn told(tx: &mut ScopedTx, error: GraphError) -> Problem {
    match error {
        GraphError::NotFound(id) => missing(tx, id).await,
        other => other.into(),
    }
}

async fn read_detail(tx: &mut ScopedTx, id: EntityId) -> Result<Option<EntityDetail>, sqlx::Error> {
    let Some(root) = store::entity_root(tx, id).await? else {
        return Ok(None);
    };
    let Some(entity) = store::entity_by_id(tx, root).await? else {
        return Ok(None);
    };
    let members = store::entity_members(tx, root).await?;
    let mut claims = store::claim_history(tx, &members).await?;
    if claims.is_empty() {
        claims.extend(store::claim_of_single_source(tx, root).await?);
    }
    let identifiers = store::identifier_list(tx, &members).await?;
    let relations = store::relation_list(tx, &store::RelationFilter::newest(&members)).await?;
    Ok(Some(EntityDetail {
        entity,
        identifiers: identifiers.into_iter().map(Into::into).collect(),
        relations: relations
            .into_iter()
            .map(|row| RelationView::of(root.0, row))
            .collect(),
        claims: claims.into_iter().map(Into::into).collect(),
        merged: members.into_iter().filter(|member| *member != root.0).collect(),
    }))
}

impl From<store::IdentifierRow> for IdentifierView {
    fn from(row: store::IdentifierRow) -> Self {
        let store::IdentifierRow {
            scheme,
            value,
            asserted_by,
            source,
            recorded_at,
        } = row;
        Self {
            scheme,
            value,
            asserted_by,
            source,
            recorded_at,
        }
    }
}

impl RelationView {
    /// A relation as seen from one of its ends.
    pub(super) fn of(entity: Uuid, row: store::RelationRow) -> Self {
        let (from, to) = if row.outgoing {
            (entity, row.other)
        } else {
            (row.other, entity)
        };
        Self {
            id: row.id,
            from,
            predicate: row.predicate,
            to,
            other_title: row.other_title,
            other_type: row.other_kind,
            asserted_by: row.asserted_by,
            source: row.source,
            recorded_at: row.recorded_at,
        }
    }
}

impl From<store::ClaimRow> for ClaimView {
    fn from(row: store::ClaimRow) -> Self {
        Self {
            asserted_by: row.asserted_by,
            source: row.source,
            title: row.title,
            props: row.props,
            starts_at: row.starts_at,
            confidence: row.confidence,
            recorded_from: row.recorded_from,
            recorded_to: row.recorded_to,
            raw_record: row.raw_record,
        }
    }
}
