//! A connection: one configured use of a plugin.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contracts::ConnectionId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spine::vault::Vault;
use zeroize::Zeroizing;

use crate::manifest::{Auth, Code, HostSpec, Manifest, ValueRef};
use crate::script::{Credentials, Failure};
use crate::settings;
use fetch::{HostPattern, IpNet, Url};

/// How a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Health {
    /// It works, as far as anybody knows.
    Active,
    /// The provider can't be reached; it is tried again.
    Retrying,
    /// The provider refused the secret: the owner must give a new one.
    NeedsReauthorisation,
    /// It can't work as it is configured, or its pack misbehaved.
    Failed,
}

impl Health {
    /// The name in the database and in events.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retrying => "retrying",
            Self::NeedsReauthorisation => "needs-reauthorisation",
            Self::Failed => "failed",
        }
    }

    pub(crate) fn from_name(name: &str) -> Self {
        [Self::Active, Self::Retrying, Self::NeedsReauthorisation]
            .into_iter()
            .find(|health| health.as_str() == name)
            .unwrap_or(Self::Failed)
    }
}

/// A connection with its sealed secrets.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) plugin: String,
    pub(crate) name: String,
    /// As stored, without defaults.
    pub(crate) settings: Map<String, Value>,
    pub(crate) allowed_ranges: Vec<String>,
    pub(crate) health: Health,
    pub(crate) reason: String,
    pub(crate) paused: bool,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) asked_at: Option<DateTime<Utc>>,
    pub(crate) synced_to: DateTime<Utc>,
    pub(crate) secrets: BTreeMap<String, Vec<u8>>,
}

/// Where a secret is sealed for: it opens nowhere else.
pub(crate) fn secret_place(connection: ConnectionId, name: &str) -> String {
    format!("plugins.secret/{connection}/{name}")
}

/// A connection's opened secrets.
pub(crate) type Secrets = BTreeMap<String, Zeroizing<Vec<u8>>>;

impl Connection {
    /// True if nothing that an owner sets differs.
    pub(crate) fn is_configured_like(&self, other: &Self) -> bool {
        let set = |connection: &Self| {
            (
                connection.name.clone(),
                connection.settings.clone(),
                connection.allowed_ranges.clone(),
                connection.secrets.clone(),
            )
        };
        set(self) == set(other)
    }

    /// The source of what it brings, such as `twilio/0190…`.
    pub(crate) fn source(&self) -> String {
        format!("{}/{}", self.plugin, self.id)
    }

    /// Opens the secrets. One that can't be opened (another key, a moved row) is left out, and so missing.
    pub(crate) fn open(&self, vault: &Vault) -> Secrets {
        let open =
            |(name, sealed): (&String, &Vec<u8>)| match vault.open(&secret_place(self.id, name), sealed) {
                Ok(secret) => Some((name.clone(), secret)),
                Err(error) => {
                    tracing::error!(connection = %self.id, name, %error, "a secret can't be opened");
                    None
                }
            };
        self.secrets.iter().filter_map(open).collect()
    }

    /// The address under which the provider reaches the hub.
    pub(crate) fn public_url<'a>(&'a self, hub: &'a str) -> &'a str {
        self.settings
            .get("public_url")
            .and_then(Value::as_str)
            .unwrap_or(hub)
    }

    /// The address below which its webhooks lie.
    pub(crate) fn hooks_url(&self, hub: &str) -> String {
        format!("{}/hooks/{}/{}", self.public_url(hub), self.plugin, self.id)
    }

    /// Hosts that it may call: by https, and by plain http where a setting of the owner says so.
    pub(crate) fn hosts(
        &self,
        manifest: &Manifest,
        effective: &Map<String, Value>,
    ) -> (Vec<HostPattern>, Vec<HostPattern>) {
        let (mut https, mut http) = (Vec::new(), Vec::new());
        for host in &manifest.hosts {
            match host {
                HostSpec::Pattern(pattern) => https.push(pattern.clone()),
                HostSpec::Setting(name) => {
                    let url = effective
                        .get(name)
                        .and_then(Value::as_str)
                        .and_then(|url| Url::parse(url).ok());
                    let Some((url, pattern)) =
                        url.and_then(|url| Some((HostPattern::of_url(&url)?, url)).map(|(p, u)| (u, p)))
                    else {
                        continue;
                    };
                    if url.scheme() == "http" {
                        http.push(pattern);
                    } else {
                        https.push(pattern);
                    }
                }
            }
        }
        (https, http)
    }

