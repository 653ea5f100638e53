//! Whether anything of the demo's account is left: every table of the private database of the demo's own hub is looked
//! through, as the database's own superuser, whom row-level security hides nothing from.
//!
//! Only `demo --check` does this, on a hub that it started itself: it may open that hub's socket, since it is the same
//! system user. No hub and no other command looks into a database past its rules.
//! Invariant: a search that can't find proves nothing, so [`Search::finds`] is asked before the erasure too.

use std::collections::BTreeMap;
use std::path::Path;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, PgConnection};

use super::DemoError;

/// Places by what was found there.
pub(super) type Found = BTreeMap<String, Vec<String>>;

/// A look into every table.
pub(super) struct Search {
    conn: PgConnection,
}

impl Search {
    /// Opens the database of the hub that runs on this directory.
    pub(super) async fn open(dir: &Path) -> Result<Self, DemoError> {
        // PostgreSQL's own file: the fourth line is the port, the fifth the folder of the socket.
        let file = dir.join("postgres/postmaster.pid");
        let told = std::fs::read_to_string(&file)
            .map_err(|error| DemoError::new(format!("{}: {error}", file.display())))?;
        let mut lines = told.lines().skip(3);
        let port = lines.next().and_then(|port| port.trim().parse().ok());
        let (Some(port), Some(socket)) = (port, lines.next()) else {
            return Err(DemoError::new("the database doesn't say where its socket is"));
        };
        let options = PgConnectOptions::new_without_pgpass()
            .socket(socket)
            .port(port)
            .ssl_mode(PgSslMode::Disable)
            .username("postgres")
            .database("allod");
        let conn = options.connect().await.map_err(failed)?;
        Ok(Self { conn })
    }

    /// In which tables each of the texts stands, by any column: as it is, or as the bytes of a binary column.
    pub(super) async fn finds(&mut self, texts: &[String]) -> Result<Found, DemoError> {
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
             ORDER BY 1",
        )
        .fetch_all(&mut self.conn)
        .await
        .map_err(failed)?;
        let mut found = Found::new();
        for table in tables {
            // The name comes from the catalogue, quoted. No column ends in `_`, so that none is taken for its row.
            let look = format!(
                "SELECT sought_.text_ FROM unnest($1::text[]) AS sought_ (text_) WHERE EXISTS (
                    SELECT FROM ONLY {table} AS row_ WHERE strpos(lower(row_::text), lower(sought_.text_)) > 0
                        OR strpos(row_::text, encode(convert_to(sought_.text_, 'UTF8'), 'hex')) > 0)"
            );
            let here: Vec<String> = sqlx::query_scalar(&look)
                .bind(texts)
                .fetch_all(&mut self.conn)
                .await
                .map_err(failed)?;
            for text in here {
                found.entry(text).or_default().push(table.clone());
            }
        }
        Ok(found)
    }

    /// The types of the events whose bodies belong to this account or name it.
    pub(super) async fn bodies_of(&mut self, account: &str) -> Result<Vec<String>, DemoError> {
        sqlx::query_scalar(
            "SELECT DISTINCT coalesce(log.type, 'an event on its way')
             FROM spine.event_body body LEFT JOIN spine.event_log log ON log.id = body.event
             WHERE body.account::text = $1 OR strpos(convert_from(body.body, 'UTF8'), $1) > 0 ORDER BY 1",
        )
        .bind(account)
        .fetch_all(&mut self.conn)
        .await
        .map_err(failed)
    }
}

fn failed(error: sqlx::Error) -> DemoError {
    DemoError::new(format!("the demo's database can't be looked through: {error}"))
}
