//! Scopes: an account and who acts in it.
//!
//! Invariant: made by the spine alone; only the operator, through the [`Gate`], chooses the account.

use contracts::{AccountId, ConnectionId, TokenId};

/// Who acts within an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A program that holds a token of the account.
    Token {
        /// The token's id.
        id: TokenId,
        /// What it is for.
        kind: TokenKind,
    },
    /// A connection through which a service speaks to us.
    Connection {
        /// The plugin.
        plugin: String,
        /// The connection.
        id: ConnectionId,
    },
    /// A rule of the owner.
    Rule(String),
    /// Whoever may use the control socket: the person who runs the hub.
    Operator,
    /// A part of the hub, named, acting because of an event or job of the account.
    System(String),
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Token { id, kind } => write!(f, "token:{}/{id}", kind.as_str()),
            Self::Connection { plugin, id } => write!(f, "connector:{plugin}/{id}"),
            Self::Rule(id) => write!(f, "rule:{id}"),
            Self::Operator => f.write_str("operator"),
            Self::System(name) => write!(f, "system:{name}"),
        }
    }
}

/// What a token is for; it opens that door only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A device that reports readings (`/device-events`).
    Device,
    /// A program that uses the API.
    Api,
    /// A person who signed in.
    Session,
}

impl TokenKind {
    /// The name in the database and in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Api => "api",
            Self::Session => "session",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Device, Self::Api, Self::Session]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// An account and who acts in it. Only the spine makes one.
///
/// ```compile_fail
/// // A service can't forge a scope: the fields are private and there is no constructor.
/// let scope = spine::access::Scope {
///     account: contracts::AccountId::INSTANCE,
///     principal: spine::access::Principal::Operator,
/// };
/// ```
/// ```compile_fail
/// let scope = spine::access::Scope::new(contracts::AccountId::INSTANCE, spine::access::Principal::Operator);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub(super) account: AccountId,
    pub(super) principal: Principal,
    /// See [`Scope::by_rote`].
    pub(super) by_rote: bool,
}

impl Scope {
    pub(crate) fn new(account: AccountId, principal: Principal) -> Self {
        Self {
            account,
            principal,
            by_rote: false,
        }
    }

    /// For who does the same few things again and again, by statements that have one good plan for whatever they ask:
    /// that of their index. Planned once a connection. Who asks for lists, or goes through all there is, is no such one.
    pub(crate) fn by_rote(mut self) -> Self {
        self.by_rote = true;
        self
    }

    /// Whose data.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// Who acts.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The operator turns to another account. `None` for everybody else.
    pub fn in_account(&self, account: AccountId) -> Option<Self> {
        (self.principal == Principal::Operator).then(|| Self::new(account, Principal::Operator))
    }

    /// The same principal in an account that is about to be made. Its id is fresh, so it can't be another's.
    pub fn in_new_account(&self) -> Self {
        Self::new(AccountId::new(), self.principal.clone())
    }
}

/// Makes scopes for whom the edge has identified by other means than a token. The hub alone holds one.
#[derive(Debug)]
pub struct Gate(());

impl Gate {
    pub(crate) fn new() -> Self {
        Self(())
    }

    /// Somebody who looks at the instance: it is they who do, whoever let them.
    pub fn on_instance(&self, who: &Scope) -> Scope {
        Scope::new(AccountId::INSTANCE, who.principal.clone())
    }

    /// The person at the control socket, acting in an account (or on the instance).
    pub fn operator(&self, account: AccountId) -> Scope {
        Scope::new(account, Principal::Operator)
    }
}
