//! The carrier's report about a parcel, and the parts of it that are stored.
//!
//! The places where a parcel was seen and the carrier's descriptions are PHI. The receiver, the signature, the photograph,
//! addresses and reference numbers are not stored: these types have no fields for them.

use super::{Shipment, Status};
use common::base::Timestamp;
use jiff::{
    civil::{Date, Time, time},
    tz::TimeZone,
};
use phi::{LongText, ShortText};

phi::sealed_fields! {
    /// The PHI of a parcel's latest report.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct NewsPhi in "shipment_news" {
        1 => status_description: Option<LongText>,
        2 => last_event_description: Option<LongText>,
    }
}

phi::sealed_fields! {
    /// The PHI of a scan.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ScanPhi in "shipment_events" {
        1 => description: Option<LongText>,
        2 => location: Option<Location>,
    }
}

phi::phi_struct! {
    /// The town where a parcel was seen; never an address.
    pub struct Location: "a location" {
        city: Option<ShortText>,
        state: Option<ShortText>,
        country: Option<ShortText>,
    }
}

/// The expected delivery, in the destination's local time and as the carrier reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    pub date: Date,
    /// The window's start, if the carrier gives one.
    pub from: Option<Time>,
    /// The window's end, or the time that the carrier has committed itself to.
    pub to: Option<Time>,
}

impl Estimate {
    /// The end of the window. A day without a window ends at 21:00, the end of the carrier's day. If the clocks skip that time,
    /// it moves later by the skipped duration; if they repeat it, the first occurrence counts (RFC 5545).
    pub fn end_in(&self, zone: &TimeZone) -> Option<Timestamp> {
        const END_OF_DAY: Time = time(21, 0, 0, 0);
        let local = self.date.to_datetime(self.to.unwrap_or(END_OF_DAY));
        let millis = zone.to_timestamp(local).ok()?.as_millisecond();
        (0..=Timestamp::MAX.as_millis()).contains(&millis).then(|| Timestamp::from_millis(millis))
    }
}

/// The latest report about a parcel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct News {
    /// The instant by which the carrier expects to deliver, if the destination's time zone is known. It is stored beside
    /// `estimate`, because older records have only this.
    pub eta: Option<Timestamp>,
    pub estimate: Option<Estimate>,
    pub last_event: Option<LastScan>,
    pub phi: NewsPhi,
}

/// The newest scan, without its PHI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastScan {
    pub occurred_at: Timestamp,
    pub status: Status,
}

/// One event of a parcel.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// Distinguishes this scan from every other scan of the parcel, for any number and order of reports. It may contain PHI, so
    /// only a token of it is stored.
    pub identity: String,
    pub when: ScanTime,
    pub status: Status,
    /// The carrier's own type and code, unchanged.
    pub kind: String,
    pub code: String,
    pub phi: ScanPhi,
}

impl Scan {
    /// Whether it happened before the carrier had the parcel.
    fn is_label(&self) -> bool {
        self.status == Status::LabelCreated || self.kind == "MV"
    }
}

/// The time of a scan, as precise as the carrier gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanTime {
    Instant(Timestamp),
    /// The local time at the place, in an unknown zone: `2026-01-31T09:30:00`. Its instant is up to 14 hours off.
    Local {
        text: String,
        about: Timestamp,
    },
    Unknown,
}

impl ScanTime {
    /// The scan's position in the order of scans. It is an order and not a time.
    pub fn position(&self) -> Timestamp {
        match self {
            Self::Instant(at) | Self::Local { about: at, .. } => *at,
            Self::Unknown => Timestamp::default(),
        }
    }
}

/// One answer of the carrier about a parcel that it knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub status: Status,
    pub description: Option<LongText>,
    pub eta: Option<Timestamp>,
    pub estimate: Option<Estimate>,
    /// In any order; of scans at the same moment, the later one comes last.
    pub scans: Vec<Scan>,
}

impl Report {
    /// The parts of the report that are stored.
    pub fn news(&self) -> News {
        let dated = self.scans.iter().filter(|scan| scan.when != ScanTime::Unknown);
        // A label is older than every scan of the parcel, whatever the clock of its printer said.
        let newest = dated.max_by_key(|scan| (!scan.is_label(), scan.when.position()));
        News {
            eta: self.eta,
            estimate: self.estimate,
            last_event: newest.map(|scan| LastScan { occurred_at: scan.when.position(), status: scan.status }),
            phi: NewsPhi {
                status_description: self.description.clone(),
                last_event_description: newest.and_then(|scan| scan.phi.description.clone()),
            },
        }
    }
}

