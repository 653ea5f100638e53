//! The CLI's side of the control socket: HTTP over a unix socket in the data directory.
//!
//! Invariant: commands never touch the database; what they can do, `/api/v1` can do. (`demo --check` alone looks into the
//! database of the hub that it started itself: `demo/leftovers.rs`.)

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use contracts::Problem;
use http::{Method, Request, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

/// Why a command failed; what is printed after `error:`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// No hub answers.
    #[error("no hub is running on {0}\n  hint: start it with `allod serve`, or name its --data-dir")]
    NotRunning(String),
    /// The hub's socket belongs to somebody else.
    #[error(
        "the control socket {0} may not be used by this user\n  hint: run this as the hub's user, or as root"
    )]
    Forbidden(String),
    /// The connection broke.
    #[error("the hub did not answer: {0}")]
    Broken(String),
    /// The hub refused.
    #[error("{}", told(.0))]
    Refused(Box<Problem>),
}

fn told(problem: &Problem) -> String {
    let detail = problem.detail.as_deref().unwrap_or(&problem.title);
    let detail = detail.replace(REMOVAL, REMOVAL_COMMANDS);
    match &problem.hint {
        Some(hint) => format!("{detail}\n  hint: {}", in_command_words(hint)),
        None => detail,
    }
}

/// How to take a relation away, as refusals name it among other words.
const REMOVAL: &str = "(DELETE /relations/{id})";
const REMOVAL_COMMANDS: &str =
    "(`allod relation list ENTITY` shows it, `allod relation remove ID` removes it)";

/// Hints are written for whoever uses the API; these few name something that is called otherwise here.
/// `{}` stands for what both name, such as an id.
const WORDS: [(&str, &str); 15] = [
    (
        "GET /jobs/{} tells how far it is",
        "`allod job show {}` tells how far it is",
    ),
    (
        "POST /tasks/{}/reopen opens it again first",
        "`allod task reopen {}` opens it again first",
    ),
    (
        "PATCH /goals/{} with the status needs-action opens it again first",
        "`allod goal reopen {}` opens it again first",
    ),
    (
        "give `recurrence` as well: it then counts anew from there",
        "give --repeat as well: it then counts anew from there",
    ),
    (
        "POST /entities/{}/restore takes that back",
        "`allod entity restore {}` takes that back",
    ),
    (
        "leave it out, or take the other dependence away first (DELETE /relations/{id})",
        "leave it out, or take the other dependence away first: `allod relation list TASK` shows it, `allod relation \
         remove ID` removes it",
    ),
    (
        "set when it is due instead",
        "`allod task edit ID --due TIME` sets when it is due instead",
    ),
    (
        "change that one (PATCH /entities/{id}), or make another one with \"anyway\": true and be asked whether they are the same",
        "`allod entity edit` changes that one; --anyway adds another one, and `allod merges list` then asks whether they are the same",
    ),
    (
        "GET /rules lists yours and those that come with the hub",
        "`allod rule list` lists yours and those that come with the hub",
    ),
    (
        "/api/v1/openapi.json lists what there is",
        "`allod --help` lists what there is; the hub may be older than this command",
    ),
    (
        "/api/v1/openapi.json lists what is",
        "`allod --help` lists what there is; the hub may be older than this command",
    ),
    (
        "address your own Person as /entities/me",
        "`allod entity show me` is your own Person; who has none makes an account first: `allod account create NAME`",
    ),
    (
        "name the account: header Allod-Account, or --account on the command line",
        "name the account with --account; `allod account list` shows them, `allod account create NAME` makes one",
    ),
    (
        "sign in (POST /api/v1/sessions), or use the allod command on the hub's machine",
        "use the allod command on the hub's machine",
    ),
    (
        "resume it; that asks its provider, too",
        "`allod connection resume` lets it go on, and asks its provider, too",
    ),
];

fn in_command_words(hint: &str) -> Cow<'_, str> {
    for (api, command) in WORDS {
        match api.split_once("{}") {
            None if api == hint => return command.into(),
            None => {}
            Some((head, tail)) => {
                let named = hint.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail));
                if let Some(named) = named {
                    return command.replace("{}", named).into();
                }
            }
        }
    }
    hint.into()
}

/// A body that is sent piece by piece.
pub(crate) type Upload = BoxBody<Bytes, std::io::Error>;

