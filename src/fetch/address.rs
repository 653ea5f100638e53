//! Which addresses are the public internet, by the IANA special-purpose registries (RFC 6890).
//!
//! IPv4 is public unless listed. IPv6 is the other way round: only global unicast (2000::/3) can be public, less
//! the blocks in it that are special or carry an IPv4 address inside, since such an address leads to wherever a
//! translator on our own network sends it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

const NON_PUBLIC_V4: [Ipv4Net; 15] = [
    v4(0, 0, 0, 0, 8),       // this network; connecting to 0.0.0.0 reaches this machine
    v4(10, 0, 0, 0, 8),      // private (RFC 1918)
    v4(100, 64, 0, 0, 10),   // carrier-grade NAT (RFC 6598)
    v4(127, 0, 0, 0, 8),     // loopback
    v4(169, 254, 0, 0, 16),  // link-local; cloud metadata services live here
    v4(172, 16, 0, 0, 12),   // private
    v4(192, 0, 0, 0, 24),    // IETF protocol assignments
    v4(192, 0, 2, 0, 24),    // TEST-NET-1
    v4(192, 88, 99, 0, 24),  // 6to4 relay anycast (RFC 7526)
    v4(192, 168, 0, 0, 16),  // private
    v4(198, 18, 0, 0, 15),   // benchmarking
    v4(198, 51, 100, 0, 24), // TEST-NET-2
    v4(203, 0, 113, 0, 24),  // TEST-NET-3
    v4(224, 0, 0, 0, 4),     // multicast
    v4(240, 0, 0, 0, 4),     // reserved, and broadcast
];

const GLOBAL_UNICAST_V6: Ipv6Net = v6(0x2000, 0, 3);

const NON_PUBLIC_V6: [Ipv6Net; 4] = [
    v6(0x2001, 0, 23),     // IETF protocol assignments, Teredo among them
    v6(0x2001, 0xdb8, 32), // documentation
    v6(0x2002, 0, 16),     // 6to4
    v6(0x3fff, 0, 20),     // documentation (RFC 9637)
];

/// Whether the address is globally reachable unicast. An IPv6 address that embeds an IPv4 one never is.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => !NON_PUBLIC_V4.iter().any(|net| net.contains(&ip)),
        IpAddr::V6(ip) => {
            GLOBAL_UNICAST_V6.contains(&ip) && !NON_PUBLIC_V6.iter().any(|net| net.contains(&ip))
        }
    }
}

/// Whether the address may be connected to: it is public, or the owner allowed a range that holds it. The kernel
/// connects to an IPv4-mapped address over IPv4, so ranges are compared with that IPv4 address.
pub(crate) fn is_permitted(address: IpAddr, allowed: &[IpNet]) -> bool {
    let connected_to = address.to_canonical();
    is_public(address) || allowed.iter().any(|net| net.contains(&connected_to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn no_special_ipv4_range_is_public_at_either_end() {
        for (first, last) in [
            ("0.0.0.0", "0.255.255.255"),
            ("10.0.0.0", "10.255.255.255"),
            ("100.64.0.0", "100.127.255.255"),
            ("127.0.0.0", "127.255.255.255"),
            ("169.254.0.0", "169.254.255.255"),
            ("172.16.0.0", "172.31.255.255"),
            ("192.0.0.0", "192.0.0.255"),
            ("192.0.2.0", "192.0.2.255"),
            ("192.88.99.0", "192.88.99.255"),
            ("192.168.0.0", "192.168.255.255"),
            ("198.18.0.0", "198.19.255.255"),
            ("198.51.100.0", "198.51.100.255"),
            ("203.0.113.0", "203.0.113.255"),
            ("224.0.0.0", "239.255.255.255"),
            ("240.0.0.0", "255.255.255.255"),
        ] {
            assert!(!is_public(ip(first)), "{first} passed for public");
            assert!(!is_public(ip(last)), "{last} passed for public");
        }
    }

    #[test]
    fn the_neighbours_of_special_ipv4_ranges_are_public() {
        for text in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "8.8.8.8",
        ] {
            assert!(is_public(ip(text)), "{text} was refused");
        }
    }

    #[test]
    fn no_special_ipv6_range_is_public_at_either_end() {
        for (name, first, last) in [
            ("unspecified", "::", "::"),
            ("loopback", "::1", "::1"),
            ("IPv4-compatible", "::7f00:1", "::ffff:ffff"),
            ("IPv4-compatible, public inside", "::8.8.8.8", "::8.8.8.8"),
            ("IPv4-mapped", "::ffff:0.0.0.0", "::ffff:255.255.255.255"),
            ("IPv4-mapped, public inside", "::ffff:8.8.8.8", "::ffff:8.8.8.8"),
            ("IPv4-translated", "::ffff:0:7f00:1", "::ffff:0:8.8.8.8"),
            ("NAT64", "64:ff9b::", "64:ff9b::ffff:ffff"),
            ("NAT64, public inside", "64:ff9b::8.8.8.8", "64:ff9b::8.8.8.8"),
            ("local NAT64", "64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
            ("discard", "100::", "100::ffff:ffff:ffff:ffff"),
            ("Teredo", "2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("benchmarking", "2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff"),
            ("ORCHID", "2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff"),
            (
                "protocol assignments",
                "2001:1::",
                "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "documentation",
                "2001:db8::",
                "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            ("6to4", "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("6to4 of loopback", "2002:7f00:1::", "2002:7f00:1::1"),
            (
                "new documentation",
                "3fff::",
                "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "outside global unicast",
                "4000::",
                "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            ("SRv6", "5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            (
                "unique local",
                "fc00::",
                "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            ("link-local", "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("site-local", "fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("multicast", "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] {
            assert!(!is_public(ip(first)), "{name}: {first} passed for public");
            assert!(!is_public(ip(last)), "{name}: {last} passed for public");
        }
    }

    #[test]
    fn ordinary_ipv6_addresses_and_the_neighbours_of_special_ranges_are_public() {
        for text in [
            "2001:200::",
            "2001:4860:4860::8888",
            "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db9::",
            "2003::",
            "2606:4700::1111",
            "2a00:1450::1",
            "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "3fff:1000::",
        ] {
            assert!(is_public(ip(text)), "{text} was refused");
        }
    }

    #[test]
    fn an_allowed_range_permits_itself_and_nothing_beside_it() {
        let allowed = nets(&["192.168.7.0/24", "fd00:1::/32"]);
        assert!(is_permitted(ip("192.168.7.9"), &allowed));
        assert!(is_permitted(ip("fd00:1::9"), &allowed));
        assert!(is_permitted(ip("8.8.8.8"), &allowed));
        assert!(!is_permitted(ip("192.168.8.9"), &allowed));
        assert!(!is_permitted(ip("127.0.0.1"), &allowed));
        assert!(!is_permitted(ip("fd00:2::9"), &allowed));
    }

    #[test]
    fn an_ipv4_mapped_address_counts_as_its_ipv4_address() {
        assert!(is_permitted(ip("::ffff:127.0.0.2"), &nets(&["127.0.0.2/32"])));
        assert!(!is_permitted(ip("::ffff:127.0.0.3"), &nets(&["127.0.0.2/32"])));
        assert!(!is_permitted(ip("::ffff:127.0.0.2"), &nets(&["::/0"])));
    }
}
