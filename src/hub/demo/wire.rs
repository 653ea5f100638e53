//! Plain HTTP to an address on this machine, as a phone and a provider speak to the hub.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, Mac};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use sha1::Sha1;

use super::DemoError;

/// An answer: status and text.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

/// Sends a request over a connection of its own.
pub(super) async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> Result<Answer, DemoError> {
    let failed =
        |error: &dyn std::fmt::Display| DemoError::new(format!("http://{address} does not answer: {error}"));
    let stream = tokio::net::TcpStream::connect(address)
        .await
        .map_err(|error| failed(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(&error))?;
    tokio::spawn(connection);
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| failed(&error))?;
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(|error| failed(&error))?
        .to_bytes();
    Ok(Answer {
        status,
        text: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// A form, signed as Twilio signs: over the public URL and the sorted parameters, with the connection's token.
pub(super) fn signed_form(
    public_url: &str,
    path: &str,
    token: &str,
    parameters: &[(&str, String)],
) -> Result<Request<Full<Bytes>>, DemoError> {
    let mut sorted: Vec<_> = parameters.iter().collect();
    sorted.sort();
    let signed = sorted
        .iter()
        .fold(format!("{public_url}{path}"), |text, (key, value)| {
            text + *key + value.as_str()
        });
    let mut mac = <Hmac<Sha1> as Mac>::new_from_slice(token.as_bytes())
        .map_err(|error| DemoError::new(error.to_string()))?;
    mac.update(signed.as_bytes());
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters.iter().map(|(key, value)| (*key, value.as_str())))
        .finish();
    Request::builder()
        .method("POST")
        .uri(path)
        .header("host", "behind-a-proxy.invalid")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-twilio-signature", STANDARD.encode(mac.finalize().into_bytes()))
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| DemoError::new(error.to_string()))
}

/// What a phone with OwnTracks posts.
pub(super) fn position(token: &str, body: &serde_json::Value) -> Result<Request<Full<Bytes>>, DemoError> {
    Request::builder()
        .method("POST")
        .uri("/device-events")
        .header("host", "hub")
        .header("content-type", "application/json")
        .header(
            "authorization",
            format!("Basic {}", STANDARD.encode(format!("phone:{token}"))),
        )
        .body(Full::new(Bytes::from(body.to_string())))
        .map_err(|error| DemoError::new(error.to_string()))
}
