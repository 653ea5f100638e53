//! What nobody knew yet, written by one function of the database.

use serde_json::Value;
use spine::ScopedTx;
use spine::ports::Identifier;
use uuid::Uuid;

use super::entity::NewEntity;
use super::raw::RawRow;
use crate::model::{by_name, shown_title};

/// An entity that nobody may know yet, with all that is written beside it.
#[derive(Debug)]
pub(crate) struct Addition<'a> {
    pub(crate) entity: NewEntity<'a>,
    /// The record that tells of it; its status is `processed`.
    pub(crate) record: Option<&'a RawRow>,
    /// By what it is known: sorted, without doubles.
    pub(crate) identifiers: &'a [(String, String)],
    /// On whose timelines it stands, in which role.
    pub(crate) participants: &'a [(&'static str, Identifier)],
}

/// Writes all of it. False: the record, an identifier or the entity is there already, and nothing was written.
pub(crate) async fn entity_add(tx: &mut ScopedTx, add: &Addition<'_>) -> Result<bool, sqlx::Error> {
    let (account, now, entity, record) = (tx.account(), tx.now(), &add.entity, add.record);
    let texts = |of: &dyn Fn(&(&'static str, Identifier)) -> String| -> Vec<String> {
        add.participants.iter().map(of).collect()
    };
    let (schemes, values): (Vec<String>, Vec<String>) = add.identifiers.iter().cloned().unzip();
    let fresh = |count: usize| -> Vec<Uuid> { (0..count).map(|_| Uuid::now_v7()).collect() };
    sqlx::query_scalar!(
        r#"
        SELECT graph.entity_add($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
            $20, $21, $22, $23, $24, $25, $26, $27) AS "added!"
        "#,
        account.0,
        now,
        by_name(entity.asserter.by),
        entity.asserter.source,
        record.map(|record| record.id.0),
        record.and_then(|record| record.connection),
        record.map(|record| record.stream.as_str()),
        record.map(|record| record.remote_key.as_slice()),
        record.map(|record| record.revision.as_str()),
        record.map(|record| record.media_type.as_str()),
        record.map(|record| record.remote_id.as_slice()),
        record.map(|record| record.body.as_slice()),
        record.map(|record| record.body_key.as_slice()),
        entity.id.0,
        entity.kind,
        shown_title(entity.content),
        Value::Object(entity.content.props.clone()),
        entity.content.starts_at,
        entity.folded.then(Uuid::now_v7),
        entity.content.title,
        &fresh(schemes.len()),
        &schemes,
        &values,
        &texts(&|(role, _)| (*role).to_owned()),
        &fresh(add.participants.len()),
        &texts(&|(_, one)| one.scheme.clone()),
        &texts(&|(_, one)| one.value.clone()),
    )
    .fetch_one(tx.conn())
    .await
}
