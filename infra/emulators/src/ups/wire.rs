//! Packages in UPS's form, including its irregularities: <https://developer.ups.com>, Tracking and Track Alert.
//!
//! The seed and the number select an answer's irregularities, so that they are the same in each poll. Names, addresses and
//! pictures are synthetic, and contain that word.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::journey::{DESTINATION, Place};
use super::simulation::{Activity, Package};
use super::status::{Milestone, Status};

const DAY: i64 = 24 * 60 * 60 * 1000;

/// Options of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TrackOptions {
    pub(super) signature: bool,
    pub(super) milestones: bool,
    pub(super) proof_of_delivery: bool,
}

/// The answer for an existing package.
pub(super) fn found(package: &Package, seed: u64, options: TrackOptions) -> Value {
    json!({ "trackResponse": { "shipment": [{
        "inquiryNumber": package.number,
        "package": [told(package, seed, options)],
        "userRelation": ["SHIPPER"],
    }] } })
}

/// The answer for any other number: 200, a warning, and no package.
pub(super) fn not_found(number: &str) -> Value {
    json!({ "trackResponse": { "shipment": [{
        "inquiryNumber": number,
        "warnings": [{ "code": "TW0001", "message": "Tracking Information Not Found" }],
    }] } })
}

/// The status that UPS gives as current: in a third of all cases that of the second newest activity.
pub(super) fn current(package: &Package, seed: u64) -> Option<&Status> {
    let count = package.activities.len();
    let lags = count > 1 && oddity(package, seed, "lag", count, 3) == 0;
    package.activities.get(count.checked_sub(if lags { 2 } else { 1 })?).map(|activity| &activity.status)
}

fn told(package: &Package, seed: u64, options: TrackOptions) -> Value {
    let odd = |what, of| oddity(package, seed, what, 0, of);
    let newest_first = package.activities.iter().enumerate().rev().map(|(n, one)| activity(package, seed, n, one));
    let activities: Vec<Value> = newest_first.collect();
    // A label without a scan may have no list at all.
    let label_only = activities.len() == 1 && odd("no activities", 3) == 0;
    let current = current(package, seed).map(status);
    let mut told = json!({
        "trackingNumber": package.number,
        "activity": if label_only { Value::Null } else { activities.into() },
        "currentStatus": current,
        "packageCount": 1,
        "service": { "code": "518", "levelCode": "011", "description": "UPS Ground " },
        "weight": { "unitOfMeasurement": "LBS", "weight": "2.00" },
        "dimension": { "height": "4.00", "length": "12.00", "width": "9.00", "unitOfDimension": "IN" },
        "packageAddress": addresses(),
        "referenceNumber": [{ "type": "SHIPMENT", "number": "SYNTHETIC-REFERENCE" }],
        "suppressionIndicators": [],
        "ucixStatus": "O",
        "isSmartPackage": false,
        // An undocumented field: a reader that refuses unknown fields fails here.
        "synthetic": true,
        "networkHints": { "revision": 3, "lanes": ["A", null] },
    });
    if let Value::Object(fields) = &mut told {
        delivery(fields, package, seed, options);
        if odd("alternate", 2) == 0 {
            fields.insert("alternateTrackingNumber".to_owned(), Value::Null);
        }
        if options.milestones {
            fields.insert("milestones".to_owned(), milestones(package));
        } else if odd("milestones", 2) == 0 {
            fields.insert("milestones".to_owned(), Value::Null);
        }
    }
    told
}

