//! A PostgreSQL that runs elsewhere (`DATABASE_URL`).
//!
//! The hub logs in as three roles, so one address with one password can't be enough. `DATABASE_URL` is therefore a
//! template that says where (host, port, database, parameters), and the passwords come from `<data>/database.toml`
//! (mode 0600), which `allod db init` writes. An address that holds the administrator's password is needed for that
//! one command only and isn't kept, so a hub that is broken into holds no right to make itself superuser. Who keeps
//! passwords elsewhere sets `ALLOD_DATABASE_{OWNER,APP,SPINE}_URL` instead, and no file is read.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use hmac::{Hmac, Mac};
use rand::TryRngCore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

use super::error::DatabaseError;
use super::lock::make_private_dir;
use super::roles::{self, Role};

const FILE: &str = "database.toml";
/// PostgreSQL's own number of rounds. The passwords are 256 random bits, which no rounds make safer.
const SCRAM_ROUNDS: u32 = 4096;

/// Where an external database is. Addresses may hold passwords, so `Debug` doesn't show them.
#[derive(Clone, Default)]
pub struct ExternalDatabase {
    /// `DATABASE_URL`: host, port, database and parameters. User and password in it are not used.
    pub url: String,
    /// `ALLOD_DATABASE_OWNER_URL`: a whole address of its own for `allod_owner`, in place of the file's password.
    pub owner_url: Option<String>,
    /// `ALLOD_DATABASE_APP_URL`, the same for `allod_app`.
    pub app_url: Option<String>,
    /// `ALLOD_DATABASE_SPINE_URL`, the same for `allod_spine`.
    pub spine_url: Option<String>,
}

impl std::fmt::Debug for ExternalDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExternalDatabase").finish_non_exhaustive()
    }
}

/// Three generated passwords.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Passwords {
    owner: String,
    app: String,
    spine: String,
}

impl Passwords {
    fn of(&self, role: Role) -> &str {
        match role {
            Role::Owner => &self.owner,
            Role::App => &self.app,
            Role::Spine => &self.spine,
        }
    }
}

impl ExternalDatabase {
    /// An address as `DATABASE_URL` gives it.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ..Self::default()
        }
    }

    fn own_url(&self, role: Role) -> (&'static str, Option<&str>) {
        match role {
            Role::Owner => ("ALLOD_DATABASE_OWNER_URL", self.owner_url.as_deref()),
            Role::App => ("ALLOD_DATABASE_APP_URL", self.app_url.as_deref()),
            Role::Spine => ("ALLOD_DATABASE_SPINE_URL", self.spine_url.as_deref()),
        }
    }

    fn template(&self) -> Result<PgConnectOptions, DatabaseError> {
        let options = parse("DATABASE_URL", &self.url)?;
        Ok(if options.get_database().is_some() {
            options
        } else {
            options.database("allod")
        })
    }

    /// The name of its database.
    pub(super) fn database(&self) -> Result<String, DatabaseError> {
        Ok(self.template()?.get_database().unwrap_or("allod").to_owned())
    }

    /// How each role connects, in the order of [`Role::ALL`].
    pub(super) fn options(&self, data_dir: &Path) -> Result<[PgConnectOptions; 3], DatabaseError> {
        let template = self.template()?;
        let mut file = None;
        let [owner, app, spine] = Role::ALL.map(|role| {
            let (key, own) = self.own_url(role);
            match own {
                Some(url) => own_options(key, url, role),
                None => {
                    let passwords = match &mut file {
                        Some(passwords) => passwords,
                        slot => slot.insert(read_passwords(data_dir)?),
                    };
                    Ok(template
                        .clone()
                        .username(role.name())
                        .password(passwords.of(role)))
                }
            }
        });
        Ok([owner?, app?, spine?])
    }
}

fn parse(key: &'static str, url: &str) -> Result<PgConnectOptions, DatabaseError> {
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return Err(DatabaseError::Address {
            key,
            why: "it must begin with postgres://".to_owned(),
        });
    }
    // The driver's error can quote a part of the address; its kind is enough and holds no password.
    PgConnectOptions::from_str(url).map_err(|_| DatabaseError::Address {
        key,
        why: "it must read postgres://[user[:password]@]host[:port]/database[?sslmode=…]".to_owned(),
    })
}

fn own_options(key: &'static str, url: &str, role: Role) -> Result<PgConnectOptions, DatabaseError> {
    let options = parse(key, url)?;
    // The migrations grant rights to these names.
    if options.get_username() != role.name() {
        return Err(DatabaseError::Address {
            key,
            why: format!("its user must be {}", role.name()),
        });
    }
    Ok(options)
}

fn passwords_path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

fn read_passwords(data_dir: &Path) -> Result<Passwords, DatabaseError> {
    let path = passwords_path(data_dir);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(DatabaseError::NotInitialised(path));
        }
        Err(e) => return Err(DatabaseError::file("cannot read", &path)(e)),
    };
    // The parser's own message would quote the line, and the line holds a password.
    toml::from_str(&text).map_err(|_| DatabaseError::File {
        what: "owner, app and spine, each with a password, are expected in",
        path,
        source: std::io::ErrorKind::InvalidData.into(),
    })
}

