//! Making an account: its row, its owner's own Person in the graph, and the event, in one commit.

use contracts::Problem;
use contracts::events::accounts::AccountCreated;
use serde_json::Map;
use spine::ports::{AssertedBy, Change, EntityChange, GraphError, Identifier, Target};
use spine::{AccessError, ScopedTx};

use crate::Accounts;
use crate::model::{self, Account, Handle, Refused};
use crate::password::PasswordError;
use crate::store::{self, NewAccount};

/// Why an account was not made (or its password not changed).
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the handle {0} is taken on this hub")]
    HandleTaken(String),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Graph(#[from] GraphError),
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Refused(_) => Self::unprocessable(error.to_string()),
            AccountError::HandleTaken(_) => Self::conflict(error.to_string()).hint("choose another handle"),
            AccountError::Password(error) => Self::internal(&error),
            AccountError::Access(error) => error.into(),
            AccountError::Graph(error) => error.into(),
        }
    }
}

/// An account as it is asked for.
#[derive(Debug)]
pub(crate) struct Order {
    handle: Handle,
    display_name: String,
    zone: String,
    locale: String,
    password_hash: Option<String>,
}

/// An account as somebody typed it.
#[derive(Debug, Default)]
pub(crate) struct Wish<'a> {
    pub(crate) handle: &'a str,
    pub(crate) display_name: &'a str,
    pub(crate) zone: Option<&'a str>,
    pub(crate) locale: Option<&'a str>,
    pub(crate) password: Option<&'a str>,
}

impl Order {
    /// Checks the wish, and hashes the password before any transaction is open.
    pub(crate) async fn new(accounts: &Accounts, wish: &Wish<'_>) -> Result<Self, AccountError> {
        let checked = Self {
            handle: Handle::parse(wish.handle)?,
            display_name: model::name("display name", wish.display_name)?,
            zone: model::zone(wish.zone.unwrap_or("UTC"))?,
            locale: model::locale(wish.locale.unwrap_or("en"))?,
            password_hash: None,
        };
        let Some(password) = wish.password else {
            return Ok(checked);
        };
        let password_hash = accounts.hasher.hash(model::password(password)?).await?;
        Ok(Self {
            password_hash: Some(password_hash),
            ..checked
        })
    }
}

/// Makes the account of the transaction's scope. The first account of a hub is its owner's.
pub(crate) async fn account(
    accounts: &Accounts,
    tx: &mut ScopedTx,
    order: &Order,
) -> Result<Account, AccountError> {
    let is_owner = store::is_empty(tx).await?;
    let new = NewAccount {
        handle: order.handle.as_str(),
        display_name: &order.display_name,
        zone: &order.zone,
        locale: &order.locale,
        password_hash: order.password_hash.as_deref(),
        is_owner,
    };
    if !store::account_insert(tx, &new).await? {
        return Err(AccountError::HandleTaken(order.handle.as_str().to_owned()));
    }
    accounts
        .context
        .ports
        .graph_write()
        .apply(tx, me(&order.display_name))
        .await?;
    let id = tx.account();
    tx.publish_about(id, &AccountCreated { account: id })?;
    tx.audit("write", format!("account/{id}"), None)?;
    store::account_own(tx)
        .await?
        .ok_or(AccountError::Access(AccessError::Database(
            sqlx::Error::RowNotFound,
        )))
}

/// The owner's own Person.
pub(crate) fn me(name: &str) -> Change {
    let person = EntityChange {
        target: Target::Identified,
        kind: "Person".to_owned(),
        title: Some(name.to_owned()),
        props: Map::from_iter([("name".to_owned(), name.into())]),
        identifiers: vec![Identifier::new("allod", "me")],
        starts_at: None,
    };
    Change {
        by: AssertedBy::User,
        source: "user".to_owned(),
        raw: None,
        entities: vec![person],
        relations: Vec::new(),
    }
}
