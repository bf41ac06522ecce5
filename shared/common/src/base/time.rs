//! Time is a parameter: code that needs the time takes a [`Clock`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

/// Milliseconds since the Unix epoch, UTC. The text is RFC 3339 with exactly three decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is not an RFC 3339 instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an RFC 3339 time such as 2026-01-31T09:30:00Z")]
pub struct NotATime;

impl Timestamp {
    /// The last instant that is accepted, 9999-12-30T22:00:00Z. Later instants have a five-digit year in some time zone, which
    /// `jiff` does not support.
    pub const MAX: Self = Self(253_402_207_200_000);

    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds, rounded down: the unit of DynamoDB's TTL and of JWTs.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    #[must_use]
    pub fn plus(self, d: Duration) -> Self {
        Self(self.0.saturating_add(millis(d)))
    }

    #[must_use]
    pub fn minus(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(millis(d)))
    }

    /// The time from `earlier` to this; zero if the clock went back.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = jiff::Timestamp::from_millisecond(self.0.clamp(0, Self::MAX.0)).map_err(|_| fmt::Error)?;
        write!(f, "{instant:.3}")
    }
}

impl FromStr for Timestamp {
    type Err = NotATime;

    /// RFC 3339 with a fixed choice where it leaves one: `T` and `Z` are capitals, there are no leap seconds, and a fraction has
    /// at most nine digits, of which those after the third are cut off.
    fn from_str(s: &str) -> Result<Self, NotATime> {
        if !has_shape(s.as_bytes()) {
            return Err(NotATime);
        }
        let ms = s.parse::<jiff::Timestamp>().map_err(|_| NotATime)?.as_millisecond();
        if (0..=Self::MAX.0).contains(&ms) { Ok(Self(ms)) } else { Err(NotATime) }
    }
}

/// Whether a text is `dddd-dd-ddTdd:dd:dd[.d…](Z|±dd:dd)`. `jiff` also accepts ISO 8601's other forms, lower case, a space, and a
/// zone in brackets.
fn has_shape(text: &[u8]) -> bool {
    let like = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len() && text.iter().zip(shape).all(|(t, s)| if *s == b'd' { t.is_ascii_digit() } else { t == s })
    };
    let Some((whole, rest)) = text.split_at_checked(19) else { return false };
    let digits = rest.strip_prefix(b".").map(|rest| rest.iter().take_while(|b| b.is_ascii_digit()).count());
    let offset = &rest[digits.map_or(0, |digits| digits + 1)..];
    let offset_fits = match offset {
        b"Z" => true,
        [b'+' | b'-', clock @ ..] => like(clock, b"dd:dd") && clock <= &b"23:59"[..] && clock[3] <= b'5',
        _ => false,
    };
    like(whole, b"dddd-dd-ddTdd:dd:dd") && whole[17] <= b'5' && digits.is_none_or(|n| (1..=9).contains(&n)) && offset_fits
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date-time"})
    }
}

/// Provides the time. Tests use a clock that they advance manually.
pub trait Clock: Send + Sync + fmt::Debug {
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_millisecond())
    }
}

/// A clock that tests of this crate advance manually; other crates use that of `testing`.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct ManualClock(std::sync::atomic::AtomicI64);

#[cfg(test)]
impl ManualClock {
    pub(crate) const fn at(ms: i64) -> Self {
        Self(std::sync::atomic::AtomicI64::new(ms))
    }
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(millis(by), std::sync::atomic::Ordering::SeqCst);
    }
    pub(crate) fn set(&self, now: Timestamp) {
        self.0.store(now.0, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(test)]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_round_trips_with_three_decimals() {
        let t = Timestamp::from_millis(1_767_225_600_120);
        assert_eq!(t.to_string(), "2026-01-01T00:00:00.120Z");
        assert_eq!("2026-01-01T00:00:00.12Z".parse(), Ok(t));
        assert_eq!("2026-01-01T01:00:00.12+01:00".parse(), Ok(t));
    }

    #[test]
    fn last_and_later_instants_are_printed() {
        let last = "9999-12-30T22:00:00.000Z";
        assert_eq!(last.parse(), Ok(Timestamp::MAX));
        for t in [Timestamp::MAX, Timestamp::from_millis(i64::MAX)] {
            assert_eq!(t.to_string(), last);
        }
    }

    #[test]
    fn time_is_accepted_only_in_rfc_3339_forms() {
        let t = Timestamp::from_millis(1_767_225_600_000);
        for same in [
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00.0Z",
            "2026-01-01T00:00:00.000999999Z",
            "2026-01-01T00:00:00+00:00",
            "2026-01-01T00:00:00-00:00",
            "2025-12-31T19:00:00-05:00",
            "2026-01-01T23:59:00.000+23:59",
        ] {
            assert_eq!(same.parse(), Ok(t), "{same}");
        }
        for other in [
            "2026-01-01t00:00:00Z",
            "2026-01-01T00:00:00z",
            "2026-01-01 00:00:00Z",
            "2026-01-01_00:00:00Z",
            "20260101T000000Z",
            "2026-01-01T0000Z",
            "2026-01-01T00:00Z",
            "2026-01-01T00Z",
            "2026-W01-4T00:00:00Z",
            "2026-001T00:00:00Z",
            "2026-1-1T00:00:00Z",
            "+002026-01-01T00:00:00Z",
            "2026-01-01T00:00:00,5Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567890Z",
            "2026-01-01T00:00:60Z",
            "2016-12-31T23:59:60Z",
            "2026-01-01T24:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:00+01",
            "2026-01-01T00:00:00+0100",
            "2026-01-01T00:00:00+01:00:00",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00+01:60",
            "2026-01-01T00:00:00\u{2212}01:00",
            "2026-01-01T00:00:00+01:00[Europe/Paris]",
            "2026-01-01T00:00:00Z[UTC]",
            "2026-01-01T00:00:00 Z",
            " 2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00Z ",
            "2026-01-01T00:00:00Z\n",
            "２026-01-01T00:00:00Z",
            "1767225600",
            "1767225600000",
        ] {
            assert_eq!(other.parse::<Timestamp>(), Err(NotATime), "{other:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn printed_time_is_parsed_and_parsing_never_panics(ms in 0..=Timestamp::MAX.0, text in ".{0,40}") {
            proptest::prop_assert_eq!(Timestamp(ms).to_string().parse(), Ok(Timestamp(ms)));
            let _ = text.parse::<Timestamp>();
        }
    }

    #[test]
    fn text_that_is_not_a_time_is_refused() {
        for text in ["", "9999-12-30T22:00:00.999Z", "2026-01-01", "2026-01-01T00:00:00", "1969-12-31T23:59:59Z", "yesterday"] {
            assert_eq!(text.parse::<Timestamp>(), Err(NotATime), "{text}");
        }
    }
}
