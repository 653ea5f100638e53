//! All SQL of the graph, one file a table or pair of tables.
//!
//! Invariant: each statement names the account although row-level security would hide the others' rows: the indexes
//! begin with it.

mod addition;
mod bulk;
mod calendar;
mod claim;
mod entity;
mod erase;
mod erasure;
mod export;
mod group;
mod identifier;
mod listing;
mod merge;
mod neighbour;
mod raw;
mod relation;
mod statement;
mod timeline;
mod timeline_gap;

use spine::ScopedTx;

pub(crate) use addition::*;
pub(crate) use bulk::*;
pub(crate) use calendar::*;
pub(crate) use claim::*;
pub(crate) use entity::*;
pub(crate) use erase::*;
pub(crate) use erasure::*;
pub(crate) use export::*;
pub(crate) use group::*;
pub(crate) use identifier::*;
pub(crate) use listing::*;
pub(crate) use merge::*;
pub(crate) use neighbour::*;
pub(crate) use raw::*;
pub(crate) use relation::*;
pub(crate) use statement::*;
pub(crate) use timeline::*;
pub(crate) use timeline_gap::*;

/// A place to which this transaction can go back.
pub(crate) async fn savepoint(tx: &mut ScopedTx) -> Result<(), sqlx::Error> {
    sqlx::query!("SAVEPOINT graph_apply").execute(tx.conn()).await?;
    Ok(())
}

pub(crate) async fn savepoint_release(tx: &mut ScopedTx) -> Result<(), sqlx::Error> {
    sqlx::query!("RELEASE SAVEPOINT graph_apply")
        .execute(tx.conn())
        .await?;
    Ok(())
}

pub(crate) async fn savepoint_rollback(tx: &mut ScopedTx) -> Result<(), sqlx::Error> {
    sqlx::query!("ROLLBACK TO SAVEPOINT graph_apply")
        .execute(tx.conn())
        .await?;
    savepoint_release(tx).await
}
