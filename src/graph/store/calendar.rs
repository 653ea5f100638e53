//! Events by when they happen, and series of them.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};
use serde_json::Value;
use spine::ScopedTx;
use spine::ports::{CalendarEvent, Entity};

use super::entity::{EntityRow, object};

/// An occurrence that stands for itself is looked for this long before and after the stretch that is asked for.
const MOVED_MAX: Duration = Duration::days(62);

/// Nothing that lasts longer is looked for.
const LASTS_MAX: Duration = Duration::days(366);

/// Events that begin in a stretch or may not be over when it begins, and series that began before its end.
pub(crate) async fn calendar_list(
    tx: &mut ScopedTx,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<CalendarEvent>, sqlx::Error> {
    let account = tx.account();
    let single = sqlx::query_as!(
        EntityRow,
        r#"
        SELECT id, type AS kind, title, props, version, starts_at, created_at, updated_at
        FROM graph.entity
        WHERE account = $1 AND type = 'Event' AND starts_at >= $2 AND starts_at < $3 AND deleted_at IS NULL
            AND merged_into IS NULL AND NOT (props ? 'recurrence' OR props ? 'recurrence_dates')
        ORDER BY starts_at, id LIMIT 1000
        "#,
        account.0,
        since,
        until
    )
    .fetch_all(tx.conn())
    .await?;
    let alone = |row: EntityRow| CalendarEvent {
        event: row.into(),
        replaced: Vec::new(),
    };
    let mut events: Vec<CalendarEvent> = single.into_iter().map(alone).collect();
    events.extend(running(tx, since).await?.into_iter().map(alone));
    events.extend(series(tx, since, until).await?);
    Ok(events)
}

/// What began before a moment and says that it ends on that day or later. Ends are days, local times or instants, which the
/// reader compares; a day is lost at the most between clocks.
async fn running(tx: &mut ScopedTx, since: DateTime<Utc>) -> Result<Vec<EntityRow>, sqlx::Error> {
    let account = tx.account();
    let day = (since - Duration::days(1)).format("%Y-%m-%d").to_string();
    sqlx::query_as!(
        EntityRow,
        r#"
        SELECT id, type AS kind, title, props, version, starts_at, created_at, updated_at
        FROM graph.entity
        WHERE account = $1 AND type = 'Event' AND starts_at >= $2 AND starts_at < $3 AND deleted_at IS NULL
            AND merged_into IS NULL AND NOT (props ? 'recurrence' OR props ? 'recurrence_dates')
            AND (props ->> 'ends_at') COLLATE "C" >= $4
        ORDER BY starts_at DESC, id LIMIT 200
        "#,
        account.0,
        since - LASTS_MAX,
        since,
        day
    )
    .fetch_all(tx.conn())
    .await
}

async fn series(
    tx: &mut ScopedTx,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<CalendarEvent>, sqlx::Error> {
    let account = tx.account();
    let rows = sqlx::query!(
        r#"
        SELECT e.id, e.type AS kind, e.title, e.props, e.version, e.starts_at, e.created_at, e.updated_at, (
            SELECT array_agg(i.value) FROM graph.entity_identifier b
            JOIN graph.identifier i ON i.account = $1 AND i.id = b.identifier AND i.scheme = 'ical.uid'
            WHERE b.account = $1 AND b.entity = e.id AND b.valid_to IS NULL
        ) AS uids
        FROM graph.entity e
        WHERE e.account = $1 AND e.type = 'Event' AND e.starts_at < $2 AND e.deleted_at IS NULL
            AND e.merged_into IS NULL AND (e.props ? 'recurrence' OR e.props ? 'recurrence_dates')
        ORDER BY e.starts_at DESC, e.id LIMIT 1000
        "#,
        account.0,
        until
    )
    .fetch_all(tx.conn())
    .await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let replaced = replacements(tx, since - MOVED_MAX, until + MOVED_MAX).await?;
    let events = rows.into_iter().map(|row| {
        let uids = row.uids.unwrap_or_default();
        CalendarEvent {
            event: Entity {
                id: row.id.into(),
                kind: row.kind,
                title: row.title,
                props: object(row.props),
                version: row.version,
                starts_at: row.starts_at,
                created_at: row.created_at,
                updated_at: row.updated_at,
            },
            replaced: uids
                .iter()
                .filter_map(|uid| replaced.get(uid))
                .flatten()
                .cloned()
                .collect(),
        }
    });
    Ok(events.collect())
}

/// Occurrences that are Events of their own, by the UID of their series: they bear UID#RECURRENCE-ID. One that was deleted
/// is gone, and not back in its old place.
async fn replacements(
    tx: &mut ScopedTx,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<HashMap<String, Vec<String>>, sqlx::Error> {
    let account = tx.account();
    let rows = sqlx::query!(
        r#"
        SELECT i.value, e.props -> 'recurrence_id' AS "occurrence!: Value"
        FROM graph.entity e
        JOIN graph.entity_identifier b ON b.account = $1 AND b.entity = e.id AND b.valid_to IS NULL
        JOIN graph.identifier i ON i.account = $1 AND i.id = b.identifier AND i.scheme = 'ical.uid'
        WHERE e.account = $1 AND e.type = 'Event' AND e.starts_at >= $2 AND e.starts_at < $3
            AND e.props ? 'recurrence_id'
        ORDER BY e.starts_at, e.id LIMIT 5000
        "#,
        account.0,
        since,
        until
    )
    .fetch_all(tx.conn())
    .await?;
    let mut replaced: HashMap<String, Vec<String>> = HashMap::new();
    for row in rows {
        let occurrence = row.occurrence.as_str().unwrap_or_default();
        if let Some(uid) = row.value.strip_suffix(&format!("#{occurrence}")) {
            replaced
                .entry(uid.to_owned())
                .or_default()
                .push(occurrence.to_owned());
        }
    }
    Ok(replaced)
}
