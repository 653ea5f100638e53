//! What one caller may do: hosts, address ranges, schemes and limits.
//!
//! A connection's allowance is made from its manifest (hosts) and from what the owner granted (ranges, plain
//! http). [`Allowance::default`] is the public internet over https.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// What a request may reach and how much it may take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowance {
    /// The hosts that may be named, at the first request and at each redirect.
    pub hosts: HostRule,
    /// Ranges that are not public and that the owner allowed all the same.
    pub ranges: Vec<IpNet>,
    /// Whether `http:` may be used. A redirect from https to http is refused even so.
    pub plain_http: bool,
    /// Sizes, counts and times.
    pub limits: Limits,
}

/// Which hosts may be named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HostRule {
    /// Any host, at any port.
    #[default]
    Any,
    /// Only hosts that match one of these.
    Only(Vec<HostPattern>),
}

impl HostRule {
    /// Whether the URL's host and port are covered.
    pub fn covers(&self, url: &Url) -> bool {
        match self {
            Self::Any => true,
            Self::Only(patterns) => patterns.iter().any(|pattern| pattern.covers(url)),
        }
    }
}

/// Bounds on one request, all redirects included. Defaults are those of `FEDERATION.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest answer that is accepted, in bytes. 1 MB unless told.
    pub body_max: usize,
    /// How many redirects are followed. 3 unless told; with 0 a redirect is handed back as the answer.
    pub redirects_max: u8,
    /// Time for name, TCP and TLS together. 5 s unless told. Keep it below `total_timeout`: when the total runs out
    /// first, nobody can say whether the request had been written, and the failure counts as [`Reached::Unknown`].
    ///
    /// [`Reached::Unknown`]: crate::Reached::Unknown
    pub connect_timeout: Duration,
    /// Time from the call to the last byte of the answer, however slowly it drips. 10 s unless told.
    pub total_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_max: 1024 * 1024,
            redirects_max: 3,
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(10),
        }
    }
}

/// A host as a manifest declares it: `api.example.com`, `*.example.com`, `192.0.2.1`, `[2001:db8::1]`, each with an
/// optional `:port` or `:*`.
///
/// `*.` stands for one or more labels and not for the bare domain. Without a port only the scheme's own port
/// matches, so that declaring a web API does not open every service on that machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern {
    host: PatternHost,
    port: PatternPort,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PatternHost {
    Exact(Host),
    /// Any subdomain of this domain.
    Under(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PatternPort {
    OfScheme,
    Any,
    Exact(u16),
}

/// The text is not a host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a host: write api.example.com, *.example.com or an address, with an optional :port")]
pub struct HostPatternError(String);

impl HostPattern {
    /// The pattern for exactly the host and port of a URL that the owner entered; none if it has no host.
    pub fn of_url(url: &Url) -> Option<Self> {
        Some(Self {
            host: PatternHost::Exact(without_root_dot(url.host()?)),
            port: url.port().map_or(PatternPort::OfScheme, PatternPort::Exact),
        })
    }

    /// Whether the URL's host and port match.
    pub fn covers(&self, url: &Url) -> bool {
        let port_matches = match self.port {
            PatternPort::Any => true,
            // `Url` leaves out the port that its scheme implies.
            PatternPort::OfScheme => url.port().is_none(),
            PatternPort::Exact(port) => url.port_or_known_default() == Some(port),
        };
        port_matches
            && url
                .host()
                .is_some_and(|host| self.covers_host(&without_root_dot(host)))
    }

    fn covers_host(&self, host: &Host) -> bool {
        match (&self.host, host) {
            (PatternHost::Exact(own), host) => own == host,
            (PatternHost::Under(domain), Host::Domain(name)) => name
                .strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            (PatternHost::Under(_), _) => false,
        }
    }
}

/// `example.com.` and `example.com` are the same name.
fn without_root_dot<S: AsRef<str>>(host: Host<S>) -> Host {
    match host {
        Host::Domain(name) => {
            let name = name.as_ref();
            Host::Domain(name.strip_suffix('.').unwrap_or(name).to_owned())
        }
        Host::Ipv4(ip) => Host::Ipv4(ip),
        Host::Ipv6(ip) => Host::Ipv6(ip),
    }
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        let refuse = || HostPatternError(text.to_owned());
        let (host, port) = split_port(text).ok_or_else(refuse)?;
        let host = match host.strip_prefix("*.") {
            None => PatternHost::Exact(without_root_dot(Host::parse(host).map_err(|_| refuse())?)),
            Some(domain) => match without_root_dot(Host::parse(domain).map_err(|_| refuse())?) {
                // `*.com` would declare nearly everything.
                Host::Domain(domain) if domain.contains('.') => PatternHost::Under(domain),
                _ => return Err(refuse()),
            },
        };
        match &host {
            PatternHost::Exact(Host::Domain(name)) | PatternHost::Under(name)
                if name.is_empty() || name.contains('*') =>
            {
                Err(refuse())
            }
            _ => Ok(Self { host, port }),
        }
    }
}

fn split_port(text: &str) -> Option<(&str, PatternPort)> {
    let is_bare_ipv6 = text.ends_with(']');
    match text.rsplit_once(':') {
        Some((host, port)) if !is_bare_ipv6 => {
            let port = match port {
                "*" => PatternPort::Any,
                number => PatternPort::Exact(number.parse().ok()?),
            };
            Some((host, port))
        }
        _ => Some((text, PatternPort::OfScheme)),
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            PatternHost::Exact(host) => write!(f, "{host}")?,
            PatternHost::Under(domain) => write!(f, "*.{domain}")?,
        }
        match self.port {
            PatternPort::OfScheme => Ok(()),
            PatternPort::Any => f.write_str(":*"),
            PatternPort::Exact(port) => write!(f, ":{port}"),
        }
    }
}

