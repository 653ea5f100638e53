//! Connections for other protocols than HTTP (IMAP), by the same rules: which addresses, whose certificates.
//!
//! Invariant: the address that was judged is the address that is connected to. Begin with [`Fetch::dial`].

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Host;

use crate::address::is_permitted;
use crate::allowance::Allowance;
use crate::clients::Fetch;
use crate::error::{Failure, FetchError};
use crate::resolver::{ResolveError, permitted_of};

impl Fetch {
    /// Connects to a host by TCP, one address after the other. Of the allowance its ranges and its time to connect count.
    ///
    /// # Errors
    /// [`Failure::AddressDenied`], [`Failure::Unresolved`], [`Failure::NotConnected`], [`Failure::ConnectTimeout`] or, for
    /// what is no host at all, [`Failure::BadUrl`].
    pub async fn dial(&self, host: &str, port: u16, allowance: &Allowance) -> Result<TcpStream, FetchError> {
        let failed = |failure| FetchError::unsent(failure, target(host, port));
        let connecting = async {
            let mut last = Failure::NotConnected;
            for ip in self.addresses(host, allowance).await? {
                match TcpStream::connect(SocketAddr::new(ip, port)).await {
                    Ok(stream) => return stream.set_nodelay(true).map(|()| stream).map_err(|_| last),
                    Err(_) => last = Failure::NotConnected,
                }
            }
            Err(last)
        };
        match tokio::time::timeout(allowance.limits.connect_timeout, connecting).await {
            Ok(connected) => connected.map_err(failed),
            Err(_) => Err(failed(Failure::ConnectTimeout)),
        }
    }

    /// Speaks TLS over a connection, with a server that proves to be the host.
    ///
    /// # Errors
    /// [`Failure::Tls`] if it doesn't, or can't; [`Failure::ConnectTimeout`] if it takes its time.
    pub async fn secure(
        &self,
        host: &str,
        stream: TcpStream,
        allowance: &Allowance,
    ) -> Result<TlsStream<TcpStream>, FetchError> {
        let failed = |failure| FetchError::unsent(failure, format!("TLS {host}"));
        let name = ServerName::try_from(host.trim_end_matches('.').to_owned());
        let name = name.map_err(|_| failed(Failure::BadUrl))?;
        let connecting = TlsConnector::from(Arc::new(self.tls_without_protocols())).connect(name, stream);
        match tokio::time::timeout(allowance.limits.connect_timeout, connecting).await {
            Ok(connected) => connected.map_err(|_| failed(Failure::Tls)),
            Err(_) => Err(failed(Failure::ConnectTimeout)),
        }
    }

    async fn addresses(&self, host: &str, allowance: &Allowance) -> Result<Vec<IpAddr>, Failure> {
        let literal = match Host::parse(host).map_err(|_| Failure::BadUrl)? {
            Host::Domain(name) => {
                let found = self
                    .lookup(name)
                    .await
                    .map_err(|_: io::Error| Failure::Unresolved)?;
                let permitted = permitted_of(found, &allowance.ranges).map_err(|error| match error {
                    ResolveError::Denied => Failure::AddressDenied,
                    ResolveError::Unresolved(_) => Failure::Unresolved,
                })?;
                return Ok(permitted.into_iter().map(|address| address.ip()).collect());
            }
            Host::Ipv4(ip) => IpAddr::from(ip),
            Host::Ipv6(ip) => IpAddr::from(ip),
        };
        match is_permitted(literal, &allowance.ranges) {
            true => Ok(vec![literal]),
            false => Err(Failure::AddressDenied),
        }
    }
}

fn target(host: &str, port: u16) -> String {
    format!("TCP {host}:{port}")
}
