//! The time zone of a parcel's destination, if its country, state and postal code determine it without doubt.
//!
//! A wrong instant is worse than none. So there is no zone for a postal code's prefix with two zones, for a state with two zones
//! whose code is unknown, or for a state and a code that contradict each other.

use jiff::tz::TimeZone;
use phi::{Address, PhiText};

/// `country, first, last, zone`.
const ZONES: &str = include_str!("zones.tsv");
/// `country, code, name, zones`.
const STATES: &str = include_str!("states.tsv");
/// The tables' mark for a prefix or a state with several zones.
const SEVERAL: &str = "-";

/// The zone, from the tz database.
pub fn zone(address: &Address) -> Option<TimeZone> {
    TimeZone::get(zone_name(address)?).ok()
}

/// The zone's name, such as `America/Los_Angeles`.
pub fn zone_name(address: &Address) -> Option<&'static str> {
    let country = address.country.as_str();
    let code = address.postal_code.as_ref().map(|code| code.as_str().replace([' ', '-'], ""));
    let by_code = by_code(country, &code.unwrap_or_default());
    let by_state = address.state.as_ref().and_then(|state| by_state(country, state.as_str()));
    match (by_state, by_code) {
        (None, zone) => zone.filter(|zone| *zone != SEVERAL),
        (Some(zones), Some(zone)) if zone != SEVERAL => zones.split(',').any(|one| one == zone).then_some(zone),
        (Some(zones), _) => (zones != SEVERAL && !zones.contains(',')).then_some(zones),
    }
}

/// Finds the zone by the longest prefix of the code in the table. A country with one zone has an entry for the empty prefix.
fn by_code(country: &str, code: &str) -> Option<&'static str> {
    let fits = rows(ZONES).filter(|[of, first, last, _]| {
        *of == country && code.get(..first.len()).is_some_and(|prefix| (*first..=*last).contains(&prefix))
    });
    fits.max_by_key(|[_, first, ..]| first.len()).map(|[.., zone]| zone)
}

/// Finds the zone by a state's code or its name in English, ignoring case, dots and spaces.
fn by_state(country: &str, state: &str) -> Option<&'static str> {
    let plain = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    let state = plain(state).replace('é', "e");
    rows(STATES)
        .find(|[of, code, name, _]| *of == country && [plain(code), plain(name)].contains(&state))
        .map(|[.., zones]| zones)
}