/// Speaks to the hub of one data directory, for one account.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    socket: PathBuf,
    account: Option<String>,
}

impl Client {
    pub(crate) fn new(socket: PathBuf, account: Option<String>) -> Self {
        Self { socket, account }
    }

    /// The same hub, another account.
    pub(crate) fn with_account(&self, account: &str) -> Self {
        Self {
            socket: self.socket.clone(),
            account: Some(account.to_owned()),
        }
    }

    /// The account that was named.
    pub(crate) fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.call(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.call(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value, ClientError> {
        self.call(Method::DELETE, path, None).await
    }

    /// Sends a file or receives one, without holding it. What is refused is an error here, too.
    pub(crate) async fn stream(
        &self,
        method: Method,
        path: &str,
        upload: Option<Upload>,
    ) -> Result<Incoming, ClientError> {
        let broken = |error: hyper::Error| ClientError::Broken(error.to_string());
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::HOST, "control")
            .header(header::CONTENT_TYPE, "application/octet-stream");
        if let Some(account) = &self.account {
            request = request.header("allod-account", account);
        }
        let nothing = || Empty::new().map_err(|never| match never {}).boxed();
        let request = request
            .body(upload.unwrap_or_else(nothing))
            .map_err(|error| ClientError::Broken(format!("the request can't be made: {error}")))?;
        let stream = connect(&self.socket).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let bytes = response.into_body().collect().await.map_err(broken)?.to_bytes();
        let problem = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Problem::new(status, String::from_utf8_lossy(&bytes)));
        Err(ClientError::Refused(Box::new(problem)))
    }

    /// A path below `/api/v1`, or from the root when it begins with two slashes.
    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ClientError> {
        let path = path
            .strip_prefix('/')
            .filter(|rest| rest.starts_with('/'))
            .map_or_else(|| format!("/api/v1{path}"), ToOwned::to_owned);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "control");
        if let Some(account) = &self.account {
            request = request.header("allod-account", account);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let bytes = body.map(ToString::to_string).unwrap_or_default();
        let request = request
            .body(Full::new(Bytes::from(bytes)))
            .map_err(|error| ClientError::Broken(format!("the request can't be made: {error}")))?;
        let (status, bytes) = self.exchange(request).await?;
        let value = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()))
        };
        if status.is_success() {
            return Ok(value);
        }
        let problem = serde_json::from_value(value.clone())
            .unwrap_or_else(|_| Problem::new(status, value.as_str().unwrap_or_default()));
        Err(ClientError::Refused(Box::new(problem)))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), ClientError> {
        let broken = |error: hyper::Error| ClientError::Broken(error.to_string());
        let stream = connect(&self.socket).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(broken)?;
        Ok((status, body.to_bytes()))
    }
}

async fn connect(socket: &Path) -> Result<UnixStream, ClientError> {
    let shown = || socket.parent().unwrap_or(socket).display().to_string();
    UnixStream::connect(socket)
        .await
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => ClientError::Forbidden(socket.display().to_string()),
            std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
                ClientError::NotRunning(shown())
            }
            _ => ClientError::Broken(error.to_string()),
        })
}

/// Escapes a value for a path segment or a query.
pub(crate) fn escape(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_commands_and_no_routes() {
        for (api, _) in WORDS {
            let shown = told(&Problem::not_found("no").hint(api.replace("{}", "0197")));
            let routes = [
                "GET /",
                "POST /",
                "PATCH /",
                "DELETE /",
                "/api/",
                "/entities",
                "header ",
            ];
            assert!(routes.iter().all(|route| !shown.contains(route)), "{shown}");
        }
        let restore = told(&Problem::not_found("no").hint("POST /entities/0197/restore takes that back"));
        assert!(
            restore.ends_with("hint: `allod entity restore 0197` takes that back"),
            "{restore}"
        );
        let ring = told(&Problem::unprocessable(
            "it would close a ring; take that away first (DELETE /relations/{id}), or leave this one out",
        ));
        assert!(
            ring.contains("`allod relation remove ID`") && !ring.contains("DELETE"),
            "{ring}"
        );
        let other = told(&Problem::not_found("no").hint("choose another handle"));
        assert!(other.ends_with("hint: choose another handle"));
    }
}
