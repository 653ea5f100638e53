//! `allod account` and `allod token`.

use serde_json::json;

use super::{CommandError, Session};
use crate::cli::{Account, Token};
use crate::client::escape;
use crate::{render, terminal};

pub(super) async fn run(session: &Session, command: Account) -> Result<(), CommandError> {
    let client = &session.client;
    match command {
        Account::Create { handle, name, zone } => {
            let password = first_password(session)?;
            let body = json!({ "handle": handle, "display_name": name, "zone": zone, "password": password });
            let answer = client.post("/accounts", &body).await?;
            session.show(&answer, |answer| {
                render::line(format!(
                    "account {} is made ({})",
                    render::cell(answer, "handle"),
                    render::cell(answer, "id")
                ));
                if password.is_none() {
                    render::line(format!(
                        "It has no password, so nobody can sign in to it: `allod account set-password {handle}` sets one."
                    ));
                }
            });
        }
        Account::Change { handle, name, zone } => {
            let mut body = serde_json::Map::new();
            for (key, value) in [("display_name", name), ("zone", zone)] {
                body.extend(value.map(|value| (key.to_owned(), value.into())));
            }
            if body.is_empty() {
                return Err(CommandError::Usage(
                    "nothing to change: give --name or --zone".to_owned(),
                ));
            }
            let path = format!("/accounts/{}", escape(&handle));
            let answer = client.patch(&path, &body.into()).await?;
            session.show(&answer, |answer| {
                let cell = |path| render::cell(answer, path);
                render::line(format!(
                    "account {}: {}, {}",
                    cell("handle"),
                    cell("display_name"),
                    cell("zone")
                ));
            });
        }
        Account::List => {
            let answer = client.get("/accounts").await?;
            session.show(&answer, |answer| {
                let columns = [
                    ("HANDLE", "handle"),
                    ("NAME", "display_name"),
                    ("ZONE", "zone"),
                    ("ID", "id"),
                    ("SINCE", "created_at"),
                ];
                render::table(
                    answer,
                    &columns,
                    "no accounts yet: `allod account setup-link` prints where to make the first",
                );
            });
        }
        Account::SetupLink => {
            let answer = client.post("/accounts/setup-link", &json!({})).await?;
            session.show(&answer, |answer| render::line(render::cell(answer, "link")));
        }
        Account::SetPassword { handle } => {
            let secrets = super::connection::read_secrets(&["password".to_owned()])?;
            let path = format!("/accounts/{}/password", escape(&handle));
            client.put(&path, &json!({ "new": secrets["password"] })).await?;
            session.show(&json!({ "account": handle }), |_| {
                render::line("the password is set; other sign-ins have ended");
            });
        }
        Account::Erase { handle, yes } => {
            if !yes && !terminal::confirmed(&handle, &handle)? {
                return Err(CommandError::Failed("nothing was erased".to_owned()));
            }
            let answer = client
                .with_account(&handle)
                .delete(&format!("/accounts/{}", escape(&handle)))
                .await?;
            session.show(&answer, |answer| {
                render::line(format!("account {handle} is erased; rows removed, by table:"));
                for (table, count) in answer["rows"].as_object().into_iter().flatten() {
                    render::line(format!("  {table}: {count}"));
                }
            });
        }
    }
    Ok(())
}

/// Asked for at a terminal, twice; an empty one is none. Programs set it afterwards.
fn first_password(session: &Session) -> Result<Option<String>, CommandError> {
    if session.json || !terminal::is_there() {
        return Ok(None);
    }
    let ask = |what: &str| terminal::secret(what).map_err(|error| CommandError::Usage(error.to_string()));
    let password = ask("password, empty for none")?;
    if password.is_empty() {
        return Ok(None);
    }
    if ask("the same again")? != password {
        return Err(CommandError::Usage(
            "the two passwords differ; no account was made".to_owned(),
        ));
    }
    Ok(Some(password))
}

pub(super) async fn run_token(session: &Session, command: Token) -> Result<(), CommandError> {
    let client = &session.client;
    match command {
        Token::Create { kind, name } => {
            let answer = client
                .post("/tokens", &json!({ "kind": kind, "name": name }))
                .await?;
            session.show(&answer, |answer| {
                render::line(render::cell(answer, "secret"));
                render::line("This is shown once: store it now. Revoke it with `allod token revoke`.");
            });
        }
        Token::List => {
            let answer = client.get("/tokens").await?;
            session.show(&answer, |answer| {
                let columns = [
                    ("ID", "id"),
                    ("KIND", "kind"),
                    ("NAME", "name"),
                    ("SINCE", "created_at"),
                    ("REVOKED", "revoked_at"),
                ];
                render::table(
                    answer,
                    &columns,
                    "no tokens yet: `allod token create NAME` issues one",
                );
            });
        }
        Token::Revoke { id } => {
            let id = super::id::id("token", &id, "allod token list")?.to_owned();
            client.delete(&format!("/tokens/{id}")).await?;
            session.show(&json!({ "revoked": id }), |_| {
                render::line("the token is revoked");
            });
        }
    }
    Ok(())
}
