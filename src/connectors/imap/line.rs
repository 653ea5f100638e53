//! A connection to a mail server that is signed in, and the questions that it is asked.
//!
//! Invariant: each question has an end: in time, in bytes, and by the server's own word that it was answered. An answer
//! that wasn't said to be complete is none. Begin with [`Line::open`] and [`Line::ask`].

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_imap::error::Error;
use async_imap::imap_proto::{Capability, Response, ResponseCode, Status};
use async_imap::{Authenticator, Client, Session};
use fetch::{Allowance, Failure, Fetch, FetchError, Limits};
use spine::ports::SyncError;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::settings::{Settings, Tls};

/// For a word and its answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// What an answer without mails may have.
pub(super) const TALK_BYTES: u64 = 32 * 1024 * 1024;
/// Many servers lock a mailbox after some wrong passwords.
pub(super) const REFUSED: &str = "the mail server refused the user name or the password; the same ones are not tried again within the hour";
const CONNECT_TIME: Duration = Duration::from_secs(15);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync + fmt::Debug {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync + fmt::Debug> Stream for T {}

/// A stream of which no more is read than an answer may have.
#[derive(Debug)]
pub(super) struct Metered {
    stream: Box<dyn Stream>,
    left: u64,
}

impl Metered {
    fn new(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            left: TALK_BYTES,
        }
    }

    /// So much may be read from now on.
    pub(super) fn meter(&mut self, bytes: u64) {
        self.left = bytes;
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "a longer answer than expected",
            )));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let read = buf.filled().len().saturating_sub(before);
        self.left = self.left.saturating_sub(read as u64);
        polled
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Signed in.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) session: Session<Metered>,
    /// What the server can beside IMAP4rev1, in upper case.
    pub(super) can: Vec<String>,
}

impl Line {
    /// Connects and signs in.
    pub(super) async fn open(fetch: &Fetch, settings: &Settings) -> Result<Self, SyncError> {
        let opening = async {
            let (client, can) = greeted(fetch, settings).await?;
            let session = signed_in(client, &can, settings).await?;
            Ok(Self {
                session,
                can: Vec::new(),
            })
        };
        let mut line = in_time(2 * PATIENCE, opening).await?;
        let mut can = Vec::new();
        line.ask("CAPABILITY", TALK_BYTES, PATIENCE, |response| {
            if let Response::Capabilities(list) = response {
                can = list.iter().map(word).collect();
            }
        })
        .await?;
        line.can = can;
        Ok(line)
    }

    pub(super) fn can(&self, what: &str) -> bool {
        self.can.iter().any(|one| one == what)
    }

    /// Asks, and gives each answer to `take` until the server says that it was all.
    pub(super) async fn ask(
        &mut self,
        question: &str,
        bytes: u64,
        patience: Duration,
        take: impl FnMut(&Response<'_>) + Send,
    ) -> Result<(), SyncError> {
        match self.ask_for(question, bytes, patience, take).await? {
            true => Ok(()),
            false => Err(SyncError::transient("the mail server refused a question")),
        }
    }

    /// As [`Line::ask`]; false: the server refused.
    pub(super) async fn ask_for(
        &mut self,
        question: &str,
        bytes: u64,
        patience: Duration,
        mut take: impl FnMut(&Response<'_>) + Send,
    ) -> Result<bool, SyncError> {
        self.session.get_mut().meter(bytes);
        let asking = async {
            let asked = self.session.run_command(question).await.map_err(broken)?;
            while let Some(answer) = self
                .session
                .read_response()
                .await
                .map_err(|error| broken(error.into()))?
            {
                match answer.parsed() {
                    Response::Done { tag, status, .. } if *tag == asked => return Ok(*status == Status::Ok),
                    Response::Data {
                        status: Status::Bye, ..
                    } => break,
                    other => take(other),
                }
            }
            Err(SyncError::transient("the mail server hung up"))
        };
        in_time(patience, asking).await
    }
}

/// The server's greeting is read, and TLS spoken as configured.
async fn greeted(fetch: &Fetch, settings: &Settings) -> Result<(Client<Metered>, Vec<String>), SyncError> {
    let allowance = Allowance {
        ranges: settings.ranges.clone(),
        limits: Limits {
            connect_timeout: CONNECT_TIME,
            ..Limits::default()
        },
        ..Allowance::default()
    };
    let stream = fetch
        .dial(&settings.host, settings.port, &allowance)
        .await
        .map_err(unreached)?;
    if settings.tls == Tls::None && stream.peer_addr().is_ok_and(|peer| fetch::is_public(peer.ip())) {
        let reason =
            "without TLS the password would be read by others on the way: set `tls` to implicit or starttls";
        return Err(SyncError::Configuration(reason.to_owned()));
    }
    match settings.tls {
        Tls::None => greeting(Client::new(Metered::new(stream))).await,
        Tls::Implicit => {
            let stream = fetch
                .secure(&settings.host, stream, &allowance)
                .await
                .map_err(unreached)?;
            greeting(Client::new(Metered::new(stream))).await
        }
        Tls::Explicit => {
            let mut client = Client::new(stream);
            client
                .read_response()
                .await
                .map_err(|error| broken(error.into()))?;
            let begun = client.run_command_and_check_ok("STARTTLS", None).await;
            begun.map_err(|error| match error {
                Error::No(_) | Error::Bad(_) => SyncError::Configuration(
                    "the mail server speaks no STARTTLS: set `tls` to implicit".to_owned(),
                ),
                other => broken(other),
            })?;
            // What came before TLS isn't looked at: anybody could have said it.
            let stream = fetch
                .secure(&settings.host, client.into_inner(), &allowance)
                .await;
            Ok((Client::new(Metered::new(stream.map_err(unreached)?)), Vec::new()))
        }
    }
}

async fn greeting(mut client: Client<Metered>) -> Result<(Client<Metered>, Vec<String>), SyncError> {
    let greeting = client
        .read_response()
        .await
        .map_err(|error| broken(error.into()))?;
    let mut can = Vec::new();
    match greeting.as_ref().map(|greeting| greeting.parsed()) {
        Some(Response::Data {
            status: Status::Ok,
            outcome,
        }) => {
            if let Some(ResponseCode::Capabilities(list)) = &outcome.code {
                can = list.iter().map(word).collect();
            }
        }
        _ => {
            return Err(SyncError::transient(
                "the mail server doesn't take connections now",
            ));
        }
    }
    Ok((client, can))
}

fn word(capability: &Capability<'_>) -> String {
    match capability {
        Capability::Imap4rev1 => "IMAP4REV1".to_owned(),
        Capability::Auth(how) => format!("AUTH={}", how.to_ascii_uppercase()),
        Capability::Atom(what) => what.to_ascii_uppercase(),
    }
}

/// RFC 4616: a user's name and password, in UTF-8.
struct Plain<'a>(&'a Settings);

impl Authenticator for Plain<'_> {
    type Response = String;

