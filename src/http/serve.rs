//! Serving connections from the network: each has a deadline for saying what it wants, and their number has an end.
//!
//! Invariant: a stranger who opens connections and stays silent takes neither the descriptors that the database and
//! the control socket need nor the places of other sources; what can't be accepted is waited out, never spun on.
//! Begin with [`serve`].

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use spine::edge::Peer;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

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
                    let conversation =
                        converse(stream, peer, router.clone(), limits.head_deadline, stop.clone());
                    connections.spawn(async move {
                        conversation.await;
                        drop(place);
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
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
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
) {
    // Small answers leave at once; a socket that can't do that is served all the same.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            Ok::<_, Infallible>(
                router
                    .oneshot(request)
                    .await
                    .unwrap_or_else(|never| match never {}),
            )
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

/// The connections that are open, in all and by source.
#[derive(Debug, Clone, Default)]
struct Open(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_source: HashMap<String, usize>,
}

/// One connection's place; dropping it frees it.
#[derive(Debug)]
struct Place {
    open: Open,
    source: Option<String>,
}

impl Open {
    fn take(&self, limits: &Limits, address: IpAddr) -> Option<Place> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.all >= limits.connections_max {
            return None;
        }
        let source = (!limits.proxies.holds(address)).then(|| Peer(Some(address)).limit_key());
        if let Some(source) = &source {
            let own = counts.by_source.entry(source.clone()).or_default();
            if *own >= limits.per_source_max {
                return None;
            }
            *own += 1;
        }
        counts.all += 1;
        Some(Place {
            open: self.clone(),
            source,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.open.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all = counts.all.saturating_sub(1);
        let Some(source) = &self.source else { return };
        if let Some(own) = counts.by_source.get_mut(source) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                counts.by_source.remove(source);
            }
        }
    }
}
