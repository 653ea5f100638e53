//! The migrations, carried in the binary and applied as `allod_owner`.
//!
//! Invariant: several processes may start at once; sqlx's advisory lock lets one migrate and the others find it done.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;

use super::error::DatabaseError;

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// Brings the database to this binary's state. `owner` is logged in as `allod_owner`.
pub(crate) async fn migrate(owner: &mut PgConnection) -> Result<(), DatabaseError> {
    MIGRATOR.run_direct(owner).await.map_err(explain)
}

/// The same up to a migration: a database as an earlier binary left it.
#[cfg(any(test, feature = "testing"))]
pub(crate) async fn migrate_to(owner: &mut PgConnection, last: i64) -> Result<(), DatabaseError> {
    let earlier = MIGRATOR.iter().filter(|migration| migration.version <= last);
    let migrator = Migrator {
        migrations: earlier.cloned().collect::<Vec<_>>().into(),
        ..Migrator::DEFAULT
    };
    migrator.run_direct(owner).await.map_err(explain)
}

fn explain(error: MigrateError) -> DatabaseError {
    match error {
        MigrateError::VersionMismatch(version) => DatabaseError::MigrationEdited(version),
        MigrateError::VersionMissing(version) => DatabaseError::Newer(version),
        MigrateError::ExecuteMigration(source, version) => DatabaseError::Migration {
            version,
            why: source.to_string(),
        },
        MigrateError::Execute(source) => DatabaseError::Query {
            what: "migrating",
            source,
        },
        other => DatabaseError::Migration {
            version: 0,
            why: other.to_string(),
        },
    }
}

/// A fingerprint of all migrations in this binary, 16 hexadecimal digits.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn fingerprint() -> String {
    use sha2::{Digest, Sha256};
    let digest = MIGRATOR
        .iter()
        .fold(Sha256::new(), |hash, migration| {
            hash.chain_update(migration.version.to_be_bytes())
                .chain_update(&migration.checksum)
        })
        .finalize();
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edited_migration_and_a_newer_database_are_told_apart() {
        let edited = explain(MigrateError::VersionMismatch(12)).to_string();
        assert!(edited.contains("migration 12 differs"), "{edited}");
        let newer = explain(MigrateError::VersionMissing(90)).to_string();
        assert!(newer.contains("newer allod") && newer.contains("90"), "{newer}");
    }
}
