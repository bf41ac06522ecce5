//! The answer of UPS's Tracking API for a package.

use jiff::civil::{Date, DateTime, Time};
use serde::Deserialize;
use std::{collections::HashSet, fmt};

use crate::{
    Activity, Malformed, Number, Progress, Reading, Status, When,
    activity::{WireActivity, WireStatus},
    lax::{self, Lax, List, Object, Text},
    number::normalised,
    when,
};

/// The result of a tracking query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tracked {
    /// UPS does not have the package: not yet, or no longer, because it deletes data after 120 days.
    NotFound,
    Found(Tracking),
}

/// A package's history and its expected delivery. `Debug` shows types, codes and times only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracking {
    /// Oldest first, each once. Activities of the same moment are in the order in which they happened, as far as UPS's list shows
    /// it.
    pub activities: Vec<Activity>,
    /// UPS's summary. It may be older than the newest activity.
    pub current: Option<CurrentStatus>,
    pub eta: Option<Eta>,
    /// The time of delivery: from the activity that reports it, otherwise UPS's date and time, which are local.
    pub delivered: Option<When>,
}

impl Tracking {
    /// The result of the activities, and of a summary that reports delivered or returned. A summary may be late but never early,
    /// and a final status stays final.
    pub fn progress(&self) -> Progress {
        let mut progress = Progress::in_order(&self.activities);
        progress.merge(Progress::at_end(self.current.as_ref().and_then(|current| current.reading().status())));
        progress
    }

    /// The status according to the activities. UPS's summary decides if it is final, or if no activity gives a status, known or
    /// unknown.
    pub fn status(&self) -> Option<Status> {
        let progress = self.progress();
        if progress == Progress::default() {
            return self.current.as_ref()?.status();
        }
        progress.status()
    }
}

/// UPS's summary of a package's status. `Debug` hides UPS's text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CurrentStatus {
    pub kind: String,
    pub status_code: String,
    pub code: String,
    pub description: String,
}

impl CurrentStatus {
    /// The meaning of type and codes. The type is often absent here, and the member for letters often holds digits.
    pub fn reading(&self) -> Reading {
        Reading::of(&self.kind, [&self.status_code, &self.code])
    }

    /// The status of a summary without activities. UPS sends updates only about packages that it has.
    fn status(&self) -> Option<Status> {
        match self.reading() {
            Reading::Update => Some(Status::InTransit),
            reading => reading.status(),
        }
    }

    fn has_no_code(&self) -> bool {
        [&self.kind, &self.status_code, &self.code].iter().all(|code| code.is_empty())
    }
}

impl fmt::Debug for CurrentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentStatus")
            .field("kind", &self.kind)
            .field("status_code", &self.status_code)
            .field("code", &self.code)
            .finish_non_exhaustive()
    }
}

/// The expected delivery of a package, in the time zone of its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eta {
    pub date: Date,
    /// The start of the window, if UPS gives one.
    pub start: Option<Time>,
    /// The end of the window, or the time that UPS committed itself to.
    pub end: Option<Time>,
}

