//! The user's local time: time zones by their IANA names, and quiet hours.
//!
//! The rules of the zones are compiled in (jiff's copy of the IANA database), so that a function needs no file for them.

use common::base::Timestamp;
use jiff::{ToSpan, Zoned, civil, tz};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

/// A time zone of the IANA database, such as `America/Los_Angeles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(tz::TimeZone);

/// The text is not the name of a time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAZone;

impl Zone {
    pub fn utc() -> Self {
        Self(tz::TimeZone::UTC)
    }
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
    /// The local time there.
    pub(super) fn local(&self, at: Timestamp) -> Zoned {
        // INVARIANT: a parsed `Timestamp` is within jiff's range.
        jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_zoned(self.0.clone())
    }
    /// The first instant after `after` with the local time `at`. If the change to summer time skips `at`, it moves later by the
    /// length of the gap. If the change to winter time repeats it, the first occurrence after `after` counts.
    pub(super) fn next(&self, at: civil::DateTime, after: Timestamp) -> Option<Timestamp> {
        let ambiguous = self.0.to_ambiguous_zoned(at);
        let [earlier, later] = [ambiguous.clone().compatible(), ambiguous.later()];
        [earlier, later].into_iter().filter_map(Result::ok).map(|at| instant(&at)).find(|at| *at > after)
    }
}

impl Zone {
    /// The first instant after `after` that is the `hour` of a local day. Each local day has exactly one: if the hour is
    /// repeated, the first; if it is skipped, the first moment after the gap; if the day ends with the gap, its last minute. A
    /// day that a zone skips has none.
    pub(super) fn next_daily(&self, hour: civil::Time, after: Timestamp) -> Option<Timestamp> {
        let today = self.local(after).date();
        // After a change at midnight yesterday may occur again, and whole days may be skipped.
        let days = (-1..=3).filter_map(|days| today.checked_add(days.days()).ok());
        days.filter_map(|day| self.daily(day, hour)).filter(|at| *at > after).min()
    }

    fn daily(&self, day: civil::Date, hour: civil::Time) -> Option<Timestamp> {
        let at = self.0.to_ambiguous_zoned(day.to_datetime(hour)).compatible().ok()?;
        if at.date() == day {
            return Some(instant(&at));
        }
        let gap = self.0.preceding(at.timestamp().checked_add(1.second()).ok()?).next()?;
        let last = gap.timestamp().checked_sub(1.minute()).ok()?.to_zoned(self.0.clone());
        (last.date() == day).then(|| instant(&last))
    }

    /// The first instant after `after` that is a local full hour: at most an hour later, or two if the clock changes in between.
    pub(super) fn next_hour(&self, after: Timestamp) -> Timestamp {
        let mut from = after;
        loop {
            let local = self.local(from);
            let next = from.plus(HOUR - past_the_hour(&local));
            let change = self.0.following(local.timestamp()).next().map(|change| change.timestamp());
            match change.map(|at| Timestamp::from_millis(at.as_millisecond())).filter(|change| *change <= next) {
                None => return next,
                Some(change) if past_the_hour(&self.local(change)).is_zero() => return change,
                Some(change) => from = change,
            }
        }
    }
}

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The local time since the last full hour.
fn past_the_hour(local: &Zoned) -> Duration {
    let [minute, second, milli] = [local.minute().into(), local.second().into(), local.millisecond()].map(i16::unsigned_abs);
    Duration::from_millis((u64::from(minute) * 60 + u64::from(second)) * 1000 + u64::from(milli))
}

fn instant(at: &Zoned) -> Timestamp {
    Timestamp::from_millis(at.timestamp().as_millisecond())
}

impl FromStr for Zone {
    type Err = NotAZone;
    fn from_str(name: &str) -> Result<Self, NotAZone> {
        let zone = tz::TimeZoneDatabase::bundled().get(name).map_err(|_| NotAZone)?;
        // The database finds names in any case, and has entries that are not places.
        let is_its_name = zone.iana_name() == Some(name) && !["Factory", "posixrules", "localtime"].contains(&name);
        if is_its_name { Ok(Self(zone)) } else { Err(NotAZone) }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let name = Cow::<str>::deserialize(d)?;
        name.parse().map_err(|NotAZone| D::Error::custom("expected the IANA name of a time zone, such as Europe/Berlin"))
    }
}

