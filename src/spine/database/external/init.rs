//! `allod db init`: makes an external server ready for the hub.

use std::path::PathBuf;

use rand::TryRngCore;
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions, Connection};

use super::passwords::{Passwords, passwords_path, read_passwords, write_passwords};
use super::scram::scram_verifier;
use super::{ExternalDatabase, parse};
use crate::database::error::DatabaseError;
use crate::database::roles::{self, Role};

/// PostgreSQL's own number of rounds. The passwords are 256 random bits, which no rounds make safer.
const SCRAM_ROUNDS: u32 = 4096;

/// An order to prepare an external server.
#[derive(Clone)]
pub struct DbInit {
    /// `ALLOD_DATABASE_ADMIN_URL`: a superuser, or a role with CREATEROLE and CREATEDB. Not kept.
    pub admin_url: String,
    /// Where the hub will connect.
    pub external: ExternalDatabase,
    /// The hub's data directory, which gets the passwords.
    pub data_dir: PathBuf,
    /// Give existing roles new passwords, though another hub may be using them.
    pub reset_passwords: bool,
}

impl std::fmt::Debug for DbInit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DbInit")
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
    }
}

/// Makes roles, database, rights and passwords on an external server, and checks them. Run again, it repairs what is
/// missing and keeps the passwords. The server gets only the passwords' SCRAM verifiers, so its log can't tell them.
pub async fn db_init(order: &DbInit) -> Result<(), DatabaseError> {
    let database = order.external.database()?;
    let admin = parse("ALLOD_DATABASE_ADMIN_URL", &order.admin_url)?;
    let admin = if admin.get_database().is_some() {
        admin
    } else {
        admin.database("postgres")
    };
    let admin = admin.disable_statement_logging();
    let mut conn = admin
        .connect()
        .await
        .map_err(DatabaseError::unreachable("the administrator"))?;
    roles::check_version(&mut conn).await?;
    let passwords = passwords_for(order, &mut conn).await?;
    let sql = password_sql(&passwords)?;
    roles::make(&mut conn, &admin, &database, Some(&sql)).await?;
    conn.close()
        .await
        .map_err(DatabaseError::query("closing a connection"))?;
    let mut inside = admin
        .database(&database)
        .connect()
        .await
        .map_err(DatabaseError::query("connecting to the new database"))?;
    roles::verify(&mut inside).await?;
    inside
        .close()
        .await
        .map_err(DatabaseError::query("closing a connection"))
}

/// Those in the file, or new ones, written before the server learns them: a run that is broken off can be repeated.
async fn passwords_for(order: &DbInit, conn: &mut PgConnection) -> Result<Passwords, DatabaseError> {
    match read_passwords(&order.data_dir) {
        Ok(passwords) if !order.reset_passwords => return Ok(passwords),
        Ok(_) | Err(DatabaseError::NotInitialised(_)) => {}
        Err(other) => return Err(other),
    }
    let exist: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'allod_app')")
            .fetch_one(conn)
            .await
            .map_err(DatabaseError::query("looking for the roles"))?;
    if exist && !order.reset_passwords {
        return Err(DatabaseError::RolesExist(passwords_path(&order.data_dir)));
    }
    let passwords = Passwords {
        owner: random_hex()?,
        app: random_hex()?,
        spine: random_hex()?,
    };
    write_passwords(&order.data_dir, &passwords)?;
    Ok(passwords)
}

fn random<const N: usize>() -> Result<[u8; N], DatabaseError> {
    let mut bytes = [0; N];
    rand::rngs::OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|e| DatabaseError::file("no randomness from", "the system")(std::io::Error::other(e)))?;
    Ok(bytes)
}

fn random_hex() -> Result<String, DatabaseError> {
    Ok(hex::encode(random::<32>()?))
}

fn password_sql(passwords: &Passwords) -> Result<String, DatabaseError> {
    let mut sql = String::new();
    for role in Role::ALL {
        // A verifier is base64, `$` and `:` only, so it needs no quoting.
        let verifier = scram_verifier(passwords.of(role), &random()?, SCRAM_ROUNDS);
        sql.push_str(&format!("ALTER ROLE {} PASSWORD '{verifier}';\n", role.name()));
    }
    Ok(sql)
}
