//! When a digest is due.

use super::{Digest, Frequency, Preferences, local_time::instant};
use common::Timestamp;
use jiff::{RoundMode, ToSpan, Unit, ZonedRound, civil};

impl Preferences {
    /// When the quiet that holds at `now` ends; nothing where none holds.
    pub fn quiet_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.quiet_hours.as_ref()?.until(&self.time_zone, now)
    }

    /// When the next digest after `now` is due, if the user wants any: at a full hour of their own clock, and not in their
    /// quiet hours.
    pub fn digest_after(&self, now: Timestamp) -> Option<Timestamp> {
        let Digest { frequency, hour } = self.digest;
        let local = self.time_zone.local(now);
        let at = match frequency {
            Frequency::Off => return None,
            Frequency::Hourly => {
                let down = ZonedRound::new().smallest(Unit::Hour).mode(RoundMode::Trunc);
                instant(&local.round(down).ok()?.checked_add(1.hour()).ok()?)
            }
            Frequency::Daily => {
                let time = civil::Time::new(hour, 0, 0, 0).ok()?;
                let on = |date: civil::Date| self.time_zone.next(date.to_datetime(time), now);
                on(local.date()).or_else(|| on(local.date().tomorrow().ok()?))?
            }
        };
        Some(self.quiet_until(at).unwrap_or(at))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{QuietHours, Zone};
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }
    fn wants(zone: &str, frequency: Frequency, hour: i8) -> Preferences {
        let time_zone: Zone = zone.parse().unwrap();
        Preferences { time_zone, digest: Digest { frequency, hour }, ..Preferences::default() }
    }

    #[test]
    fn a_daily_digest_comes_at_its_hour_of_the_users_clock() {
        let wants = wants("America/Los_Angeles", Frequency::Daily, 8);
        assert_eq!(wants.digest_after(at("2026-01-01T12:00:00Z")), Some(at("2026-01-01T16:00:00Z")));
        assert_eq!(wants.digest_after(at("2026-01-01T16:00:00Z")), Some(at("2026-01-02T16:00:00Z")));
        // Summer time moves it with the clock.
        assert_eq!(wants.digest_after(at("2026-07-01T12:00:00Z")), Some(at("2026-07-01T15:00:00Z")));
    }

    #[test]
    fn a_daily_digest_at_an_hour_that_spring_skips_comes_once() {
        let wants = wants("America/New_York", Frequency::Daily, 2);
        let first = wants.digest_after(at("2026-03-08T05:00:00Z"));
        assert_eq!(first, Some(at("2026-03-08T07:00:00Z")));
        assert_eq!(wants.digest_after(first.unwrap()), Some(at("2026-03-09T06:00:00Z")));
    }

    #[test]
    fn an_hourly_digest_comes_at_the_full_hour_there() {
        let wants = wants("Asia/Kathmandu", Frequency::Hourly, 8);
        // Kathmandu is 5:45 ahead, so its hours begin at a quarter past ours.
        assert_eq!(wants.digest_after(at("2026-01-01T12:00:00Z")), Some(at("2026-01-01T12:15:00Z")));
        assert_eq!(wants.digest_after(at("2026-01-01T12:15:00Z")), Some(at("2026-01-01T13:15:00Z")));
    }

    #[test]
    fn a_digest_waits_for_the_end_of_quiet_hours() {
        let quiet_hours = QuietHours { start: "22:00".parse().unwrap(), end: "07:30".parse().unwrap() };
        let wants = Preferences { quiet_hours: Some(quiet_hours), ..wants("UTC", Frequency::Hourly, 8) };
        assert_eq!(wants.digest_after(at("2026-01-01T21:30:00Z")), Some(at("2026-01-02T07:30:00Z")));
        assert_eq!(wants.digest_after(at("2026-01-02T07:30:00Z")), Some(at("2026-01-02T08:00:00Z")));
    }

    #[test]
    fn who_wants_none_gets_none() {
        assert_eq!(wants("UTC", Frequency::Off, 8).digest_after(at("2026-01-01T12:00:00Z")), None);
    }
}
