//! The meaning of UPS's types and codes, and the status that follows from a history of them.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

use crate::{
    Activity,
    codes::{self, Meaning},
};

/// The status of a package.
///
/// The order matters only between activities of the same moment: the later status in this list wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    LabelCreated,
    Voided,
    PickedUp,
    InTransit,
    OutForDelivery,
    Exception,
    Delivered,
    Returned,
}

impl Status {
    /// Whether only a return can follow. A voided label is not final, because UPS may still carry a package with such a label.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Returned)
    }
}

/// The meaning of one type with its codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reading {
    /// Not in our table. UPS's set is open, so the raw type and codes are kept to be shown.
    Unknown,
    /// A date or detail changed; the package has not moved.
    Update,
    /// A status.
    Status(Status),
}

impl Reading {
    /// Reads a status `type`, and its codes in any order: three digits (`statusCode`, a webhook's `descriptionCode`) or two
    /// letters (`code`). It recognises only published values and does not guess others.
    ///
    /// A code of the table (`statuses.tsv`) takes precedence if it is more specific than the type. UPS lists packages out for
    /// delivery under I and D, and packages on their way back to the sender under I, O, X, D and no type. A delivery needs a
    /// fitting code, and the type D or no type: an exception or a scan on the way with such a code is not a delivery.
    pub fn of(kind: &str, codes: [&str; 2]) -> Self {
        let meaning = codes::meaning(codes);
        let by_type = match kind {
            // Not available: only the code decides.
            "NA" => None,
            "M" if meaning == Some(Meaning::Status(Status::Voided)) => return Self::Status(Status::Voided),
            "M" => return Self::Status(Status::LabelCreated),
            "MV" => return Self::Status(Status::Voided),
            "P" => match meaning {
                Some(Meaning::Status(said @ (Status::Voided | Status::LabelCreated))) => return Self::Status(said),
                _ => return Self::Status(Status::PickedUp),
            },
            "RS" => return Self::Status(Status::Returned),
            "U" => return Self::Update,
            // W, DO and DD stand for freight, in a warehouse or at a freight station.
            "I" | "W" | "DO" | "DD" => Some(Status::InTransit),
            "O" => Some(Status::OutForDelivery),
            "X" => Some(Status::Exception),
            "D" | "" => None,
            _ => return Self::Unknown,
        };
        match (by_type, meaning) {
            (Some(by_type), Some(Meaning::Status(Status::Delivered))) => Self::Status(by_type),
            (_, Some(Meaning::Status(said))) | (None, Some(Meaning::Weak(said))) => Self::Status(said),
            (None | Some(Status::InTransit), Some(Meaning::Update)) => Self::Update,
            (Some(by_type), _) => Self::Status(by_type),
            (None, _) => Self::Unknown,
        }
    }

    /// The status, if the reading has one.
    pub fn status(self) -> Option<Status> {
        match self {
            Self::Status(status) => Some(status),
            Self::Update | Self::Unknown => None,
        }
    }
}

/// The combined result of all activities seen so far. It holds moments, types and codes but no place and no text, so it may be
/// stored next to a shipment. Merging is commutative, associative and idempotent, so activities may arrive in any order,
/// repeatedly, and in any parts.
///
/// A package with a return among its activities is returned, whatever follows: a later delivery is the delivery to its sender.
/// Otherwise a delivered package stays delivered. Otherwise the latest activity decides, except for updates. The latest activity
/// is determined by kind, then time, then UPS's own order:
///
/// - UPS has the package once it was picked up or scanned. So a label never follows a scan, and a pick-up never follows a scan on
///   the way, even if their clocks disagree;
/// - within one kind, the later one;
/// - at the same moment, the one that UPS lists as the later one, then a known one before an unknown one, then the later in
///   [`Status`]'s order.
///
/// The latest activity's type and code are stored. Reading them back applies the current table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Progress {
    returned: bool,
    delivered: bool,
    newest: Option<Mark>,
    known: Option<(i64, Status)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    position: i64,
    reading: Reading,
    kind: String,
    code: String,
    /// For several activities of the same moment: the number that UPS lists as earlier.
    #[serde(default)]
    order: u32,
}

