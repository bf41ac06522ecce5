//! The typical journey of a package, from its label to its end.

use std::time::Duration;

use super::dice::Dice;
use super::status::{Milestone, Status};

/// The place of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The city in UPS's spelling.
    pub city: &'static str,
    /// Two letters; empty if UPS names the country only.
    pub state: &'static str,
    /// Five digits; empty if UPS names the country only.
    pub postal_code: &'static str,
    /// Minutes east of Greenwich.
    pub offset_minutes: i64,
}

/// A label has no place but a country.
pub(super) const COUNTRY_ONLY: Place = Place { city: "", state: "", postal_code: "", offset_minutes: -300 };
const ORIGIN: Place = Place { city: "Columbus", state: "OH", postal_code: "43004", offset_minutes: -300 };
const HUBS: [Place; 3] = [
    Place { city: "Louisville", state: "KY", postal_code: "40213", offset_minutes: -300 },
    Place { city: "Indianapolis", state: "IN", postal_code: "46241", offset_minutes: -300 },
    Place { city: "Hodgkins", state: "IL", postal_code: "60525", offset_minutes: -360 },
];
/// The place of every synthetic receiver.
pub(super) const DESTINATION: Place = Place { city: "Springfield", state: "IL", postal_code: "62701", offset_minutes: -360 };

/// One scan of a journey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// The time since the previous scan.
    pub after: Duration,
    /// The status.
    pub status: Status,
    /// The place.
    pub place: Place,
}

/// The course of a journey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Without incident: about three days.
    Smooth,
    /// Delayed on the way, and rescheduled: about four days.
    Delayed,
    /// Refused by the receiver and sent back.
    SentBack,
}

/// A plausible list of scans, of which the first is the label's. Delays are realistic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journey {
    /// In chronological order.
    pub legs: Vec<Leg>,
}

impl Journey {
    /// The journey of this package, always the same for the same seed. Three in twenty are delayed, one in twenty is sent back.
    #[must_use]
    pub fn seeded(seed: u64, tracking_number: &str) -> Self {
        let course = match Dice::new(seed, tracking_number, 0).below(20) {
            0 => Course::SentBack,
            1..4 => Course::Delayed,
            _ => Course::Smooth,
        };
        Self::of(course, seed, tracking_number)
    }

    /// A journey of that course.
    #[must_use]
    pub fn of(course: Course, seed: u64, tracking_number: &str) -> Self {
        let mut dice = Dice::new(seed, tracking_number, 1);
        let hub = HUBS[usize::try_from(dice.below(3)).unwrap_or(0)];
        let scan = |code: &str, text: &str| Status::new("I", code, "005", text);
        let (departed, arrived) = (scan("DP", "Departed from Facility"), scan("AR", "Arrived at Facility"));
        let mut legs = Vec::new();
        let mut leg = |minutes: u64, status: Status, place: Place| {
            // Varied by a fifth, and never at a full minute.
            let seconds = minutes * 60;
            let after = if seconds == 0 { 0 } else { seconds * 4 / 5 + dice.below(seconds * 2 / 5) };
            legs.push(Leg { after: Duration::from_secs(after), status, place });
        };
        leg(0, Milestone::LabelCreated.status(), COUNTRY_ONLY);
        leg(9 * 60, Milestone::PickedUp.status(), ORIGIN);
        leg(3 * 60, scan("OR", "Origin Scan"), ORIGIN);
        leg(5 * 60, departed.clone(), ORIGIN);
        leg(7 * 60, arrived.clone(), hub);
        if course == Course::Delayed {
            leg(2 * 60, Milestone::Exception.status(), hub);
            leg(6 * 60, Status::new("U", "AW", "093", "The delivery date has been updated."), hub);
            leg(18 * 60, scan("WE", "Your package is on the way again."), hub);
        }
        leg(10 * 60, departed, hub);
        leg(14 * 60, arrived, DESTINATION);
        leg(14 * 60, Status::new("I", "DS", "005", "Processing at UPS Facility"), DESTINATION);
        leg(3 * 60, Milestone::OutForDelivery.status(), DESTINATION);
        match course {
            Course::Smooth | Course::Delayed => leg(6 * 60, Milestone::Delivered.status(), DESTINATION),
            Course::SentBack => {
                let refused = "The receiver does not want the product and refused the delivery.";
                leg(5 * 60, Status::new("X", "A7", "064", refused), DESTINATION);
                leg(20 * 60, Milestone::Returned.status(), DESTINATION);
            }
        }
        Self { legs }
    }

    /// From the label to the last scan.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.legs.iter().map(|leg| leg.after).sum()
    }
}

/// A plausible place for a package with that status.
pub(super) fn place_of(status: &Status) -> Place {
    match status.kind.as_str() {
        "M" | "MV" => COUNTRY_ONLY,
        "P" => ORIGIN,
        "I" if status.status_code != "021" => HUBS[0],
        _ => DESTINATION,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journey_begins_at_its_label_and_has_one_end() {
        for (course, last, days) in [(Course::Smooth, "D", 2..4), (Course::Delayed, "D", 3..5), (Course::SentBack, "RS", 3..5)] {
            for n in 0..200_u64 {
                let journey = Journey::of(course, n, "1ZCIETST0111111114");
                assert_eq!(journey.legs[0].status.kind, "M");
                assert_eq!(journey.legs.last().unwrap().status.kind, last);
                assert_eq!(journey.legs.iter().filter(|leg| ["D", "RS"].contains(&leg.status.kind.as_str())).count(), 1);
                assert!(days.contains(&(journey.length().as_secs() / 86_400)), "{course:?}: {:?}", journey.length());
            }
        }
    }

    #[test]
    fn most_journeys_are_smooth_and_some_are_not() {
        let ends = (0..1_000).map(|n| Journey::seeded(1, &format!("1Z{n:016}")));
        let back = ends.filter(|journey| journey.legs.last().unwrap().status.kind == "RS").count();
        assert!((20..100).contains(&back), "{back} of 1000 came back");
        assert_eq!(Journey::seeded(1, "1ZCIETST0111111114"), Journey::seeded(1, "1ZCIETST0111111114"));
    }
}