    fn process(&mut self, _: &[u8]) -> String {
        format!("\0{}\0{}", self.0.user, *self.0.password)
    }
}

async fn signed_in(
    client: Client<Metered>,
    can: &[String],
    settings: &Settings,
) -> Result<Session<Metered>, SyncError> {
    let is_ascii = settings.user.is_ascii() && settings.password.is_ascii();
    let by_plain = !is_ascii || can.iter().any(|one| one == "AUTH=PLAIN");
    let signed_in = if by_plain {
        client.authenticate("PLAIN", Plain(settings)).await
    } else if can.iter().any(|one| one == "LOGINDISABLED") {
        let reason = "the mail server takes no password on this way: set `tls` to implicit or starttls";
        return Err(SyncError::Configuration(reason.to_owned()));
    } else {
        client.login(&settings.user, &*settings.password).await
    };
    signed_in.map_err(|(error, _)| refused(error))
}

/// Words of RFC 5530 and of servers, by which a refusal says that it isn't about the password.
const FOR_NOW: [&str; 6] = [
    "unavailable",
    "inuse",
    "[limit]",
    "too many",
    "temporar",
    "try again",
];

fn refused(error: Error) -> SyncError {
    match error {
        Error::No(said) | Error::Bad(said) => {
            let said = said.to_lowercase();
            if FOR_NOW.iter().any(|word| said.contains(word)) {
                SyncError::transient("the mail server lets nobody sign in now")
            } else {
                SyncError::Refused(REFUSED.to_owned())
            }
        }
        other => broken(other),
    }
}

fn unreached(error: FetchError) -> SyncError {
    let failure = error.failure();
    match failure {
        Failure::AddressDenied => SyncError::Configuration(
            "the mail server's address is not public: allow its range for this connection".to_owned(),
        ),
        Failure::BadUrl => SyncError::Configuration("`host` is no name of a server".to_owned()),
        _ => SyncError::transient(format!("the mail server can't be reached: {failure}")),
    }
}

fn broken(error: Error) -> SyncError {
    SyncError::transient(match error {
        Error::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            "the mail server answers without end"
        }
        Error::Io(error) if error.kind() == io::ErrorKind::Other => {
            "the mail server answered something that can't be understood"
        }
        _ => "the connection to the mail server broke",
    })
}

async fn in_time<T>(
    patience: Duration,
    asking: impl Future<Output = Result<T, SyncError>>,
) -> Result<T, SyncError> {
    match tokio::time::timeout(patience, asking).await {
        Ok(answered) => answered,
        Err(_) => Err(SyncError::transient("the mail server doesn't answer in time")),
    }
}
