//! What UPS's types and codes mean, and what a history of them amounts to.

use serde::{Deserialize, Serialize};

use crate::Activity;

/// Where a package is.
///
/// The order is of meaning only between activities of the same moment: the later one here prevails.
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
    /// Whether nothing but a return follows. A voided label is not final: UPS carries a package that bears one.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Returned)
    }
}

/// What one type with its codes says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reading {
    /// Nothing that is known here. UPS's set is open; the raw type and codes are what there is to show.
    Unknown,
    /// A date or detail changed; the package is where it was.
    Update,
    /// A status.
    Status(Status),
}

impl Reading {
    /// Reads a status `type`, and the codes with it in any order: three digits (`statusCode`, a webhook's `descriptionCode`) or two
    /// letters (`code`). Only what UPS documents is known; the rest is not guessed at.
    ///
    /// The codes come first where they say more than the type: I and D with 021 (OT) are out for delivery, and D is delivered
    /// with 011 (FS) only, because UPS files under D what is still in the vehicle.
    pub fn of(kind: &str, codes: [&str; 2]) -> Self {
        let coded = |digits: &str, letters: &str| codes.iter().any(|code| *code == digits || *code == letters);
        let out = coded("021", "OT");
        let status = match kind {
            "O" => Status::OutForDelivery,
            "I" | "D" if out => Status::OutForDelivery,
            "I" => Status::InTransit,
            "D" if coded("011", "FS") => Status::Delivered,
            "M" => Status::LabelCreated,
            "MV" => Status::Voided,
            "P" => Status::PickedUp,
            "X" => Status::Exception,
            "RS" => Status::Returned,
            "U" => return Self::Update,
            "" if coded("011", "FS") => Status::Delivered,
            "" if out => Status::OutForDelivery,
            "" if coded("003", "MP") => Status::LabelCreated,
            _ => return Self::Unknown,
        };
        Self::Status(status)
    }

    /// The status that it says, if it does.
    pub fn status(self) -> Option<Status> {
        match self {
            Self::Status(status) => Some(status),
            Self::Update | Self::Unknown => None,
        }
    }
}

/// What all activities seen so far amount to. It holds moments, types and codes, no place and no text, and may be stored beside a
/// shipment: merging is commutative, associative and idempotent, so activities may come in any order, twice, and in any parts.
///
/// A package with a return among its activities is returned, whatever follows: what is delivered then is delivered to its sender.
/// Otherwise one that was delivered stays so. Otherwise the newest activity decides, updates aside; of the same moment, a known
/// one before an unknown one, then the later in [`Status`]'s order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    returned: bool,
    delivered: bool,
    newest: Option<Mark>,
    known: Option<(i64, Status)>,
}

/// The fields' order is what decides which is newest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Mark {
    position: i64,
    reading: Reading,
    kind: String,
    code: String,
}

