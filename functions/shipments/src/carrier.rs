//! Converts UPS's answers to the types of this domain.

use crate::domain::{Estimate, Location, Report, Scan, ScanPhi, ScanTime, Status};
use common::base::Timestamp;
use jiff::tz::TimeZone;
use phi::PhiText;
use ups::{Activity, Eta, Progress, Reading, Tracking, When};

/// The content of an answer, given the result of all scans so far and the time zone of the parcel's destination.
pub(crate) fn report(tracking: &Tracking, progress: &Progress, zone: Option<&TimeZone>) -> Report {
    // The status comes from the scans. UPS's summary may be older than them, so it counts only if there are no scans.
    let told = if *progress == Progress::default() { tracking.status() } else { progress.status() };
    let status = told.map_or(Status::Unknown, status);
    let mut current = Status::Unknown;
    let scans = tracking.activities.iter().map(|activity| {
        current = match activity.reading() {
            Reading::Status(said) => self::status(said),
            // The parcel has not moved.
            Reading::Update => current,
            Reading::Unknown => Status::Unknown,
        };
        scan(activity, current)
    });
    let expected = tracking.eta.filter(|_| !told.is_some_and(ups::Status::is_final));
    let estimate = expected.map(|Eta { date, start, end }| Estimate { date, from: start, to: end });
    Report {
        status,
        scans: scans.collect(),
        description: words(tracking, told),
        eta: estimate.and_then(|estimate| estimate.end_in(zone?)),
        estimate,
    }
}

/// If the label was voided at UPS, the sender has to act on it. Only a tenant voids a shipment here.
fn status(said: ups::Status) -> Status {
    match said {
        ups::Status::LabelCreated => Status::LabelCreated,
        ups::Status::PickedUp => Status::PickedUp,
        ups::Status::InTransit => Status::InTransit,
        ups::Status::OutForDelivery => Status::OutForDelivery,
        ups::Status::Exception | ups::Status::Voided => Status::Exception,
        ups::Status::Delivered => Status::Delivered,
        ups::Status::Returned => Status::Returned,
    }
}

/// UPS's description of the status: from the newest scan with that status, otherwise from the newest scan, otherwise from the
/// summary.
fn words(tracking: &Tracking, told: Option<ups::Status>) -> Option<phi::LongText> {
    let newest_first = || tracking.activities.iter().rev().filter(|activity| !activity.description.is_empty());
    let saying = newest_first().find(|activity| told.is_some() && activity.reading().status() == told);
    let scanned = saying.or_else(|| newest_first().next()).map(|activity| activity.description.as_str());
    text(scanned.or(tracking.current.as_ref().map(|current| current.description.as_str()))?)
}

fn scan(activity: &Activity, status: Status) -> Scan {
    let Activity { kind, status_code, code, description, when, location } = activity;
    let place = Location { city: text(&location.city), state: text(&location.state), country: text(&location.country) };
    let known = place.city.is_some() || place.state.is_some() || place.country.is_some();
    Scan {
        identity: activity.identity().as_bytes().iter().map(|b| format!("{b:02x}")).collect(),
        when: at(when),
        status,
        kind: kind.clone(),
        code: if status_code.is_empty() { code.clone() } else { status_code.clone() },
        phi: ScanPhi { description: text(description), location: known.then_some(place) },
    }
}

/// UPS's text, if it is a valid text. The UPS client has already cut it to length.
fn text<T: PhiText>(written: &str) -> Option<T> {
    T::parse(written).ok()
}

