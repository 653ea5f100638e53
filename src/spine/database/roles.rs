//! The hub's roles: made once, and looked at before each start.
//!
//! Invariant: the hub never runs with a role that could step over row-level security, be it by an attribute, by
//! membership or by owning a table.
//! Begin with [`make`] and [`verify`].

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Executor};

use super::error::DatabaseError;

const ROLES_SQL: &str = include_str!("roles.sql");
const DATABASE_SQL: &str = include_str!("database.sql");
const FIRST_VERSION: i32 = 150_000;

/// As whom a connection of the hub logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Migrates and owns the tables.
    Owner,
    /// The services: one account at a time, by row-level security.
    App,
    /// Event log and queue, across accounts.
    Spine,
}

impl Role {
    /// All roles that log in.
    pub const ALL: [Self; 3] = [Self::Owner, Self::App, Self::Spine];

    /// The role's name in PostgreSQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "allod_owner",
            Self::App => "allod_app",
            Self::Spine => "allod_spine",
        }
    }
}

/// Whether roles, database and rights are all there. `conn` is an administrator's, in any database.
pub(super) async fn are_complete(conn: &mut PgConnection, database: &str) -> Result<bool, DatabaseError> {
    // The default rights are set last, so that they stand for all that comes before them.
    sqlx::query_scalar(
        "SELECT current_database() = $1
            AND (SELECT count(*) = 4 FROM pg_catalog.pg_roles
                 WHERE rolname IN ('allod_owner', 'allod_app', 'allod_spine', 'allod_definer'))
            AND has_parameter_privilege((SELECT oid FROM pg_catalog.pg_roles WHERE rolname = 'allod_definer'),
                    'session_replication_role', 'SET')
            AND (SELECT count(*) = 2 FROM pg_catalog.pg_default_acl a JOIN pg_catalog.pg_roles r ON r.oid = a.defaclrole
                 WHERE a.defaclobjtype = 'f' AND a.defaclnamespace = 0
                   AND r.rolname IN ('allod_owner', 'allod_definer'))",
    )
    .bind(database)
    .fetch_one(conn)
    .await
    .map_err(DatabaseError::query("looking for the roles"))
}

/// Makes what is missing of roles, database and rights. `conn` is an administrator's, in any database; `options` are
/// those it was made with. `passwords` is SQL that gives the roles their passwords.
pub(crate) async fn make(
    conn: &mut PgConnection,
    options: &PgConnectOptions,
    database: &str,
    passwords: Option<&str>,
) -> Result<(), DatabaseError> {
    conn.execute(ROLES_SQL)
        .await
        .map_err(DatabaseError::query("making the roles"))?;
    if let Some(sql) = passwords {
        conn.execute(sql)
            .await
            .map_err(DatabaseError::query("setting the roles' passwords"))?;
    }
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)")
            .bind(database)
            .fetch_one(&mut *conn)
            .await
            .map_err(DatabaseError::query("looking for the database"))?;
    if !exists {
        let sql = create_database_sql(database);
        conn.execute(sql.as_str())
            .await
            .map_err(DatabaseError::query("making the database"))?;
    }
    let mut inside = options
        .clone()
        .database(database)
        .connect()
        .await
        .map_err(DatabaseError::query("connecting to the new database"))?;
    inside
        .execute(DATABASE_SQL)
        .await
        .map_err(DatabaseError::query("setting the rights in the database"))?;
    inside
        .close()
        .await
        .map_err(DatabaseError::query("closing a connection"))
}

fn create_database_sql(database: &str) -> String {
    format!(
        "CREATE DATABASE {} OWNER allod_owner TEMPLATE template0 ENCODING 'UTF8'",
        quote_identifier(database)
    )
}

/// A name as PostgreSQL reads it back, whatever is in it.
pub(super) fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What an administrator runs with `psql` to make roles, database and rights by hand; `allod doctor` prints it.
pub fn doctor_sql(database: &str) -> String {
    let meta_quoted = database.replace('\\', "\\\\").replace('\'', "\\'");
    format!(
        "{ROLES_SQL}-- Their passwords; psql asks for each one.\n\
         \\password allod_owner\n\\password allod_app\n\\password allod_spine\n\
         -- Leave this out when the database exists already.\n{};\n\\connect '{meta_quoted}'\n{DATABASE_SQL}",
        create_database_sql(database)
    )
}

/// What was found out about one role.
#[derive(Debug, Clone, Default, sqlx::FromRow)]
struct RoleFacts {
    name: String,
    superuser: bool,
    bypasses_rls: bool,
    creates_roles: bool,
    creates_databases: bool,
    replicates: bool,
    logs_in: bool,
    /// Roles it is a member of, directly or not, that may do more than it should.
    dangerous: Vec<String>,
    /// A few of the things it owns in this database.
    owns: Vec<String>,
}

