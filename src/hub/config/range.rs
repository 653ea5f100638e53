//! A range of addresses as people write it: `10.0.0.0/24`, or one address.

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::Error;

/// A range of addresses, kept with no bits beyond its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub(crate) struct AddressRange(pub(crate) IpNet);

impl<'de> Deserialize<'de> for AddressRange {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let text = text.trim();
        let range = match text.parse::<IpNet>() {
            Ok(range) => range,
            Err(_) => text.parse::<std::net::IpAddr>().map(IpNet::from).map_err(|_| {
                D::Error::custom(format!(
                    "`{text}` is no address range such as 10.0.0.0/24 or 127.0.0.1"
                ))
            })?,
        };
        Ok(Self(range.trunc()))
    }
}
