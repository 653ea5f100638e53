//! Serving connections from the network: each has a deadline for saying what it wants, and their number has an end.
//!
//! Invariant: strangers who open connections and stay silent take neither the descriptors that the database and the
//! control socket need nor the places of other sources, however many strangers there are: when the door is full, who
//! comes takes the place of one that is silent. What can't be accepted is waited out, never spun on.
//! Begin with [`serve`].

mod open;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use self::open::{Open, Place, Speaking};
use crate::TrustedProxies;

/// Connections at once, when there are descriptors for as many.
const CONNECTIONS_MAX: usize = 1024;
/// Descriptors that are kept for the database, the control socket, files and outgoing requests.
const DESCRIPTORS_KEPT: u64 = 256;
/// A request's head must be there so long after the connection, or the answer before, began.
const HEAD_DEADLINE: Duration = Duration::from_secs(15);
/// Accepting goes on after this when it failed, such as for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How much a door takes.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once, over all sources.
    pub connections_max: usize,
    /// Connections at once of one source; a trusted proxy is none.
    pub per_source_max: usize,
    /// For a request's head.
    pub head_deadline: Duration,
    /// Those who speak for many.
    pub proxies: TrustedProxies,
}

impl Limits {
    /// What suits a process that may open so many descriptors.
    pub fn new(descriptors: u64, proxies: TrustedProxies) -> Self {
        let spare = usize::try_from(descriptors.saturating_sub(DESCRIPTORS_KEPT)).unwrap_or(usize::MAX);
        let connections_max = spare.clamp(16, CONNECTIONS_MAX);
        Self {
            connections_max,
            per_source_max: connections_max / 4,
            head_deadline: HEAD_DEADLINE,
            proxies,
        }
    }
}

/// Serves until `stop`, then lets what was begun be answered. Dropping the future ends all connections.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let open = Open::default();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match open.take(&limits, peer.ip().to_canonical()) {
                Some(place) => {
                    let (router, deadline, stop) = (router.clone(), limits.head_deadline, stop.clone());
                    connections.spawn(async move {
                        tokio::select! {
                            () = place.wanted() => {} // by somebody who says something
                            () = converse(stream, peer, router, deadline, stop, place.clone()) => {}
                        }
                    });
                }
                None => metrics::counter!("allod_http_connections_refused_total").increment(1),
            },
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The other end went away between knocking and being let in.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    head_deadline: Duration,
    stop: CancellationToken,
    place: Arc<Place>,
) {
    // Small answers leave at once; a socket that can't do that is served all the same.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let (router, speaking) = (router.clone(), place.speak());
        async move {
            // Hung up without an answer, as if it had come a moment later: whoever asked may ask again.
            let speaking = speaking.ok_or_else(|| io::Error::other("somebody else has its place"))?;
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let answer = router.oneshot(request).await;
            let answer = answer.unwrap_or_else(|never| match never {});
            Ok::<_, io::Error>(answer.map(|body| Spoken {
                body,
                _speaking: speaking,
            }))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_deadline)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended before its time");
    }
}

/// An answer's body: as long as it lives, the connection isn't silent.
struct Spoken {
    body: Body,
    _speaking: Speaking,
}

impl hyper::body::Body for Spoken {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