impl TryFrom<String> for HostPattern {
    type Error = HostPatternError;

    fn try_from(text: String) -> Result<Self, HostPatternError> {
        text.parse()
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(pattern: &str, url: &str) -> bool {
        pattern
            .parse::<HostPattern>()
            .unwrap()
            .covers(&Url::parse(url).unwrap())
    }

    #[test]
    fn an_exact_host_covers_itself_in_any_spelling_and_nothing_else() {
        assert!(covers("api.example.com", "https://api.example.com/x"));
        assert!(covers("API.Example.com", "https://api.example.com./x"));
        assert!(covers("bücher.example", "https://xn--bcher-kva.example/"));
        assert!(!covers("api.example.com", "https://example.com/"));
        assert!(!covers("api.example.com", "https://api.example.com.evil.org/"));
        assert!(!covers("api.example.com", "https://evil-api.example.com/"));
        assert!(!covers("api.example.com", "https://a.api.example.com/"));
    }

    #[test]
    fn a_wildcard_covers_subdomains_but_not_the_domain_or_a_lookalike() {
        assert!(covers("*.example.com", "https://a.example.com/"));
        assert!(covers("*.example.com", "https://a.b.example.com/"));
        assert!(!covers("*.example.com", "https://example.com/"));
        assert!(!covers("*.example.com", "https://.example.com/"));
        assert!(!covers("*.example.com", "https://notexample.com/"));
        assert!(!covers("*.example.com", "https://93.184.216.34/"));
    }

    #[test]
    fn without_a_port_only_the_port_of_the_scheme_is_covered() {
        assert!(covers("example.com", "https://example.com:443/"));
        assert!(covers("example.com", "http://example.com/"));
        assert!(!covers("example.com", "https://example.com:8443/"));
        assert!(covers("example.com:8443", "https://example.com:8443/"));
        assert!(!covers("example.com:8443", "https://example.com/"));
        assert!(covers("example.com:*", "https://example.com:9/"));
        assert!(covers("example.com:443", "https://example.com/"));
    }

    #[test]
    fn addresses_are_compared_as_addresses() {
        assert!(covers("127.0.0.1:8080", "http://2130706433:8080/"));
        assert!(covers("[::1]", "http://[0:0::1]/"));
        assert!(covers("[::1]:81", "http://[::1]:81/"));
        assert!(!covers("127.0.0.1", "http://127.0.0.2/"));
    }

    #[test]
    fn a_url_that_the_owner_entered_declares_exactly_its_own_host_and_port() {
        let own = Url::parse("http://127.0.0.1:8080/api").unwrap();
        let pattern = HostPattern::of_url(&own).unwrap();
        assert!(pattern.covers(&own));
        assert!(!pattern.covers(&Url::parse("http://127.0.0.1:8081/api").unwrap()));
        assert_eq!(
            HostPattern::of_url(&Url::parse("mailto:a@example.com").unwrap()),
            None
        );
    }

    #[test]
    fn text_that_is_no_host_is_refused() {
        for text in [
            "",
            "*",
            "*.com",
            "*.",
            "a*.example.com",
            "*.*.example.com",
            "https://example.com",
            "example.com/x",
            "user@example.com",
            "example.com:",
            "example.com:99999",
            "*.127.0.0.1",
            "::1",
            "exa mple.com",
        ] {
            assert!(
                text.parse::<HostPattern>().is_err(),
                "{text:?} was taken for a host"
            );
        }
    }

    #[test]
    fn a_pattern_is_written_as_it_is_read() {
        for text in ["api.example.com", "*.example.com:*", "[::1]:81", "127.0.0.1:8080"] {
            let pattern: HostPattern = serde_json::from_str(&format!("{text:?}")).unwrap();
            assert_eq!(pattern.to_string(), text);
            assert_eq!(serde_json::to_string(&pattern).unwrap(), format!("{text:?}"));
        }
        assert!(serde_json::from_str::<HostPattern>("\"*.com\"").is_err());
    }
}
