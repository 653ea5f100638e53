//! Who is at the other end: the socket's peer, or whom a trusted proxy names.
//!
//! Invariant: `X-Forwarded-For` is believed from the ranges of `trusted_proxies` alone, and from right to left: what a
//! client wrote itself stands to the left of what the proxy added.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;
use spine::edge::Peer;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address ranges of the owner's proxies. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// These ranges and no others: loopback is not implied.
    pub fn new(ranges: &[IpNet]) -> Self {
        Self(ranges.into())
    }

    /// True if that address may say for whom it speaks.
    pub(crate) fn holds(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(&address.to_canonical()))
    }

    /// The right-most address that is no trusted proxy. What can't be read ends the search at the proxy before it.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let claims = headers.get_all(FORWARDED_FOR).iter().collect::<Vec<_>>();
        let claims = claims.iter().rev().flat_map(|line| {
            let line = line.to_str().unwrap_or_default();
            line.rsplit(',').map(str::trim)
        });
        for claim in claims {
            if !self.holds(client) {
                break;
            }
            let Some(address) = address(claim) else { break };
            client = address;
        }
        client
    }
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let ip: Result<IpAddr, _> = bare.unwrap_or(text).parse();
    ip.or_else(|_| text.parse().map(|with_port: SocketAddr| with_port.ip()))
        .ok()
        .map(|ip| ip.to_canonical())
}

/// Puts the client's address where [`Peer`] finds it.
pub(crate) async fn identify(
    State(proxies): State<TrustedProxies>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Peer(Some(peer)) = Peer::of_socket(request.extensions()) {
        let client = proxies.client(peer, request.headers());
        request.extensions_mut().insert(Peer(Some(client)));
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str]) -> String {
        let proxies =
            TrustedProxies::new(&["127.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn a_stranger_says_in_vain_for_whom_it_speaks() {
        assert_eq!(client("192.0.2.9", &["198.51.100.1"]), "192.0.2.9");
        let none = TrustedProxies::default();
        let headers = HeaderMap::from_iter([(
            axum::http::HeaderName::from_static(FORWARDED_FOR),
            "198.51.100.1".parse().unwrap(),
        )]);
        assert_eq!(
            none.client([127, 0, 0, 1].into(), &headers).to_string(),
            "127.0.0.1",
            "loopback is not implied"
        );
    }

    #[test]
    fn what_a_client_wrote_itself_stands_to_the_left_and_is_not_read() {
        assert_eq!(client("127.0.0.1", &["1.1.1.1, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(client("127.0.0.1", &["1.1.1.1", "192.0.2.1"]), "192.0.2.1");
        assert_eq!(
            client("127.0.0.1", &["1.1.1.1, 192.0.2.1, 2001:db8::7"]),
            "192.0.2.1",
            "two proxies of the owner's"
        );
        assert_eq!(client("::ffff:127.0.0.1", &["192.0.2.1:443"]), "192.0.2.1");
        assert_eq!(client("127.0.0.1", &["[2001:470::1]:443"]), "2001:470::1");
    }

    #[test]
    fn without_a_name_that_can_be_read_it_is_the_proxy_itself() {
        for odd in ["", "unknown", "1.1.1.1, nonsense"] {
            assert_eq!(client("127.0.0.1", &[odd]), "127.0.0.1", "{odd}");
        }
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
    }
}