fn at(when: &When) -> ScanTime {
    let about = Timestamp::from_millis(when.position().clamp(0, Timestamp::MAX.as_millis()));
    match when {
        When::Instant(_) => ScanTime::Instant(about),
        When::Local(local) => ScanTime::Local { text: local.to_string(), about },
        When::Day(day) => ScanTime::Local { text: day.to_string(), about },
        When::Unread(_) => ScanTime::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::{date, time};
    use ups::CurrentStatus;

    fn activity(kind: &str, code: &str, at: &str, description: &str) -> Activity {
        Activity {
            kind: kind.to_owned(),
            status_code: code.to_owned(),
            code: String::new(),
            description: description.to_owned(),
            when: When::Instant(at.parse().unwrap()),
            location: ups::Location::default(),
        }
    }

    fn tracking(activities: Vec<Activity>) -> Tracking {
        let current = CurrentStatus {
            kind: "I".to_owned(),
            status_code: "005".to_owned(),
            code: String::new(),
            description: "On the Way".to_owned(),
        };
        Tracking { activities, current: Some(current), eta: None, delivered: None }
    }

    fn read(tracking: &Tracking) -> Report {
        report(tracking, &tracking.progress(), TimeZone::get("America/Los_Angeles").ok().as_ref())
    }

    fn words(report: &Report) -> Option<&str> {
        report.description.as_ref().map(PhiText::as_str)
    }

    #[test]
    fn summary_is_used_only_if_there_are_no_scans() {
        let label = activity("M", "003", "2026-01-01T10:00:00Z", "Label");
        let delivered = activity("D", "011", "2026-01-02T10:00:00Z", "Left at door");
        let update = activity("U", "", "2026-01-02T11:00:00Z", "Date changed");
        let report = read(&tracking(vec![label, delivered, update]));
        assert_eq!((report.status, words(&report)), (Status::Delivered, Some("Left at door")));
        // An update does not move the parcel.
        let statuses: Vec<_> = report.scans.iter().map(|scan| scan.status).collect();
        assert_eq!(statuses, [Status::LabelCreated, Status::Delivered, Status::Delivered]);
        let report = read(&tracking(Vec::new()));
        assert_eq!((report.status, words(&report)), (Status::InTransit, Some("On the Way")));
    }

    #[test]
    fn unknown_type_or_code_is_unknown_and_keeps_its_codes() {
        let report = read(&tracking(vec![activity("Q", "999", "2026-01-01T10:00:00Z", "Something new")]));
        assert_eq!((report.status, words(&report)), (Status::Unknown, Some("Something new")));
        assert_eq!((report.scans[0].kind.as_str(), report.scans[0].code.as_str()), ("Q", "999"));
        // Only a tenant voids a shipment.
        let voided = read(&tracking(vec![activity("MV", "", "2026-01-01T10:00:00Z", "Voided")]));
        assert_eq!(voided.status, Status::Exception);
    }

    #[test]
    fn delivery_window_is_kept_and_is_an_instant_if_the_zone_is_known() {
        let eta = Eta { date: date(2026, 7, 6), start: Some(time(11, 30, 0, 0)), end: Some(time(15, 30, 0, 0)) };
        let mut expected = tracking(vec![activity("I", "005", "2026-07-05T10:00:00Z", "")]);
        expected.eta = Some(eta);
        let estimate = Some(Estimate { date: eta.date, from: eta.start, to: eta.end });
        let here = read(&expected);
        assert_eq!((here.estimate, here.eta), (estimate, Some("2026-07-06T22:30:00Z".parse().unwrap())));
        let somewhere = report(&expected, &expected.progress(), None);
        assert_eq!((somewhere.estimate, somewhere.eta), (estimate, None));
        // A parcel that has arrived has no expected delivery.
        let mut arrived = tracking(vec![activity("D", "011", "2026-07-06T10:00:00Z", "")]);
        arrived.eta = Some(eta);
        assert_eq!((read(&arrived).eta, read(&arrived).estimate), (None, None));
    }

    #[test]
    fn scan_time_without_a_zone_stays_local() {
        let local = When::Local("2026-01-01T09:15:00".parse().unwrap());
        let about = "2026-01-01T09:15:00Z".parse().unwrap();
        assert_eq!(at(&local), ScanTime::Local { text: "2026-01-01T09:15:00".to_owned(), about });
        assert_eq!(at(&When::Unread("soon".to_owned())), ScanTime::Unknown);
        assert_eq!(at(&When::Unread(String::new())).position(), Timestamp::default());
    }
}
