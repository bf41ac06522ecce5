//! The time of the next poll of a parcel: the sooner an event is likely, the sooner the poll.
//!
//! | Status | Polled again after |
//! |---|---|
//! | out for delivery | 10 minutes; not at night, because nothing is delivered then |
//! | in transit, picked up, held up | an hour; 30 minutes around the expected delivery, longer while that is days away or nothing
//! moves |
//! | only a label, or unknown to the carrier | 4 hours, then 12, then a day; not at night |
//! | delivered, returned, voided | never |
//!
//! The carrier deletes a parcel's data after 120 days, so polling stops then. A failed call is repeated with exponential backoff.
//! Every interval varies by a tenth, so that parcels that were registered together are not always polled together.

use super::Status;
use common::base::Timestamp;
use jiff::{ToSpan, civil, tz::TimeZone};
use std::time::Duration;

/// The time for which the carrier keeps a parcel's history (UPS, Tracking API), counted from its registration.
pub const KEPT_FOR: Duration = hours(120 * 24);

/// The inputs that determine the time of the next poll.
#[derive(Clone, Debug)]
pub struct Parcel {
    pub status: Status,
    pub registered_at: Timestamp,
    /// The time at which the carrier expects to deliver.
    pub eta: Option<Timestamp>,
    /// The time of the carrier's last scan.
    pub last_event_at: Option<Timestamp>,
    /// The destination's time zone, if it is known.
    pub zone: Option<TimeZone>,
}

/// The result of the last call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollOutcome {
    /// The carrier knows the parcel.
    Known,
    /// The carrier does not know the parcel yet.
    NotFound,
    /// The number of consecutive calls without a usable answer.
    Failed(u32),
}

/// A share of the interval, from -100 to 100 thousandths.
#[derive(Clone, Copy, Debug)]
pub struct Jitter(i64);

impl Jitter {
    /// Derives the share from random bytes.
    pub fn of(random: [u8; 8]) -> Self {
        Self((u64::from_le_bytes(random) % 201).cast_signed() - 100)
    }
    fn vary(self, interval: Duration) -> i64 {
        millis(interval) / 1000 * self.0
    }
}

/// The time of the next poll; `None` if the carrier will report nothing more.
pub fn next_poll(parcel: &Parcel, outcome: PollOutcome, now: Timestamp, jitter: Jitter) -> Option<Timestamp> {
    if is_final(parcel.status) || now.since(parcel.registered_at) >= KEPT_FOR {
        return None;
    }
    let interval = match outcome {
        PollOutcome::Failed(times) => backoff(times),
        PollOutcome::NotFound => unseen(now.since(parcel.registered_at)),
        PollOutcome::Known => interval(parcel, now),
    };
    let at = Timestamp::from_millis(now.as_millis() + millis(interval) + jitter.vary(interval));
    let sleeps = matches!(parcel.status, Status::OutForDelivery | Status::LabelCreated | Status::Unknown);
    match &parcel.zone {
        Some(zone) if sleeps && !matches!(outcome, PollOutcome::Failed(_)) => Some(not_at_night(at, zone)),
        _ => Some(at),
    }
}

/// Whether the carrier reports nothing more about a parcel in this status.
pub const fn is_final(status: Status) -> bool {
    matches!(status, Status::Delivered | Status::Returned | Status::Voided)
}

fn interval(parcel: &Parcel, now: Timestamp) -> Duration {
    let quiet = now.since(parcel.last_event_at.unwrap_or(parcel.registered_at));
    match parcel.status {
        Status::OutForDelivery => minutes(10),
        Status::LabelCreated | Status::Unknown => unseen(quiet),
        _ if parcel.eta.is_some_and(|eta| eta <= now.plus(hours(6)) && now <= eta.plus(hours(6))) => minutes(30),
        _ if quiet >= hours(7 * 24) => hours(12),
        _ if quiet >= hours(2 * 24) => hours(4),
        _ if parcel.eta.is_some_and(|eta| eta > now.plus(hours(3 * 24))) => hours(2),
        _ => hours(1),
    }
}