impl JsonSchema for Zone {
    fn schema_name() -> Cow<'static, str> {
        "TimeZone".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "pattern": "^[A-Za-z][A-Za-z0-9+_-]*(/[A-Za-z0-9+_-]+)*$", "description": "the IANA name of a time zone",
            "examples": ["America/New_York"],
        })
    }
}

/// A time of the day, to the minute: `22:30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalTime(pub(super) civil::Time);

impl FromStr for LocalTime {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        let two = |text: &str| text.parse::<i8>().ok().filter(|_| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()));
        let (hour, minute) = s.split_once(':').ok_or(())?;
        let (hour, minute) = (two(hour).ok_or(())?, two(minute).ok_or(())?);
        civil::Time::new(hour, minute, 0, 0).map(Self).map_err(|_| ())
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}

impl Serialize for LocalTime {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LocalTime {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(d)?.parse().map_err(|()| D::Error::custom("expected a time of day such as 22:30"))
    }
}

impl JsonSchema for LocalTime {
    fn schema_name() -> Cow<'static, str> {
        "LocalTime".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$", "examples": ["22:30"]})
    }
}

/// From `start` to `end`, past midnight if `end` is earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    pub start: LocalTime,
    pub end: LocalTime,
}

impl QuietHours {
    /// The end of the quiet hours that apply at `now`; `None` if none apply.
    pub fn until(&self, zone: &Zone, now: Timestamp) -> Option<Timestamp> {
        let local = zone.local(now);
        let (LocalTime(start), LocalTime(end), time) = (self.start, self.end, local.time());
        let quiet = if start < end { (start..end).contains(&time) } else { time >= start || time < end };
        if !quiet {
            return None;
        }
        let today = local.date();
        let day = if time < end { today } else { today.tomorrow().ok()? };
        zone.next(day.to_datetime(end), now)
    }
}

