//! When the carrier is asked about a parcel again: the sooner, the sooner something is likely to have happened.
//!
//! | Status | Asked again after |
//! |---|---|
//! | out for delivery | 10 minutes; not at night, where nobody delivers |
//! | in transit, picked up, held up | an hour; 30 minutes around the expected delivery, longer while that is days off or nothing moves |
//! | a label only, or not known to the carrier | 4 hours, then 12, then a day; not at night |
//! | delivered, returned, voided | never |
//!
//! After 120 days the carrier has forgotten the parcel, and so do we. A call that failed is repeated with exponential backoff.
//! Every interval varies by a tenth, so that what was registered together is not asked about together for ever.

use super::Status;
use common::Timestamp;
use jiff::{ToSpan, civil, tz::TimeZone};
use std::time::Duration;

/// For so long the carrier keeps a parcel's history (UPS, Tracking API), counted from its registration.
pub const KEPT_FOR: Duration = hours(120 * 24);

/// What decides when a parcel is asked about.
#[derive(Clone, Debug)]
pub struct Parcel {
    pub status: Status,
    pub registered_at: Timestamp,
    /// When the carrier expects to deliver.
    pub eta: Option<Timestamp>,
    /// When the carrier last saw it.
    pub last_event_at: Option<Timestamp>,
    /// Where it goes to, as far as that is known.
    pub zone: Option<TimeZone>,
}

/// How the last call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The carrier knows the parcel.
    Known,
    /// The carrier has not heard of it.
    NotFound,
    /// No answer that could be used, so many times in a row.
    Failed(u32),
}

/// A share of the interval, from -100 to 100 thousandths.
#[derive(Clone, Copy, Debug)]
pub struct Jitter(i64);

impl Jitter {
    /// From random bytes.
    pub fn of(random: [u8; 8]) -> Self {
        Self((u64::from_le_bytes(random) % 201).cast_signed() - 100)
    }
    fn vary(self, interval: Duration) -> i64 {
        millis(interval) / 1000 * self.0
    }
}

/// When to ask again; never, where nothing more can be heard.
pub fn next_poll(parcel: &Parcel, heard: Heard, now: Timestamp, jitter: Jitter) -> Option<Timestamp> {
    if is_final(parcel.status) || now.since(parcel.registered_at) >= KEPT_FOR {
        return None;
    }
    let interval = match heard {
        Heard::Failed(times) => backoff(times),
        Heard::NotFound => unseen(now.since(parcel.registered_at)),
        Heard::Known => interval(parcel, now),
    };
    let at = Timestamp::from_millis(now.as_millis() + millis(interval) + jitter.vary(interval));
    let sleeps = matches!(parcel.status, Status::OutForDelivery | Status::LabelCreated | Status::Unknown);
    match &parcel.zone {
        Some(zone) if sleeps && !matches!(heard, Heard::Failed(_)) => Some(not_at_night(at, zone)),
        _ => Some(at),
    }
}

/// Whether the carrier has nothing more to tell of such a parcel.
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

/// Of a parcel that the carrier has not laid hands on for `so_long`.
const fn unseen(so_long: Duration) -> Duration {
    match so_long.as_secs() / 86_400 {
        0..3 => hours(4),
        3..14 => hours(12),
        _ => hours(24),
    }
}

/// 2, 4, 8, … minutes, and 4 hours at most.
fn backoff(times: u32) -> Duration {
    let doubled = minutes(1).saturating_mul(1 << times.clamp(1, 8));
    doubled.min(hours(4))
}

