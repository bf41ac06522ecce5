//! Networks in CIDR (RFC 4632, RFC 4291), for the addresses of callers.
//!
//! The parser refuses ambiguous texts: leading zeros, which some programs read as octal; host bits, which suggest a mistake; IPv4
//! inside IPv6, which could make a list mean something else than it says. An IPv6 address may be written in capitals and without
//! compression; it is stored in its canonical form (RFC 5952).

use crate::base::number::plain_number;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// The largest number of networks in a list.
const MOST: usize = 100;

/// A network: an address whose bits after the prefix are zero, and the prefix's length. A bare address is itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

/// The error for a text that is not a network, for the owner of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected networks in CIDR, such as 192.0.2.0/24 or 2001:db8::/32, without host bits")]
pub struct NotANetwork;

impl Cidr {
    /// The form as far as a pattern can express it: a schema cannot count bits, nor the groups of IPv6 beside its `::`.
    const FORM: &str = r"^(((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(/(3[0-2]|[12]?[0-9]))?|[0-9A-Fa-f]{0,4}(:[0-9A-Fa-f]{0,4}){2,7}(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?)$";

    /// Whether the network contains `address`. An IPv4 address inside IPv6 (`::ffff:192.0.2.1`) counts as the IPv4 address.
    pub fn contains(self, address: IpAddr) -> bool {
        let ((mine, width), (theirs, other)) = (bits(self.address), bits(address.to_canonical()));
        width == other && (mine ^ theirs).checked_shr(u32::from(width - self.prefix)).unwrap_or(0) == 0
    }
}

/// An address as a number, and its number of bits.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    }
}

impl FromStr for Cidr {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        // The standard library's parser already refuses leading zeros, white space and zones.
        let dotted = address.contains('.');
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let (number, width) = bits(address);
        let prefix = match prefix {
            None => width,
            Some(text) => plain_number(text).filter(|prefix| *prefix <= width).ok_or(NotANetwork)?,
        };
        let host = (number << (128 - width)).checked_shl(u32::from(prefix)).unwrap_or(0);
        // The same applies to the spelling: the author of `::192.0.2.0/120` means IPv4 callers, but the network would not contain
        // them.
        let inside_ipv6 = address.to_canonical() != address || (dotted && address.is_ipv6());
        if host == 0 && !inside_ipv6 { Ok(Self { address, prefix }) } else { Err(NotANetwork) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Distinct networks, at most a hundred. The owner of the list defines the meaning of an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList(Vec<Cidr>);

impl AllowList {
    /// # Errors
    /// [`NotANetwork`] if there are more than a hundred.
    pub fn new(networks: impl IntoIterator<Item = Cidr>) -> Result<Self, NotANetwork> {
        let mut networks: Vec<_> = networks.into_iter().collect();
        networks.sort_unstable();
        networks.dedup();
        if networks.len() <= MOST { Ok(Self(networks)) } else { Err(NotANetwork) }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether no network is wider than these prefixes, of IPv4 and of IPv6.
    pub fn is_within(&self, (ipv4, ipv6): (u8, u8)) -> bool {
        self.0.iter().all(|network| network.prefix >= if network.address.is_ipv4() { ipv4 } else { ipv6 })
    }

    /// Whether one of the networks contains the address. An invalid address is in none.
    pub fn allows(&self, address: &str) -> bool {
        address.parse().is_ok_and(|address| self.0.iter().any(|network| network.contains(address)))
    }
}

/// The form of a setting: separated by commas.
impl FromStr for AllowList {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let networks = text.split(',').map(|network| network.trim().parse());
        Self::new(networks.collect::<Result<Vec<_>, _>>()?)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for AllowList {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(ToString::to_string))
    }
}

impl<'de> Deserialize<'de> for AllowList {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let networks = Vec::<Cidr>::deserialize(d)?;
        if networks.len() > MOST {
            return Err(de::Error::custom("expected at most 100 networks"));
        }
        Self::new(networks).map_err(de::Error::custom)
    }
}

impl JsonSchema for AllowList {
    fn schema_name() -> Cow<'static, str> {
        "Networks".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "items": {"type": "string", "maxLength": 43, "pattern": Cidr::FORM, "examples": ["192.0.2.0/24", "2001:db8::/32"]},
            "maxItems": MOST,
            "description": "Networks in CIDR, without host bits",
        })
    }
}