fn activity(package: &Package, seed: u64, n: usize, one: &Activity) -> Value {
    let (local, gmt) = (civil(one.at, one.place), civil(one.at, UTC));
    let gmt_time = match oddity(package, seed, "time", n, 3) {
        0 => clock(gmt).trim_start_matches('0').to_owned(),
        1 => gmt.strftime("%H:%M:%S").to_string(),
        _ => clock(gmt),
    };
    let separator = if oddity(package, seed, "offset", n, 2) == 0 { ':' } else { '.' };
    let mut place = json!({ "country": "US", "countryCode": "US" });
    if !one.place.city.is_empty() {
        let spaced = if oddity(package, seed, "space", n, 2) == 0 { " " } else { "" };
        place["city"] = format!("{}{spaced}", one.place.city).into();
        place["stateProvince"] = one.place.state.into();
        place["postalCode"] = if n.is_multiple_of(2) { Value::Null } else { one.place.postal_code.into() };
    }
    json!({
        "date": day(local),
        "time": clock(local),
        "gmtDate": day(gmt),
        "gmtTime": gmt_time,
        "gmtOffset": offset(one.place, separator),
        "location": { "address": place, "slic": "4300" },
        "status": status(&one.status),
    })
}

fn status(status: &Status) -> Value {
    json!({
        "type": status.kind,
        "code": status.code,
        "statusCode": status.status_code,
        // UPS's descriptions end with a space.
        "description": format!("{} ", status.description),
        "simplifiedTextDescription": status.simplified(),
    })
}

/// Dates and times of the delivery, and the receiver.
fn delivery(fields: &mut Map<String, Value>, package: &Package, seed: u64, options: TrackOptions) {
    let scheduled = scheduled(package);
    let (dates, time) = match delivered(package) {
        Some(end) => {
            let local = civil(end.at, end.place);
            fields.insert("deliveryInformation".to_owned(), handed_over(options));
            let times = json!({ "type": "DEL", "startTime": null, "endTime": clock(local) });
            (json!([{ "type": "DEL", "date": day(local) }]), times)
        }
        None if package.activities.len() == 1 && oddity(package, seed, "no date", 0, 2) == 0 => (Value::Null, Value::Null),
        None => {
            let mut dates = vec![json!({ "type": "SDD", "date": scheduled })];
            if package.activities.iter().any(|activity| activity.status.kind == "U") {
                dates.push(json!({ "type": "RDD", "date": day(civil(package.created + 4 * DAY, DESTINATION)) }));
            }
            let out = package.activities.last().is_some_and(|activity| activity.status.simplified() == "Out for Delivery");
            let time = match out {
                true => json!({ "type": "EDW", "startTime": "140000", "endTime": "180000" }),
                false => json!({ "type": "EOD", "startTime": "", "endTime": "" }),
            };
            (dates.into(), time)
        }
    };
    fields.insert("deliveryDate".to_owned(), dates);
    fields.insert("deliveryTime".to_owned(), time);
}

/// Data that must not be stored in plain text. UPS returns the signature and the proof only on request.
fn handed_over(options: TrackOptions) -> Value {
    let picture = |text: &str| STANDARD.encode(text);
    let mut information = json!({
        "location": "Front Door ",
        "receivedBy": "SYNTHETIC RECEIVER",
        "deliveryPhoto": {
            "isNonPostalCodeCountry": false,
            "photo": picture("SYNTHETIC PHOTO, NO PICTURE"),
            "photoCaptureInd": "Y",
            "photoDispositionCode": "V",
        },
    });
    if options.signature {
        information["signature"] = json!({ "image": picture("SYNTHETIC SIGNATURE, NO PICTURE") });
    }
    if options.proof_of_delivery {
        information["pod"] = json!({ "content": picture("SYNTHETIC PROOF OF DELIVERY") });
    }
    information
}

fn addresses() -> Value {
    let address = |line, place: Place| {
        json!({ "addressLine1": line, "city": place.city, "stateProvince": place.state, "postalCode": place.postal_code,
                "country": "US", "countryCode": "US" })
    };
    json!([
        { "type": "ORIGIN", "name": "SYNTHETIC SHIPPER", "attentionName": null, "address": { "country": "US", "countryCode": "US" } },
        { "type": "DESTINATION", "name": "", "attentionName": "SYNTHETIC RECEIVER",
          "address": address("100 EXAMPLE STREET", DESTINATION) },
    ])
}

