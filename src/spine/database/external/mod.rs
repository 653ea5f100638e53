//! A PostgreSQL that runs elsewhere (`DATABASE_URL`).
//!
//! The hub logs in as three roles, so one address with one password can't be enough. `DATABASE_URL` is therefore a
//! template that says where (host, port, database, parameters), and the passwords come from `<data>/database.toml`
//! (mode 0600), which `allod db init` writes. An address that holds the administrator's password is needed for that
//! one command only and isn't kept, so a hub that is broken into holds no right to make itself superuser. Who keeps
//! passwords elsewhere sets `ALLOD_DATABASE_{OWNER,APP,SPINE}_URL` instead, and no file is read.

mod init;
mod passwords;
mod scram;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

pub use init::{DbInit, db_init};
use passwords::read_passwords;

use super::error::DatabaseError;
use super::roles::Role;
use super::tls;

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
    let options = PgConnectOptions::from_str(url).map_err(|_| DatabaseError::Address {
        key,
        why: "it must read postgres://[user[:password]@]host[:port]/database[?sslmode=…]".to_owned(),
    })?;
    tls::check(&options).map_err(|why| DatabaseError::Address { key, why })?;
    Ok(options)
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
