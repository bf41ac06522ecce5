//! The time of an event, in the forms that UPS has been seen to write.

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::Offset,
};

use crate::lax::clean;

/// The time of an activity, as precise as UPS gives it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum When {
    /// From the GMT date and time, otherwise from the local ones and the offset.
    Instant(Timestamp),
    /// Local time at the place of the activity, in an unknown time zone.
    Local(DateTime),
    /// A day at the place of the activity, without a readable time.
    Day(Date),
    /// Neither could be read. The text as it was, which may be empty.
    Unread(String),
}

/// The members of an activity or alert that give its time.
pub(crate) struct TimeFields<'a> {
    pub(crate) date: &'a str,
    pub(crate) time: &'a str,
    pub(crate) gmt_date: &'a str,
    pub(crate) gmt_time: &'a str,
    pub(crate) gmt_offset: &'a str,
}

impl When {
    pub(crate) fn read(fields: &TimeFields<'_>) -> Self {
        let at = |date, time| Some(DateTime::from_parts(date?, time?));
        if let Some(instant) = at(date(fields.gmt_date), time(fields.gmt_time)).and_then(|gmt| instant(gmt, Offset::UTC)) {
            return Self::Instant(instant);
        }
        match (date(fields.date), time(fields.time)) {
            (Some(date), Some(time)) => {
                let local = DateTime::from_parts(date, time);
                let known = offset(fields.gmt_offset).and_then(|offset| instant(local, offset));
                known.map_or(Self::Local(local), Self::Instant)
            }
            (Some(date), None) => Self::Day(date),
            (None, _) => Self::Unread(clean(&format!("{} {}", fields.date, fields.time), 32)),
        }
    }

    /// The instant, if it is known.
    pub fn instant(&self) -> Option<Timestamp> {
        match self {
            Self::Instant(instant) => Some(*instant),
            Self::Local(_) | Self::Day(_) | Self::Unread(_) => None,
        }
    }

    /// The position in the order of activities, in milliseconds since the Unix epoch. A local time counts as if it were UTC, so
    /// it may be up to 14 hours off; a day counts as its midnight; an unreadable time comes before everything else. This is an
    /// order and not a time.
    pub fn position(&self) -> i64 {
        let utc = |local| instant(local, Offset::UTC).map_or(i64::MIN, Timestamp::as_millisecond);
        match self {
            Self::Instant(instant) => instant.as_millisecond(),
            Self::Local(local) => utc(*local),
            Self::Day(day) => utc(day.to_datetime(Time::midnight())),
            Self::Unread(_) => i64::MIN,
        }
    }

    /// One spelling for each moment, for any form that UPS sent.
    pub(crate) fn canonical(&self) -> String {
        match self {
            Self::Instant(instant) => format!("i{instant}"),
            Self::Local(local) => format!("l{local}"),
            Self::Day(day) => format!("d{day}"),
            Self::Unread(text) => format!("u{text}"),
        }
    }
}

fn instant(local: DateTime, offset: Offset) -> Option<Timestamp> {
    offset.to_timestamp(local).ok()
}

/// `20240423`, also `2024-04-23`.
pub(crate) fn date(text: &str) -> Option<Date> {
    let digits = text.trim().replace('-', "");
    if digits.len() != 8 || !is_number(&digits) {
        return None;
    }
    Date::new(digits[..4].parse().ok()?, digits[4..6].parse().ok()?, digits[6..].parse().ok()?).ok()
}

/// `131519`, `18:06:22`, and `74700`, which is 07:47:00 that was converted to a number and lost its zero.
pub(crate) fn time(text: &str) -> Option<Time> {
    let text = text.trim();
    let parts: Vec<&str> = text.split(':').collect();
    let number = |part: &str| if (1..=2).contains(&part.len()) && is_number(part) { part.parse::<i8>().ok() } else { None };
    let (hour, minute, second) = match parts[..] {
        [hour, minute, second] => (number(hour)?, number(minute)?, number(second)?),
        [hour, minute] => (number(hour)?, number(minute)?, 0),
        _ if (1..=6).contains(&text.len()) && is_number(text) => {
            let padded = format!("{text:0>6}");
            (number(&padded[..2])?, number(&padded[2..4])?, number(&padded[4..])?)
        }
        _ => return None,
    };
    Time::new(hour, minute, second, 0).ok()
}

