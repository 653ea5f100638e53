//! Names to addresses, less those that the policy refuses.
//!
//! The client library connects to exactly what is returned here, so the address that was judged is the address that
//! is connected to: a name that changes its mind in between (DNS rebinding) gains nothing. Literal addresses don't
//! come by here; `guard.rs` judges them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::is_permitted;

/// Asks for the addresses of a name.
pub(crate) type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The machine's own resolver.
pub(crate) fn system_lookup() -> Lookup {
    Arc::new(|name| {
        // Port 0: the library puts in the port of the URL.
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
    })
}

/// Why a name gave no address to connect to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("no address of the name is allowed")]
    Denied,
    #[error("the name can't be resolved")]
    Unresolved(#[source] io::Error),
}

/// Resolves names under one policy.
pub(crate) struct PolicyResolver {
    lookup: Lookup,
    ranges: Arc<[IpNet]>,
}

impl PolicyResolver {
    pub(crate) fn new(lookup: Lookup, ranges: &[IpNet]) -> Self {
        Self {
            lookup,
            ranges: ranges.into(),
        }
    }
}

impl Resolve for PolicyResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = (self.lookup)(name.as_str().to_owned());
        let ranges = Arc::clone(&self.ranges);
        Box::pin(async move {
            let found = found.await.map_err(ResolveError::Unresolved)?;
            let permitted = permitted_of(found, &ranges)?;
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

/// The addresses that may be connected to. A name with a public and a private address keeps the public one.
pub(crate) fn permitted_of(
    found: Vec<SocketAddr>,
    ranges: &[IpNet],
) -> Result<Vec<SocketAddr>, ResolveError> {
    if found.is_empty() {
        return Err(ResolveError::Unresolved(io::ErrorKind::NotFound.into()));
    }
    let permitted: Vec<_> = found
        .into_iter()
        .filter(|address| is_permitted(address.ip(), ranges))
        .collect();
    if permitted.is_empty() {
        Err(ResolveError::Denied)
    } else {
        Ok(permitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts
            .iter()
            .map(|text| SocketAddr::new(text.parse().unwrap(), 0))
            .collect()
    }

    #[test]
    fn a_name_with_public_and_private_addresses_keeps_only_the_public_ones() {
        let found = addresses(&["10.0.0.1", "8.8.8.8", "fe80::1", "2606:4700::1111"]);
        assert_eq!(
            permitted_of(found, &[]).unwrap(),
            addresses(&["8.8.8.8", "2606:4700::1111"])
        );
    }

    #[test]
    fn a_name_with_only_private_addresses_is_denied_and_one_without_any_is_unresolved() {
        let found = addresses(&["10.0.0.1", "::1", "::ffff:169.254.169.254"]);
        assert!(matches!(permitted_of(found, &[]), Err(ResolveError::Denied)));
        assert!(matches!(
            permitted_of(Vec::new(), &[]),
            Err(ResolveError::Unresolved(_))
        ));
    }
}
