//! Certificates: who is trusted, on both ways to TLS.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;

use super::{Alice, Dovecot, hub, mail, services};

/// A server for the name `localhost`, and the authority that signed for it.
fn server() -> (Dovecot, Vec<u8>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let server = Dovecot::start_with(Some((&certificate.pem(), &key.serialize_pem())));
    server.deliver("INBOX", &mail(1), "S");
    (server, authority.pem().into_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_proves_who_it_is_is_read_by_both_ways_of_tls() {
    let (server, authority) = server();
    let hub = spine::testing::hub(|context| {
        let mut settings = context.settings.as_ref().clone();
        settings.extra_ca_pem = vec![authority];
        services(&spine::Context {
            settings: Arc::new(settings),
            ..context.clone()
        })
    })
    .await;
    for (tls, port) in [("implicit", server.tls_port), ("starttls", server.port)] {
        let alice = Alice::new(&hub);
        let connection = alice
            .connect(&server, json!({ "host": "localhost", "tls": tls, "port": port }))
            .await;
        alice.until_read(&connection).await;
        assert_eq!(alice.mails().await.len(), 1, "{tls}");
    }
    assert_eq!(
        server.log().matches(", TLS, ").count(),
        server.log().matches("Login: ").count(),
        "{}",
        server.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_nobody_vouches_for_gets_no_password() {
    let (server, _) = server();
    let hub = hub().await;
    for (tls, port) in [("implicit", server.tls_port), ("starttls", server.port)] {
        let alice = Alice::new(&hub);
        let connection = alice
            .connect(&server, json!({ "host": "localhost", "tls": tls, "port": port }))
            .await;
        let shown = alice
            .until("it failed", &connection, |shown| shown["health"] == "retrying")
            .await;
        assert_eq!(
            shown["reason"], "the mail server can't be reached: the TLS handshake failed",
            "{tls}"
        );
    }
    assert!(!server.log().contains("user=<alice>"), "{}", server.log());
}
