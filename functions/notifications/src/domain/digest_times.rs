//! When a digest is due.

use super::{Digest, Frequency, Preferences};
use common::{Timestamp, UserId};
use jiff::civil;
use std::time::Duration;

/// Over how many minutes those are spread who want theirs at the same hour: what leaves in a minute is bounded.
const SPREAD_MINUTES: u128 = 50;

/// How long after the hour a user's daily digest comes: always as long.
fn offset(user: UserId) -> Duration {
    // The last bytes of an id are random.
    let minutes = user.uuid().as_u128() % SPREAD_MINUTES;
    Duration::from_secs(u64::try_from(minutes).unwrap_or(0) * 60)
}

impl Preferences {
    /// When the quiet that holds at `now` ends; nothing where none holds.
    pub fn quiet_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.quiet_hours.as_ref()?.until(&self.time_zone, now)
    }

    /// When the next digest after `now` is due, if the user wants any: an hourly one at a full hour of their own clock, a daily one within
    /// the hour that they want, at a minute of their own; and not in their quiet hours.
    pub fn digest_after(&self, user: UserId, now: Timestamp) -> Option<Timestamp> {
        let at = self.hour_after(user, now)?;
        Some(self.quiet_until(at).unwrap_or(at))
    }

    fn hour_after(&self, user: UserId, now: Timestamp) -> Option<Timestamp> {
        let Digest { frequency, hour } = self.digest;
        match frequency {
            Frequency::Off => None,
            Frequency::Hourly => Some(self.time_zone.next_hour(now)),
            Frequency::Daily => {
                let (hour, offset) = (civil::Time::new(hour, 0, 0, 0).ok()?, offset(user));
                Some(self.time_zone.next_daily(hour, now.minus(offset))?.plus(offset))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{QuietHours, Zone};
    use super::*;

    /// Somebody whose minute is the first.
    const SOMEBODY: UserId = UserId::from_uuid(common::Uuid::nil());

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
        assert_eq!(wants.digest_after(SOMEBODY, at("2026-01-01T12:00:00Z")), Some(at("2026-01-01T16:00:00Z")));
        assert_eq!(wants.digest_after(SOMEBODY, at("2026-01-01T16:00:00Z")), Some(at("2026-01-02T16:00:00Z")));
        // Summer time moves it with the clock.
        assert_eq!(wants.digest_after(SOMEBODY, at("2026-07-01T12:00:00Z")), Some(at("2026-07-01T15:00:00Z")));
    }

    #[test]
    fn a_daily_digest_at_an_hour_that_spring_skips_comes_once() {
        let wants = wants("America/New_York", Frequency::Daily, 2);
        let first = wants.digest_after(SOMEBODY, at("2026-03-08T05:00:00Z"));
        assert_eq!(first, Some(at("2026-03-08T07:00:00Z")));
        assert_eq!(wants.digest_after(SOMEBODY, first.unwrap()), Some(at("2026-03-09T06:00:00Z")));
    }

    #[test]
    fn an_hourly_digest_comes_at_the_full_hour_there() {
        let wants = wants("Asia/Kathmandu", Frequency::Hourly, 8);
        // Kathmandu is 5:45 ahead, so its hours begin at a quarter past ours.
        assert_eq!(wants.digest_after(SOMEBODY, at("2026-01-01T12:00:00Z")), Some(at("2026-01-01T12:15:00Z")));
        assert_eq!(wants.digest_after(SOMEBODY, at("2026-01-01T12:15:00Z")), Some(at("2026-01-01T13:15:00Z")));
    }

    #[test]
    fn a_digest_waits_for_the_end_of_quiet_hours() {
        let quiet_hours = QuietHours { start: "22:00".parse().unwrap(), end: "07:30".parse().unwrap() };
        let wants = Preferences { quiet_hours: Some(quiet_hours), ..wants("UTC", Frequency::Hourly, 8) };
        assert_eq!(wants.digest_after(SOMEBODY, at("2026-01-01T21:30:00Z")), Some(at("2026-01-02T07:30:00Z")));
        assert_eq!(wants.digest_after(SOMEBODY, at("2026-01-02T07:30:00Z")), Some(at("2026-01-02T08:00:00Z")));
    }

    #[test]
    fn a_daily_digest_comes_once_on_the_day_on_which_its_hour_comes_twice() {
        // 01:00 is at 05:00 and again at 06:00 UTC on 2026-11-01.
        let wants = wants("America/New_York", Frequency::Daily, 1);
        let first = wants.digest_after(SOMEBODY, at("2026-10-31T12:00:00Z")).unwrap();
        assert_eq!(first, at("2026-11-01T05:00:00Z"));
        assert_eq!(wants.digest_after(SOMEBODY, first), Some(at("2026-11-02T06:00:00Z")));
        assert_eq!(wants.digest_after(SOMEBODY, at("2026-11-01T05:30:00Z")), Some(at("2026-11-02T06:00:00Z")));
    }

    #[test]
    fn a_daily_digest_on_a_day_that_ends_before_its_hour_comes_in_the_last_minute() {
        // In Nuuk the clock goes from 23:00 on Saturday to 00:00 on Sunday, at 01:00 UTC.
        let wants = wants("America/Nuuk", Frequency::Daily, 23);
        let saturday = wants.digest_after(SOMEBODY, at("2026-03-28T12:00:00Z")).unwrap();
        assert_eq!(saturday, at("2026-03-29T00:59:00Z"));
        assert_eq!(wants.digest_after(SOMEBODY, saturday), Some(at("2026-03-30T00:00:00Z")));
    }

    #[test]
    fn a_day_that_a_zone_skips_has_no_digest() {
        // Samoa went from 2011-12-29 to 2011-12-31, at 10:00 UTC.
        let wants = wants("Pacific/Apia", Frequency::Daily, 8);
        let last = at("2011-12-29T18:00:00Z");
        assert_eq!(wants.digest_after(SOMEBODY, at("2011-12-29T12:00:00Z")), Some(last));
        assert_eq!(wants.digest_after(SOMEBODY, last), Some(at("2011-12-30T18:00:00Z")));
    }

    #[test]
    fn an_hourly_digest_comes_at_full_hours_around_a_change_by_half_an_hour() {
        let wants = wants("Australia/Lord_Howe", Frequency::Hourly, 0);
        // 02:00 at UTC+11 is 01:30 at UTC+10:30, on 2026-04-05; 02:00 is 02:30 on 2026-10-04.
        for (now, next) in [
            ("2026-04-04T14:00:00Z", "2026-04-04T15:30:00Z"),
            ("2026-04-04T14:59:59Z", "2026-04-04T15:30:00Z"),
            ("2026-04-04T15:10:00Z", "2026-04-04T15:30:00Z"),
            ("2026-10-03T14:30:00Z", "2026-10-03T16:00:00Z"),
            ("2026-10-03T15:30:00Z", "2026-10-03T16:00:00Z"),
        ] {
            assert_eq!(wants.digest_after(SOMEBODY, at(now)), Some(at(next)), "{now}");
        }
    }

    #[test]
    fn who_wants_none_gets_none() {
        assert_eq!(wants("UTC", Frequency::Off, 8).digest_after(SOMEBODY, at("2026-01-01T12:00:00Z")), None);
    }

    #[test]
    fn daily_digests_of_a_thousand_users_come_within_the_hour_each_at_a_minute_of_its_own() {
        let wants = wants("America/New_York", Frequency::Daily, 8);
        let mut minutes = std::collections::BTreeMap::new();
        for n in 0..1000u128 {
            let user = UserId::from_uuid(common::Uuid::from_u128(n * 7919));
            let first = wants.digest_after(user, at("2026-03-07T12:00:00Z")).unwrap();
            assert!(first >= at("2026-03-07T13:00:00Z") && first < at("2026-03-07T13:50:00Z"), "{first}");
            *minutes.entry(first).or_insert(0) += 1;
            // The next day at the same minute, which summer time moves; and once a day, whenever it is asked.
            let next = wants.digest_after(user, first).unwrap();
            assert_eq!(next, first.plus(Duration::from_secs(23 * 3600)));
            assert_eq!(wants.digest_after(user, first.plus(Duration::from_secs(60))), Some(next));
            assert_eq!(wants.digest_after(user, first.minus(Duration::from_millis(1))), Some(first));
        }
        assert!(minutes.len() == 50 && minutes.values().all(|n| *n <= 30), "{minutes:?}");
    }
}