/// `at`, or the morning after where that is at night: from 22 to 6 o'clock.
fn not_at_night(at: Timestamp, zone: &TimeZone) -> Timestamp {
    let Ok(instant) = jiff::Timestamp::from_millisecond(at.as_millis()) else { return at };
    let local = zone.to_datetime(instant);
    let morning = match local.hour() {
        0..6 => local.date(),
        22.. => local.date().saturating_add(1.day()),
        _ => return at,
    };
    let Ok(morning) = zone.to_timestamp(morning.to_datetime(civil::time(6, 0, 0, 0))) else { return at };
    // What piled up over night is spread over the first half hour as it would have been over the night.
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
        next_poll(&parcel, Heard::Known, now(), STEADY).map(|t| t.since(now()))
    }

    #[test]
    fn hourly_in_transit_and_every_ten_minutes_when_out_for_delivery() {
        for status in [Status::InTransit, Status::PickedUp, Status::Exception] {
            assert_eq!(after(parcel(status)), Some(hours(1)), "{status}");
        }
        assert_eq!(after(parcel(Status::OutForDelivery)), Some(minutes(10)));
    }

    #[test]
    fn a_label_is_asked_about_less_and_less() {
        let label = |days: u64| {
            let last_event_at = Some(now().minus(hours(24 * days)));
            after(Parcel { last_event_at, registered_at: now().minus(hours(24 * days)), ..parcel(Status::LabelCreated) })
        };
        assert_eq!([label(0), label(3), label(14)], [4, 12, 24].map(|h| Some(hours(h))));
        let unknown = Parcel { last_event_at: None, ..parcel(Status::Unknown) };
        assert_eq!(after(unknown.clone()), Some(hours(4)));
        assert_eq!(next_poll(&unknown, Heard::NotFound, now(), STEADY), Some(now().plus(hours(4))));
    }

    #[test]
    fn nothing_is_asked_after_the_end_nor_after_120_days() {
        for status in [Status::Delivered, Status::Returned, Status::Voided] {
            assert_eq!(after(parcel(status)), None, "{status}");
            assert_eq!(next_poll(&parcel(status), Heard::Failed(1), now(), STEADY), None);
        }
        let old = Parcel { registered_at: now().minus(KEPT_FOR), ..parcel(Status::InTransit) };
        for heard in [Heard::Known, Heard::NotFound, Heard::Failed(3)] {
            assert_eq!(next_poll(&old, heard, now(), STEADY), None);
        }
        assert!(after(Parcel { registered_at: now().minus(KEPT_FOR - hours(1)), ..parcel(Status::InTransit) }).is_some());
    }

    #[test]
    fn the_expected_delivery_and_silence_change_the_pace() {
        let moving = parcel(Status::InTransit);
        let eta = |h: u64| after(Parcel { eta: Some(now().plus(hours(h))), ..moving.clone() });
        assert_eq!([eta(5), eta(24), eta(100)], [Some(minutes(30)), Some(hours(1)), Some(hours(2))]);
        // A delivery that was expected long ago does not hurry anybody any more.
        assert_eq!(after(Parcel { eta: Some(now().minus(hours(7))), ..moving.clone() }), Some(hours(1)));
        let silent = |days: u64| after(Parcel { last_event_at: Some(now().minus(hours(24 * days))), ..moving.clone() });
        assert_eq!([silent(1), silent(2), silent(7)], [1, 4, 12].map(|h| Some(hours(h))));
    }

    #[test]
    fn nobody_delivers_at_night() {
        // 21:55 in winter.
        let evening = at("2026-01-03T02:55:00Z");
        let new_york = || TimeZone::get("America/New_York").ok();
        let out = Parcel { zone: new_york(), ..parcel(Status::OutForDelivery) };
        assert_eq!(next_poll(&out, Heard::Known, evening, STEADY), Some(at("2026-01-03T11:05:00Z")));
        let small_hours = at("2026-01-03T06:00:00Z");
        assert_eq!(next_poll(&out, Heard::Known, small_hours, STEADY), Some(at("2026-01-03T11:10:00Z")));
        // In summer it is an hour later there: 22:05.
        let registered_at = at("2026-07-01T12:00:00Z");
        let summer = Parcel { registered_at, ..out.clone() };
        assert_eq!(next_poll(&summer, Heard::Known, at("2026-07-03T01:55:00Z"), STEADY), Some(at("2026-07-03T10:05:00Z")));
        // The night in which the clocks go forward has a morning too.
        let march = at("2026-03-08T04:00:00Z");
        let spring = Parcel { registered_at: march, ..out.clone() };
        assert_eq!(next_poll(&spring, Heard::Known, march, STEADY), Some(at("2026-03-08T10:10:00Z")));
        // Hubs work at night, and a call that failed said nothing of the night.
        let moving = Parcel { zone: new_york(), ..parcel(Status::InTransit) };
        assert_eq!(next_poll(&moving, Heard::Known, evening, STEADY), Some(evening.plus(hours(1))));
        assert_eq!(next_poll(&out, Heard::Failed(1), evening, STEADY), Some(evening.plus(minutes(2))));
    }

    #[test]
    fn failures_back_off() {
        let failed = |n| next_poll(&parcel(Status::OutForDelivery), Heard::Failed(n), now(), STEADY).map(|t| t.since(now()));
        assert_eq!([1, 2, 3, 7, 8, 100].map(failed), [2, 4, 8, 128, 240, 240].map(|m| Some(minutes(m))));
    }

    proptest! {
        #[test]
        fn it_is_always_asked_later_and_within_a_tenth_of_the_interval(
            status in prop::sample::select(Status::ALL.to_vec()), millis in 1_767_268_800_000_i64..1_777_268_800_000,
            zone in prop::option::of(-12_i8..=14), eta in prop::option::of(-200_i64..200), random: [u8; 8], failed in 0_u32..9,
        ) {
            let now = Timestamp::from_millis(millis);
            let eta = eta.map(|h| Timestamp::from_millis(millis + h * 3_600_000));
            let zone = zone.map(|hours| TimeZone::fixed(jiff::tz::offset(hours)));
            let parcel = Parcel { status, eta, zone, registered_at: now.minus(hours(30)), last_event_at: None };
            let heard = if failed == 0 { Heard::Known } else { Heard::Failed(failed) };
            let next = next_poll(&parcel, heard, now, Jitter::of(random));
            prop_assert_eq!(next.is_none(), is_final(status));
            if let Some(next) = next {
                let steady = if failed == 0 { interval(&parcel, now) } else { backoff(failed) };
                prop_assert!(next.since(now) >= steady.mul_f64(0.89));
                prop_assert!(next.since(now) <= steady.mul_f64(1.11) + hours(8) + minutes(30));
            }
        }
    }
}