    /// The ranges that the owner allowed it.
    pub(crate) fn ranges(&self) -> Vec<IpNet> {
        self.allowed_ranges
            .iter()
            .filter_map(|range| range.parse().ok())
            .collect()
    }
}

/// How the hub signs in for a connection.
pub(crate) fn credentials(
    manifest: &Manifest,
    effective: &Map<String, Value>,
    secrets: &Secrets,
) -> Result<Option<Credentials>, Failure> {
    let value = |reference: &ValueRef| match reference {
        ValueRef::Setting(name) => effective
            .get(name)
            .and_then(Value::as_str)
            .map(|text| Zeroizing::new(text.to_owned()))
            .ok_or_else(|| Failure::Configuration(format!("the setting `{name}` is missing"))),
        ValueRef::Secret(name) => secrets
            .get(name)
            .and_then(|secret| std::str::from_utf8(secret).ok())
            .map(|text| Zeroizing::new(text.to_owned()))
            .ok_or_else(|| Failure::Configuration(format!("the secret `{name}` is missing"))),
    };
    // A secret that may be left out leaves the request without a sign of who asks.
    let is_left_out = |reference: &ValueRef| match reference {
        ValueRef::Setting(_) => false,
        ValueRef::Secret(name) => {
            !secrets.contains_key(name) && manifest.secret(name).is_some_and(|secret| !secret.required)
        }
    };
    Ok(match &manifest.auth {
        None => None,
        Some(Auth::Bearer { token: one } | Auth::Basic { password: one, .. }) if is_left_out(one) => None,
        Some(Auth::Basic { user, password }) => Some(Credentials::Basic {
            user: value(user)?,
            password: value(password)?,
        }),
        Some(Auth::Bearer { token }) => Some(Credentials::Bearer { token: value(token)? }),
    })
}

/// Ranges in their one spelling, or what is wrong with them.
pub(crate) fn accept_ranges(ranges: &[String]) -> Result<Vec<String>, String> {
    let parse = |range: &String| {
        let net: IpNet = range.parse().map_err(|_| {
            format!("allowed_ranges: `{range}` is no range of addresses such as 192.168.1.0/24")
        })?;
        Ok(net.trunc().to_string())
    };
    if ranges.len() > 16 {
        return Err("allowed_ranges: at most 16".to_owned());
    }
    ranges.iter().map(parse).collect()
}

/// Plain http carries the secret in clear: only to an address within a range that the owner allowed, or to localhost.
pub(crate) fn plain_http_problem(name: &str, url: &str, ranges: &[String]) -> Option<String> {
    let url = Url::parse(url).ok()?;
    if url.scheme() != "http" {
        return None;
    }
    let ranges: Vec<IpNet> = ranges.iter().filter_map(|range| range.parse().ok()).collect();
    let within = |ip: std::net::IpAddr| ranges.iter().any(|range| range.contains(&ip));
    let allowed = match url.host()? {
        url::Host::Ipv4(ip) => within(ip.into()),
        url::Host::Ipv6(ip) => within(ip.into()),
        url::Host::Domain(domain) => domain == "localhost" && !ranges.is_empty(),
    };
    (!allowed).then(|| {
        format!(
            "setting `{name}` must begin with https://, unless it names an address within `allowed_ranges`"
        )
    })
}

/// All that is wrong with settings, ranges and secrets of a connection; empty: nothing.
pub(crate) fn problems(
    manifest: &Manifest,
    settings: &Map<String, Value>,
    ranges: &[String],
    secrets: &[&str],
) -> (Map<String, Value>, Vec<String>) {
    let (accepted, mut problems) = match settings::accept(manifest, settings) {
        Ok(accepted) => (accepted, Vec::new()),
        Err(problems) => (Map::new(), problems),
    };
    for host in &manifest.hosts {
        if let HostSpec::Setting(name) = host
            && matches!(manifest.code, Code::Script(_))
            && let Some(url) = accepted.get(name).and_then(Value::as_str)
        {
            problems.extend(plain_http_problem(name, url, ranges));
        }
    }
    for name in secrets {
        if manifest.secret(name).is_none() {
            let hint =
                crate::manifest::hint(name, manifest.secrets.iter().map(|secret| secret.name.as_str()));
            problems.push(format!("there is no secret `{name}`{hint}"));
        }
    }
    for secret in &manifest.secrets {
        if secret.required && !secrets.contains(&secret.name.as_str()) {
            problems.push(format!(
                "secret `{}` is missing: {}",
                secret.name, secret.description
            ));
        }
    }
    (accepted, problems)
}