/// Refuses a server that is too old, and roles that could bypass row-level security. `conn` is of any of the roles.
pub(super) async fn verify(conn: &mut PgConnection) -> Result<(), DatabaseError> {
    check_version(conn).await?;
    let facts: Vec<RoleFacts> = sqlx::query_as(
        r"SELECT r.rolname::text AS name, r.rolsuper AS superuser, r.rolbypassrls AS bypasses_rls,
                 r.rolcreaterole AS creates_roles, r.rolcreatedb AS creates_databases,
                 r.rolreplication AS replicates, r.rolcanlogin AS logs_in,
                 ARRAY(SELECT m.rolname::text FROM pg_catalog.pg_roles m
                       WHERE m.oid <> r.oid AND NOT r.rolsuper AND pg_has_role(r.oid, m.oid, 'MEMBER')
                         AND (m.rolsuper OR m.rolbypassrls OR m.rolcreaterole OR m.rolreplication
                              OR m.rolname LIKE 'pg\_%'
                              OR m.rolname IN ('allod_owner', 'allod_app', 'allod_spine', 'allod_definer'))
                       ORDER BY 1 LIMIT 10) AS dangerous,
                 ARRAY(SELECT c.oid::regclass::text FROM pg_catalog.pg_class c
                       WHERE c.relowner = r.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
                       ORDER BY 1 LIMIT 3)
                 || ARRAY(SELECT n.nspname::text FROM pg_catalog.pg_namespace n
                          WHERE n.nspowner = r.oid AND n.nspname NOT LIKE 'pg\_%' ORDER BY 1 LIMIT 3) AS owns
          FROM pg_catalog.pg_roles r
          WHERE r.rolname IN ('allod_owner', 'allod_app', 'allod_spine', 'allod_definer')",
    )
    .fetch_all(conn)
    .await
    .map_err(DatabaseError::query("looking at the roles"))?;
    let problems = problems(&facts);
    if problems.is_empty() {
        Ok(())
    } else {
        Err(DatabaseError::UnsafeRoles(problems))
    }
}

pub(super) async fn check_version(conn: &mut PgConnection) -> Result<(), DatabaseError> {
    let (number, text): (i32, String) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int, current_setting('server_version')",
    )
    .fetch_one(conn)
    .await
    .map_err(DatabaseError::query("asking for the server's version"))?;
    if number < FIRST_VERSION {
        Err(DatabaseError::TooOld(text))
    } else {
        Ok(())
    }
}

fn problems(facts: &[RoleFacts]) -> Vec<String> {
    ["allod_owner", "allod_app", "allod_spine", "allod_definer"]
        .iter()
        .flat_map(|name| match facts.iter().find(|f| f.name == *name) {
            Some(facts) => role_problems(facts),
            None => vec![format!("{name} does not exist")],
        })
        .collect()
}

fn role_problems(role: &RoleFacts) -> Vec<String> {
    let name = role.name.as_str();
    let mut list: Vec<String> = [
        (role.superuser, "is a superuser (ALTER ROLE … NOSUPERUSER)"),
        (
            role.bypasses_rls,
            "bypasses row-level security (ALTER ROLE … NOBYPASSRLS)",
        ),
        (role.creates_roles, "may make roles (ALTER ROLE … NOCREATEROLE)"),
        (
            role.creates_databases,
            "may make databases (ALTER ROLE … NOCREATEDB)",
        ),
        (
            role.replicates,
            "may replicate, which reads all data (ALTER ROLE … NOREPLICATION)",
        ),
        (
            name == "allod_definer" && role.logs_in,
            "may log in (ALTER ROLE … NOLOGIN)",
        ),
        (
            name != "allod_definer" && !role.logs_in,
            "may not log in (ALTER ROLE … LOGIN)",
        ),
    ]
    .into_iter()
    .filter(|(wrong, _)| *wrong)
    .map(|(_, what)| format!("{name} {}", what.replace('…', name)))
    .collect();
    list.extend(
        role.dangerous
            .iter()
            .filter(|other| !belongs_to(name, other))
            .map(|other| format!("{name} is a member of {other} (REVOKE {other} FROM {name})")),
    );
    if matches!(name, "allod_app" | "allod_spine") {
        list.extend(
            role.owns
                .iter()
                .map(|thing| format!("{name} owns {thing}; only allod_owner may own anything")),
        );
    }
    list
}

/// The memberships that are meant: the owner hands functions to the definer, and owning the database is a membership.
fn belongs_to(name: &str, other: &str) -> bool {
    name == "allod_owner" && matches!(other, "allod_definer" | "pg_database_owner")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Vec<RoleFacts> {
        ["allod_owner", "allod_app", "allod_spine", "allod_definer"]
            .map(|name| RoleFacts {
                name: name.to_owned(),
                logs_in: name != "allod_definer",
                ..RoleFacts::default()
            })
            .to_vec()
    }

    #[test]
    fn the_roles_as_they_are_made_are_accepted() {
        let mut facts = good();
        facts[0].dangerous = vec!["allod_definer".to_owned(), "pg_database_owner".to_owned()];
        facts[0].owns = vec!["graph.entity".to_owned()];
        assert_eq!(problems(&facts), Vec::<String>::new());
    }

    #[test]
    fn each_way_around_row_level_security_is_named_with_its_remedy() {
        let mut facts = good();
        facts[1].bypasses_rls = true;
        facts[1].dangerous = vec!["allod_owner".to_owned()];
        facts[2].owns = vec!["graph.entity".to_owned()];
        facts[3].logs_in = true;
        assert_eq!(
            problems(&facts),
            [
                "allod_app bypasses row-level security (ALTER ROLE allod_app NOBYPASSRLS)",
                "allod_app is a member of allod_owner (REVOKE allod_owner FROM allod_app)",
                "allod_spine owns graph.entity; only allod_owner may own anything",
                "allod_definer may log in (ALTER ROLE allod_definer NOLOGIN)",
            ]
        );
    }

    #[test]
    fn a_missing_role_is_named() {
        let facts = &good()[..3];
        assert_eq!(problems(facts), ["allod_definer does not exist"]);
    }

    #[test]
    fn a_database_name_cannot_break_out_of_the_printed_sql() {
        let sql = doctor_sql("al\"; DROP ROLE x; --");
        assert!(
            sql.contains(r#"CREATE DATABASE "al""; DROP ROLE x; --" OWNER"#),
            "{sql}"
        );
    }
}
