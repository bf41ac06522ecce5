//! UPS's published status codes, as data: `statuses.tsv`.

use std::{collections::HashMap, sync::LazyLock};

use crate::Status;

const TABLE: &str = include_str!("statuses.tsv");

/// The meaning of a code by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// None: the type decides.
    Any,
    /// The package has not moved.
    Update,
    Status(Status),
    /// A status, unless the type is more specific.
    Weak(Status),
}

static MEANINGS: LazyLock<HashMap<&'static str, Meaning>> = LazyLock::new(|| {
    let rows = || rows().map(|[code, meaning, _, _]| (code, meaning));
    let digits: HashMap<_, _> = rows().filter_map(|(code, meaning)| Some((code, meaning_of(meaning)?))).collect();
    let letters: Vec<_> = rows().filter_map(|(code, meaning)| Some((code, *digits.get(meaning)?))).collect();
    digits.into_iter().chain(letters).collect()
});

/// The meaning of the first of these codes that UPS has published. Codes in digits come before codes in letters.
pub(crate) fn meaning(codes: [&str; 2]) -> Option<Meaning> {
    let is_digits = |code: &str| code.bytes().all(|b| b.is_ascii_digit());
    let (first, second) = codes.into_iter().partition::<Vec<_>, _>(|code| is_digits(code));
    first.into_iter().chain(second).find_map(|code| MEANINGS.get(code).copied())
}

/// Code, meaning, UPS's text and the reason for our decision.
fn rows() -> impl Iterator<Item = [&'static str; 4]> {
    TABLE.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut columns = line.split('\t');
        std::array::from_fn(|_| columns.next().unwrap_or_default())
    })
}

fn meaning_of(word: &str) -> Option<Meaning> {
    let status = |word| {
        Some(match word {
            "LABEL_CREATED" => Status::LabelCreated,
            "VOIDED" => Status::Voided,
            "PICKED_UP" => Status::PickedUp,
            "IN_TRANSIT" => Status::InTransit,
            "OUT_FOR_DELIVERY" => Status::OutForDelivery,
            "EXCEPTION" => Status::Exception,
            "DELIVERED" => Status::Delivered,
            "RETURNED" => Status::Returned,
            _ => return None,
        })
    };
    match word {
        "ANY" => Some(Meaning::Any),
        "UPDATE" => Some(Meaning::Update),
        _ => match word.strip_suffix('?') {
            Some(weak) => status(weak).map(Meaning::Weak),
            None => status(word).map(Meaning::Status),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reading;

    #[test]
    fn every_row_is_well_formed_and_unique() {
        let rows: Vec<_> = rows().collect();
        let is = |code: &str, digits: bool| code.bytes().all(|b| b.is_ascii_digit()) == digits;
        for [code, meaning, text, _] in &rows {
            assert!(!text.is_empty(), "{code} has no text");
            let points_at_digits = rows.iter().any(|[other, ..]| other == meaning && is(other, true));
            let fits = if is(code, true) { code.len() == 3 && meaning_of(meaning).is_some() } else { points_at_digits };
            assert!(fits, "{code}: {meaning}");
        }
        let mut codes: Vec<_> = rows.iter().map(|[code, ..]| code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!((codes.len(), MEANINGS.len()), (rows.len(), rows.len()));
        assert_eq!(rows.iter().filter(|[code, ..]| is(code, true)).count(), 67);
    }

    /// A summary has no type. So every code, except one without a meaning, must decide alone or beside an unknown code.
    #[test]
    fn every_published_code_has_a_reading_without_a_type() {
        for [code, meaning, ..] in rows() {
            let read = Reading::of("", [code, ""]);
            assert_eq!(read == Reading::Unknown, meaning == "ANY", "{code}");
            assert_eq!(Reading::of("", ["", code]), read, "{code}");
            assert_eq!(Reading::of("", ["999", code]), read, "{code}");
        }
    }

    /// A wrong `DELIVERED` or a missed return is never corrected later, so these rules hold for every code under every type.
    #[test]
    fn final_status_is_read_only_from_a_fitting_code_and_type() {
        for [code, meaning, ..] in rows() {
            let of = |kind| Reading::of(kind, [code, ""]).status();
            let digits = MEANINGS[code];
            for kind in ["", "M", "MV", "P", "I", "O", "X", "D", "U", "Z"] {
                let (read, returns) = (of(kind), digits == Meaning::Status(Status::Returned));
                let delivers = digits == Meaning::Status(Status::Delivered) && ["", "D"].contains(&kind);
                assert_eq!(read == Some(Status::Delivered), delivers, "{kind}/{code} ({meaning})");
                let may_return = ["", "I", "O", "X", "D"].contains(&kind);
                assert_eq!(read == Some(Status::Returned), returns && may_return, "{kind}/{code} ({meaning})");
            }
            assert_eq!(of("RS"), Some(Status::Returned), "{code}");
        }
    }
}