fn milestones(package: &Package) -> Value {
    let stages = [
        (Milestone::LabelCreated, "Label Created"),
        (Milestone::PickedUp, "We Have Your Package"),
        (Milestone::InTransit, "On the Way"),
        (Milestone::OutForDelivery, "Out for Delivery"),
        (Milestone::Delivered, "Delivered"),
    ];
    let newest_first: Vec<&str> = package.activities.iter().rev().map(|activity| activity.status.simplified()).collect();
    let listed = stages.into_iter().map(|(milestone, name)| {
        let linked = newest_first.iter().position(|shown| *shown == name);
        json!({
            "code": milestone.status().code,
            "description": name,
            "current": linked == Some(0),
            "state": if linked.is_some() { "COMPLETE" } else { "INCOMPLETE" },
            "linkedActivity": linked.map(|index| index.to_string()),
            "category": null,
        })
    });
    listed.collect()
}

/// A Track Alert's body: other field names than in a poll, and empty texts for unknown values.
pub(super) fn tracking_event(package: &Package, one: &Activity, enhanced: bool) -> Value {
    let (local, gmt) = (civil(one.at, one.place), civil(one.at, UTC));
    let delivered = one.status.kind == "D";
    let mut event = json!({
        "trackingNumber": package.number,
        "localActivityDate": day(local),
        "localActivityTime": clock(local),
        "activityLocation": {
            "city": one.place.city,
            "stateProvince": one.place.state,
            "postalCode": if delivered { one.place.postal_code } else { "" },
            "country": "US",
        },
        "activityStatus": {
            "type": one.status.kind,
            "code": one.status.code,
            "description": one.status.description,
            "descriptionCode": one.status.status_code,
        },
        "scheduledDeliveryDate": scheduled(package),
        "actualDeliveryDate": if delivered { day(local) } else { String::new() },
        "actualDeliveryTime": if delivered { clock(local) } else { String::new() },
        "gmtActivityDate": day(gmt),
        "gmtActivityTime": clock(gmt),
        "gmtOffset": offset(one.place, '.'),
        "deliveryStartTime": "",
        "deliveryEndTime": "",
        "deliveryTimeDescription": "end of day",
    });
    if enhanced && delivered {
        event["receivedBy"] = "SYNTHETIC RECEIVER".into();
        event["deliveryPhoto"] = STANDARD.encode("SYNTHETIC PHOTO, NO PICTURE").into();
    }
    event
}

const UTC: Place = Place { city: "", state: "", postal_code: "", offset_minutes: 0 };

fn delivered(package: &Package) -> Option<&Activity> {
    // UPS also files under D what was left at an access point or returned.
    let handed_over = |status: &Status| status.kind == "D" && !["034", "040"].contains(&status.status_code.as_str());
    package.activities.iter().rev().find(|activity| handed_over(&activity.status))
}

/// The delivery date that UPS promised at the label's creation.
fn scheduled(package: &Package) -> String {
    day(civil(package.created + 3 * DAY, DESTINATION))
}

fn oddity(package: &Package, seed: u64, what: &str, n: usize, of: u64) -> u64 {
    let n = u64::try_from(n).unwrap_or(u64::MAX);
    Dice::new(seed, &format!("{what} {}", package.number), n).below(of)
}

/// Local time at a place without daylight saving.
fn civil(millis: i64, place: Place) -> DateTime {
    let shifted = millis.saturating_add(place.offset_minutes * 60_000);
    // A clock outside jiff's range shows the epoch; no test depends on it.
    Offset::UTC.to_datetime(jiff::Timestamp::from_millisecond(shifted).unwrap_or_default())
}

fn day(at: DateTime) -> String {
    at.strftime("%Y%m%d").to_string()
}

fn clock(at: DateTime) -> String {
    at.strftime("%H%M%S").to_string()
}

fn offset(place: Place, separator: char) -> String {
    let (sign, minutes) = if place.offset_minutes < 0 { ('-', -place.offset_minutes) } else { ('+', place.offset_minutes) };
    format!("{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60)
}

/// In whole seconds, as UPS sends it.
pub(super) fn rfc3339(millis: i64) -> String {
    jiff::Timestamp::from_second(millis.div_euclid(1000)).unwrap_or_default().to_string()
}
