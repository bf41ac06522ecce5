//! What the carrier says of a parcel, and what of it is kept.
//!
//! Where a parcel was seen and the carrier's words are PHI. Who received it, the signature, the photograph, addresses and
//! reference numbers are not kept at all: there is no place for them in these types.

use super::{Shipment, Status};
use common::Timestamp;
use phi::{LongText, ShortText};

phi::sealed_fields! {
    /// What of a parcel's latest news is PHI.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct NewsPhi in "shipment_news" {
        1 => status_description: Option<LongText>,
        2 => last_event_description: Option<LongText>,
    }
}

phi::sealed_fields! {
    /// What of a scan is PHI.
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

/// The latest that is known of a parcel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct News {
    /// When the carrier expects to deliver.
    pub eta: Option<Timestamp>,
    pub last_event: Option<LastScan>,
    pub phi: NewsPhi,
}

/// The newest scan, without its PHI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastScan {
    pub occurred_at: Timestamp,
    pub status: Status,
}

/// Something that happened to a parcel.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// Tells it from every other scan of the parcel, however often and in whatever order the carrier tells of it. It may hold
    /// PHI, and is kept as a token only.
    pub identity: String,
    pub when: ScanTime,
    pub status: Status,
    /// The carrier's own type and code, as they came.
    pub kind: String,
    pub code: String,
    pub phi: ScanPhi,
}

/// When a scan was, as exactly as the carrier says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanTime {
    Instant(Timestamp),
    /// The place's own time, in a zone that was not told: `2026-01-31T09:30:00`. Its instant is up to 14 hours off.
    Local {
        text: String,
        about: Timestamp,
    },
    Unknown,
}

impl ScanTime {
    /// Where the scan stands among others. It is an order, not a time.
    pub fn position(&self) -> Timestamp {
        match self {
            Self::Instant(at) | Self::Local { about: at, .. } => *at,
            Self::Unknown => Timestamp::default(),
        }
    }
}

/// One answer of the carrier's about a parcel that it knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub status: Status,
    pub description: Option<LongText>,
    pub eta: Option<Timestamp>,
    /// In any order.
    pub scans: Vec<Scan>,
}

impl Report {
    /// What is to be remembered of it.
    pub fn news(&self) -> News {
        let newest = self.scans.iter().filter(|scan| scan.when != ScanTime::Unknown).max_by_key(|scan| scan.when.position());
        News {
            eta: self.eta,
            last_event: newest.map(|scan| LastScan { occurred_at: scan.when.position(), status: scan.status }),
            phi: NewsPhi {
                status_description: self.description.clone(),
                last_event_description: newest.and_then(|scan| scan.phi.description.clone()),
            },
        }
    }
}

impl Shipment {
    /// Takes what the carrier says, and names the fields that differ afterwards. The version moves with the status and with
    /// nothing else.
    pub fn hear(&mut self, report: &Report, now: Timestamp) -> Vec<&'static str> {
        let (before, news) = (std::mem::take(&mut self.news), report.news());
        let differs = [
            ("status", self.facts.status != report.status),
            ("status_description", before.phi.status_description != news.phi.status_description),
            ("eta", before.eta != news.eta),
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
    use common::{UserId, Uuid, Version, input::FromJson};
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
        Report { status: Status::InTransit, description: LongText::parse("On the Way").ok(), eta: None, scans }
    }

    #[test]
    fn the_version_moves_with_the_status_alone() {
        let mut shipment = shipment();
        let heard = report(vec![scan(ScanTime::Instant(NOW), "a")]);
        assert_eq!(shipment.hear(&heard, LATER), ["status", "status_description", "last_event"]);
        assert_eq!((shipment.facts.version, shipment.facts.updated_at), (Version(2), LATER));
        assert_eq!(shipment.hear(&heard, LATER), [""; 0]);
        assert_eq!(shipment.hear(&Report { eta: Some(LATER), ..heard }, LATER), ["eta"]);
        assert_eq!(shipment.facts.version, Version(2));
    }

    #[test]
    fn the_newest_scan_is_the_last_event_in_whatever_order_they_come() {
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