impl Mark {
    /// The sort key that determines the latest activity.
    fn key(&self) -> (Stage, i64, u32, Reading, &str, &str) {
        (Stage::of(self.reading), self.position, self.order, self.reading, &self.kind, &self.code)
    }

    /// Applies the current table; `None` if the activity does not give a status of the package.
    fn read_anew(self) -> Option<Self> {
        let reading = Reading::of(&self.kind, [&self.code, ""]);
        (reading != Reading::Update).then_some(Self { reading, ..self })
    }
}

impl PartialOrd for Mark {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Mark {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// How far a package must have come for an activity to happen. An unknown activity may have been of any kind, so it is ordered by
/// time among the activities on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    BeforeUps,
    PickedUp,
    OnTheWay,
}

impl Stage {
    const fn of(reading: Reading) -> Self {
        match reading {
            Reading::Status(Status::LabelCreated | Status::Voided) => Self::BeforeUps,
            Reading::Status(Status::PickedUp) => Self::PickedUp,
            _ => Self::OnTheWay,
        }
    }
}

/// The stored form of [`Progress`].
#[derive(Default, Deserialize)]
#[serde(default)]
struct Stored {
    returned: bool,
    delivered: bool,
    newest: Option<Mark>,
    known: Option<(i64, Status)>,
}

impl From<Stored> for Progress {
    fn from(Stored { returned, delivered, newest, known }: Stored) -> Self {
        Self { returned, delivered, newest: newest.and_then(Mark::read_anew), known }
    }
}

impl Progress {
    /// The result of these activities. For activities of the same moment, none counts as listed later.
    pub fn of<'a>(activities: impl IntoIterator<Item = &'a Activity>) -> Self {
        let mut progress = Self::default();
        for activity in activities {
            progress.observe(activity, 0);
        }
        progress
    }

    /// The result of the activities of one answer, in UPS's own order, oldest first.
    pub(crate) fn in_order(activities: &[Activity]) -> Self {
        let mut progress = Self::default();
        let (mut moment, mut order) = (None, 0);
        for activity in activities {
            let position = activity.when.position();
            order = if moment == Some(position) { order + 1 } else { 0 };
            moment = Some(position);
            progress.observe(activity, order);
        }
        progress
    }

    /// Adds one activity. Adding it again changes nothing.
    fn observe(&mut self, activity: &Activity, order: u32) {
        let reading = activity.reading();
        let says_nothing = reading == Reading::Unknown && matches!(&*activity.kind, "" | "NA") && activity.any_code().is_empty();
        if reading == Reading::Update || says_nothing {
            return;
        }
        let position = activity.when.position();
        let mark = Mark { position, reading, kind: activity.kind.clone(), code: activity.telling_code().to_owned(), order };
        let known = reading.status();
        let newest = Some(mark);
        self.merge(Self { newest, known: known.map(|status| (position, status)), ..Self::at_end(known) });
    }

    /// The result of a status that comes without an activity: only a final status counts.
    pub(crate) fn at_end(status: Option<Status>) -> Self {
        let (returned, delivered) = (status == Some(Status::Returned), status == Some(Status::Delivered));
        Self { returned, delivered, ..Self::default() }
    }

    /// Combines the results of two sets of activities.
    pub fn merge(&mut self, other: Self) {
        self.returned |= other.returned;
        self.delivered |= other.delivered;
        self.newest = self.newest.take().max(other.newest);
        let stage = |known: &Option<(i64, Status)>| {
            known.map(|(position, status)| (Stage::of(Reading::Status(status)), position, status))
        };
        self.known = std::cmp::max_by_key(self.known, other.known, stage);
    }

