//! Signing in: a handle and a password become a session.
//!
//! Invariant: a scope comes from a credential only. So the session is opened for one minute by a look-up function,
//! and its own secret then yields the scope in which it is confirmed, with the event and the audit. A crash between
//! leaves a session of a minute whose secret nobody was told.

use contracts::events::accounts::TokenIssued;
use contracts::{AccountId, Problem, TokenId};
use spine::access::TokenKind;
use spine::edge::Peer;
use spine::limit::TooMany;
use spine::{AccessError, Cause};

use crate::model::{self, IssuedToken};
use crate::password::PasswordError;
use crate::{Accounts, store};

/// How long a session lasts.
const SESSION_LIFE: chrono::Duration = chrono::Duration::days(30);

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    /// One word for a wrong password and an unknown handle.
    #[error("handle or password is wrong")]
    Wrong,
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Access(#[from] AccessError),
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Wrong => Self::unauthorized(error.to_string()),
            SignInError::TooMany(error) => error.into(),
            SignInError::Password(error) => Self::internal(&error),
            SignInError::Access(error) => error.into(),
        }
    }
}

/// A session for whoever knows the password.
pub(crate) async fn sign_in(
    accounts: &Accounts,
    peer: Peer,
    handle: &str,
    password: &str,
) -> Result<IssuedToken, SignInError> {
    let turn = accounts.guard.turn(&accounts.context, peer, handle).await?;
    let access = &accounts.context.access;
    let Some(account) = account_of(accounts, handle, password).await? else {
        access.sign_in_refused(&peer.to_string());
        turn.failed()?;
        return Err(SignInError::Wrong);
    };
    turn.succeeded();

    let (token, secret) = (TokenId::new(), model::token_secret(TokenKind::Session));
    let mut tx = access
        .begin(&access.scope_of_stranger("sign-in"), Cause::outside())
        .await?;
    store::session_open(&mut tx, account, token, "sign-in", &secret).await?;
    tx.commit().await?;
    confirm(accounts, token, secret).await
}

/// Whose handle and password these are. A handle that can't exist takes as long as one that doesn't.
async fn account_of(
    accounts: &Accounts,
    handle: &str,
    password: &str,
) -> Result<Option<AccountId>, SignInError> {
    let found = match model::Handle::parse(handle) {
        Err(_) => None,
        Ok(handle) => {
            let access = &accounts.context.access;
            let mut tx = access
                .begin(&access.scope_of_stranger("sign-in"), Cause::outside())
                .await?;
            let found = store::login_lookup(&mut tx, handle.as_str()).await?;
            // No transaction is open while the password is hashed: that takes a while.
            tx.commit().await?;
            found
        }
    };
    let (account, hash) = found.map_or((None, None), |(account, hash)| (Some(account), hash));
    let right = accounts.hasher.verify(password, hash).await?;
    Ok(account.filter(|_| right))
}

async fn confirm(accounts: &Accounts, token: TokenId, secret: String) -> Result<IssuedToken, SignInError> {
    let access = &accounts.context.access;
    let scope = access
        .scope_by_token(TokenKind::Session, &secret)
        .await?
        .ok_or(SignInError::Wrong)?;
    let mut tx = access.begin(&scope, Cause::outside()).await?;
    let until = tx.now() + SESSION_LIFE;
    let session = store::session_confirm(&mut tx, token, until)
        .await?
        .ok_or(SignInError::Wrong)?;
    tx.publish_about(
        token,
        &TokenIssued {
            token,
            kind: TokenKind::Session.as_str().to_owned(),
        },
    )?;
    tx.audit("act", format!("token/{token}"), None)?;
    tx.commit().await?;
    Ok(IssuedToken {
        token: session,
        secret,
    })
}