/// An answer. Only the members of these types are read: the parser skips signature, photo, receiver, addresses, references,
/// weight, services and payments.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TrackingBody {
    track_response: Lax<TrackResponse>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TrackResponse {
    shipment: List<Shipment>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Shipment {
    package: List<Package>,
}

impl Object for Shipment {}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Package {
    tracking_number: Text,
    alternate_tracking_number: List<Alternate>,
    activity: List<WireActivity>,
    current_status: Lax<WireStatus>,
    status_code: Text,
    status_description: Text,
    delivery_date: List<DeliveryDate>,
    delivery_time: Lax<DeliveryTime>,
}

impl Object for Package {}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Alternate {
    number: Text,
}

impl Object for Alternate {}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DeliveryDate {
    #[serde(rename = "type")]
    kind: Text,
    date: Text,
}

impl Object for DeliveryDate {}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DeliveryTime {
    #[serde(rename = "type")]
    kind: Text,
    start_time: Text,
    end_time: Text,
}

/// Reads an answer that is not an error. "Not found" arrives as a success with a warning (TW0001) and no package.
pub(crate) fn parse(body: &[u8], asked: &Number) -> Result<Tracked, Malformed> {
    let answer: TrackingBody = lax::object(body)?;
    let response = answer.track_response.0.ok_or(Malformed("the answer has no track response"))?;
    let packages: Vec<Package> = response.shipment.0.into_iter().flat_map(|shipment| shipment.package.0).collect();
    if packages.is_empty() {
        return Ok(Tracked::NotFound);
    }
    let alone = packages.len() == 1;
    let ours = packages.into_iter().find(|package| package.is(asked, alone));
    ours.map(|package| Tracked::Found(package.into())).ok_or(Malformed("the answer is about another package"))
}

impl Package {
    /// Whether it is the requested package. A shipment may have several packages, and one package's history must not be stored
    /// for another.
    fn is(&self, asked: &Number, alone: bool) -> bool {
        let is_asked = |number: &Text| normalised(&number.0) == asked.expose();
        is_asked(&self.tracking_number)
            || self.alternate_tracking_number.0.iter().any(|alternate| is_asked(&alternate.number))
            || (alone && self.tracking_number.0.is_empty())
    }

    /// The latest date of one of these types.
    fn date(&self, kind: &str) -> Option<Date> {
        self.delivery_date.0.iter().filter(|date| date.kind.0 == kind).filter_map(|date| when::date(&date.date.0)).max()
    }
}

impl From<Package> for Tracking {
    fn from(package: Package) -> Self {
        let time = package.delivery_time.0.as_ref();
        let timed = |kinds: &[&str], part: fn(&DeliveryTime) -> &Text| {
            time.filter(|time| kinds.contains(&time.kind.0.as_str())).and_then(|time| when::time(&part(time).0))
        };
        let eta = package.date("RDD").or_else(|| package.date("SDD")).map(|date| Eta {
            date,
            start: timed(&["EDW", "CDW", "IDW"], |time| &time.start_time),
            end: timed(&["EDW", "CDW", "IDW", "CMT"], |time| &time.end_time),
        });
        let by_date = package.date("DEL").map(|date| {
            timed(&["DEL"], |time| &time.end_time).map_or(When::Day(date), |time| When::Local(DateTime::from_parts(date, time)))
        });
        let current = current(package.current_status, &package.status_code, package.status_description);
        let activities = in_order(package.activity.0);
        let by_activity = activities.iter().rev().find(|a| a.reading() == Reading::Status(Status::Delivered));
        let delivered = by_activity.map(|activity| activity.when.clone()).or(by_date);
        Self { activities, current, eta, delivered }
    }
}

/// UPS's summary, or the package's own status if the summary has neither type nor code.
fn current(summary: Lax<WireStatus>, code: &Text, description: Text) -> Option<CurrentStatus> {
    let mut current = summary.0.map_or_else(CurrentStatus::default, CurrentStatus::from);
    if current.has_no_code() {
        current.status_code = code.code();
        if current.description.is_empty() {
            current.description = description.0;
        }
    }
    (!current.has_no_code() || !current.description.is_empty()).then_some(current)
}

/// Sorts oldest first and removes duplicates. On the wire the newest is first, so activities of the same moment are reversed.
fn in_order(newest_first: Vec<WireActivity>) -> Vec<Activity> {
    let mut seen = HashSet::new();
    let mut activities: Vec<Activity> = newest_first.into_iter().rev().map(Activity::from).collect();
    activities.retain(|activity| seen.insert(activity.identity()));
    activities.sort_by_key(|activity| activity.when.position());
    activities
}

impl From<WireStatus> for CurrentStatus {
    fn from(wire: WireStatus) -> Self {
        Self {
            kind: wire.kind.code(),
            status_code: wire.status_code.code(),
            code: wire.code.code(),
            description: wire.description.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ASKED: &str = "1ZCIETST0111111114";

    fn parse(body: &str) -> Result<Tracked, Malformed> {
        super::parse(body.as_bytes(), &Number::parse(ASKED).unwrap())
    }

    fn package(members: &str) -> Tracking {
        let body = format!(r#"{{"trackResponse":{{"shipment":[{{"package":[{{{members}}}]}}]}}}}"#);
        match parse(&body) {
            Ok(Tracked::Found(tracking)) => tracking,
            other => panic!("{other:?}"),
        }
    }

    fn kinds(tracking: &Tracking) -> Vec<&str> {
        tracking.activities.iter().map(|activity| activity.kind.as_str()).collect()
    }

    #[test]
    fn success_with_a_warning_and_no_package_is_not_found() {
        let warned = r#"{"trackResponse":{"shipment":[{"inquiryNumber":"1ZCIETST0111111114",
            "warnings":[{"code":"TW0001","message":"Tracking Information Not Found"}]}]}}"#;
        assert_eq!(parse(warned), Ok(Tracked::NotFound));
        for shipment in ["null", "[]", "[null]", "{}", r#"[{"package":null}]"#, r#"[{"package":[]}]"#] {
            assert_eq!(parse(&format!(r#"{{"trackResponse":{{"shipment":{shipment}}}}}"#)), Ok(Tracked::NotFound), "{shipment}");
        }
    }

    #[test]
    fn body_that_is_no_answer_is_malformed_and_not_a_missing_package() {
        for body in ["", "null", "{}", "[]", "<html></html>", r#"{"trackResponse":null}"#, r#"{"trackResponse":{"#] {
            assert!(parse(body).is_err(), "`{body}`");
        }
    }

    #[test]
    fn answer_with_null_or_absent_lists_is_read() {
        for members in ["", r#""activity":null,"deliveryDate":null,"deliveryTime":null,"currentStatus":null,"milestones":null"#] {
            let tracking = package(members);
            let nothing = Tracking { activities: Vec::new(), current: None, eta: None, delivered: None };
            assert_eq!(tracking, nothing);
            assert_eq!(tracking.status(), None);
        }
    }

    #[test]
    fn activities_are_sorted_oldest_first_without_duplicates() {
        let tracking = package(
            r#""activity":[
                {"gmtDate":"20240423","gmtTime":"131519","status":{"type":"I","statusCode":"021"}},
                {"gmtDate":"20240423","gmtTime":"74700","status":{"type":"I","code":"B"}},
                {"gmtDate":"20240423","gmtTime":"7:47:00","status":{"type":"I","code":"B"}},
                {"gmtDate":"20240423","gmtTime":"74700","status":{"type":"P"}},
                {"status":{"type":"M","statusCode":"003"}}]"#,
        );
        assert_eq!(kinds(&tracking), ["M", "P", "I", "I"]);
        assert_eq!(tracking.activities[2].code, "B");
        assert_eq!(tracking.status(), Some(Status::OutForDelivery));
    }

    #[test]
    fn summary_decides_if_it_is_final_or_there_are_no_activities() {
        let alone = |summary: &str| package(&format!(r#""currentStatus":{summary}"#)).status();
        assert_eq!(alone(r#"{"code":"034","description":"Returned to Sender"}"#), Some(Status::Returned));
        let shown = format!("{:?}", package(r#""currentStatus":{"code":"034","description":"Returned to Sender"}"#));
        assert!(shown.contains("CurrentStatus { kind: \"\", status_code: \"\", code: \"034\", .. }"), "{shown}");
        assert_eq!(alone(r#"{"code":"026"}"#), Some(Status::Delivered));
        assert_eq!(alone(r#"{"code":"006"}"#), Some(Status::OutForDelivery));
        assert_eq!(alone(r#"{"code":"012"}"#), Some(Status::InTransit));
        assert_eq!(alone(r#"{"statusCode":"003"}"#), Some(Status::LabelCreated));
        assert_eq!(alone(r#"{"code":"MP"}"#), Some(Status::LabelCreated));
        // A change of the delivery means that UPS has the package.
        assert_eq!(alone(r#"{"code":"054"}"#), Some(Status::InTransit));
        assert_eq!(alone(r#"{"code":"999","description":"Something new"}"#), None);

        let with = |summary: &str, kind: &str, code: &str| {
            let activity = format!(r#"{{"gmtDate":"20240423","gmtTime":"1","status":{{"type":"{kind}","code":"{code}"}}}}"#);
            package(&format!(r#""currentStatus":{{"code":"{summary}"}},"activity":[{activity}]"#))
        };
        assert_eq!(with("034", "D", "UA").status(), Some(Status::Returned));
        assert_eq!(with("034", "D", "QQ").status(), Some(Status::Returned));
        assert_eq!(with("011", "I", "OT").status(), Some(Status::Delivered));
        assert_eq!(with("011", "RS", "").status(), Some(Status::Returned));
        assert_eq!(with("021", "Q", "").status(), None);
        // The status stays final, even after UPS has dropped the summary.
        let mut progress = with("034", "D", "QQ").progress();
        progress.merge(with("", "D", "QQ").progress());
        assert_eq!(progress.status(), Some(Status::Returned));
    }

    #[test]
    fn package_status_replaces_a_summary_without_codes() {
        let package = |summary: &str| package(&format!(r#""statusCode":"021","statusDescription":"On Vehicle"{summary}"#));
        for without in ["", r#","currentStatus":null"#, r#","currentStatus":{}"#, r#","currentStatus":{"type":"","code":" "}"#] {
            let found = package(without);
            assert_eq!(found.status(), Some(Status::OutForDelivery), "{without}");
            assert_eq!(found.current.unwrap().description, "On Vehicle");
        }
        assert_eq!(package(r#","currentStatus":{"code":"012"}"#).status(), Some(Status::InTransit));
        assert_eq!(
            super::tests::package(r#""currentStatus":{"type":"","statusCode":"","code":"","description":" "}"#).current,
            None
        );
    }

    #[test]
    fn summary_older_than_the_activities_does_not_decide() {
        let lagging = r#""currentStatus":{"type":"I","statusCode":"005"},
            "activity":[{"gmtDate":"20240423","gmtTime":"135004","status":{"type":"D","statusCode":"011"}}]"#;
        assert_eq!(package(lagging).status(), Some(Status::Delivered));
        let unknown = r#""currentStatus":{"type":"I"},"activity":[{"gmtDate":"20240423","gmtTime":"1","status":{"type":"Q"}}]"#;
        assert_eq!(package(unknown).status(), None);
    }

    #[test]
    fn summary_counts_if_no_activity_has_a_status() {
        assert_eq!(package(r#""currentStatus":{"description":"Delivered ","code":"011"}"#).status(), Some(Status::Delivered));
        let update = r#""currentStatus":{"type":"I"},"activity":[{"status":{"type":"U"}}]"#;
        assert_eq!(package(update).status(), Some(Status::InTransit));
    }

    #[test]
    fn rescheduled_date_is_the_expected_date_with_its_window() {
        let date = |text: &str| text.parse::<Date>().unwrap();
        let dates =
            r#""deliveryDate":[{"type":"SDD","date":"20240422"},{"type":"RDD","date":"20240424"},{"type":"DEL","date":""}]"#;
        let window = package(&format!(r#"{dates},"deliveryTime":{{"type":"EDW","startTime":"150000","endTime":"17:00:00"}}"#));
        let expected =
            Eta { date: date("2024-04-24"), start: Some(Time::constant(15, 0, 0, 0)), end: Some(Time::constant(17, 0, 0, 0)) };
        assert_eq!(window.eta, Some(expected));
        let committed = package(&format!(r#"{dates},"deliveryTime":{{"type":"CMT","startTime":"150000","endTime":"120000"}}"#));
        assert_eq!(committed.eta, Some(Eta { start: None, end: Some(Time::constant(12, 0, 0, 0)), ..expected }));
        let end_of_day =
            package(r#""deliveryDate":{"type":"SDD ","date":"20240422 "},"deliveryTime":{"type":"EOD","endTime":"230000"}"#);
        assert_eq!(end_of_day.eta, Some(Eta { date: date("2024-04-22"), start: None, end: None }));
        assert_eq!(window.delivered, None);
    }

    #[test]
    fn delivery_time_is_that_of_its_activity_or_the_local_time() {
        let dates = r#""deliveryDate":[{"type":"DEL","date":"20240423"}],"deliveryTime":{"type":"DEL","endTime":"095004"}"#;
        assert_eq!(package(dates).delivered, Some(When::Local("2024-04-23T09:50:04".parse().unwrap())));
        let day = r#""deliveryDate":[{"type":"DEL","date":"20240423"}],"deliveryTime":{"type":"EOD","endTime":"095004"}"#;
        assert_eq!(package(day).delivered, Some(When::Day("2024-04-23".parse().unwrap())));
        let activity = r#""activity":[{"gmtDate":"20240423","gmtTime":"135004","status":{"type":"D","code":"FS"}}]"#;
        let delivered = package(&format!("{dates},{activity}")).delivered;
        assert_eq!(delivered, Some(When::Instant("2024-04-23T13:50:04Z".parse().unwrap())));
    }

    #[test]
    fn history_of_another_package_is_refused() {
        let answer = |packages: &str| parse(&format!(r#"{{"trackResponse":{{"shipment":[{{"package":[{packages}]}}]}}}}"#));
        let other = r#"{"trackingNumber":"1ZCIETST0422222228","activity":[{"status":{"type":"D","code":"FS"}}]}"#;
        let ours = r#"{"trackingNumber":" 1zCIETST0111111114 ","activity":[{"status":{"type":"P"}}]}"#;
        assert!(answer(other).is_err());
        assert!(answer(&format!("{other},{{}}")).is_err());
        for both in [format!("{other},{ours}"), format!("{ours},{other}")] {
            let Ok(Tracked::Found(tracking)) = answer(&both) else { panic!("the requested package is in the answer") };
            assert_eq!(kinds(&tracking), ["P"]);
        }
        let renamed =
            r#"{"trackingNumber":"92419900000033499522966220","alternateTrackingNumber":[{"number":"1ZCIETST0111111114"}]}"#;
        assert!(matches!(answer(renamed), Ok(Tracked::Found(_))));
    }

    /// JSON with the API's member names, so that the parser gets far into it.
    fn near_answer() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let names = vec![
            "trackResponse",
            "shipment",
            "package",
            "activity",
            "status",
            "type",
            "code",
            "statusCode",
            "description",
            "location",
            "address",
            "city",
            "date",
            "time",
            "gmtDate",
            "gmtTime",
            "gmtOffset",
            "currentStatus",
            "deliveryDate",
            "deliveryTime",
            "startTime",
            "endTime",
            "trackingNumber",
            "alternateTrackingNumber",
            "number",
        ];
        let texts = vec!["", "D", "I", "011", "20240423", "74700", "-04.00", "EDW", "RDD", "DEL", ASKED, "🦀 "];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            prop::sample::select(texts).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(10, 128, 8, move |inner| {
            let member = (prop::sample::select(names.clone()), inner.clone());
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::from),
                prop::collection::vec(member, 0..8)
                    .prop_map(|members| members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn arbitrary_tracking_answer_is_read_or_refused_without_panic(body in any::<Vec<u8>>()) {
            let _ = super::parse(&body, &Number::parse(ASKED).unwrap());
        }

        #[test]
        fn answer_with_any_json_in_any_part_is_read(value in near_answer(), depth in 0_usize..4) {
            let body = match depth {
                0 => value.to_string(),
                1 => format!(r#"{{"trackResponse":{value}}}"#),
                2 => format!(r#"{{"trackResponse":{{"shipment":[{{"package":{value}}}]}}}}"#),
                _ => format!(r#"{{"trackResponse":{{"shipment":[{{"package":[{{"activity":{value},"currentStatus":{value}}}]}}]}}}}"#),
            };
            if let Ok(Tracked::Found(tracking)) = parse(&body) {
                prop_assert!(tracking.activities.is_sorted_by_key(|activity| activity.when.position()));
                prop_assert!(tracking.activities.iter().all(|a| a.description.len() <= lax::MAX_TEXT && a.kind.len() <= 16));
            } else {
                prop_assert!(depth < 3, "an answer with a valid frame is read");
            }
        }
    }
}
