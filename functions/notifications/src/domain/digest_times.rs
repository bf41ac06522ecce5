//! The times at which digests are due.

use super::{Digest, Frequency, Preferences};
use common::base::{Timestamp, UserId};
use jiff::civil;
use std::time::Duration;

/// The number of minutes over which the digests of one hour are spread, because the number of mails a minute is limited.
const SPREAD_MINUTES: u128 = 50;

/// The fixed delay of a user's daily digest after the hour.
fn offset(user: UserId) -> Duration {
    // The last bytes of an id are random.
    let minutes = user.uuid().as_u128() % SPREAD_MINUTES;
    Duration::from_secs(u64::try_from(minutes).unwrap_or(0) * 60)
}

impl Preferences {
    /// The end of the quiet hours that apply at `now`; `None` if none apply.
    pub fn quiet_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.quiet_hours.as_ref()?.until(&self.time_zone, now)
    }

    /// The time of the next digest after `now`, if the user wants any. An hourly digest is due at a full hour of the user's local
    /// time, a daily one at the user's own minute after their chosen hour. Quiet hours postpone it.
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

    /// A user whose minute is the first.
    const SOMEBODY: UserId = UserId::from_uuid(common::base::Uuid::nil());

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }
    fn wants(zone: &str, frequency: Frequency, hour: i8) -> Preferences {
        let time_zone: Zone = zone.parse().unwrap();
        Preferences { time_zone, digest: Digest { frequency, hour }, ..Preferences::default() }
    }

    #[test]
    fn daily_digest_is_due_at_its_hour_in_local_time() {
        let wants = wants("America/Los_Angeles", Frequency::Daily, 8);
        assert_eq!(wants.digest_after(SOMEBODY, at("2026-01-01T12:00:00Z")), Some(at("2026-01-01T16:00:00Z")));
        assert_eq!(wants.digest_after(SOMEBODY, at("2026-01-01T16:00:00Z")), Some(at("2026-01-02T16:00:00Z")));
        // In summer it is due an hour earlier in UTC.
        assert_eq!(wants.digest_after(SOMEBODY, at("2026-07-01T12:00:00Z")), Some(at("2026-07-01T15:00:00Z")));
    }

    #[test]
    fn daily_digest_at_an_hour_skipped_in_spring_is_due_once() {
        let wants = wants("America/New_York", Frequency::Daily, 2);
        let first = wants.digest_after(SOMEBODY, at("2026-03-08T05:00:00Z"));
        assert_eq!(first, Some(at("2026-03-08T07:00:00Z")));
        assert_eq!(wants.digest_after(SOMEBODY, first.unwrap()), Some(at("2026-03-09T06:00:00Z")));
    }

    #[test]
    fn hourly_digest_is_due_at_the_local_full_hour() {
        let wants = wants("Asia/Kathmandu", Frequency::Hourly, 8);
        // Kathmandu is 5:45 ahead of UTC, so its full hours are at a quarter past the hour in UTC.
        assert_eq!(wants.digest_after(SOMEBODY, at("2026-01-01T12:00:00Z")), Some(at("2026-01-01T12:15:00Z")));
        assert_eq!(wants.digest_after(SOMEBODY, at("2026-01-01T12:15:00Z")), Some(at("2026-01-01T13:15:00Z")));
    }

    #[test]
    fn digest_is_postponed_to_the_end_of_quiet_hours() {
        let quiet_hours = QuietHours { start: "22:00".parse().unwrap(), end: "07:30".parse().unwrap() };
        let wants = Preferences { quiet_hours: Some(quiet_hours), ..wants("UTC", Frequency::Hourly, 8) };
        assert_eq!(wants.digest_after(SOMEBODY, at("2026-01-01T21:30:00Z")), Some(at("2026-01-02T07:30:00Z")));
        assert_eq!(wants.digest_after(SOMEBODY, at("2026-01-02T07:30:00Z")), Some(at("2026-01-02T08:00:00Z")));
    }

    #[test]
    fn daily_digest_at_a_repeated_hour_is_due_once() {
        // 01:00 is at 05:00 and again at 06:00 UTC on 2026-11-01.
        let wants = wants("America/New_York", Frequency::Daily, 1);
        let first = wants.digest_after(SOMEBODY, at("2026-10-31T12:00:00Z")).unwrap();
        assert_eq!(first, at("2026-11-01T05:00:00Z"));
        assert_eq!(wants.digest_after(SOMEBODY, first), Some(at("2026-11-02T06:00:00Z")));
        assert_eq!(wants.digest_after(SOMEBODY, at("2026-11-01T05:30:00Z")), Some(at("2026-11-02T06:00:00Z")));
    }

    #[test]
    fn daily_digest_after_the_end_of_its_day_is_due_in_the_last_minute() {
        // In Nuuk the clock goes from 23:00 on Saturday to 00:00 on Sunday, at 01:00 UTC.
        let wants = wants("America/Nuuk", Frequency::Daily, 23);
        let saturday = wants.digest_after(SOMEBODY, at("2026-03-28T12:00:00Z")).unwrap();
        assert_eq!(saturday, at("2026-03-29T00:59:00Z"));
        assert_eq!(wants.digest_after(SOMEBODY, saturday), Some(at("2026-03-30T00:00:00Z")));
    }

    #[test]
    fn skipped_day_has_no_digest() {
        // Samoa went from 2011-12-29 to 2011-12-31, at 10:00 UTC.
        let wants = wants("Pacific/Apia", Frequency::Daily, 8);
        let last = at("2011-12-29T18:00:00Z");
        assert_eq!(wants.digest_after(SOMEBODY, at("2011-12-29T12:00:00Z")), Some(last));
        assert_eq!(wants.digest_after(SOMEBODY, last), Some(at("2011-12-30T18:00:00Z")));
    }

    #[test]
    fn hourly_digest_is_due_at_full_hours_around_a_half_hour_change() {
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
    fn user_without_digests_has_no_due_time() {
        assert_eq!(wants("UTC", Frequency::Off, 8).digest_after(SOMEBODY, at("2026-01-01T12:00:00Z")), None);
    }

    #[test]
    fn daily_digests_are_spread_within_the_hour_at_a_fixed_minute_each() {
        let wants = wants("America/New_York", Frequency::Daily, 8);
        let mut minutes = std::collections::BTreeMap::new();
        for n in 0..1000u128 {
            let user = UserId::from_uuid(common::base::Uuid::from_u128(n * 7919));
            let first = wants.digest_after(user, at("2026-03-07T12:00:00Z")).unwrap();
            assert!(first >= at("2026-03-07T13:00:00Z") && first < at("2026-03-07T13:50:00Z"), "{first}");
            *minutes.entry(first).or_insert(0) += 1;
            // The next day it is due at the same minute, shifted by summer time, and only once a day, whatever time is passed in.
            let next = wants.digest_after(user, first).unwrap();
            assert_eq!(next, first.plus(Duration::from_secs(23 * 3600)));
            assert_eq!(wants.digest_after(user, first.plus(Duration::from_secs(60))), Some(next));
            assert_eq!(wants.digest_after(user, first.minus(Duration::from_millis(1))), Some(first));
        }
        assert!(minutes.len() == 50 && minutes.values().all(|n| *n <= 30), "{minutes:?}");
    }
}
