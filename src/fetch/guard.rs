//! What is refused before anything is connected: at the first request and again at each redirect.

use http::{HeaderMap, HeaderName, header};
use url::{Host, Url};

use crate::address::is_permitted;
use crate::allowance::Allowance;
use crate::error::Failure;

/// Headers that frame the message or choose its virtual host. Set by a caller they would smuggle a second request,
/// or reach a host that was not declared behind one that was.
const TRANSPORT_HEADERS: [HeaderName; 9] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
];

/// Judges the URL: scheme, userinfo, host, and the address where the host is a literal one. `Url` has normalised
/// every spelling of an address (decimal, octal, hexadecimal, percent-encoded) by now.
pub(crate) fn check_url(url: &Url, allowance: &Allowance) -> Result<(), Failure> {
    match url.scheme() {
        "https" => {}
        "http" if allowance.plain_http => {}
        "http" => return Err(Failure::PlainHttpDenied),
        _ => return Err(Failure::BadUrl),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::UserInfo);
    }
    if !allowance.hosts.covers(url) {
        return Err(Failure::HostDenied);
    }
    let literal = match url.host() {
        None => return Err(Failure::BadUrl),
        Some(Host::Domain(_)) => return Ok(()),
        Some(Host::Ipv4(ip)) => ip.into(),
        Some(Host::Ipv6(ip)) => ip.into(),
    };
    if is_permitted(literal, &allowance.ranges) {
        Ok(())
    } else {
        Err(Failure::AddressDenied)
    }
}

/// Refuses headers that belong to the transport.
pub(crate) fn check_headers(headers: &HeaderMap) -> Result<(), Failure> {
    let is_transport = |name: &HeaderName| TRANSPORT_HEADERS.contains(name) || name == "keep-alive";
    if headers.keys().any(is_transport) {
        Err(Failure::BadHeader)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allowance::HostRule;

    fn check(url: &str, allowance: &Allowance) -> Result<(), Failure> {
        check_url(&Url::parse(url).unwrap(), allowance)
    }

    #[test]
    fn loopback_is_refused_in_every_spelling() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "017700000001",
            "0177.0.0.01",
            "127.0.0.1.",
            "%31%32%37.0.0.1",
            "①②⑦.0.0.1",
            "0",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[0:0:0:0:0:0:0:1]",
        ] {
            let url = format!("https://{host}/");
            assert_eq!(
                check(&url, &Allowance::default()),
                Err(Failure::AddressDenied),
                "{host}"
            );
        }
    }

    #[test]
    fn the_default_allows_public_hosts_over_https_only() {
        let default = Allowance::default();
        assert_eq!(check("https://example.com/", &default), Ok(()));
        assert_eq!(check("https://8.8.8.8/", &default), Ok(()));
        assert_eq!(
            check("http://example.com/", &default),
            Err(Failure::PlainHttpDenied)
        );
        assert_eq!(check("ftp://example.com/", &default), Err(Failure::BadUrl));
        assert_eq!(check("file:///etc/passwd", &default), Err(Failure::BadUrl));
        assert_eq!(check("data:,x", &default), Err(Failure::BadUrl));
    }

    #[test]
    fn userinfo_is_refused() {
        for url in [
            "https://alice@example.com/",
            "https://alice:pw@example.com/",
            "https://:pw@example.com/",
        ] {
            assert_eq!(check(url, &Allowance::default()), Err(Failure::UserInfo));
        }
    }

    #[test]
    fn declaring_a_private_address_does_not_allow_its_range() {
        let mut allowance = Allowance {
            hosts: HostRule::Only(vec!["10.0.0.5".parse().unwrap()]),
            ..Allowance::default()
        };
        assert_eq!(
            check("https://10.0.0.5/", &allowance),
            Err(Failure::AddressDenied)
        );
        allowance.ranges = vec!["10.0.0.0/24".parse().unwrap()];
        assert_eq!(check("https://10.0.0.5/", &allowance), Ok(()));
        assert_eq!(check("https://10.0.0.6/", &allowance), Err(Failure::HostDenied));
    }

    #[test]
    fn headers_of_the_transport_are_not_the_callers_to_set() {
        for name in [
            "host",
            "connection",
            "content-length",
            "transfer-encoding",
            "keep-alive",
            "expect",
        ] {
            let name: HeaderName = name.parse().unwrap();
            let headers = HeaderMap::from_iter([(name, http::HeaderValue::from_static("x"))]);
            assert_eq!(check_headers(&headers), Err(Failure::BadHeader));
        }
        let headers = HeaderMap::from_iter([(header::ACCEPT, http::HeaderValue::from_static("*/*"))]);
        assert_eq!(check_headers(&headers), Ok(()));
    }
}
