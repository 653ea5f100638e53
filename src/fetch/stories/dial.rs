//! Connections that aren't HTTP, by the same rules.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::tls::https_server;
use super::{allowing, fetch, loopback};
use crate::{Allowance, Failure, Fetch, FetchConfig};

async fn greeter() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _written = socket.write_all(b"* OK").await;
        }
    });
    port
}

#[tokio::test]
async fn an_address_inside_is_connected_to_only_where_its_range_is_allowed() {
    let port = greeter().await;
    for host in ["127.0.0.1", "localhost", "127.1", "[::ffff:127.0.0.1]"] {
        let refused = fetch().dial(host, port, &Allowance::default()).await.unwrap_err();
        assert_eq!(refused.failure(), Failure::AddressDenied, "{host}");
    }
    let other = fetch()
        .dial("127.0.0.1", port, &allowing(&["10.0.0.0/8"]))
        .await
        .unwrap_err();
    assert_eq!(other.failure(), Failure::AddressDenied);
    let mut stream = fetch().dial("127.0.0.1", port, &loopback()).await.unwrap();
    let mut said = [0; 4];
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"* OK");
    let refused = fetch().dial("no host", port, &loopback()).await.unwrap_err();
    assert_eq!(refused.failure(), Failure::BadUrl);
}

#[tokio::test]
async fn tls_is_spoken_only_with_a_server_that_proves_to_be_the_host() {
    let (url, authority) = https_server().await;
    let port: u16 = url
        .trim_end_matches('/')
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let config = FetchConfig {
        extra_ca_pem: vec![authority],
        ..FetchConfig::default()
    };
    let trusting = Fetch::new(config).unwrap();
    for (client, host, trusted) in [
        (&trusting, "localhost", true),
        (&trusting, "127.0.0.1", false),
        (&fetch(), "localhost", false),
    ] {
        let stream = client.dial("127.0.0.1", port, &loopback()).await.unwrap();
        match client.secure(host, stream, &loopback()).await {
            Ok(_) => assert!(trusted, "{host}"),
            Err(error) => assert_eq!((trusted, error.failure()), (false, Failure::Tls), "{host}"),
        }
    }
}
