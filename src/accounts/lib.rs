//! Accounts: who lives on this hub, how they sign in, and the tokens that speak for them.
//!
//! Events in: none. Out: `accounts.AccountCreated`, `accounts.ZoneChanged`, `accounts.TokenIssued`,
//! `accounts.TokenRevoked`, audit entries.
//! Invariant: of a password only its Argon2id hash is stored, of a token only the hash of 256 random bits; a token
//! opens the door of its kind and no other; the set-up link works once, and only while nobody lives here.
//! Begin with [`model`], then `http/setup.rs` (how the first account comes to be).

mod create;
mod directory;
mod guard;
mod http;
mod model;
mod pages;
mod password;
mod sign_in;
mod store;
#[cfg(test)]
mod stories;

use std::sync::Arc;

use spine::{AccessError, Cause, Context, Service};

/// What the routes share.
#[derive(Debug, Clone)]
struct Accounts {
    context: Context,
    hasher: password::Hasher,
    guard: guard::Guard,
}

/// The accounts service.
pub fn service(context: &Context) -> Service {
    let accounts = Accounts {
        context: context.clone(),
        hasher: password::Hasher::default(),
        guard: guard::Guard::default(),
    };
    context
        .ports
        .provide_account_directory(Arc::new(directory::Directory(context.clone())));
    Service {
        name: "accounts",
        api: http::api(accounts.clone()),
        public: http::public(accounts),
        personal_tables: &["accounts.token", "accounts.account"],
        ..Service::default()
    }
}

/// A new one-time set-up link, good for 24 hours; every older one stops working. `None`: somebody lives here already.
///
/// # Errors
/// [`AccessError::Database`].
pub async fn setup_link(context: &Context) -> Result<Option<String>, AccessError> {
    let secret = model::secret("setup");
    let mut tx = context
        .access
        .begin(&context.access.scope_of_stranger("setup"), Cause::outside())
        .await?;
    let issued = store::setup_issue(&mut tx, &secret).await?;
    tx.commit().await?;
    Ok(issued.then(|| format!("{}/setup?token={secret}", context.settings.public_url)))
}