/// `-05:00`, `-04.00`, also `-0400`.
fn offset(text: &str) -> Option<Offset> {
    let text = text.trim();
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let digits = rest.replace([':', '.'], "");
    if digits.len() != 4 || !is_number(&digits) {
        return None;
    }
    let (hours, minutes): (i32, i32) = (digits[..2].parse().ok()?, digits[2..].parse().ok()?);
    if hours > 14 || minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn when<'a>(date: &'a str, time: &'a str, gmt_date: &'a str, gmt_time: &'a str, gmt_offset: &'a str) -> When {
        When::read(&TimeFields { date, time, gmt_date, gmt_time, gmt_offset })
    }

    fn instant(text: &str) -> When {
        When::Instant(text.parse().unwrap())
    }

    #[test]
    fn gmt_time_in_any_form_is_the_same_instant() {
        for (written, read) in [("74700", "07:47:00"), ("074700", "07:47:00"), ("18:06:22", "18:06:22"), ("131519", "13:15:19")] {
            assert_eq!(when("", "", "20240423", written, ""), instant(&format!("2024-04-23T{read}Z")), "`{written}`");
        }
        assert_eq!(when("", "", "2024-04-23 ", " 7:47:00", ""), instant("2024-04-23T07:47:00Z"));
        assert_eq!(when("", "", "20240423", "0", ""), instant("2024-04-23T00:00:00Z"));
        assert_eq!(when("", "", "20240423", "18:06", ""), instant("2024-04-23T18:06:00Z"));
        assert_eq!(instant("2024-04-23T18:06:00Z").instant(), "2024-04-23T18:06:00Z".parse().ok());
    }

    #[test]
    fn local_time_with_offset_in_any_form_is_an_instant() {
        for offset in ["-04:00", "-04.00", "-0400", "-04.00 "] {
            assert_eq!(when("20240423", "091519", "", "", offset), instant("2024-04-23T13:15:19Z"), "`{offset}`");
        }
        assert_eq!(when("20240423", "091519", "20240423", "", "+05:30"), instant("2024-04-23T03:45:19Z"));
        assert_eq!(when("20240423", "091519", "", "", "-00:59"), instant("2024-04-23T10:14:19Z"));
        assert_eq!(when("20240423", "091519", "", "", "+14:00"), instant("2024-04-22T19:15:19Z"));
    }

    #[test]
    fn time_without_readable_offset_stays_local() {
        let local = When::Local("2024-04-23T09:15:19".parse().unwrap());
        for offset in ["", "EST", "-5", "-99:00", "-04:61", "04:00", "-é0:00"] {
            assert_eq!(when("20240423", "091519", "", "", offset), local, "`{offset}`");
        }
        assert_eq!(local.instant(), None);
    }

    #[test]
    fn empty_and_unreadable_dates_are_kept_unchanged() {
        assert_eq!(when("", "", "", "", ""), When::Unread(String::new()));
        assert_eq!(when("soon", "091519", "", "", ""), When::Unread("soon 091519".to_owned()));
        assert_eq!(when("20240423", "", "", "131519", "-04:00"), When::Day("2024-04-23".parse().unwrap()));
        assert_eq!(when("20240230", "", "20241301", "000000", ""), When::Unread("20240230".to_owned()));
        for time in [
            "240000",
            "236000",
            "1234567",
            "1:2:3:4",
            ":",
            "-1:00:00",
            "+1:00:00",
            "1:007:00",
            "12h",
            "\u{e9}\u{e9}\u{e9}",
            "\u{661}\u{662}",
        ] {
            assert_eq!(super::time(time), None, "`{time}`");
        }
    }

    #[test]
    fn unreadable_date_is_ordered_first() {
        let order = ["", "20240422", "20240423"].map(|date| when(date, "", "", "", "").position());
        assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_read_without_panic(d in any::<String>(), t in any::<String>(), o in any::<String>()) {
            let _ = when(&d, &t, &t, &d, &o).position();
            let _ = when(&d, &t, &d, &t, &o).canonical();
            let _ = when("20240423", "091519", "", "", &o);
        }

        #[test]
        fn gmt_and_local_time_with_offset_give_the_same_instant(second in 0_i32..86_400, hours in -12_i32..=14) {
            let gmt: DateTime = "2024-04-23T00:00:00".parse().unwrap();
            let gmt = gmt.checked_add(jiff::Span::new().seconds(second)).unwrap();
            let local = gmt.checked_add(jiff::Span::new().hours(hours)).unwrap();
            let (date, time) = (local.strftime("%Y%m%d").to_string(), local.strftime("%H%M%S").to_string());
            let offset = format!("{}{:02}.00", if hours < 0 { '-' } else { '+' }, hours.abs());
            let as_a_number = gmt.strftime("%H%M%S").to_string().parse::<u32>().unwrap().to_string();
            prop_assert_eq!(when(&date, &time, "", "", &offset), when("", "", "20240423", &as_a_number, ""));
        }
    }
}