#[cfg(test)]
mod all_zones;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }
    fn quiet(start: &str, end: &str) -> QuietHours {
        QuietHours { start: start.parse().unwrap(), end: end.parse().unwrap() }
    }

    #[test]
    fn zone_name_must_be_spelled_as_in_the_database() {
        for name in [
            "Europe/Berlin",
            "America/Argentina/Buenos_Aires",
            "UTC",
            "Etc/UTC",
            "GMT",
            "Etc/GMT+5",
            "US/Eastern",
            "Asia/Calcutta",
        ] {
            assert_eq!(name.parse::<Zone>().unwrap().name(), name, "links are valid names");
        }
        for other in [
            "europe/berlin",
            "EUROPE/BERLIN",
            "utc",
            "Utc",
            "Z",
            "z",
            "+01:00",
            "-05",
            "EST5EDT,M3.2.0,M11.1.0",
            "<+03>-3",
            "Europe/Berlin ",
            " UTC",
            "Europe\\Berlin",
            "../UTC",
            "/etc/localtime",
            "localtime",
            "posixrules",
            "Factory",
            "Mars/Olympus",
            "Berlin",
            "CEST",
            "",
        ] {
            assert_eq!(other.parse::<Zone>(), Err(NotAZone), "{other:?}");
        }
    }

    #[test]
    fn every_zone_of_the_database_round_trips() {
        let mut known = 0;
        for name in tz::TimeZoneDatabase::bundled().available() {
            known += usize::from(name.as_str().parse::<Zone>().is_ok_and(|zone| zone.to_string() == name.as_str()));
        }
        assert!(known > 550, "{known}");
    }

    #[test]
    fn time_of_day_needs_two_digits_each() {
        assert_eq!("07:05".parse::<LocalTime>().unwrap().to_string(), "07:05");
        for other in ["7:05", "07:5", "24:00", "07:60", "0705", "07:05:00", "+7:05", "07.05", "07:05Z", " 07:05", "７:05", ""] {
            assert!(other.parse::<LocalTime>().is_err(), "{other:?}");
        }
    }

    #[test]
    fn quiet_hours_may_pass_midnight() {
        let (quiet, zone) = (quiet("22:00", "07:00"), "America/New_York".parse().unwrap());
        // New York is five hours behind UTC in January.
        assert_eq!(quiet.until(&zone, at("2026-01-10T02:59:59Z")), None);
        assert_eq!(quiet.until(&zone, at("2026-01-10T03:00:00Z")), Some(at("2026-01-10T12:00:00Z")));
        assert_eq!(quiet.until(&zone, at("2026-01-10T11:59:59Z")), Some(at("2026-01-10T12:00:00Z")));
        assert_eq!(quiet.until(&zone, at("2026-01-10T12:00:00Z")), None);
    }

    #[test]
    fn quiet_hours_are_an_hour_shorter_when_clocks_go_forward() {
        // 2026-03-08, 02:00 → 03:00 in New York: the night begins at UTC-5 and ends at UTC-4.
        let (quiet, zone) = (quiet("22:00", "07:00"), "America/New_York".parse().unwrap());
        let (from, to) = (at("2026-03-08T03:00:00Z"), at("2026-03-08T11:00:00Z"));
        assert_eq!(quiet.until(&zone, from), Some(to));
        assert_eq!(to.since(from), Duration::from_secs(8 * 3600));
        assert_eq!(quiet.until(&zone, to), None);
    }

    #[test]
    fn quiet_hours_are_an_hour_longer_when_clocks_go_back() {
        let (quiet, zone) = (quiet("22:00", "07:00"), "America/New_York".parse().unwrap());
        let (from, to) = (at("2026-11-01T02:00:00Z"), at("2026-11-01T12:00:00Z"));
        assert_eq!(quiet.until(&zone, from), Some(to));
        assert_eq!(to.since(from), Duration::from_secs(10 * 3600));
    }

    #[test]
    fn quiet_hours_with_a_repeated_or_skipped_end_still_end() {
        let zone = "America/New_York".parse().unwrap();
        // 01:30 is at 05:30 and again at 06:30 UTC. At ten past 01:00 for the second time, only the second 01:30 is ahead.
        let twice = quiet("00:00", "01:30");
        assert_eq!(twice.until(&zone, at("2026-11-01T05:10:00Z")), Some(at("2026-11-01T05:30:00Z")));
        assert_eq!(twice.until(&zone, at("2026-11-01T06:10:00Z")), Some(at("2026-11-01T06:30:00Z")));
        // 02:30 is skipped.
        let never = quiet("00:00", "02:30");
        assert_eq!(never.until(&zone, at("2026-03-08T06:50:00Z")), Some(at("2026-03-08T07:30:00Z")));
        assert_eq!(never.until(&zone, at("2026-03-08T07:10:00Z")), None);
    }

    #[test]
    fn invalid_zone_or_time_is_refused() {
        for name in ["", "Berlin", "America/Nowhere", "+01:00", "America/New_York "] {
            assert_eq!(name.parse::<Zone>(), Err(NotAZone), "{name}");
        }
        for time in ["", "7:00", "24:00", "12:60", "+7:00", "12:00:00", "noon"] {
            assert_eq!(time.parse::<LocalTime>(), Err(()), "{time}");
        }
    }

    proptest! {
        /// For every zone and night: the end of quiet hours is later than now, within about a day, and no quiet hours apply at
        /// the end.
        #[test]
        fn quiet_hours_always_end_within_a_day_or_so(
            zone in prop::sample::select(vec!["UTC", "America/New_York", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Casablanca"]),
            minutes in 0i64..(366 * 24 * 60),
            start in 0i8..24, end in 0i8..24, half in prop::bool::ANY,
        ) {
            prop_assume!(start != end);
            let minute = if half { 30 } else { 0 };
            let time = |hour| LocalTime(civil::Time::new(hour, minute, 0, 0).unwrap());
            let (zone, quiet) = (zone.parse().unwrap(), QuietHours { start: time(start), end: time(end) });
            let now = Timestamp::from_millis(1_767_225_600_000 + minutes * 60_000);
            if let Some(until) = quiet.until(&zone, now) {
                prop_assert!(until > now && until.since(now) <= Duration::from_secs(26 * 3600));
                prop_assert_eq!(quiet.until(&zone, until), None);
            }
        }
    }
}