fn write_passwords(data_dir: &Path, passwords: &Passwords) -> Result<(), DatabaseError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    make_private_dir(data_dir)?;
    let path = passwords_path(data_dir);
    let text = toml::to_string(passwords).map_err(|e| DatabaseError::File {
        what: "cannot write",
        path: path.clone(),
        source: std::io::Error::other(e),
    })?;
    let partial = data_dir.join(format!("{FILE}.new"));
    let write = || {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)?;
        file.write_all(b"# Passwords of the hub's database roles, made by `allod db init`.\n")?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&partial, &path)
    };
    write().map_err(DatabaseError::file("cannot write", &path))
}

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
        .map_err(|source| DatabaseError::Unreachable {
            role: "the administrator",
            why: source.to_string(),
            source,
        })?;
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

/// RFC 5802 with SHA-256, in the form that PostgreSQL stores (`pg_authid.rolpassword`). `password` is ASCII.
fn scram_verifier(password: &str, salt: &[u8; 16], rounds: u32) -> String {
    use base64::Engine;
    let base64 = base64::engine::general_purpose::STANDARD;
    let mut block = hmac_sha256(
        password.as_bytes(),
        &[salt.as_slice(), &1_u32.to_be_bytes()].concat(),
    );
    let mut salted = block;
    for _ in 1..rounds {
        block = hmac_sha256(password.as_bytes(), &block);
        salted.iter_mut().zip(block).for_each(|(to, from)| *to ^= from);
    }
    let stored_key = Sha256::digest(hmac_sha256(&salted, b"Client Key"));
    let server_key = hmac_sha256(&salted, b"Server Key");
    format!(
        "SCRAM-SHA-256${rounds}:{}${}:{}",
        base64.encode(salt),
        base64.encode(stored_key),
        base64.encode(server_key)
    )
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length, so this is never the error case; it would only make the verifier fit nothing.
    Hmac::<Sha256>::new_from_slice(key).map_or([0; 32], |mac| {
        mac.chain_update(message).finalize().into_bytes().into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    fn written() -> TempDir {
        let data = TempDir::new();
        let passwords = Passwords {
            owner: "o1".to_owned(),
            app: "a1".to_owned(),
            spine: "s1".to_owned(),
        };
        write_passwords(data.path(), &passwords).unwrap();
        data
    }

    #[test]
    fn the_address_is_a_template_and_each_role_logs_in_as_itself() {
        let data = written();
        let external = ExternalDatabase::at("postgres://someone:secret@db.example:6432/hub");
        let options = external.options(data.path()).unwrap();
        for (role, options) in Role::ALL.into_iter().zip(&options) {
            assert_eq!(options.get_username(), role.name());
            assert_eq!((options.get_host(), options.get_port()), ("db.example", 6432));
            assert_eq!(options.get_database(), Some("hub"));
        }
    }

    #[test]
    fn without_passwords_the_next_step_is_named() {
        let data = TempDir::new();
        let refused = ExternalDatabase::at("postgres://db/hub")
            .options(data.path())
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("allod db init") && refused.contains("ALLOD_DATABASE_APP_URL"),
            "{refused}"
        );
    }

    #[test]
    fn with_an_address_for_each_role_no_file_is_read() {
        let data = TempDir::new();
        let mut external = ExternalDatabase::at("postgres://db/hub");
        external.owner_url = Some("postgres://allod_owner:x@db/hub".to_owned());
        external.app_url = Some("postgres://allod_app:x@db/hub".to_owned());
        external.spine_url = Some("postgres://allod_spine:x@db/hub".to_owned());
        external.options(data.path()).unwrap();
        external.app_url = Some("postgres://postgres:x@db/hub".to_owned());
        let refused = external.options(data.path()).unwrap_err().to_string();
        assert!(
            refused.contains("ALLOD_DATABASE_APP_URL") && refused.contains("allod_app"),
            "{refused}"
        );
    }

    #[test]
    fn a_bad_address_is_refused_without_repeating_its_password() {
        let data = written();
        for url in ["mysql://u:s3cret@h/d", "postgres://u:s3cret@h:port/d", "s3cret"] {
            let refused = ExternalDatabase::at(url).options(data.path()).unwrap_err();
            assert!(
                !format!("{refused} {refused:?}").contains("s3cret"),
                "{refused:?}"
            );
            assert!(refused.to_string().contains("DATABASE_URL"), "{refused}");
        }
        assert!(!format!("{:?}", ExternalDatabase::at("postgres://u:s3cret@h/d")).contains("s3cret"));
    }

    #[test]
    fn the_password_file_is_private_and_its_mistakes_are_told_without_its_secrets() {
        use std::os::unix::fs::PermissionsExt;
        let data = written();
        let path = passwords_path(data.path());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "owner = \"s3cret\nnonsense").unwrap();
        let refused = ExternalDatabase::at("postgres://h/d")
            .options(data.path())
            .unwrap_err();
        assert!(
            !format!("{refused} {refused:?}").contains("s3cret"),
            "{refused:?}"
        );
    }

    #[test]
    fn the_verifier_is_the_one_of_rfc_7677() {
        // RFC 7677, section 3: user "user", password "pencil", salt W22ZaJ0SNY7soEsUEjb6gQ==, 4096 rounds. The RFC shows
        // proof and signature, which these two keys yield: server signature 6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=.
        use base64::Engine;
        let base64 = base64::engine::general_purpose::STANDARD;
        let salt: [u8; 16] = base64
            .decode("W22ZaJ0SNY7soEsUEjb6gQ==")
            .unwrap()
            .try_into()
            .unwrap();
        let verifier = scram_verifier("pencil", &salt, 4096);
        let server_key = base64.decode(verifier.rsplit(':').next().unwrap()).unwrap();
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let message = format!(
            "n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}"
        );
        let signature = base64.encode(hmac_sha256(&server_key, message.as_bytes()));
        assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }
}
