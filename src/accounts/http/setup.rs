//! Setting the hub up by its one-time link: a page with a form, and the same for programs.

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use contracts::Problem;
use serde::{Deserialize, Serialize};
use spine::Cause;
use spine::edge::{Caller, Json, Peer};
use spine::limit::TooMany;
use utoipa::ToSchema;

use crate::create::{self, AccountError, Order, Wish};
use crate::model::{Account, Refused};
use crate::{Accounts, pages, store};

/// Why the hub was not set up.
#[derive(Debug, thiserror::Error)]
enum SetupError {
    #[error("this set-up link is wrong, was used, or is older than a day")]
    Link,
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl From<SetupError> for Problem {
    fn from(error: SetupError) -> Self {
        match error {
            SetupError::Link => Self::forbidden(error.to_string())
                .hint("`allod account setup-link` on the hub's machine makes a new one"),
            SetupError::TooMany(error) => error.into(),
            SetupError::Account(error) => error.into(),
        }
    }
}

/// A new set-up link.
#[derive(Serialize, ToSchema)]
pub(crate) struct SetupLink {
    /// Where to set the hub up, once, within 24 hours.
    link: String,
}

/// A new set-up link in the place of every older one. For the operator, while nobody lives here.
#[utoipa::path(post, path = "/accounts/setup-link", tag = "accounts", responses(
    (status = 201, body = SetupLink),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "The hub is set up already.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn setup_link_issue(
    State(accounts): State<Accounts>,
    caller: Caller,
) -> Result<(StatusCode, Json<SetupLink>), Problem> {
    caller.require_operator()?;
    match crate::setup_link(&accounts.context).await? {
        Some(link) => Ok((StatusCode::CREATED, Json(SetupLink { link }))),
        None => Err(Problem::conflict("the hub is set up already")
            .hint("its owner, or `allod account create`, makes further accounts")),
    }
}

/// The first account, as a program asks for it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetupWish {
    /// The token of the set-up link.
    token: String,
    /// The owner's handle.
    handle: String,
    /// The owner's name for people.
    display_name: String,
    /// At least 10 characters.
    password: String,
    /// An IANA time zone; without one, UTC.
    zone: Option<String>,
    /// A language tag; without one, `en`.
    locale: Option<String>,
}

/// Makes the hub's first account, its owner's, for whoever holds the set-up link. Works once.
#[utoipa::path(post, path = "/api/v1/setup", tag = "accounts", request_body = SetupWish, security(()), responses(
    (status = 201, body = Account),
    (status = 403, description = "The link is wrong, used or old.", body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn setup_json(
    State(accounts): State<Accounts>,
    peer: Peer,
    Json(wish): Json<SetupWish>,
) -> Result<(StatusCode, Json<Account>), Problem> {
    let first = Wish {
        handle: &wish.handle,
        display_name: &wish.display_name,
        zone: wish.zone.as_deref(),
        locale: wish.locale.as_deref(),
        password: Some(&wish.password),
    };
    Ok((
        StatusCode::CREATED,
        Json(set_up(&accounts, peer, &wish.token, &first).await?),
    ))
}

/// Uses the link up and makes the account, in one commit. The link is looked at first: no stranger gets to hash.
async fn set_up(
    accounts: &Accounts,
    peer: Peer,
    token: &str,
    wish: &Wish<'_>,
) -> Result<Account, SetupError> {
    if !is_open(accounts, token).await? {
        accounts.guard.failed(&accounts.context, peer)?;
        return Err(SetupError::Link);
    }
    let order = Order::new(accounts, wish).await?;
    let access = &accounts.context.access;
    let mut tx = access
        .begin(&access.scope_of_stranger("setup"), Cause::outside())
        .await
        .map_err(AccountError::from)?;
    if !store::setup_use(&mut tx, token)
        .await
        .map_err(AccountError::from)?
    {
        return Err(SetupError::Link);
    }
    let account = create::account(accounts, &mut tx, &order).await?;
    tx.commit().await.map_err(AccountError::from)?;
    Ok(account)
}

async fn is_open(accounts: &Accounts, token: &str) -> Result<bool, AccountError> {
    let access = &accounts.context.access;
    let mut tx = access
        .begin(&access.scope_of_stranger("setup"), Cause::outside())
        .await?;
    Ok(store::setup_is_open(&mut tx, token).await?)
}

#[derive(Deserialize)]
pub(crate) struct LinkQuery {
    #[serde(default)]
    token: String,
}

/// The page behind the set-up link.
#[utoipa::path(get, path = "/setup", tag = "pages", params(("token" = String, Query)), security(()), responses(
    (status = 200, description = "A form, in HTML.", content_type = "text/html"),
    (status = 403, description = "The link is wrong, used or old; the page says how to get a new one.", content_type = "text/html"),
))]
pub(super) async fn setup_page(
    State(accounts): State<Accounts>,
    peer: Peer,
    Query(query): Query<LinkQuery>,
) -> Result<Response, Problem> {
    if !is_open(&accounts, &query.token).await? {
        accounts.guard.failed(&accounts.context, peer)?;
        return Ok((StatusCode::FORBIDDEN, pages::link_is_dead()).into_response());
    }
    Ok(pages::form(
        &pages::Filled {
            token: &query.token,
            ..pages::Filled::default()
        },
        None,
    )
    .into_response())
}

/// What the form sends.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SetupForm {
    token: String,
    handle: String,
    display_name: String,
    zone: String,
    password: String,
    password_again: String,
}

/// Takes the form in. Works once.
#[utoipa::path(post, path = "/setup", tag = "pages", security(()),
    request_body(content = SetupForm, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 201, description = "The next steps, in HTML.", content_type = "text/html"),
    (status = 403, description = "The link is wrong, used or old.", content_type = "text/html"),
    (status = 422, description = "The form again, saying what is wrong.", content_type = "text/html"),
))]
pub(super) async fn setup_form(
    State(accounts): State<Accounts>,
    peer: Peer,
    form: Result<Form<SetupForm>, FormRejection>,
) -> Result<Response, Problem> {
    let Form(form) = form.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    match set_up_by_form(&accounts, peer, &form).await {
        Ok(account) => Ok((StatusCode::CREATED, pages::next_steps(&account)).into_response()),
        Err(SetupError::Link) => Ok((StatusCode::FORBIDDEN, pages::link_is_dead()).into_response()),
        Err(SetupError::Account(error @ (AccountError::Refused(_) | AccountError::HandleTaken(_)))) => {
            let filled = pages::Filled {
                token: &form.token,
                handle: &form.handle,
                display_name: &form.display_name,
                zone: &form.zone,
            };
            Ok((
                StatusCode::UNPROCESSABLE_ENTITY,
                pages::form(&filled, Some(&error.to_string())),
            )
                .into_response())
        }
        Err(error) => Err(error.into()),
    }
}

async fn set_up_by_form(accounts: &Accounts, peer: Peer, form: &SetupForm) -> Result<Account, SetupError> {
    if form.password != form.password_again {
        return Err(AccountError::from(Refused::PasswordsDiffer).into());
    }
    let wish = Wish {
        handle: &form.handle,
        display_name: &form.display_name,
        zone: Some(&form.zone),
        locale: None,
        password: Some(&form.password),
    };
    set_up(accounts, peer, &form.token, &wish).await
}