impl Shipment {
    /// Applies the carrier's report, and returns the names of the fields that differ afterwards. Only a change of the status
    /// increases the version.
    pub fn hear(&mut self, report: &Report, now: Timestamp) -> Vec<&'static str> {
        let (before, news) = (std::mem::take(&mut self.news), report.news());
        let differs = [
            ("status", self.facts.status != report.status),
            ("status_description", before.phi.status_description != news.phi.status_description),
            ("eta", before.eta != news.eta),
            ("estimated_delivery", before.estimate != news.estimate),
            (
                "last_event",
                before.last_event != news.last_event || before.phi.last_event_description != news.phi.last_event_description,
            ),
        ];
        self.news = news;
        if self.facts.status != report.status {
            self.facts.status = report.status;
            self.facts.touch(now);
        }
        differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Registration;
    use common::{
        base::{UserId, Uuid},
        request::input::FromJson,
        store::Version,
    };
    use phi::PhiText;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::from_millis(1_767_268_800_123);
    const LATER: Timestamp = Timestamp::from_millis(1_767_268_900_123);

    fn shipment() -> Shipment {
        let body = json!({
            "tracking_number": "1ZCIETST0111111114",
            "recipient": {"name": "Ada Test", "address": {"line1": "1 Way", "city": "Reno", "postal_code": "89501", "country": "US"}},
        });
        let new = Registration::from_json(body, "", &mut Vec::new()).unwrap();
        Shipment::register(new, UserId::from_uuid(Uuid::from_u128(1)), NOW)
    }

    fn scan(when: ScanTime, words: &str) -> Scan {
        Scan {
            identity: words.to_owned(),
            when,
            status: Status::InTransit,
            kind: "I".to_owned(),
            code: "005".to_owned(),
            phi: ScanPhi { description: LongText::parse(words).ok(), location: None },
        }
    }

    fn report(scans: Vec<Scan>) -> Report {
        Report { status: Status::InTransit, description: LongText::parse("On the Way").ok(), eta: None, estimate: None, scans }
    }

    #[test]
    fn version_increases_only_with_the_status() {
        let mut shipment = shipment();
        let heard = report(vec![scan(ScanTime::Instant(NOW), "a")]);
        assert_eq!(shipment.hear(&heard, LATER), ["status", "status_description", "last_event"]);
        assert_eq!((shipment.facts.version, shipment.facts.updated_at), (Version(2), LATER));
        assert_eq!(shipment.hear(&heard, LATER), [""; 0]);
        assert_eq!(shipment.hear(&Report { eta: Some(LATER), ..heard }, LATER), ["eta"]);
        assert_eq!(shipment.facts.version, Version(2));
    }

    #[test]
    fn label_with_a_later_time_is_not_the_last_event() {
        let label = Scan { status: Status::LabelCreated, kind: "M".to_owned(), ..scan(ScanTime::Instant(LATER), "label") };
        let scans = vec![scan(ScanTime::Instant(NOW), "picked up"), label.clone()];
        let news = report(scans).news();
        assert_eq!(news.last_event, Some(LastScan { occurred_at: NOW, status: Status::InTransit }));
        assert_eq!(report(vec![label]).news().last_event.unwrap().status, Status::LabelCreated);
    }

    #[test]
    fn estimate_ends_in_the_destinations_local_time_all_year() {
        let zone = |name| TimeZone::get(name).unwrap();
        let on = |date: Date| Estimate { date, from: None, to: Some(time(15, 30, 0, 0)) };
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let (winter, summer) = (Date::constant(2026, 1, 5), Date::constant(2026, 7, 6));
        assert_eq!(on(winter).end_in(&zone("America/Los_Angeles")), at("2026-01-05T23:30:00Z"));
        assert_eq!(on(summer).end_in(&zone("America/Los_Angeles")), at("2026-07-06T22:30:00Z"));
        assert_eq!(on(summer).end_in(&zone("America/Phoenix")), at("2026-07-06T22:30:00Z"));
        assert_eq!(on(summer).end_in(&zone("Europe/London")), at("2026-07-06T14:30:00Z"));
        assert_eq!(Estimate { to: None, ..on(winter) }.end_in(&zone("America/New_York")), at("2026-01-06T02:00:00Z"));
        // 02:30 does not exist, and 01:30 exists twice.
        let night = |date, hour| Estimate { to: Some(time(hour, 30, 0, 0)), ..on(date) }.end_in(&zone("America/New_York"));
        assert_eq!(night(Date::constant(2026, 3, 8), 2), at("2026-03-08T07:30:00Z"));
        assert_eq!(night(Date::constant(2026, 11, 1), 1), at("2026-11-01T05:30:00Z"));
    }

    #[test]
    fn newest_scan_is_the_last_event_for_any_order_of_arrival() {
        let local = ScanTime::Local { text: "2026-01-02".to_owned(), about: LATER };
        let mut scans = vec![scan(ScanTime::Instant(NOW), "a"), scan(local, "b"), scan(ScanTime::Unknown, "c")];
        for _ in 0..3 {
            scans.rotate_left(1);
            let news = report(scans.clone()).news();
            assert_eq!(news.last_event, Some(LastScan { occurred_at: LATER, status: Status::InTransit }));
            assert_eq!(news.phi.last_event_description.unwrap().as_str(), "b");
        }
        assert_eq!(report(vec![scan(ScanTime::Unknown, "c")]).news().last_event, None);
    }
}