/// The interval for a parcel that the carrier has not scanned for `so_long`.
const fn unseen(so_long: Duration) -> Duration {
    match so_long.as_secs() / 86_400 {
        0..3 => hours(4),
        3..14 => hours(12),
        _ => hours(24),
    }
}

/// 2, 4, 8, … minutes, at most 4 hours.
fn backoff(times: u32) -> Duration {
    let doubled = minutes(1).saturating_mul(1 << times.clamp(1, 8));
    doubled.min(hours(4))
}

/// `at`, or the next morning if `at` is at night, from 22 to 6 o'clock.
fn not_at_night(at: Timestamp, zone: &TimeZone) -> Timestamp {
    let Ok(instant) = jiff::Timestamp::from_millisecond(at.as_millis()) else { return at };
    let local = zone.to_datetime(instant);
    let morning = match local.hour() {
        0..6 => local.date(),
        22.. => local.date().saturating_add(1.day()),
        _ => return at,
    };
    let Ok(morning) = zone.to_timestamp(morning.to_datetime(civil::time(6, 0, 0, 0))) else { return at };
    // Polls that were postponed over night are spread over the first half hour of the morning, by their minute within the night.
    let since = i64::from(local.minute()) * 60_000 + i64::from(local.second()) * 1000 + i64::from(local.millisecond());
    Timestamp::from_millis(morning.as_millisecond() + since % (30 * 60_000))
}

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

const fn hours(n: u64) -> Duration {
    minutes(n * 60)
}

fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STEADY: Jitter = Jitter(0);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Noon in UTC, a day after the registration.
    fn now() -> Timestamp {
        at("2026-01-02T12:00:00Z")
    }

    fn parcel(status: Status) -> Parcel {
        let registered_at = at("2026-01-01T12:00:00Z");
        Parcel { status, registered_at, eta: None, last_event_at: Some(now().minus(hours(1))), zone: None }
    }

    fn after(parcel: Parcel) -> Option<Duration> {
        next_poll(&parcel, PollOutcome::Known, now(), STEADY).map(|t| t.since(now()))
    }

    #[test]
    fn interval_is_an_hour_in_transit_and_ten_minutes_out_for_delivery() {
        for status in [Status::InTransit, Status::PickedUp, Status::Exception] {
            assert_eq!(after(parcel(status)), Some(hours(1)), "{status}");
        }
        assert_eq!(after(parcel(Status::OutForDelivery)), Some(minutes(10)));
    }

    #[test]
    fn interval_of_a_label_grows_with_its_age() {
        let label = |days: u64| {
            let last_event_at = Some(now().minus(hours(24 * days)));
            after(Parcel { last_event_at, registered_at: now().minus(hours(24 * days)), ..parcel(Status::LabelCreated) })
        };
        assert_eq!([label(0), label(3), label(14)], [4, 12, 24].map(|h| Some(hours(h))));
        let unknown = Parcel { last_event_at: None, ..parcel(Status::Unknown) };
        assert_eq!(after(unknown.clone()), Some(hours(4)));
        assert_eq!(next_poll(&unknown, PollOutcome::NotFound, now(), STEADY), Some(now().plus(hours(4))));
    }

    #[test]
    fn final_or_120_days_old_parcel_is_not_polled() {
        for status in [Status::Delivered, Status::Returned, Status::Voided] {
            assert_eq!(after(parcel(status)), None, "{status}");
            assert_eq!(next_poll(&parcel(status), PollOutcome::Failed(1), now(), STEADY), None);
        }
        let old = Parcel { registered_at: now().minus(KEPT_FOR), ..parcel(Status::InTransit) };
        for outcome in [PollOutcome::Known, PollOutcome::NotFound, PollOutcome::Failed(3)] {
            assert_eq!(next_poll(&old, outcome, now(), STEADY), None);
        }
        assert!(after(Parcel { registered_at: now().minus(KEPT_FOR - hours(1)), ..parcel(Status::InTransit) }).is_some());
    }

    #[test]
    fn interval_depends_on_expected_delivery_and_last_scan() {
        let moving = parcel(Status::InTransit);
        let eta = |h: u64| after(Parcel { eta: Some(now().plus(hours(h))), ..moving.clone() });
        assert_eq!([eta(5), eta(24), eta(100)], [Some(minutes(30)), Some(hours(1)), Some(hours(2))]);
        // A delivery that was expected long ago does not shorten the interval any more.
        assert_eq!(after(Parcel { eta: Some(now().minus(hours(7))), ..moving.clone() }), Some(hours(1)));
        let silent = |days: u64| after(Parcel { last_event_at: Some(now().minus(hours(24 * days))), ..moving.clone() });
        assert_eq!([silent(1), silent(2), silent(7)], [1, 4, 12].map(|h| Some(hours(h))));
    }

    #[test]
    fn poll_of_a_parcel_for_delivery_is_postponed_at_night() {
        // 21:55 in winter.
        let evening = at("2026-01-03T02:55:00Z");
        let new_york = || TimeZone::get("America/New_York").ok();
        let out = Parcel { zone: new_york(), ..parcel(Status::OutForDelivery) };
        assert_eq!(next_poll(&out, PollOutcome::Known, evening, STEADY), Some(at("2026-01-03T11:05:00Z")));
        let small_hours = at("2026-01-03T06:00:00Z");
        assert_eq!(next_poll(&out, PollOutcome::Known, small_hours, STEADY), Some(at("2026-01-03T11:10:00Z")));
        // In summer it is an hour later there: 22:05.
        let registered_at = at("2026-07-01T12:00:00Z");
        let summer = Parcel { registered_at, ..out.clone() };
        assert_eq!(next_poll(&summer, PollOutcome::Known, at("2026-07-03T01:55:00Z"), STEADY), Some(at("2026-07-03T10:05:00Z")));
        // The night in which the clocks go forward also ends in a morning.
        let march = at("2026-03-08T04:00:00Z");
        let spring = Parcel { registered_at: march, ..out.clone() };
        assert_eq!(next_poll(&spring, PollOutcome::Known, march, STEADY), Some(at("2026-03-08T10:10:00Z")));
        // The carrier's hubs work at night, so parcels in transit are polled at night, and so are parcels whose last call failed.
        let moving = Parcel { zone: new_york(), ..parcel(Status::InTransit) };
        assert_eq!(next_poll(&moving, PollOutcome::Known, evening, STEADY), Some(evening.plus(hours(1))));
        assert_eq!(next_poll(&out, PollOutcome::Failed(1), evening, STEADY), Some(evening.plus(minutes(2))));
    }

    #[test]
    fn interval_doubles_with_each_failure_up_to_its_maximum() {
        let failed =
            |n| next_poll(&parcel(Status::OutForDelivery), PollOutcome::Failed(n), now(), STEADY).map(|t| t.since(now()));
        assert_eq!([1, 2, 3, 7, 8, 100].map(failed), [2, 4, 8, 128, 240, 240].map(|m| Some(minutes(m))));
    }

    proptest! {
        #[test]
        fn next_poll_is_later_and_within_a_tenth_of_the_interval(
            status in prop::sample::select(Status::ALL.to_vec()), millis in 1_767_268_800_000_i64..1_777_268_800_000,
            zone in prop::option::of(-12_i8..=14), eta in prop::option::of(-200_i64..200), random: [u8; 8], failed in 0_u32..9,
        ) {
            let now = Timestamp::from_millis(millis);
            let eta = eta.map(|h| Timestamp::from_millis(millis + h * 3_600_000));
            let zone = zone.map(|hours| TimeZone::fixed(jiff::tz::offset(hours)));
            let parcel = Parcel { status, eta, zone, registered_at: now.minus(hours(30)), last_event_at: None };
            let outcome = if failed == 0 { PollOutcome::Known } else { PollOutcome::Failed(failed) };
            let next = next_poll(&parcel, outcome, now, Jitter::of(random));
            prop_assert_eq!(next.is_none(), is_final(status));
            if let Some(next) = next {
                let steady = if failed == 0 { interval(&parcel, now) } else { backoff(failed) };
                prop_assert!(next.since(now) >= steady.mul_f64(0.89));
                prop_assert!(next.since(now) <= steady.mul_f64(1.11) + hours(8) + minutes(30));
            }
        }
    }
}
