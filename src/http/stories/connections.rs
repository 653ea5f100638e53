//! What whoever opens connections may count on, and what not: over real sockets.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use super::*;

struct Door {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    /// Requests for `/counted` that were begun, and that were done with.
    counted: Arc<[AtomicUsize; 2]>,
}

async fn door(limits: Limits) -> Door {
    let counted = Arc::<[AtomicUsize; 2]>::default();
    let counts = counted.clone();
    let count = get(move || {
        let counts = counts.clone();
        async move {
            counts[0].fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            counts[1].fetch_add(1, Ordering::SeqCst);
        }
    });
    let public = OpenApiRouter::new()
        .route("/counted", count)
        .route("/who", get(async |peer: spine::edge::Peer| peer.to_string()))
        .route(
            "/slow",
            get(async || {
                tokio::time::sleep(Duration::from_millis(300)).await;
                "slow"
            }),
        );
    let service = Service {
        public,
        ..Service::default()
    };
    let (dir, edge) = hub_behind(vec![service], limits.proxies.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = edge.streams.clone();
    let serving = {
        let stop = stop.clone();
        tokio::spawn(async move {
            serve(listener, edge.network, limits, stop).await;
            drop(dir);
        })
    };
    Door {
        address,
        stop,
        serving,
        counted,
    }
}

fn limits() -> Limits {
    Limits {
        connections_max: 8,
        per_source_max: 3,
        head_deadline: Duration::from_millis(400),
        proxies: TrustedProxies::new(&["127.0.0.9/32".parse().unwrap()]),
    }
}

async fn connect(door: &Door, from: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    socket.connect(door.address).await.unwrap()
}

/// What comes back until the other end hangs up; nothing when it does so at once.
async fn ask(mut stream: TcpStream, path: &str, headers: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nhost: hub.example\r\nconnection: close\r\n{headers}\r\n");
    let mut answer = Vec::new();
    if stream.write_all(head.as_bytes()).await.is_ok() {
        let _ = stream.read_to_end(&mut answer).await;
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn who_stays_silent_or_says_half_a_head_is_hung_up_on() {
    let door = door(limits()).await;
    let mut half = connect(&door, [127, 0, 0, 2]).await;
    half.write_all(b"GET /who HTTP/1.1\r\nhost: ").await.unwrap();
    for mut stream in [half, connect(&door, [127, 0, 0, 2]).await] {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "the hub held the connection open");
    }
}

#[tokio::test]
async fn one_source_that_opens_many_connections_leaves_the_others_their_places() {
    let door = door(Limits {
        head_deadline: Duration::from_secs(60),
        ..limits()
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(connect(&door, [127, 0, 0, 2]).await);
    }
    assert_eq!(ask(connect(&door, [127, 0, 0, 2]).await, "/who", "").await, "");
    assert!(
        ask(connect(&door, [127, 0, 0, 3]).await, "/who", "")
            .await
            .ends_with("127.0.0.3")
    );
    held.pop();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let again = ask(connect(&door, [127, 0, 0, 2]).await, "/who", "").await;
    assert!(
        again.ends_with("127.0.0.2"),
        "a place that was left is free: {again}"
    );
}

#[tokio::test]
async fn many_sources_that_stay_silent_together_keep_nobody_out_and_who_is_answered_is_left_alone() {
    let door = door(Limits {
        head_deadline: Duration::from_secs(60),
        ..limits()
    })
    .await;
    // The longest there, of a source that holds as much as it may, and in the middle of an answer.
    let asked = connect(&door, [127, 0, 0, 2]).await;
    let asked = tokio::spawn(ask(asked, "/slow", ""));
    let mut held = Vec::new();
    for source in [2, 2, 3, 3, 3, 4] {
        held.push(connect(&door, [127, 0, 0, source]).await);
    }
    // The last place: one that asked, has its answer, and says no more.
    let mut idle = connect(&door, [127, 0, 0, 4]).await;
    let head = b"GET /who HTTP/1.1\r\nhost: hub.example\r\n\r\n";
    idle.write_all(head).await.unwrap();
    let mut answer = [0; 1024];
    assert!(idle.read(&mut answer).await.unwrap() > 0);

    // More come than are silent in the sources that hold most; each is answered and leaves.
    for newcomer in 10..20 {
        let answer = ask(connect(&door, [127, 0, 0, newcomer]).await, "/who", "").await;
        assert!(answer.ends_with(&format!("127.0.0.{newcomer}")), "{answer}");
        held.push(connect(&door, [127, 0, 0, newcomer]).await);
    }
    assert!(asked.await.unwrap().ends_with("slow"));
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), idle.read_to_end(&mut rest)).await;
    assert!(
        ended.is_ok(),
        "who was answered and is silent since has no right to stay"
    );
}

#[tokio::test]
async fn a_request_that_comes_just_when_its_place_is_given_away_is_done_or_not_begun() {
    let door = door(Limits {
        connections_max: 1,
        head_deadline: Duration::from_secs(60),
        ..limits()
    })
    .await;
    for _ in 0..30 {
        let mut idle = connect(&door, [127, 0, 0, 2]).await;
        let head = b"GET /who HTTP/1.1\r\nhost: hub.example\r\n\r\n";
        idle.write_all(head).await.unwrap();
        let mut answer = [0; 1024];
        assert!(idle.read(&mut answer).await.unwrap() > 0);
        // Nothing is awaited between the two, so that the hub learns of both at once.
        let newcomer = std::net::TcpStream::connect(door.address).unwrap();
        let head = b"GET /counted HTTP/1.1\r\nhost: hub.example\r\nconnection: close\r\n\r\n";
        assert_eq!(idle.try_write(head).unwrap(), head.len());
        let _ = idle.read_to_end(&mut Vec::new()).await; // an answer, or hung up
        newcomer.set_nonblocking(true).unwrap();
        ask(TcpStream::from_std(newcomer).unwrap(), "/who", "").await;
        let [begun, done] = &*door.counted;
        assert_eq!(begun.load(Ordering::SeqCst), done.load(Ordering::SeqCst));
    }
}

#[tokio::test]
async fn a_trusted_proxy_may_hold_many_connections_but_not_more_than_there_are() {
    let door = door(Limits {
        head_deadline: Duration::from_secs(60),
        ..limits()
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..7 {
        held.push(connect(&door, [127, 0, 0, 9]).await);
    }
    let claim = "x-forwarded-for: 192.0.2.77\r\n";
    let behind = ask(connect(&door, [127, 0, 0, 9]).await, "/who", claim).await;
    assert!(behind.ends_with("192.0.2.77"), "{behind}");
    held.push(connect(&door, [127, 0, 0, 9]).await);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ask(connect(&door, [127, 0, 0, 3]).await, "/who", "").await, "");
}

#[tokio::test]
async fn a_stop_answers_what_was_asked_and_hangs_up_on_who_asks_nothing() {
    let door = door(Limits {
        head_deadline: Duration::from_secs(60),
        ..limits()
    })
    .await;
    let silent = connect(&door, [127, 0, 0, 2]).await;
    let asked = tokio::spawn(ask(connect(&door, [127, 0, 0, 3]).await, "/slow", ""));
    tokio::time::sleep(Duration::from_millis(100)).await;
    door.stop.cancel();
    assert!(asked.await.unwrap().ends_with("slow"));
    let stopped = tokio::time::timeout(Duration::from_secs(5), door.serving).await;
    assert!(stopped.is_ok(), "a silent connection held the stop up");
    drop(silent);
}

#[test]
fn a_process_with_few_descriptors_keeps_some_for_its_database() {
    let connections = |descriptors| Limits::new(descriptors, TrustedProxies::default()).connections_max;
    assert_eq!(connections(1024), 768);
    assert_eq!(connections(1 << 20), 1024);
    assert_eq!(connections(64), 16);
}
