//! The emulator's state: packages, tokens, subscriptions and faults.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;

use super::dice::Dice;
use super::fault::{Fault, Faults};
use super::journey::{Journey, Leg, Place, place_of};
use super::oauth::Tokens;
use super::push::{Posted, Webhook};
use super::speed::Speed;
use super::statistics::Counters;
use super::status::{Milestone, NotAStatus, Status};
use super::wire;
use super::{Now, Options};

/// UPS deletes a package after so many days.
const KEPT_DAYS: i64 = 120;
const DAY: i64 = 24 * 60 * 60 * 1000;
/// The lifetime of a subscription.
pub(super) const SUBSCRIBED_FOR: i64 = 14 * DAY;

/// One past scan.
#[derive(Debug, Clone)]
pub(super) struct Activity {
    /// Milliseconds since the epoch.
    pub(super) at: i64,
    pub(super) status: Status,
    pub(super) place: Place,
}

#[derive(Debug)]
pub(super) struct Package {
    pub(super) number: String,
    pub(super) created: i64,
    /// Oldest first, and never empty.
    pub(super) activities: Vec<Activity>,
    /// Future automatic scans, each with its time. They are in reverse order.
    ahead: Vec<(i64, Leg)>,
}

/// A package in the control routes' form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The tracking number.
    pub tracking_number: String,
    /// The newest activity's status.
    pub newest: Status,
    /// Its place; empty if only the country is known.
    pub city: String,
    /// Its time: RFC 3339, UTC, in whole seconds.
    pub at: String,
    /// The number of activities.
    pub activities: usize,
    /// UPS's `currentStatus`, which is sometimes that of the previous activity.
    pub current: Status,
    /// Whether it will move automatically.
    pub playing: bool,
    /// Whether it has a subscription now.
    pub subscribed: bool,
}

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) until: i64,
    pub(super) enhanced: bool,
    /// Empty means every kind.
    pub(super) preferences: Vec<String>,
}

/// Why a package was not moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Only numbers of the form `1Z` and 16 capital letters and digits have packages here.
    #[error("`{0}` is not a 1Z tracking number")]
    NotATrackingNumber(String),
    /// The status is unknown.
    #[error(transparent)]
    NotAStatus(#[from] NotAStatus),
}

#[derive(Debug)]
pub(super) struct Simulation {
    pub(super) seed: u64,
    pub(super) now: Now,
    auto_create: bool,
    speed: Option<Speed>,
    packages: BTreeMap<String, Package>,
    /// The time of each package's next automatic scan. Some entries are out of date.
    agenda: BTreeSet<(i64, String)>,
    pub(super) tokens: Tokens,
    pub(super) subscriptions: BTreeMap<String, Subscription>,
    pub(super) webhook: Option<Webhook>,
    pub(super) faults: Faults,
    pub(super) counters: Counters,
    pushes: UnboundedSender<Posted>,
    /// A push that waits until the next one overtakes it.
    overtaken: Option<Posted>,
}

impl Simulation {
    pub(super) fn new(options: Options, pushes: UnboundedSender<Posted>) -> Self {
        let Options { client_id, client_secret, seed, now, auto_create, speed, webhook } = options;
        Self {
            seed,
            now,
            auto_create,
            speed,
            packages: BTreeMap::new(),
            agenda: BTreeSet::new(),
            tokens: Tokens::new(client_id, client_secret, seed),
            subscriptions: BTreeMap::new(),
            webhook,
            faults: Faults::new(seed),
            counters: Counters::default(),
            pushes,
            overtaken: None,
        }
    }

    pub(super) fn now(&self) -> i64 {
        self.now.millis()
    }

    /// Moves packages automatically from now on: unknown ones, and those with only a label.
    pub(super) fn play(&mut self, speed: Speed) {
        self.speed = Some(speed);
        for package in self.packages.values_mut().filter(|package| package.activities.len() == 1) {
            package.ahead = planned(self.seed, speed, &package.number, package.created);
            self.agenda.extend(package.ahead.last().map(|(next, _)| (*next, package.number.clone())));
        }
    }

    /// The package at this moment. The request may create it.
    pub(super) fn track(&mut self, number: &str) -> Option<&Package> {
        self.meet(number);
        let oldest = self.now() - KEPT_DAYS * DAY;
        self.packages.get(number).filter(|package| package.created >= oldest)
    }

    /// Creates the package if requests create packages.
    pub(super) fn meet(&mut self, number: &str) {
        if (self.auto_create || self.speed.is_some()) && is_1z(number) {
            self.create(number);
        }
        self.tick();
    }

    /// Moves a package by hand, which ends its automatic moves.
    pub(super) fn advance(&mut self, number: &str, status: &str) -> Result<Seen, Refused> {
        let status: Status = status.parse()?;
        if !is_1z(number) {
            return Err(Refused::NotATrackingNumber(number.to_owned()));
        }
        self.tick();
        let created = self.create(number);
        if !created || status.kind != "M" {
            let place = place_of(&status);
            // Some packages are out for delivery with the alternative status.
            let other_way = status == Milestone::OutForDelivery.status() && Dice::new(self.seed, number, 2).below(4) == 0;
            let status = if other_way { Status { kind: "O".to_owned(), ..status } } else { status };
            let at = self.now();
            self.record(number, Activity { at, status, place });
        }
        if let Some(package) = self.packages.get_mut(number) {
            package.ahead.clear();
        }
        self.seen(number).ok_or_else(|| Refused::NotATrackingNumber(number.to_owned()))
    }

