//! Parked events: kept with their reason until somebody retries them.

use contracts::{EventId, Position};

use super::{Consumer, HandleError, handle, store};
use crate::access::{Access, AccessError, Cause, Principal, Scope, ScopedTx};
use crate::log::reader;

/// An event that a consumer could not handle.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct Parked {
    /// The consumer.
    pub consumer: String,
    /// The event.
    pub event: EventId,
    /// Its place in the log.
    pub position: Position,
    /// Why it was parked.
    pub reason: String,
    /// How often it was tried.
    pub tries: i32,
    /// Since when it lies here.
    pub parked_at: chrono::DateTime<chrono::Utc>,
}

/// The account's parked events by position and consumer, those after such a place.
///
/// # Errors
/// [`AccessError::Database`].
pub async fn parked_list(
    tx: &mut ScopedTx,
    after: (Position, &str),
    limit: i64,
) -> Result<Vec<Parked>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        Parked,
        r#"
        SELECT consumer, event AS "event: uuid::Uuid", position, reason, tries, parked_at
        FROM spine.parked_event WHERE account = $1 AND (position, consumer) > ($2, $3)
        ORDER BY position, consumer LIMIT $4
        "#,
        account.0,
        after.0,
        after.1,
        limit
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Handles a parked event of somebody's account again, on their word, which their audit tells in the same commit: that
/// it was handled, or that it failed again. True: it is handled now; false: it was not parked, and nothing is written.
///
/// # Errors
/// [`HandleError`]: it failed again; the new reason and the count of tries are kept.
pub(crate) async fn parked_retry(
    access: &Access,
    consumer: &dyn Consumer,
    by: &Scope,
    event: EventId,
) -> Result<bool, HandleError> {
    let scope = Scope::new(by.account(), Principal::System(consumer.name().to_owned()));
    let deed = format!("parked/{}/{event}", consumer.name());
    let mut tx = access.begin(&scope, Cause::outside()).await?;
    if !store::parked_delete(&mut tx, consumer.name(), event).await? {
        return Ok(false);
    }
    let Some(event) = reader::event_by_id(&mut tx, event).await? else {
        return Ok(false);
    };
    tx.audit_deed(by, format!("{deed}/retry"))?;
    tx.handle(&event);
    match handle(consumer, &mut tx, &event).await {
        Ok(_) => {
            tx.commit().await?;
            Ok(true)
        }
        Err(error) => {
            drop(tx);
            if !error.is_transient() {
                let mut tx = access.begin(&scope, Cause::outside()).await?;
                store::parked_upsert(&mut tx, consumer.name(), &event, &error.to_string()).await?;
                tx.audit_deed(by, format!("{deed}/failed-retry"))?;
                tx.commit().await?;
            }
            Err(error)
        }
    }
}
