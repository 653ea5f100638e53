//! The tables of mailboxes: which mail lies where, and which went.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use contracts::ConnectionId;
use spine::ScopedTx;
use spine::access::AccessError;
use uuid::Uuid;

/// So many mails may go at once, whatever is left.
const MANY: i64 = 100;
const WAIT: TimeDelta = TimeDelta::days(1);

/// A folder as the server numbers its mails now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folder<'a> {
    pub(super) connection: ConnectionId,
    pub(super) name: &'a str,
    /// UIDVALIDITY.
    pub(super) validity: i64,
}

/// These folders are read from now on. What lay in one that the server doesn't have any more has vanished; one that is
/// there and not read is forgotten.
pub(super) async fn folders_set(
    tx: &mut ScopedTx,
    connection: ConnectionId,
    read: &[String],
    others: &[String],
) -> Result<(), AccessError> {
    sqlx::query!(
        r#"
        INSERT INTO connectors.imap_folder (account, connection, folder)
        SELECT spine.account(), $1, name FROM unnest($2::text[]) AS name
        ON CONFLICT (account, connection, folder) DO NOTHING
        "#,
        connection.0,
        read
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "DELETE FROM connectors.imap_folder WHERE connection = $1 AND folder <> ALL ($2)",
        connection.0,
        read
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "DELETE FROM connectors.imap_mail WHERE connection = $1 AND folder = ANY ($2)",
        connection.0,
        others
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        r#"
        UPDATE connectors.imap_mail SET vanished_at = $3
        WHERE connection = $1 AND folder <> ALL ($2) AND vanished_at IS NULL
        "#,
        connection.0,
        read,
        tx.now()
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// These mails lie in the folder.
pub(super) async fn mails_put(
    tx: &mut ScopedTx,
    folder: Folder<'_>,
    mails: &[(i64, String)],
) -> Result<(), AccessError> {
    let (uids, names): (Vec<i64>, Vec<String>) = mails.iter().cloned().unzip();
    sqlx::query!(
        r#"
        INSERT INTO connectors.imap_mail (account, connection, folder, validity, uid, mail)
        SELECT spine.account(), $1, $2, $3, m.uid, m.mail FROM unnest($4::bigint[], $5::text[]) AS m (uid, mail)
        ON CONFLICT (account, connection, folder, validity, uid)
            DO UPDATE SET mail = excluded.mail, vanished_at = NULL, told = NULL
        "#,
        folder.connection.0,
        folder.name,
        folder.validity,
        &uids,
        &names
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The mails of a range of UIDs that are known to lie there.
pub(super) async fn mails_between(
    tx: &mut ScopedTx,
    folder: Folder<'_>,
    from: i64,
    to: i64,
) -> Result<BTreeMap<i64, String>, AccessError> {
    let rows = sqlx::query!(
        r#"
        SELECT uid, mail FROM connectors.imap_mail
        WHERE connection = $1 AND folder = $2 AND validity = $3 AND uid BETWEEN $4 AND $5 AND vanished_at IS NULL
        "#,
        folder.connection.0,
        folder.name,
        folder.validity,
        from,
        to
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.uid, row.mail)).collect())
}

/// How many mails are known to lie there.
pub(super) async fn mail_count(tx: &mut ScopedTx, folder: Folder<'_>) -> Result<i64, AccessError> {
    Ok(sqlx::query_scalar!(
        r#"
        SELECT count(*) AS "count!" FROM connectors.imap_mail
        WHERE connection = $1 AND folder = $2 AND validity = $3 AND vanished_at IS NULL
        "#,
        folder.connection.0,
        folder.name,
        folder.validity
    )
    .fetch_one(tx.conn())
    .await?)
}

/// What lies there is this, of what has a lower UID than `below`; the rest has vanished, as has what has a number of before.
pub(super) async fn mails_vanish(
    tx: &mut ScopedTx,
    folder: Folder<'_>,
    below: i64,
    there: &[i64],
) -> Result<u64, AccessError> {
    let done = sqlx::query!(
        r#"
        UPDATE connectors.imap_mail AS m SET vanished_at = $6
        WHERE m.connection = $1 AND m.folder = $2 AND m.vanished_at IS NULL AND (m.validity <> $3 OR m.uid < $4)
            AND NOT EXISTS (SELECT FROM unnest($5::bigint[]) AS there (uid) WHERE there.uid = m.uid AND m.validity = $3)
        "#,
        folder.connection.0,
        folder.name,
        folder.validity,
        below,
        there,
        tx.now()
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected())
}

/// A reading of the folder that began then came to its end.
pub(super) async fn folder_looked(
    tx: &mut ScopedTx,
    folder: Folder<'_>,
    begun: DateTime<Utc>,
) -> Result<(), AccessError> {
    sqlx::query!(
        r#"
        UPDATE connectors.imap_folder SET looked_at = greatest(looked_at, $3) WHERE connection = $1 AND folder = $2
        "#,
        folder.connection.0,
        folder.name,
        begun
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Mails that lie nowhere any more, though all other folders were looked at since, and notes by which page they are told.
/// What lies elsewhere was moved.
pub(super) async fn gone_tell(
    tx: &mut ScopedTx,
    connection: ConnectionId,
    batch: Uuid,
    most: i64,
) -> Result<Vec<String>, AccessError> {
    sqlx::query!(
        r#"
        DELETE FROM connectors.imap_mail AS m
        WHERE m.connection = $1 AND m.vanished_at IS NOT NULL AND EXISTS (SELECT FROM connectors.imap_mail AS other
            WHERE other.connection = $1 AND other.mail = m.mail AND other.vanished_at IS NULL)
        "#,
        connection.0
    )
    .execute(tx.conn())
    .await?;
    let believed = believed_before(tx, connection).await?;
    let mails = sqlx::query_scalar!(
        r#"
        SELECT m.mail FROM connectors.imap_mail AS m WHERE m.connection = $1 AND m.vanished_at IS NOT NULL
        GROUP BY m.mail
        HAVING max(m.vanished_at) <= $3 AND bool_and(NOT EXISTS (SELECT FROM connectors.imap_folder AS f
            WHERE f.connection = $1 AND f.folder <> m.folder
                AND (f.looked_at IS NULL OR f.looked_at < m.vanished_at)))
        ORDER BY m.mail LIMIT $2
        "#,
        connection.0,
        most,
        believed
    )
    .fetch_all(tx.conn())
    .await?;
    sqlx::query!(
        "UPDATE connectors.imap_mail SET told = $3 WHERE connection = $1 AND mail = ANY ($2)",
        connection.0,
        &mails,
        batch
    )
    .execute(tx.conn())
    .await?;
    Ok(mails)
}

/// Since when what vanished must be missing. A server that shows an empty mailbox has a fault more often than an owner
/// who deleted everything: most of a mailbox goes only after it was missing for a day.
async fn believed_before(tx: &mut ScopedTx, connection: ConnectionId) -> Result<DateTime<Utc>, AccessError> {
    let vanished = sqlx::query_scalar!(
        r#"
        SELECT count(DISTINCT mail) AS "count!" FROM connectors.imap_mail
        WHERE connection = $1 AND vanished_at IS NOT NULL
        "#,
        connection.0
    )
    .fetch_one(tx.conn())
    .await?;
    if vanished <= MANY {
        return Ok(tx.now());
    }
    let all = sqlx::query_scalar!(
        r#"SELECT count(DISTINCT mail) AS "count!" FROM connectors.imap_mail WHERE connection = $1"#,
        connection.0
    )
    .fetch_one(tx.conn())
    .await?;
    let wait = if vanished * 2 > all {
        WAIT
    } else {
        TimeDelta::zero()
    };
    Ok(tx.now() - wait)
}

/// The page that told of them was taken in.
pub(super) async fn gone_settle(
    tx: &mut ScopedTx,
    connection: ConnectionId,
    batch: Uuid,
) -> Result<(), AccessError> {
    sqlx::query!(
        r#"
        WITH gone AS (
            DELETE FROM connectors.imap_mail WHERE connection = $1 AND told = $2 AND vanished_at IS NOT NULL
            RETURNING mail
        )
        INSERT INTO connectors.imap_gone AS g (account, connection, mail, times)
        SELECT DISTINCT spine.account(), $1::uuid, gone.mail, 1 FROM gone
        ON CONFLICT (account, connection, mail) DO UPDATE SET times = g.times + 1
        "#,
        connection.0,
        batch
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// How often each of these went for good.
pub(super) async fn gone_times(
    tx: &mut ScopedTx,
    connection: ConnectionId,
    mails: &[String],
) -> Result<BTreeMap<String, i32>, AccessError> {
    let rows = sqlx::query!(
        "SELECT mail, times FROM connectors.imap_gone WHERE connection = $1 AND mail = ANY ($2)",
        connection.0,
        mails
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.mail, row.times)).collect())
}

/// Forgets a connection.
pub(super) async fn forget(tx: &mut ScopedTx, connection: ConnectionId) -> Result<(), AccessError> {
    for table in ["imap_gone", "imap_mail", "imap_folder"] {
        let sql = format!("DELETE FROM connectors.{table} WHERE connection = $1");
        sqlx::query(&sql).bind(connection.0).execute(tx.conn()).await?;
    }
    Ok(())
}
