//! Servers for the stories: well-behaved ones that remember what they saw, and ones that misbehave by script.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::serve::Listener;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a server saw of one request.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

/// A server that remembers. `/to?status=S&url=U` redirects, `/loop` redirects to itself, `/bytes?n=N` answers N
/// bytes, anything else answers `hello`.
#[derive(Clone, Default)]
pub(super) struct Server {
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    address: Option<SocketAddr>,
}

impl Server {
    /// Serves on a free port of this loopback address until the test ends.
    pub(super) async fn start(ip: &str) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        Self::serve(listener).await
    }

    pub(super) async fn serve(listener: TcpListener) -> Self {
        let server = Self {
            address: Some(listener.local_addr().unwrap()),
            ..Self::default()
        };
        let app = Router::new().fallback(any(answer)).with_state(server.clone());
        let counting = Counting {
            listener,
            connections: Arc::clone(&server.connections),
        };
        tokio::spawn(async move { axum::serve(counting, app).await });
        server
    }

    pub(super) fn port(&self) -> u16 {
        self.address.unwrap().port()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address.unwrap())
    }

    /// The address on this server that redirects to `target`.
    pub(super) fn redirect(&self, status: u16, target: &str) -> String {
        let target: String = url::form_urlencoded::byte_serialize(target.as_bytes()).collect();
        self.url(&format!("/to?status={status}&url={target}"))
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn answer(State(server): State<Server>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let url = url::Url::parse(&format!("http://x{}", parts.uri)).unwrap();
    server.seen.lock().unwrap().push(Seen {
        method: parts.method,
        path: url.path().to_owned(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let field = |name: &str| {
        url.query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    match url.path() {
        "/to" => {
            let status: u16 = field("status").unwrap().parse().unwrap();
            (
                StatusCode::from_u16(status).unwrap(),
                [(header::LOCATION, field("url").unwrap())],
            )
                .into_response()
        }
        "/loop" => (StatusCode::FOUND, [(header::LOCATION, "/loop")]).into_response(),
        "/bytes" => vec![b'x'; field("n").unwrap().parse().unwrap()].into_response(),
        "/close" => ([(header::CONNECTION, "close")], "hello").into_response(),
        "/missing" => StatusCode::NOT_FOUND.into_response(),
        _ => "hello".into_response(),
    }
}

struct Counting {
    listener: TcpListener,
    connections: Arc<AtomicUsize>,
}

impl Listener for Counting {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let accepted = Listener::accept(&mut self.listener).await;
        self.connections.fetch_add(1, Ordering::SeqCst);
        accepted
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// What a misbehaving server does with each connection, after it has read the head of a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trick {
    /// Says nothing, and keeps the connection open.
    Hang,
    /// Closes at once, with bytes unread: the peer gets a reset.
    Reset,
    /// Writes these bytes, then closes.
    Say(&'static str),
    /// Writes the first bytes, then one byte of the second every 20 ms for ever.
    Drip(&'static str, u8),
    /// Writes the bytes, then `x` for as long as somebody reads.
    Flood(&'static str),
}

/// Starts a misbehaving server on loopback; gives its URL and the count of its connections.
pub(super) async fn misbehaving(trick: Trick) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(play(socket, trick));
        }
    });
    (url, count)
}

async fn play(mut socket: TcpStream, trick: Trick) {
    if matches!(trick, Trick::Reset) {
        // One byte of the request is taken and the rest left, so that closing sends a reset.
        let _taken = socket.read_u8().await;
        return;
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    match trick {
        Trick::Hang | Trick::Reset => std::future::pending().await,
        Trick::Say(text) => drop(socket.write_all(text.as_bytes()).await),
        Trick::Drip(text, byte) => {
            let mut written = socket.write_all(text.as_bytes()).await;
            while written.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                written = socket.write_all(&[byte]).await;
            }
        }
        Trick::Flood(text) => {
            let mut written = socket.write_all(text.as_bytes()).await;
            while written.is_ok() {
                written = socket.write_all(&[b'x'; 4096]).await;
            }
        }
    }
}
