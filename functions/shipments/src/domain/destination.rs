//! What time it is where a parcel goes to, to the hour: enough to know that it is night.

use phi::{Address, PhiText};

/// Hours east of UTC in winter, and the states and territories of the USA where most people live by them.
const ZONES: [(i8, &str); 8] = [
    (-4, "PR VI"),
    (-5, "CT DC DE FL GA IN KY MA MD ME MI NC NH NJ NY OH PA RI SC VA VT WV"),
    (-6, "AL AR IA IL KS LA MN MO MS ND NE OK SD TN TX WI"),
    (-7, "AZ CO ID MT NM UT WY"),
    (-8, "CA NV OR WA"),
    (-9, "AK"),
    (-10, "HI"),
    (10, "GU MP"),
];

/// Hours east of UTC; not known outside of the USA.
pub fn zone(address: &Address) -> Option<i8> {
    let state = address.state.as_ref().filter(|_| address.country.as_str() == "US")?.as_str().to_ascii_uppercase();
    ZONES.iter().find(|(_, states)| states.split(' ').any(|s| s == state)).map(|(hours, _)| *hours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(state: Option<&str>, country: &str) -> Option<i8> {
        let address =
            json!({"line1": "1 Way", "line2": null, "city": "Reno", "state": state, "postal_code": "89501", "country": country});
        zone(&serde_json::from_value(address).unwrap())
    }

    #[test]
    fn a_state_tells_the_hour_and_nothing_else_does() {
        assert_eq!([at(Some("NV"), "US"), at(Some("ny"), "US"), at(Some("HI"), "US")], [Some(-8), Some(-5), Some(-10)]);
        assert_eq!([at(None, "US"), at(Some("Nevada"), "US"), at(Some("NV"), "DE")], [None; 3]);
    }

    #[test]
    fn every_state_stands_once() {
        let mut states: Vec<_> = ZONES.iter().flat_map(|(_, states)| states.split(' ')).collect();
        let count = states.len();
        states.sort_unstable();
        states.dedup();
        // 50 states, the capital, and four territories.
        assert_eq!((count, states.len()), (55, 55));
    }
}
