//! TLS: who is trusted, and that a failed handshake sent nothing.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::servers::{Trick, misbehaving};
use super::{allowing, fetch, get, loopback};
use crate::{Allowance, Class, Failure, Fetch, FetchConfig, Reached, Request};

/// An https server on loopback for the name `localhost`; gives its URL and the authority that signed for it.
pub(super) async fn https_server() -> (String, Vec<u8>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.into()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(socket).await {
                let mut head = [0; 1024];
                let _read = stream.read(&mut head).await;
                let _written = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
                    .await;
            }
        }
    });
    (url, authority.pem().into_bytes())
}

fn https_only(allowance: Allowance) -> Allowance {
    Allowance {
        plain_http: false,
        ..allowance
    }
}

#[tokio::test]
async fn an_authority_from_the_configuration_is_trusted_and_an_unknown_one_is_not() {
    let (url, authority) = https_server().await;
    let config = FetchConfig {
        extra_ca_pem: vec![authority],
        ..FetchConfig::default()
    };
    let trusting = Fetch::new(config).unwrap();
    let allowance = https_only(loopback());
    let answer = trusting
        .send(Request::get(&url).unwrap(), &allowance)
        .await
        .unwrap();
    assert_eq!(answer.text(), "hello");

    let error = get(&url, &allowance).await.unwrap_err();
    assert_eq!(error.failure(), Failure::Tls);
    assert_eq!((error.reached(), error.class()), (Reached::No, Class::Protocol));

    let by_address = url.replace("localhost", "127.0.0.1");
    let error = trusting
        .send(Request::get(&by_address).unwrap(), &allowance)
        .await
        .unwrap_err();
    assert_eq!(
        error.failure(),
        Failure::Tls,
        "the certificate is for another name"
    );
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_gets_nothing_of_the_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _written = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _read = socket.read_to_end(&mut Vec::new()).await;
        }
    });
    let error = get(&url, &https_only(loopback())).await.unwrap_err();
    assert_eq!((error.failure(), error.reached()), (Failure::Tls, Reached::No));
}

#[tokio::test]
async fn a_handshake_that_never_ends_runs_into_the_connect_time_and_is_unsent() {
    let (url, _) = misbehaving(Trick::Hang).await;
    let url = url.replace("http:", "https:");
    let mut allowance = https_only(allowing(&["127.0.0.0/8"]));
    allowance.limits.total_timeout = loopback().limits.total_timeout;
    let error = fetch()
        .send(Request::get(&url).unwrap(), &allowance)
        .await
        .unwrap_err();
    assert_eq!(error.failure(), Failure::ConnectTimeout);
    assert_eq!((error.reached(), error.class()), (Reached::No, Class::Transient));
}