    /// The status; `None` if nothing has happened yet, or if the latest activity is of an unknown kind.
    pub fn status(&self) -> Option<Status> {
        self.settled().or_else(|| self.newest.as_ref()?.reading.status())
    }

    /// The latest known status, even if an unknown activity followed.
    pub fn last_known(&self) -> Option<Status> {
        self.settled().or(self.known.map(|(_, status)| status))
    }

    /// Type and code of the latest activity, if they are the reason why there is no status.
    pub fn unknown(&self) -> Option<(&str, &str)> {
        let mark = self.newest.as_ref().filter(|mark| mark.reading == Reading::Unknown && self.settled().is_none())?;
        Some((&mark.kind, &mark.code))
    }

    fn settled(&self) -> Option<Status> {
        if self.returned { Some(Status::Returned) } else { self.delivered.then_some(Status::Delivered) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Location, When};
    use proptest::{prelude::*, sample::Index};

    fn activity(second: i64, kind: &str, status_code: &str) -> Activity {
        Activity {
            kind: kind.to_owned(),
            status_code: status_code.to_owned(),
            code: String::new(),
            description: String::new(),
            when: When::Instant(jiff::Timestamp::from_second(second).unwrap()),
            location: Location::default(),
        }
    }

    fn status(activities: &[(i64, &str, &str)]) -> Option<Status> {
        let activities: Vec<_> = activities.iter().map(|(at, kind, code)| activity(*at, kind, code)).collect();
        Progress::of(&activities).status()
    }

    fn read(kind: &str, code: &str) -> Option<Status> {
        assert_eq!(Reading::of(kind, [code, ""]), Reading::of(kind, ["", code]));
        Reading::of(kind, [code, ""]).status()
    }

    #[test]
    fn documented_types_are_read_as_their_status() {
        let table = [
            ("M", "003", Status::LabelCreated),
            ("M", "MP", Status::LabelCreated),
            ("MV", "", Status::Voided),
            ("P", "", Status::PickedUp),
            ("I", "005", Status::InTransit),
            ("O", "", Status::OutForDelivery),
            ("D", "011", Status::Delivered),
            ("I", "OF", Status::OutForDelivery),
            ("X", "ER", Status::InTransit),
            ("X", "DJ", Status::Exception),
            ("", "EO", Status::InTransit),
            ("D", "FS", Status::Delivered),
            ("X", "003", Status::Exception),
            ("RS", "", Status::Returned),
        ];
        for (kind, code, status) in table {
            assert_eq!(read(kind, code), Some(status), "{kind}/{code}");
        }
    }

    #[test]
    fn out_for_delivery_code_is_read_under_other_types() {
        for (kind, code) in [("I", "021"), ("I", "OT"), ("D", "021"), ("D", "OT"), ("", "021")] {
            assert_eq!(read(kind, code), Some(Status::OutForDelivery), "{kind}/{code}");
        }
    }

    #[test]
    fn undocumented_type_or_code_is_unknown_and_never_delivered() {
        for (kind, code) in [("Z", "011"), ("", ""), ("", "SR"), ("D", ""), ("D", "999"), ("d", "011"), ("DELIVERED", "")] {
            assert_eq!(Reading::of(kind, [code, ""]), Reading::Unknown, "{kind}/{code}");
        }
    }

    #[test]
    fn update_keeps_the_previous_status() {
        assert_eq!(Reading::of("U", ["011", ""]), Reading::Update);
        assert_eq!(status(&[(1, "I", ""), (2, "U", "")]), Some(Status::InTransit));
        assert_eq!(status(&[(2, "U", "")]), None);
    }

    #[test]
    fn newest_activity_decides_until_delivery_or_return() {
        assert_eq!(status(&[(3, "I", ""), (2, "O", ""), (1, "M", "")]), Some(Status::InTransit));
        assert_eq!(status(&[(1, "MV", ""), (2, "I", "")]), Some(Status::InTransit));
        assert_eq!(status(&[(1, "D", "011"), (2, "X", ""), (3, "I", "")]), Some(Status::Delivered));
        assert_eq!(status(&[(1, "D", "011"), (2, "RS", "")]), Some(Status::Returned));
        assert_eq!(status(&[(1, "RS", ""), (2, "I", ""), (3, "D", "011")]), Some(Status::Returned));
    }

    #[test]
    fn unknown_activity_is_reported_and_last_known_status_is_kept() {
        let progress = Progress::of(&[activity(1, "O", ""), activity(2, "Q", "777")]);
        assert_eq!(progress.status(), None);
        assert_eq!(progress.unknown(), Some(("Q", "777")));
        assert_eq!(progress.last_known(), Some(Status::OutForDelivery));
        let delivered = Progress::of(&[activity(1, "D", "011"), activity(2, "Q", "777")]);
        assert_eq!((delivered.status(), delivered.unknown()), (Some(Status::Delivered), None));
        assert_eq!(status(&[(1, "Q", ""), (1, "I", "")]), Some(Status::InTransit));
    }

    #[test]
    fn progress_round_trips_through_json() {
        let progress = Progress::of(&[activity(1, "O", ""), activity(2, "Q", "777")]);
        let text = serde_json::to_string(&progress).unwrap();
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), progress);
    }

    #[test]
    fn stored_progress_is_read_by_the_current_table() {
        let stored = |kind: &str, code: &str, reading: &str| {
            let newest = format!(r#"{{"position":2000,"reading":{reading},"kind":"{kind}","code":"{code}"}}"#);
            let text = format!(r#"{{"returned":false,"delivered":false,"newest":{newest},"known":[1000,"IN_TRANSIT"]}}"#);
            serde_json::from_str::<Progress>(&text).unwrap()
        };
        // An older table did not have this code. If the stored reading were used, the label would rank below unknown activities.
        assert_eq!(stored("", "045", r#""Unknown""#).status(), Some(Status::LabelCreated));
        assert_eq!(stored("I", "012", r#"{"Status":"IN_TRANSIT"}"#).status(), Some(Status::InTransit));
        assert_eq!(stored("I", "054", r#"{"Status":"IN_TRANSIT"}"#).status(), None);
        assert_eq!(stored("I", "054", r#"{"Status":"IN_TRANSIT"}"#).last_known(), Some(Status::InTransit));
        let mut progress = stored("M", "003", r#"{"Status":"LABEL_CREATED"}"#);
        progress.merge(Progress::of(&[activity(1, "P", ""), activity(2, "M", "003")]));
        assert_eq!(progress.status(), Some(Status::PickedUp));
    }

    #[test]
    fn late_label_or_pickup_does_not_replace_a_scan() {
        assert_eq!(status(&[(1, "P", "038"), (9, "M", "003")]), Some(Status::PickedUp));
        assert_eq!(status(&[(1, "I", "005"), (9, "MV", "")]), Some(Status::InTransit));
        assert_eq!(status(&[(1, "I", "021"), (9, "I", "044")]), Some(Status::OutForDelivery));
        assert_eq!(status(&[(2, "I", "005"), (3, "P", "038"), (1, "M", "003")]), Some(Status::InTransit));
        assert_eq!(status(&[(1, "M", "003"), (2, "MV", "")]), Some(Status::Voided));
        assert_eq!(status(&[(1, "D", "011"), (9, "M", "003")]), Some(Status::Delivered));
        // A scan without a date is still a scan.
        let undated = Activity { when: When::Unread(String::new()), ..activity(0, "P", "038") };
        assert_eq!(Progress::of(&[activity(9, "M", "003"), undated]).status(), Some(Status::PickedUp));
    }

    #[test]
    fn activity_without_type_and_code_is_ignored() {
        assert_eq!(Progress::of(&[activity(9, "", "")]), Progress::default());
        assert_eq!(status(&[(1, "I", "021"), (9, "", "")]), Some(Status::OutForDelivery));
    }

    #[test]
    fn activities_of_the_same_moment_keep_the_order_of_ups() {
        let listed = |codes: &[&str]| {
            let activities: Vec<_> = codes.iter().map(|code| activity(1, "I", code)).collect();
            Progress::in_order(&activities).status()
        };
        assert_eq!(listed(&["021", "005"]), Some(Status::InTransit));
        assert_eq!(listed(&["005", "021"]), Some(Status::OutForDelivery));
        assert_eq!(listed(&["060", "005", "021", "005"]), Some(Status::InTransit));
    }

    #[test]
    fn only_delivery_and_return_are_final() {
        use Status::*;
        let all = [LabelCreated, Voided, PickedUp, InTransit, OutForDelivery, Exception, Delivered, Returned];
        assert_eq!(all.map(Status::is_final), [false, false, false, false, false, false, true, true]);
        for status in all {
            assert_eq!(Progress::at_end(Some(status)).status().is_some(), status.is_final(), "{status:?}");
        }
    }

    /// The expected statuses are listed by hand and not taken from the table.
    #[test]
    fn important_codes_are_read_as_expected() {
        let expected = [
            ("D", "011", Some(Status::Delivered)),
            ("D", "KB", Some(Status::Delivered)),
            ("D", "026", Some(Status::Delivered)),
            ("NA", "034", Some(Status::Returned)),
            ("NA", "021", Some(Status::OutForDelivery)),
            ("NA", "", None),
            ("W", "005", Some(Status::InTransit)),
            ("DO", "", Some(Status::InTransit)),
            ("DD", "", Some(Status::InTransit)),
            ("", "026", Some(Status::Delivered)),
            ("D", "034", Some(Status::Returned)),
            ("D", "UA", Some(Status::Returned)),
            ("", "034", Some(Status::Returned)),
            ("X", "035", Some(Status::Returned)),
            ("I", "036", Some(Status::Returned)),
            ("O", "037", Some(Status::Returned)),
            ("I", "037", Some(Status::Returned)),
            ("X", "067", Some(Status::Returned)),
            ("RS", "016", Some(Status::Returned)),
            ("X", "033", Some(Status::Exception)),
            ("D", "040", Some(Status::Exception)),
            ("I", "ZP", Some(Status::Exception)),
            ("I", "017", Some(Status::Exception)),
            ("X", "060", Some(Status::Exception)),
            ("X", "064", Some(Status::Exception)),
            ("X", "011", Some(Status::Exception)),
            ("I", "011", Some(Status::InTransit)),
            ("I", "006", Some(Status::OutForDelivery)),
            ("X", "006", Some(Status::OutForDelivery)),
            ("D", "006", Some(Status::OutForDelivery)),
            ("D", "072", Some(Status::OutForDelivery)),
            ("", "006", Some(Status::OutForDelivery)),
            ("I", "071", Some(Status::InTransit)),
            ("X", "014", Some(Status::InTransit)),
            ("I", "013", Some(Status::InTransit)),
            ("", "013", Some(Status::Exception)),
            ("X", "005", Some(Status::Exception)),
            ("O", "005", Some(Status::OutForDelivery)),
            ("I", "054", None),
            ("X", "054", Some(Status::Exception)),
            ("M", "007", Some(Status::Voided)),
            ("P", "065", Some(Status::LabelCreated)),
            ("", "003", Some(Status::LabelCreated)),
            ("", "MP", Some(Status::LabelCreated)),
            ("", "045", Some(Status::LabelCreated)),
            ("", "038", Some(Status::PickedUp)),
            ("", "000", None),
            ("", "999", None),
            ("Z", "034", None),
        ];
        for (kind, code, status) in expected {
            assert_eq!(read(kind, code), status, "{kind}/{code}");
        }
        // Digits take precedence over contradicting letters.
        assert_eq!(Reading::of("D", ["034", "FS"]), Reading::Status(Status::Returned));
        assert_eq!(Reading::of("D", ["FS", "034"]), Reading::Status(Status::Returned));
    }

    fn history() -> impl Strategy<Value = Vec<Activity>> {
        let kinds = prop::sample::select(vec!["M", "MV", "P", "I", "O", "U", "D", "X", "RS", "Q", ""]);
        let codes = prop::sample::select(vec!["", "003", "005", "011", "021", "777"]);
        let one = (0_i64..6, kinds, codes, any::<bool>()).prop_map(|(at, kind, code, dated)| {
            let activity = activity(at, kind, code);
            if dated { activity } else { Activity { when: When::Unread(String::new()), ..activity } }
        });
        prop::collection::vec(one, 0..12)
    }

    proptest! {
        #[test]
        fn progress_is_independent_of_order_repetition_and_parts(
            history in history(),
            (order, again) in (any::<[Index; 24]>(), any::<[Index; 6]>()),
            parts in any::<[Index; 3]>(),
        ) {
            let expected = Progress::of(&history);
            let mut arrived = history.clone();
            if !history.is_empty() {
                arrived.extend(again.iter().map(|index| index.get(&history).clone()));
                for (at, index) in order.iter().enumerate() {
                    let len = arrived.len();
                    arrived.swap(at % len, index.index(len));
                }
            }
            prop_assert_eq!(&Progress::of(&arrived), &expected);

            let mut cuts: Vec<usize> = parts.iter().map(|index| index.index(arrived.len() + 1)).collect();
            cuts.sort_unstable();
            let batches = [&arrived[..cuts[0]], &arrived[cuts[0]..cuts[1]], &arrived[cuts[1]..cuts[2]], &arrived[cuts[2]..]];
            let mut forward = Progress::default();
            let mut backward = Progress::default();
            for index in 0..batches.len() {
                forward.merge(Progress::of(batches[index]));
                backward.merge(Progress::of(batches[batches.len() - 1 - index]));
            }
            prop_assert_eq!(&forward, &expected);
            prop_assert_eq!(&backward, &expected);
        }

        /// Labels and pick-ups are stamped by other clocks than scans on the way.
        #[test]
        fn status_is_independent_of_label_and_pickup_order_and_clock_skew(
            scans in 1_usize..8, skews in any::<[i16; 3]>(), order in any::<[Index; 8]>(), dated in any::<[bool; 3]>(),
        ) {
            let journey = [("M", "003"), ("M", "003"), ("P", "038"), ("I", "005"), ("X", "013"), ("I", "021"), ("X", "060"), ("D", "011")];
            let expected = Reading::of(journey[scans].0, [journey[scans].1, ""]).status();
            let mut seen: Vec<_> = journey[..=scans].iter().enumerate().map(|(at, (kind, code))| {
                let skew = if at < 3 { i64::from(skews[at]) } else { 0 };
                let activity = activity(100_000 + i64::try_from(at).unwrap() * 3600 + skew, kind, code);
                if at < 3 && !dated[at] { Activity { when: When::Unread(String::new()), ..activity } } else { activity }
            }).collect();
            for (at, index) in order.iter().enumerate() {
                let len = seen.len();
                seen.swap(at % len, index.index(len));
            }
            prop_assert_eq!(Progress::of(&seen).status(), expected);
        }

        #[test]
        fn status_is_always_that_of_some_activity(history in history()) {
            let said: Vec<_> = history.iter().filter_map(|a| a.reading().status()).collect();
            let progress = Progress::of(&history);
            for status in progress.status().into_iter().chain(progress.last_known()) {
                prop_assert!(said.contains(&status));
            }
            prop_assert_eq!(progress.last_known().is_none(), said.is_empty());
        }
    }
}