impl Progress {
    /// What these activities amount to.
    pub fn of<'a>(activities: impl IntoIterator<Item = &'a Activity>) -> Self {
        let mut progress = Self::default();
        for activity in activities {
            progress.observe(activity);
        }
        progress
    }

    /// Takes one more activity into account; one that was seen before changes nothing.
    pub fn observe(&mut self, activity: &Activity) {
        let reading = activity.reading();
        if reading == Reading::Update {
            return;
        }
        let position = activity.when.position();
        let mark = Mark { position, reading, kind: activity.kind.clone(), code: activity.any_code().to_owned() };
        let known = reading.status();
        self.merge(Self {
            returned: known == Some(Status::Returned),
            delivered: known == Some(Status::Delivered),
            newest: Some(mark),
            known: known.map(|status| (position, status)),
        });
    }

    /// Joins what two sets of activities amount to.
    pub fn merge(&mut self, other: Self) {
        self.returned |= other.returned;
        self.delivered |= other.delivered;
        self.newest = self.newest.take().max(other.newest);
        self.known = self.known.max(other.known);
    }

    /// The status; `None` while nothing has happened, and where the newest activity is of an unknown kind.
    pub fn status(&self) -> Option<Status> {
        self.settled().or_else(|| self.newest.as_ref()?.reading.status())
    }

    /// The newest status that is known, also where something unknown happened since.
    pub fn last_known(&self) -> Option<Status> {
        self.settled().or(self.known.map(|(_, status)| status))
    }

    /// Type and code of the newest activity where that is why there is no status.
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
    fn every_documented_type_has_its_status() {
        let table = [
            ("M", "003", Status::LabelCreated),
            ("M", "MP", Status::LabelCreated),
            ("MV", "", Status::Voided),
            ("P", "", Status::PickedUp),
            ("I", "005", Status::InTransit),
            ("O", "", Status::OutForDelivery),
            ("D", "011", Status::Delivered),
            ("D", "FS", Status::Delivered),
            ("X", "003", Status::Exception),
            ("RS", "", Status::Returned),
        ];
        for (kind, code, status) in table {
            assert_eq!(read(kind, code), Some(status), "{kind}/{code}");
        }
    }

    #[test]
    fn out_for_delivery_often_comes_as_in_transit_and_also_as_delivery() {
        for (kind, code) in [("I", "021"), ("I", "OT"), ("D", "021"), ("D", "OT"), ("", "021")] {
            assert_eq!(read(kind, code), Some(Status::OutForDelivery), "{kind}/{code}");
        }
    }

    #[test]
    fn what_is_not_documented_is_unknown_and_delivery_is_not_guessed() {
        for (kind, code) in [("Z", "011"), ("", ""), ("", "SR"), ("D", ""), ("D", "072"), ("d", "011"), ("DELIVERED", "")] {
            assert_eq!(Reading::of(kind, [code, ""]), Reading::Unknown, "{kind}/{code}");
        }
    }

    #[test]
    fn an_update_keeps_the_status_that_was() {
        assert_eq!(Reading::of("U", ["011", ""]), Reading::Update);
        assert_eq!(status(&[(1, "I", ""), (2, "U", "")]), Some(Status::InTransit));
        assert_eq!(status(&[(2, "U", "")]), None);
    }

    #[test]
    fn the_newest_decides_until_delivery_which_only_a_return_undoes() {
        assert_eq!(status(&[(3, "I", ""), (2, "O", ""), (1, "M", "")]), Some(Status::InTransit));
        assert_eq!(status(&[(1, "MV", ""), (2, "I", "")]), Some(Status::InTransit));
        assert_eq!(status(&[(1, "D", "011"), (2, "X", ""), (3, "I", "")]), Some(Status::Delivered));
        assert_eq!(status(&[(1, "D", "011"), (2, "RS", "")]), Some(Status::Returned));
        assert_eq!(status(&[(1, "RS", ""), (2, "I", ""), (3, "D", "011")]), Some(Status::Returned));
    }

    #[test]
    fn something_unknown_is_surfaced_and_the_last_known_status_is_kept() {
        let progress = Progress::of(&[activity(1, "O", ""), activity(2, "Q", "777")]);
        assert_eq!(progress.status(), None);
        assert_eq!(progress.unknown(), Some(("Q", "777")));
        assert_eq!(progress.last_known(), Some(Status::OutForDelivery));
        let delivered = Progress::of(&[activity(1, "D", "011"), activity(2, "Q", "777")]);
        assert_eq!((delivered.status(), delivered.unknown()), (Some(Status::Delivered), None));
        assert_eq!(status(&[(1, "Q", ""), (1, "I", "")]), Some(Status::InTransit));
    }

    #[test]
    fn progress_is_kept_and_read_back() {
        let progress = Progress::of(&[activity(1, "O", ""), activity(2, "Q", "777")]);
        let text = serde_json::to_string(&progress).unwrap();
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), progress);
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
        fn any_order_any_repetition_and_any_parts_give_the_same(
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

        #[test]
        fn a_status_of_its_own_is_never_made_up(history in history()) {
            let said: Vec<_> = history.iter().filter_map(|a| a.reading().status()).collect();
            let progress = Progress::of(&history);
            for status in progress.status().into_iter().chain(progress.last_known()) {
                prop_assert!(said.contains(&status));
            }
            prop_assert_eq!(progress.last_known().is_none(), said.is_empty());
        }
    }
}