    pub(super) fn seen_all(&mut self) -> Vec<Seen> {
        self.tick();
        self.packages.keys().filter_map(|number| self.seen(number)).collect()
    }

    fn seen(&self, number: &str) -> Option<Seen> {
        let package = self.packages.get(number)?;
        let newest = package.activities.last()?;
        Some(Seen {
            tracking_number: number.to_owned(),
            newest: newest.status.clone(),
            city: newest.place.city.to_owned(),
            at: wire::rfc3339(newest.at),
            activities: package.activities.len(),
            current: wire::current(package, self.seed)?.clone(),
            playing: !package.ahead.is_empty(),
            subscribed: self.subscriptions.get(number).is_some_and(|subscription| self.now() < subscription.until),
        })
    }

    /// Performs everything that is due.
    pub(super) fn tick(&mut self) {
        let now = self.now();
        while let Some((at, number)) = self.agenda.pop_first() {
            if at > now {
                self.agenda.insert((at, number));
                return;
            }
            let Some(package) = self.packages.get_mut(&number) else {
                continue;
            };
            let Some((at, leg)) = package.ahead.pop_if(|(due, _)| *due == at) else {
                continue;
            };
            self.agenda.extend(package.ahead.last().map(|(next, _)| (*next, number.clone())));
            self.record(&number, Activity { at, status: leg.status, place: leg.place });
        }
    }

    /// Creates a package with a label if there is none. Returns whether it did.
    fn create(&mut self, number: &str) -> bool {
        if self.packages.contains_key(number) {
            return false;
        }
        let created = self.now();
        let ahead = self.speed.map_or_else(Vec::new, |speed| planned(self.seed, speed, number, created));
        self.agenda.extend(ahead.last().map(|(next, _)| (*next, number.to_owned())));
        let package = Package { number: number.to_owned(), created, activities: Vec::new(), ahead };
        self.packages.insert(number.to_owned(), package);
        let status = Milestone::LabelCreated.status();
        let place = place_of(&status);
        self.record(number, Activity { at: created, status, place });
        true
    }

    fn record(&mut self, number: &str, activity: Activity) {
        let Some(package) = self.packages.get_mut(number) else {
            return;
        };
        package.activities.push(activity.clone());
        let subscription = self.subscriptions.get(number).filter(|subscription| self.now.millis() < subscription.until);
        let Some(subscription) = subscription.filter(|subscription| subscription.wants(&activity.status)) else {
            return;
        };
        let Some(webhook) = self.webhook.clone() else {
            return;
        };
        let body = wire::tracking_event(package, &activity, subscription.enhanced);
        self.post(Posted { webhook, body, delay: Duration::ZERO });
    }

    fn post(&mut self, posted: Posted) {
        let fault = self.faults.of_push();
        if fault == Some(Fault::PushSwapped) {
            // Only one push waits at a time: a second one is sent at once, which overtakes the first.
            if let Some(first) = self.overtaken.replace(posted) {
                self.send(first);
            }
            return;
        }
        match fault {
            Some(Fault::PushLost) => {}
            Some(Fault::PushLate { millis }) => {
                self.send(Posted { delay: Duration::from_millis(millis), ..posted });
            }
            Some(Fault::PushTwice) => {
                self.send(posted.clone());
                self.send(posted);
            }
            _ => self.send(posted),
        }
        if let Some(first) = self.overtaken.take() {
            self.send(first);
        }
    }

    fn send(&self, posted: Posted) {
        // The receiver is gone while the emulator stops.
        let _ = self.pushes.send(posted);
    }
}

impl Subscription {
    /// Whether the preferences include that kind: <https://developer.ups.com>, Track Alert, `EventPreferences`.
    fn wants(&self, status: &Status) -> bool {
        let preference = match status.kind.as_str() {
            "M" | "MV" => "M",
            "P" | "I" | "O" => "I",
            "X" | "RS" => "X",
            // Updates are sent with deliveries and with exceptions.
            "D" | "U" => "D",
            _ => return true,
        };
        self.preferences.is_empty() || self.preferences.iter().any(|wanted| wanted == preference)
    }
}

/// A journey's scans after the label, with their times, in reverse order.
fn planned(seed: u64, speed: Speed, number: &str, created: i64) -> Vec<(i64, Leg)> {
    let mut since = 0.0;
    let legs = Journey::seeded(seed, number).legs.into_iter().skip(1).map(|leg| {
        since += speed.divide(leg.after.as_secs_f64() * 1000.0);
        // INVARIANT: a journey is days long; a speed that stretches it beyond an `i64` saturates.
        (created.saturating_add(since as i64), leg)
    });
    let mut legs: Vec<_> = legs.collect();
    legs.reverse();
    legs
}

/// `1Z` and 16 capital letters and digits. The check digit is not verified, because UPS's own examples have wrong ones.
pub(super) fn is_1z(number: &str) -> bool {
    number.len() == 18
        && number.starts_with("1Z")
        && number.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}