/// The unit that counts as one source before sign-in: an IPv4 address, or the /64 of an IPv6 address, within which a subscriber
/// can choose any address (RFC 6177).
pub(crate) fn network(ip: &str) -> String {
    match ip.parse().map(|ip: IpAddr| ip.to_canonical()) {
        Ok(IpAddr::V6(ip)) => {
            let prefix = u128::from(ip) >> 64 << 64;
            format!("{}/64", Ipv6Addr::from(prefix))
        }
        Ok(IpAddr::V4(ip)) => ip.to_string(),
        Err(_) => ip.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(networks: &[&str]) -> AllowList {
        networks.join(",").parse().unwrap()
    }

    #[test]
    fn network_contains_exactly_its_addresses() {
        let networks = list(&["192.0.2.0/24", "198.51.100.7", "2001:db8::/32", "0.0.0.0/1"]);
        for inside in ["192.0.2.0", "192.0.2.255", "198.51.100.7", "2001:db8::1", "127.255.255.255", "::ffff:192.0.2.9"] {
            assert!(networks.allows(inside), "{inside}");
        }
        for outside in
            ["192.0.3.0", "198.51.100.8", "2001:db9::", "128.0.0.0", "::192.0.2.1", "", "x", "192.0.2.1 ", "192.0.2.01"]
        {
            assert!(!networks.allows(outside), "{outside}");
        }
        assert!(list(&["0.0.0.0/0"]).allows("255.255.255.255") && !list(&["0.0.0.0/0"]).allows("2001:db8::"));
        assert!(list(&["::/0"]).allows("2001:db8::") && !list(&["::/0"]).allows("192.0.2.1"));
    }

    #[test]
    fn ambiguous_network_is_refused() {
        for trick in [
            "010.0.0.0/8",
            "10.0.0.0/08",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "/8",
            "10.0.0/8",
            "10/8",
            "0x0a.0.0.0/8",
            "10.0.0.0/8/8",
            " 10.0.0.0/8",
            "10.0.0.0 /8",
            "10.0.0.0/255.0.0.0",
            "::ffff:192.0.2.0/120",
            "::ffff:0:0/96",
            "::ffff:192.0.2.1",
            "::192.0.2.0/120",
            "::192.0.2.1",
            "64:ff9b::192.0.2.0/120",
            "2001:db8::192.0.2.0/128",
            "::0.0.0.0/0",
            "2001:db8:0:0:0:0:192.0.2.0/120",
            "::1.2.3.4/128",
            "2001:0DB8:::/32",
            "[2001:db8::]/32",
            "2001:db8::/032",
            "2001:db8::%1/32",
            "2001:db8::1/32",
            "2001:db8::/129",
            "fe80::1%eth0/64",
            "2001:db8:::/32",
            "*",
            "",
            "١٠.0.0.0/8",
            "10.0.0.0/８",
        ] {
            assert_eq!(trick.parse::<Cidr>(), Err(NotANetwork), "{trick}");
        }
    }

    #[test]
    fn network_is_stored_in_canonical_form() {
        for (given, kept) in [
            ("2001:DB8::/32", "2001:db8::/32"),
            ("2001:0db8:0000:0000::/64", "2001:db8::/64"),
            ("2001:db8:0:0:0:0:0:0/32", "2001:db8::/32"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("::c000:200/120", "::c000:200/120"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(given.parse::<Cidr>().unwrap().to_string(), kept);
            assert_eq!(kept.parse::<Cidr>(), given.parse(), "what is kept is read");
        }
    }

    #[test]
    fn allowlist_must_be_a_bounded_array_of_texts() {
        let read: AllowList = serde_json::from_str(r#"["192.0.2.0/24","2001:db8::/32","192.0.2.0/24"]"#).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"["192.0.2.0/24","2001:db8::/32"]"#);
        let many: Vec<_> = (0..=MOST).map(|i| format!("10.0.{i}.0/24")).collect();
        assert!(serde_json::from_value::<AllowList>(many.into()).is_err());
        assert!(serde_json::from_str::<AllowList>(r#"["10.0.0.1/8"]"#).is_err());
    }

    #[test]
    fn hundred_networks_are_accepted_and_one_more_is_refused() {
        let networks = |count: usize| (0..count).map(|i| format!("10.0.{i}.0/24")).collect::<Vec<_>>();
        let hundred: AllowList = serde_json::from_value(networks(100).into()).unwrap();
        assert_eq!(Ok(&hundred), networks(100).join(",").parse().as_ref());
        assert!(!hundred.is_empty() && AllowList::default().is_empty());
        assert_eq!(networks(101).join(",").parse::<AllowList>(), Err(NotANetwork));
        let schema = serde_json::to_value(schemars::schema_for!(AllowList)).unwrap();
        assert_eq!((&schema["title"], &schema["maxItems"]), (&"Networks".into(), &100.into()));
        assert!(AllowList::inline_schema());
    }

    #[test]
    fn allowlist_is_within_prefixes_if_no_network_is_wider() {
        let networks = list(&["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"]);
        for (prefixes, within) in [((8, 32), true), ((0, 0), true), ((9, 32), false), ((8, 33), false), ((24, 32), false)] {
            assert_eq!(networks.is_within(prefixes), within, "{prefixes:?}");
        }
    }

    proptest! {
        #[test]
        fn containment_matches_a_bitwise_comparison(address: u32, prefix in 0u8..=32, other: u32) {
            let network = if prefix == 0 { 0 } else { address >> (32 - prefix) << (32 - prefix) };
            let cidr: Cidr = format!("{}/{prefix}", IpAddr::V4(network.into())).parse().unwrap();
            let same = (0..prefix).all(|bit| (network >> (31 - bit)) & 1 == (other >> (31 - bit)) & 1);
            prop_assert_eq!(cidr.contains(IpAddr::V4(other.into())), same);
            prop_assert_eq!(cidr.to_string().parse::<Cidr>(), Ok(cidr));
        }

        #[test]
        fn parsing_any_network_never_panics(text in ".{0,50}") {
            let _ = text.parse::<Cidr>();
        }
    }
}
