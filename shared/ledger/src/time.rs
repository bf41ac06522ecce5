use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::InvalidText;

/// The time of an event: Unix time in milliseconds. As text, RFC 3339 in UTC with exactly three digits of a second, such as
/// `2026-01-31T09:30:00.000Z`, so that a time has exactly one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OccurredAt(u64);

const DAY: u64 = 24 * 60 * 60 * 1000;
/// 9999-12-31T23:59:59.999Z.
const LAST: u64 = 253_402_300_799_999;
const REFUSED: InvalidText = InvalidText("expected a time such as `2026-01-31T09:30:00.000Z`");

impl OccurredAt {
    /// # Errors
    /// [`InvalidText`] for times before 1970 or after 9999.
    pub fn from_unix_millis(millis: i64) -> Result<Self, InvalidText> {
        u64::try_from(millis).ok().filter(|millis| *millis <= LAST).map(Self).ok_or(REFUSED)
    }

    pub const fn unix_millis(self) -> u64 {
        self.0
    }

    /// # Errors
    /// [`InvalidText`] for any text that `Display` does not write.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        Self::read(text.as_bytes()).ok_or(REFUSED)
    }

    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let (year, month, day) = (number(text, 0..4)?, number(text, 5..7)?, number(text, 8..10)?);
        let (hour, minute) = (number(text, 11..13)?, number(text, 14..16)?);
        let (second, millis) = (number(text, 17..19)?, number(text, 20..23)?);
        let between = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (23, b'Z')];
        let separated = text.len() == 24 && between.iter().all(|(at, byte)| text.get(*at) == Some(byte));
        let days = days_from_civil(year, month, day)?;
        let exists = day <= days_in(year, month)? && hour < 24 && minute < 60 && second < 60;
        let time = Self(days * DAY + ((hour * 60 + minute) * 60 + second) * 1000 + millis);
        (separated && exists && time.0 <= LAST).then_some(time)
    }
}

impl fmt::Display for OccurredAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0 / DAY);
        let millis = self.0 % DAY;
        let (hour, minute, second) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", millis % 1000)
    }
}

impl Serialize for OccurredAt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OccurredAt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The number that these decimal digits form.
fn number(text: &[u8], digits: std::ops::Range<usize>) -> Option<u64> {
    let add = |number: u64, digit: &u8| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'));
    text.get(digits)?.iter().try_fold(0, add)
}

/// The number of days in a month of the Gregorian calendar; `None` if there is no such month.
const fn days_in(year: u64, month: u64) -> Option<u64> {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => Some(29),
        2 => Some(28),
        _ => None,
    }
}

/// The number of days from 1970-01-01 to a day of the Gregorian calendar, by Howard Hinnant's `days_from_civil`: years begin in
/// March, and 400 years form an era of 146,097 days. `None` before 1970.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_print_and_parse() {
        let known = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (LAST as i64, "9999-12-31T23:59:59.999Z"),
        ];
        for (millis, text) in known {
            let time = OccurredAt::from_unix_millis(millis).unwrap();
            assert_eq!((time.to_string().as_str(), time.unix_millis()), (text, millis as u64));
            assert_eq!(OccurredAt::parse(text), Ok(time));
        }
    }

    #[test]
    fn time_in_another_form_is_refused() {
        let others = [
            "2026-01-31T09:30:00Z",
            "2026-01-31T09:30:00.0000Z",
            "2026-01-31t09:30:00.000z",
            "2026-01-31 09:30:00.000Z",
            "2026-01-31T09:30:00.000+00:00",
            "2026-02-30T00:00:00.000Z",
            "2026-02-29T00:00:00.000Z",
            "2026-01-31T24:00:00.000Z",
            "2026-01-31T09:60:00.000Z",
            "2026-01-31T23:59:60.000Z",
            "2026-13-01T00:00:00.000Z",
            "2026-00-01T00:00:00.000Z",
            "2026-01-00T00:00:00.000Z",
            "1969-12-31T23:59:59.999Z",
            "0000-01-01T00:00:00.000Z",
            "+026-01-31T09:30:00.000Z",
            "",
            "é",
        ];
        for text in others {
            assert!(OccurredAt::parse(text).is_err(), "`{text}`");
        }
        assert!(OccurredAt::from_unix_millis(-1).is_err());
        assert!(OccurredAt::from_unix_millis(LAST as i64 + 1).is_err());
    }

    proptest::proptest! {
        #[test]
        fn every_time_prints_and_parses_to_itself(millis in 0..=LAST) {
            let time = OccurredAt(millis);
            proptest::prop_assert_eq!(OccurredAt::parse(&time.to_string()), Ok(time));
        }
    }
}
