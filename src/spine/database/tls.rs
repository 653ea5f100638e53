//! How the way to an external server is protected.
//!
//! Invariant: what goes over a network goes over it as its owner decided, never as the server happens to answer: the
//! driver's own default encrypts if the server can and else sends everything in the clear.
//! Begin with [`check`].

use std::net::IpAddr;

use rustls::CertificateError;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// What an address may say: `verify-full` is the one that keeps both listeners and impostors out.
const WAYS: &str = "add ?sslmode=verify-full (and &sslrootcert=/path/ca.pem for an authority of your own), or \
     ?sslmode=disable where the network itself is protected, as by a VPN or on one machine";

/// Refuses an address that leads over a network and leaves open whether it is encrypted, and one whose authority's
/// certificate can't be read.
pub(super) fn check(options: &PgConnectOptions) -> Result<(), String> {
    if let Some(file) = root_certificate(options) {
        let read = std::fs::read_to_string(&file);
        let text = read.map_err(|error| format!("its sslrootcert {file} can't be read: {error}"))?;
        if !text.contains("BEGIN CERTIFICATE") {
            return Err(format!("its sslrootcert {file} holds no certificate in PEM"));
        }
    }
    if is_local(options) {
        return Ok(());
    }
    let host = options.get_host();
    match options.get_ssl_mode() {
        PgSslMode::Allow | PgSslMode::Prefer => Err(format!(
            "it leads to {host} over a network and does not say how it is protected: {WAYS}"
        )),
        PgSslMode::Disable => {
            tracing::warn!(host, "the database is reached over a network without encryption");
            Ok(())
        }
        PgSslMode::Require | PgSslMode::VerifyCa => {
            tracing::warn!(
                host,
                "the database's certificate is not checked for its name: sslmode=verify-full does"
            );
            Ok(())
        }
        PgSslMode::VerifyFull => Ok(()),
    }
}

/// Sockets and this machine itself.
fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host.ends_with(".localhost")
        || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The file of the authority's certificate, unless the certificate itself is given.
fn root_certificate(options: &PgConnectOptions) -> Option<String> {
    let url = options.to_url_lossy();
    let (_, found) = url.query_pairs().find(|(key, _)| key == "sslrootcert")?;
    Some(found.strip_prefix("file: ")?.to_owned()) // how the driver writes that it is a file
}

/// What to do about a server that doesn't prove who it is; `None`: the error is of another kind.
pub(super) fn refusal(error: &sqlx::Error) -> Option<String> {
    let said = match error {
        // What the server answers when it is asked for encryption and has none.
        sqlx::Error::Tls(said) if said.to_string().contains("does not support TLS") => {
            return Some(
                "the server does not encrypt, and the address asks for it: set ssl = on in its postgresql.conf, with \
                 a certificate"
                    .to_owned(),
            );
        }
        sqlx::Error::Tls(said) => said.to_string(),
        sqlx::Error::Io(error) => match error.get_ref()?.downcast_ref::<rustls::Error>()? {
            rustls::Error::InvalidCertificate(why) => return Some(certificate(why)),
            other => other.to_string(),
        },
        _ => return None,
    };
    Some(format!("encryption could not be agreed on: {said}"))
}

fn certificate(why: &CertificateError) -> String {
    match why {
        // The second: of an authority with the same name as one that is known.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the server's certificate is signed by nobody whom this machine trusts: \
             name the certificate of the authority that did, by sslrootcert=/path/ca.pem in the address"
                .to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
            "the server's certificate is for another name ({why}): give in the address the host name that it is for, \
             or the server a certificate for this one"
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("the server's certificate has expired ({why}): give the server a new one")
        }
        other => format!("the server's certificate is not good ({other}): give the server another one"),
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;
    use crate::testing::TempDir;

    fn checked(url: &str) -> Result<(), String> {
        check(&PgConnectOptions::from_str(url).unwrap())
    }

    #[test]
    fn over_a_network_the_address_says_how_it_is_protected() {
        for open in [
            "postgres://db.example/hub",
            "postgres://10.0.0.7/hub?sslmode=prefer",
        ] {
            let refused = checked(open).unwrap_err();
            assert!(
                refused.contains("sslmode=verify-full") && refused.contains("sslmode=disable"),
                "{refused}"
            );
        }
        for said in ["verify-full", "verify-ca", "require", "disable"] {
            checked(&format!("postgres://db.example/hub?sslmode={said}")).unwrap();
        }
    }

    #[test]
    fn the_addresses_that_the_guide_shows_are_taken() {
        let guide = include_str!("../../../docs/operating/database.md");
        let ends = |c: char| c.is_whitespace() || "`'".contains(c);
        let shown: Vec<&str> = guide
            .match_indices("postgres://")
            .filter_map(|(at, _)| guide[at..].split(ends).next())
            .collect();
        assert_eq!(shown.len(), 2, "{shown:?}");
        for address in shown {
            checked(address).unwrap();
        }
    }

    #[test]
    fn on_this_machine_nothing_needs_to_be_said() {
        for local in [
            "postgres://localhost/hub",
            "postgres://127.0.0.1:6432/hub",
            "postgres://[::1]/hub",
            "postgres://anything/hub?host=/run/postgresql",
        ] {
            checked(local).unwrap();
        }
    }

    #[test]
    fn an_authority_that_cannot_be_read_is_named_at_once() {
        let dir = TempDir::new();
        let file = dir.path().join("ca.pem");
        let url = format!("postgres://localhost/hub?sslrootcert={}", file.display());
        let missing = checked(&url).unwrap_err();
        assert!(missing.contains("ca.pem can't be read"), "{missing}");
        std::fs::write(&file, "nothing of the kind").unwrap();
        let other = checked(&url).unwrap_err();
        assert!(other.contains("holds no certificate"), "{other}");
    }
}
