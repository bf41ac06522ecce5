use emulators::ups::{Journey, Options, Speed};
use serde_json::Value;

use crate::rig::{DAY, NUMBER, OTHER, Rig};

fn speed(times: f64) -> Speed {
    times.try_into().unwrap()
}

/// The codes of all activities, oldest first.
fn codes(package: &Value) -> Vec<String> {
    let activities = package["activity"].as_array().unwrap();
    activities.iter().rev().map(|activity| activity["status"]["code"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn package_moves_after_its_first_request() {
    let rig = Rig::start(|options| Options { speed: Some(speed(100.0)), ..options });
    let journey = Journey::seeded(1, NUMBER);
    assert_eq!(rig.package(NUMBER).await["trackingNumber"], NUMBER);
    assert!(rig.ups.packages()[0].playing);
    let length = i64::try_from(journey.length().as_millis()).unwrap();
    rig.pass(length / 100 - 1);
    let underway = rig.package(NUMBER).await;
    assert_eq!(codes(&underway).len(), journey.legs.len() - 1);
    rig.pass(2);
    let arrived = rig.package(NUMBER).await;
    let whole: Vec<_> = journey.legs.iter().map(|leg| leg.status.code.clone()).collect();
    assert_eq!(codes(&arrived), whole);
    assert!(!rig.ups.packages()[0].playing);
    rig.pass(DAY);
    assert_eq!(rig.package(NUMBER).await, arrived, "nothing comes after the end");
}

#[tokio::test]
async fn moving_package_pushes_its_scans_in_order() {
    let rig = Rig::plain();
    let mut receiver = rig.subscribed("standard").await;
    rig.ups.play(speed(1000.0));
    rig.package(NUMBER).await;
    let mut pushed = Vec::new();
    for leg in Journey::seeded(1, NUMBER).legs {
        rig.pass(i64::try_from(leg.after.as_millis()).unwrap() / 1000 + 1);
        rig.ups.tick();
        pushed.push(receiver.push().await.json()["activityStatus"]["code"].clone());
    }
    assert_eq!(pushed, Journey::seeded(1, NUMBER).legs.into_iter().map(|leg| leg.status.code).collect::<Vec<_>>());
}

#[tokio::test]
async fn scans_due_at_once_are_pushed_in_chronological_order() {
    let rig = Rig::plain();
    let mut receiver = rig.subscribed("standard").await;
    rig.ups.play(speed(1000.0));
    rig.package(NUMBER).await;
    rig.package(OTHER).await;
    rig.pass(DAY);
    rig.ups.tick();
    let count = [NUMBER, OTHER].into_iter().map(|number| Journey::seeded(1, number).legs.len()).sum();
    let (mut times, mut numbers) = (Vec::new(), Vec::new());
    while times.len() < count {
        let pushed = receiver.push().await.json();
        let time = |name: &str| pushed[name].as_str().unwrap().to_owned();
        times.push(time("gmtActivityDate") + &time("gmtActivityTime"));
        numbers.push(time("trackingNumber"));
    }
    assert!(times.is_sorted(), "{times:?}");
    assert!(numbers.chunk_by(|a, b| a == b).count() > 2, "the two journeys are interleaved");
}

#[tokio::test]
async fn package_moved_by_hand_does_not_move_automatically() {
    let rig = Rig::start(|options| Options { speed: Some(speed(100.0)), ..options });
    rig.package(NUMBER).await;
    rig.package(OTHER).await;
    let seen = rig.ups.advance(NUMBER, "OUT_FOR_DELIVERY").unwrap();
    assert!(!seen.playing);
    rig.pass(10 * DAY);
    assert_eq!(codes(&rig.package(NUMBER).await), ["MP", "OT"]);
    assert!(codes(&rig.package(OTHER).await).len() > 5);
}

#[tokio::test]
async fn play_moves_packages_with_only_a_label() {
    let rig = Rig::plain();
    rig.ups.advance(NUMBER, "LABEL_CREATED").unwrap();
    rig.ups.advance(OTHER, "PICKED_UP").unwrap();
    rig.pass(10 * DAY);
    assert_eq!(rig.ups.packages().iter().map(|seen| seen.activities).collect::<Vec<_>>(), [1, 2]);
    rig.ups.play(speed(1.0));
    let seen = rig.ups.packages();
    assert!(seen[0].activities > 5, "it has been on its way for ten days");
    assert_eq!(seen[1].activities, 2);
}
