//! Properties that hold in every compiled-in zone, around every kind of clock change.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
const UNTIL: i64 = 70 * 365 * DAY;

fn zones() -> Vec<Zone> {
    let database = tz::TimeZoneDatabase::bundled();
    // The database has entries that are not places.
    let zones: Vec<_> = database.available().filter_map(|name| name.as_str().parse().ok()).collect();
    assert!(zones.len() > 500, "{}", zones.len());
    zones
}

/// Each clock change of each zone from 1970 to 2040, without changes that are equivalent to an earlier one, together with the
/// days around them.
fn changes() -> Vec<(Zone, i64)> {
    let (mut seen, mut changes) = (BTreeSet::new(), Vec::new());
    for zone in zones() {
        let until = jiff::Timestamp::from_millisecond(UNTIL).unwrap();
        let all = zone.0.following(jiff::Timestamp::UNIX_EPOCH).take_while(|change| change.timestamp() < until);
        let all: Vec<_> = all.map(|change| change.timestamp().as_millisecond()).collect();
        let kind = |at: i64| {
            let [before, after] = [at - 1, at].map(|at| zone.local(Timestamp::from_millis(at)));
            (before.time(), after.offset().seconds() - before.offset().seconds())
        };
        for at in &all {
            let around = all.iter().filter(|other| (*other - at).abs() <= 5 * DAY);
            if seen.insert(around.map(|other| (other - at, kind(*other))).collect::<Vec<_>>()) {
                changes.push((zone.clone(), *at));
            }
        }
    }
    changes
}

/// The next digest is later than now, each local day that exists has exactly one.
#[test]
fn every_zone_has_one_daily_digest_on_each_local_day() {
    let changes = changes();
    assert!(changes.len() > 50, "{}", changes.len());
    for (zone, change) in changes {
        let (from, to) = (Timestamp::from_millis(change - 2 * DAY), Timestamp::from_millis(change + 2 * DAY));
        for hour in 0..24 {
            let time = civil::Time::new(hour, 0, 0, 0).unwrap();
            let (mut now, mut days) = (from, Vec::new());
            while let Some(next) = zone.next_daily(time, now).filter(|next| *next < to) {
                assert!(next > now, "{zone} {hour} {now}");
                days.push(zone.local(next).date());
                now = next;
            }
            days.sort_unstable();
            let [first, last] = [days[0], days[days.len() - 1]];
            let there_is = |day: &civil::Date| {
                let noon = zone.0.to_ambiguous_zoned(day.at(12, 0, 0, 0)).compatible().unwrap();
                noon.date() == *day
            };
            let expected: Vec<_> = first.series(1.day()).take_while(|day| *day <= last).filter(there_is).collect();
            assert_eq!(days, expected, "{zone} at {hour}, around {}", Timestamp::from_millis(change));
        }
    }
}

/// For every start, the next full hour is later, is a full hour, is at most two hours away, and no full hour before it is left
/// out.
#[test]
fn every_zone_has_a_full_hour_within_two_hours() {
    for (zone, change) in changes() {
        for minutes in (-150..=150).step_by(10) {
            let now = Timestamp::from_millis(change + minutes * MINUTE);
            let next = zone.next_hour(now);
            assert!(next > now && next.since(now) <= 2 * HOUR, "{zone} {now} {next}");
            assert!(past_the_hour(&zone.local(next)).is_zero(), "{zone} {now} {next}");
            let between = (now.as_millis() + MINUTE..next.as_millis()).step_by(60_000).map(Timestamp::from_millis);
            for moment in between.map(|at| Timestamp::from_millis(at.as_millis() / MINUTE * MINUTE)) {
                assert!(!past_the_hour(&zone.local(moment)).is_zero() || moment <= now, "{zone} {now} {moment} {next}");
            }
        }
    }
}

proptest! {
    #[test]
    fn next_digests_are_in_the_near_future_in_any_zone_at_any_time(
        zone in prop::sample::select(zones()), at in 0..UNTIL, hour in 0_i8..24,
    ) {
        let now = Timestamp::from_millis(at);
        let daily = zone.next_daily(civil::Time::new(hour, 0, 0, 0).unwrap(), now).unwrap();
        prop_assert!(daily > now && daily.since(now) <= 73 * HOUR, "{} {}", now, daily);
        let hourly = zone.next_hour(now);
        prop_assert!(hourly > now && hourly.since(now) <= 2 * HOUR, "{} {}", now, hourly);
    }
}