fn rows(table: &'static str) -> impl Iterator<Item = [&'static str; 4]> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut columns = line.split('\t');
        std::array::from_fn(|_| columns.next().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(country: &str, state: &str, postal_code: &str) -> Option<&'static str> {
        let text = |text: &str| if text.is_empty() { json!(null) } else { json!(text) };
        let address = json!({"line1": "1 Way", "line2": null, "city": "Reno", "state": text(state),
            "postal_code": text(postal_code), "country": country});
        zone_name(&serde_json::from_value(address).unwrap())
    }

    #[test]
    fn every_zone_in_the_tables_exists_and_fits_its_states() {
        for [country, first, last, zone] in rows(ZONES) {
            assert!(zone == SEVERAL || TimeZone::get(zone).is_ok(), "{zone}");
            assert!(first.len() == last.len() && first <= last, "{country} {first}");
        }
        for [country, code, name, zones] in rows(STATES) {
            assert!(zones == SEVERAL || zones.split(',').all(|zone| TimeZone::get(zone).is_ok()), "{zones}");
            assert!(code.len() == 2 && !name.is_empty() && ["US", "CA"].contains(&country), "{code}");
        }
        // 50 states, the capital, five territories; thirteen provinces and territories.
        assert_eq!(rows(STATES).filter(|[country, ..]| *country == "US").count(), 56);
        assert_eq!(rows(STATES).filter(|[country, ..]| *country == "CA").count(), 13);
    }

    #[test]
    fn state_is_recognised_by_code_or_name() {
        for state in ["CA", "ca", "California", "CALIFORNIA ", "C.A."] {
            assert_eq!(at("US", state, "94016"), Some("America/Los_Angeles"), "{state}");
        }
        for state in ["NY", "N.Y.", "New York", "new  york"] {
            assert_eq!(at("US", state, ""), Some("America/New_York"), "{state}");
        }
        assert_eq!(at("CA", "Québec", "H2X 1Y4"), Some("America/Toronto"));
        assert_eq!(at("CA", "Quebec", "h2x1y4"), Some("America/Toronto"));
    }

    /// Cities near the borders of zones, listed by hand.
    #[test]
    fn state_with_two_zones_needs_an_unambiguous_postal_code() {
        let cities = [
            ("IN", "46204", Some("America/New_York")),
            ("IN", "46402", Some("America/Chicago")),
            ("IN", "47708", Some("America/Chicago")),
            ("IN", "46574", None),
            ("KY", "40202", Some("America/New_York")),
            ("KY", "42101", Some("America/Chicago")),
            ("KY", "40108", None),
            ("TN", "37902", Some("America/New_York")),
            ("TN", "37203", Some("America/Chicago")),
            ("TN", "38103", Some("America/Chicago")),
            ("TN", "37402", Some("America/New_York")),
            ("TN", "37311", None),
            ("FL", "33130", Some("America/New_York")),
            ("FL", "32301", Some("America/New_York")),
            ("FL", "32502", Some("America/Chicago")),
            ("FL", "32401", Some("America/Chicago")),
            ("FL", "32456", None),
            ("TX", "77002", Some("America/Chicago")),
            ("TX", "79901", Some("America/Denver")),
            ("TX", "79855", None),
            ("ND", "58102", Some("America/Chicago")),
            ("ND", "58601", None),
            ("SD", "57104", Some("America/Chicago")),
            ("SD", "57701", Some("America/Denver")),
            ("SD", "57501", None),
            ("NE", "68102", Some("America/Chicago")),
            ("NE", "69361", Some("America/Denver")),
            ("NE", "69101", None),
            ("KS", "66603", Some("America/Chicago")),
            ("KS", "67735", None),
            ("ID", "83702", Some("America/Denver")),
            ("ID", "83814", Some("America/Los_Angeles")),
            ("ID", "83501", None),
            ("OR", "97201", Some("America/Los_Angeles")),
            ("OR", "97914", None),
            ("MI", "48226", Some("America/New_York")),
            ("MI", "49855", None),
            ("AZ", "85004", Some("America/Phoenix")),
            ("AZ", "86515", None),
            ("AZ", "86004", None),
            ("NV", "89501", Some("America/Los_Angeles")),
            ("NV", "89883", None),
            ("AK", "99501", Some("America/Anchorage")),
            ("AK", "99546", Some("America/Adak")),
            ("HI", "96813", Some("Pacific/Honolulu")),
            ("HI", "96701", Some("Pacific/Honolulu")),
            ("PR", "00901", Some("America/Puerto_Rico")),
        ];
        for (state, code, zone) in cities {
            assert_eq!(at("US", state, code), zone, "{state} {code}");
            assert_eq!(at("US", state, &format!("{code}-1234")), zone, "{state} {code}-1234");
        }
        for split in ["AK", "AL", "AZ", "FL", "ID", "IN", "KS", "KY", "MI", "ND", "NE", "NV", "OR", "SD", "TN", "TX"] {
            assert_eq!(at("US", split, ""), None, "{split}");
        }
    }

    #[test]
    fn province_with_two_zones_needs_an_unambiguous_postal_code() {
        let cities = [
            ("BC", "V6B 1A1", Some("America/Vancouver")),
            ("BC", "V1J 1A1", Some("America/Dawson_Creek")),
            ("BC", "V1C 1A1", Some("America/Edmonton")),
            ("BC", "V1B 1A1", Some("America/Vancouver")),
            ("BC", "V1H 1A1", Some("America/Vancouver")),
            ("BC", "V0B 1A0", None),
            ("AB", "T2P 1A1", Some("America/Edmonton")),
            ("SK", "S4P 1A1", Some("America/Regina")),
            ("SK", "S9V 0A1", Some("America/Edmonton")),
            ("MB", "R3C 1A1", Some("America/Winnipeg")),
            ("ON", "M5V 1A1", Some("America/Toronto")),
            ("ON", "P7B 1A1", Some("America/Toronto")),
            ("ON", "P9N 1A1", Some("America/Winnipeg")),
            ("QC", "G4T 1A1", Some("America/Halifax")),
            ("QC", "G0G 1A0", None),
            ("NB", "E1A 1A1", Some("America/Moncton")),
            ("NL", "A1C 1A1", Some("America/St_Johns")),
            ("NL", "A2V 1A1", Some("America/Goose_Bay")),
            ("NL", "A0P 1A0", None),
            ("NU", "X0A 0H0", None),
            ("YT", "Y1A 1A1", Some("America/Whitehorse")),
        ];
        for (province, code, zone) in cities {
            assert_eq!(at("CA", province, code), zone, "{province} {code}");
        }
    }

    #[test]
    fn country_has_a_zone_only_if_it_has_exactly_one() {
        assert_eq!(at("GB", "", "SW1A 1AA"), Some("Europe/London"));
        assert_eq!(at("DE", "NV", "10115"), Some("Europe/Berlin"));
        assert_eq!(at("IN", "MH", "400001"), Some("Asia/Kolkata"));
        assert_eq!(at("AE", "", ""), Some("Asia/Dubai"));
        assert_eq!(at("FR", "", "75001"), Some("Europe/Paris"));
        assert_eq!(at("DK", "", "1050"), Some("Europe/Copenhagen"));
        // Territories whose addresses are written under their country: Réunion, Nouméa, Nuuk, British Forces.
        for (country, code) in [("FR", "97400"), ("FR", "98800"), ("DK", "3900"), ("GB", "BFPO 801")] {
            assert_eq!(at(country, "", code), None, "{country} {code}");
        }
        for several in ["AU", "BR", "MX", "RU", "ES", "PT", "ID"] {
            assert_eq!(at(several, "", "12345"), None, "{several}");
        }
    }

    #[test]
    fn contradictory_or_unknown_address_has_no_zone() {
        assert_eq!(at("US", "NV", "10001"), None);
        assert_eq!(at("CA", "AB", "M5V 1A1"), None);
        assert_eq!(at("US", "", ""), None);
        assert_eq!(at("US", "", "33899"), Some("America/New_York"));
        assert_eq!(at("US", "Narnia", ""), None);
        // Military addresses have a code but no place.
        assert_eq!([at("US", "AE", "09901"), at("US", "AA", "34002"), at("US", "AP", "96201")], [None; 3]);
    }
}
