//! Typed, prefixed ids: `shp_` and the 32 lowercase hex digits of a UUID.
//!
//! Ids that we create are UUIDv7 (RFC 9562), so that they sort by the time of their creation.

use crate::base::time::Timestamp;
use std::sync::atomic::{AtomicU32, Ordering};

/// The text is not an id of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `{prefix}_` and 32 lowercase hexadecimal digits")]
pub struct NotAnId {
    pub prefix: &'static str,
}

/// Declares an id type: `id! { /// A shipment. pub struct ShipmentId = "shp" }`.
#[macro_export]
macro_rules! id {
    ($(#[$doc:meta])* $vis:vis struct $Name:ident = $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis struct $Name($crate::base::id::Uuid);

        impl $Name {
            pub const PREFIX: &'static str = $prefix;

            /// A new id that sorts at `now`.
            pub fn new(now: $crate::base::Timestamp) -> Self {
                Self($crate::base::id::uuid_v7(now))
            }
            /// The least id that can be created at `t`.
            pub fn first_at(t: $crate::base::Timestamp) -> Self {
                Self($crate::base::id::first_at(t))
            }
            pub const fn from_uuid(uuid: $crate::base::id::Uuid) -> Self {
                Self(uuid)
            }
            pub const fn uuid(&self) -> &$crate::base::id::Uuid {
                &self.0
            }
        }
        impl ::std::fmt::Display for $Name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }
        impl ::std::fmt::Debug for $Name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(self, f)
            }
        }
        impl ::std::str::FromStr for $Name {
            type Err = $crate::base::id::NotAnId;
            fn from_str(s: &str) -> ::std::result::Result<Self, Self::Err> {
                $crate::base::id::parse(s, $prefix).map(Self)
            }
        }
        impl ::serde::Serialize for $Name {
            fn serialize<S: ::serde::Serializer>(&self, s: S) -> ::std::result::Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> ::serde::Deserialize<'de> for $Name {
            fn deserialize<D: ::serde::Deserializer<'de>>(d: D) -> ::std::result::Result<Self, D::Error> {
                let text = <::std::borrow::Cow<'de, str> as ::serde::Deserialize>::deserialize(d)?;
                text.parse().map_err(::serde::de::Error::custom)
            }
        }
        impl $crate::base::telemetry::LogValue for $Name {
            fn log_value(&self) -> impl $crate::base::telemetry::TracingValue {
                self.to_string()
            }
        }
        impl ::schemars::JsonSchema for $Name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($Name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                ::schemars::json_schema!({"type": "string", "pattern": concat!("^", $prefix, "_[0-9a-f]{32}$")})
            }
        }
    };
}

pub use uuid::Uuid;

id! {
    /// The isolation boundary: the owner of items.
    pub struct TenantId = "ten"
}
id! {
    /// A person or program that signs in. It is Cognito's username.
    pub struct UserId = "usr"
}
id! {
    /// One sign-in: the access token's `origin_jti`.
    pub struct SessionId = "ses"
}
id! {
    /// An audit event or a domain event.
    pub struct EventId = "evt"
}

impl TenantId {
    /// The platform's own tenant: its operators, its audit log, the limits before sign-in. It contains no PHI.
    pub const PLATFORM: Self = Self(Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0000));
}

impl EventId {
    /// The same id for one `seed` in the minute of `t`, in every call: the id of a counted event.
    pub fn of_minute(t: Timestamp, seed: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, seed);
        let mut random = [0; 10];
        random.copy_from_slice(&digest.as_ref()[..10]);
        let minute = t.as_millis() - t.as_millis().rem_euclid(60_000);
        Self(uuid::Builder::from_unix_timestamp_millis(u64::try_from(minute).unwrap_or(0), &random).into_uuid())
    }
}

/// UUIDv7 with a counter of 26 bits, in `rand_a` and the first bits of `rand_b` (RFC 9562, section 6.2, method 1). Ids of one
/// process within a millisecond sort in the order of their creation. 48 random bits distinguish processes.
#[doc(hidden)]
pub fn uuid_v7(now: Timestamp) -> Uuid {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut tail: [u8; 10] = crate::base::random::bytes();
    // Twelve bits beside the version, and fourteen beside the variant, which the builder sets.
    tail[..2].copy_from_slice(&(((number >> 14) & 0x0fff) as u16).to_be_bytes());
    tail[2..4].copy_from_slice(&((number & 0x3fff) as u16).to_be_bytes());
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(now.as_millis()).unwrap_or(0), &tail).into_uuid()
}

#[doc(hidden)]
pub fn first_at(t: Timestamp) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(t.as_millis()).unwrap_or(0), &[0; 10]).into_uuid()
}

#[doc(hidden)]
pub fn parse(s: &str, prefix: &'static str) -> Result<Uuid, NotAnId> {
    let digits = s.strip_prefix(prefix).and_then(|s| s.strip_prefix('_')).ok_or(NotAnId { prefix })?;
    // `try_parse` also accepts hyphens, braces and capitals; here an id has exactly one text.
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return Err(NotAnId { prefix });
    }
    Uuid::try_parse(digits).map_err(|_| NotAnId { prefix })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_creation_time() {
        let (a, b) = (TenantId::new(Timestamp::from_millis(1_000)), TenantId::new(Timestamp::from_millis(1_001)));
        assert!(a < b && a.to_string() < b.to_string());
        assert!(TenantId::first_at(Timestamp::from_millis(1_001)) <= b && a < TenantId::first_at(Timestamp::from_millis(1_001)));
    }

    #[test]
    fn ids_of_one_millisecond_sort_in_creation_order() {
        let ids: Vec<_> = (0..20_000).map(|_| EventId::new(Timestamp::from_millis(1_000))).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn id_in_another_spelling_is_refused() {
        let id = UserId::new(Timestamp::from_millis(1));
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in [
            id.to_string().to_uppercase(),
            id.uuid().to_string(),
            format!("ten_{}", id.uuid().simple()),
            format!("{id} "),
            String::new(),
        ] {
            assert!(wrong.parse::<UserId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn event_id_is_the_same_for_a_seed_within_a_minute() {
        let t = |ms: i64| Timestamp::from_millis(1_767_225_600_000 + ms);
        assert_eq!(EventId::of_minute(t(1), b"ip"), EventId::of_minute(t(59_999), b"ip"));
        assert_ne!(EventId::of_minute(t(1), b"ip"), EventId::of_minute(t(60_000), b"ip"));
        assert_ne!(EventId::of_minute(t(1), b"ip"), EventId::of_minute(t(1), b"other"));
    }
}
