//! The client and its pools.
//!
//! The library's resolver belongs to a client, not to a request, so there is one client for each distinct network
//! policy (allowed ranges and connect time). Callers with the same policy share it and its open connections, which
//! were all made under that policy. The clients share one TLS configuration and with it the session tickets.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::allowance::Allowance;
use crate::error::{Failure, FetchError};
use crate::resolver::{Lookup, PolicyResolver, system_lookup};

/// How many policies keep their connections open; the least recently used one goes first.
const CLIENTS_MAX: usize = 64;
/// Below the 60 s after which common servers close, so that a request is seldom written to a closing connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
const IDLE_PER_HOST_MAX: usize = 8;

/// What holds for every outgoing request.
#[derive(Debug, Clone)]
pub struct FetchConfig {
    /// The `User-Agent`, unless a request brings its own.
    pub user_agent: String,
    /// Certificate authorities to trust beside Mozilla's, each a PEM text of one or more certificates.
    pub extra_ca_pem: Vec<Vec<u8>>,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self {
            user_agent: concat!("allod/", env!("CARGO_PKG_VERSION")).to_owned(),
            extra_ca_pem: Vec::new(),
        }
    }
}

/// The outgoing HTTP client. A clone is cheap and shares connections.
#[derive(Clone)]
pub struct Fetch {
    shared: Arc<Shared>,
}

struct Shared {
    user_agent: String,
    tls: ClientConfig,
    lookup: Lookup,
    /// The most recently used last.
    clients: Mutex<Vec<(NetworkPolicy, reqwest::Client)>>,
}

/// What a connection depends on, so what keeps two pools apart.
#[derive(Clone, PartialEq, Eq)]
struct NetworkPolicy {
    /// Sorted and without overlaps.
    ranges: Vec<IpNet>,
    connect_timeout: Duration,
}

impl Fetch {
    /// Makes the client. Fails if a configured certificate authority can't be read.
    pub fn new(config: FetchConfig) -> Result<Self, FetchError> {
        Self::with_lookup(config, system_lookup())
    }

    pub(crate) fn with_lookup(config: FetchConfig, lookup: Lookup) -> Result<Self, FetchError> {
        let tls = tls_config(&config.extra_ca_pem)?;
        let shared = Shared {
            user_agent: config.user_agent,
            tls,
            lookup,
            clients: Mutex::new(Vec::new()),
        };
        let fetch = Self {
            shared: Arc::new(shared),
        };
        // A client for the default policy is built at once: a bad user agent shows at the start.
        fetch.client_for(&Allowance::default())?;
        Ok(fetch)
    }

    /// Certificates as for HTTP, without its protocols.
    pub(crate) fn tls_without_protocols(&self) -> ClientConfig {
        let mut tls = self.shared.tls.clone();
        tls.alpn_protocols.clear();
        tls
    }

    /// The addresses of a name, judged by nobody yet.
    pub(crate) async fn lookup(&self, name: String) -> std::io::Result<Vec<std::net::SocketAddr>> {
        (self.shared.lookup)(name).await
    }

    /// The client of the allowance's network policy.
    pub(crate) fn client_for(&self, allowance: &Allowance) -> Result<reqwest::Client, FetchError> {
        let policy = NetworkPolicy {
            ranges: IpNet::aggregate(&allowance.ranges),
            connect_timeout: allowance.limits.connect_timeout,
        };
        let mut clients = self.shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = match clients.iter().position(|(known, _)| *known == policy) {
            Some(index) => clients.remove(index),
            None => {
                let client = self.shared.build_client(&policy)?;
                (policy, client)
            }
        };
        let client = entry.1.clone();
        if clients.len() >= CLIENTS_MAX {
            clients.remove(0);
        }
        clients.push(entry);
        Ok(client)
    }
}

impl Shared {
    fn build_client(&self, policy: &NetworkPolicy) -> Result<reqwest::Client, FetchError> {
        let resolver = PolicyResolver::new(Arc::clone(&self.lookup), &policy.ranges);
        reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .dns_resolver(Arc::new(resolver))
            .connect_timeout(policy.connect_timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .user_agent(self.user_agent.as_str())
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            // A proxy from the environment would connect on our behalf, past the resolver.
            .no_proxy()
            .build()
            .map_err(|error| FetchError::setup(Failure::BadSetup, error.without_url()))
    }
}

fn tls_config(extra_ca_pem: &[Vec<u8>]) -> Result<ClientConfig, FetchError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    for pem in extra_ca_pem {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let certificates = certificates.map_err(|error| FetchError::setup(Failure::BadAuthority, error))?;
        if certificates.is_empty() {
            return Err(FetchError::setup(
                Failure::BadAuthority,
                "no certificate in the PEM text",
            ));
        }
        for certificate in certificates {
            roots
                .add(certificate)
                .map_err(|error| FetchError::setup(Failure::BadAuthority, error))?;
        }
    }
    let mut tls = ClientConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| FetchError::setup(Failure::BadSetup, error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

/// The process's provider. The hub installs ring first thing; where nobody did (tests), it is installed here.
fn crypto_provider() -> Arc<CryptoProvider> {
    if let Some(installed) = CryptoProvider::get_default() {
        return Arc::clone(installed);
    }
    // Err says that another thread was faster, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    CryptoProvider::get_default()
        .map_or_else(|| Arc::new(rustls::crypto::ring::default_provider()), Arc::clone)
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch")
            .field("user_agent", &self.shared.user_agent)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance(range: &str) -> Allowance {
        Allowance {
            ranges: vec![range.parse().unwrap()],
            ..Allowance::default()
        }
    }

    fn client_count(fetch: &Fetch) -> usize {
        fetch.shared.clients.lock().unwrap().len()
    }

    #[test]
    fn allowances_with_the_same_network_policy_share_a_client() {
        let fetch = Fetch::new(FetchConfig::default()).unwrap();
        let mut same = allowance("10.0.0.0/8");
        same.ranges.push("10.1.0.0/16".parse().unwrap());
        same.plain_http = true;
        fetch.client_for(&allowance("10.0.0.0/8")).unwrap();
        fetch.client_for(&same).unwrap();
        assert_eq!(client_count(&fetch), 2, "the default policy, and this one");
        fetch.client_for(&allowance("10.0.0.0/9")).unwrap();
        assert_eq!(client_count(&fetch), 3);
    }

    #[test]
    fn the_number_of_clients_is_bounded_and_the_oldest_goes_first() {
        let fetch = Fetch::new(FetchConfig::default()).unwrap();
        for third in 0..=CLIENTS_MAX {
            fetch
                .client_for(&allowance(&format!("10.0.{third}.0/24")))
                .unwrap();
        }
        assert_eq!(client_count(&fetch), CLIENTS_MAX);
        let clients = fetch.shared.clients.lock().unwrap();
        assert!(
            clients.iter().all(|(policy, _)| !policy.ranges.is_empty()),
            "the default policy was the oldest"
        );
    }

    #[test]
    fn an_unreadable_certificate_authority_is_refused_at_the_start() {
        for pem in [
            "",
            "no certificate",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            let config = FetchConfig {
                extra_ca_pem: vec![pem.into()],
                ..FetchConfig::default()
            };
            assert_eq!(Fetch::new(config).unwrap_err().failure(), Failure::BadAuthority);
        }
        let config = FetchConfig {
            user_agent: "a\nb".to_owned(),
            ..FetchConfig::default()
        };
        assert_eq!(Fetch::new(config).unwrap_err().failure(), Failure::BadSetup);
    }
}
