//! The demand of a deployment of some size, and the limits on it.

use super::aws::{
    API_REQUESTS, ASSUME_ROLE, COGNITO_CLIENT_READS, COGNITO_SIGN_INS, KMS_ECC, KMS_SYMMETRIC, LAMBDA_AT_ONCE, PARTITION_WRITES,
    PUT_EVENTS, Quota,
};
use crate::sync::api::{PUSHES_PER_ADDRESS, REQUESTS_PER_ADDRESS, REQUESTS_PER_SECOND, SIGN_INS_PER_ADDRESS};
use common::{
    background::AnySchedule,
    base::{Need, Timestamp},
    run::scale,
    store::RateLimit,
};
use shipments::domain::{
    Status,
    cadence::{Jitter, Parcel, PollOutcome, next_poll},
};
use std::time::Duration;

/// The size of a deployment. The behaviour of people and parcels is an assumption, and the same for every size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) tenants: u64,
    /// Users of each tenant.
    pub(crate) people: u64,
    /// Users of the largest tenant, behind one address.
    pub(crate) largest: u64,
    /// Shipments that are registered in [`Size::WITHIN`].
    pub(crate) shipments: u64,
}

/// The part of a size with which a demand grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grows {
    Tenants,
    Largest,
    Shipments,
}

impl Size {
    pub(crate) const DOCUMENTED: Self = Self { tenants: 10_000, people: 10, largest: 1_000, shipments: 10_000_000 };
    /// How long the carrier keeps a parcel, and the platform its shipment.
    const WITHIN: Duration = shipments::domain::cadence::KEPT_FOR;

    pub(crate) fn times(self, grows: Grows, factor: f64) -> Self {
        let times = |value: u64| (value as f64 * factor).round() as u64;
        match grows {
            Grows::Tenants => Self { tenants: times(self.tenants), ..self },
            Grows::Largest => Self { largest: times(self.largest), ..self },
            Grows::Shipments => Self { shipments: times(self.shipments), ..self },
        }
    }

    fn everybody(&self) -> f64 {
        (self.tenants * self.people + self.largest) as f64
    }
    fn registered_per_second(&self) -> f64 {
        self.shipments as f64 / Self::WITHIN.as_secs_f64()
    }
}

/// At the busiest moment, this share of the users is active.
const AT_WORK: f64 = 0.1;
const REQUEST_EACH_SECONDS: f64 = 10.0;
/// The duration of a request, without its cold start.
const REQUEST_SECONDS: f64 = 0.1;
/// The duration of a sign-in or a refresh: Cognito hashes a password and signs tokens.
const SIGN_IN_SECONDS: f64 = 0.5;
/// The time within which all users sign in in the morning, in the largest tenant.
const MORNING_SECONDS: f64 = 3600.0;
const CLINIC_MORNING_SECONDS: f64 = 600.0;
/// The share of sign-ins with a mistyped password.
const MISTYPES: f64 = 0.05;
/// The time between refreshes: an access token's lifetime.
const REFRESH_EACH_SECONDS: f64 = 900.0;
/// The events that the carrier pushes for a parcel on its way.
const SCANS: f64 = 8.0;
/// The domain events of a shipment: its creation, and each status.
const EVENTS: f64 = 6.0;
/// The duration of one poll's calls to the carrier, in seconds.
const CARRIER_SECONDS: f64 = 0.3;

pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) allowed: f64,
    /// The source of the limit: AWS's page, or our own constant.
    pub(crate) by: &'static str,
    pub(crate) demand: f64,
    pub(crate) grows: Grows,
    demands: fn(&Size) -> f64,
}

impl Row {
    pub(crate) fn of(&self, size: &Size) -> f64 {
        (self.demands)(size)
    }
    pub(crate) fn share(&self) -> f64 {
        self.demand / self.allowed
    }

    /// The factor by which the size may grow before it reaches the limit; `None` above 1,000.
    pub(crate) fn factor(&self, size: &Size) -> Option<f64> {
        let over = |factor: f64| self.of(&size.times(self.grows, factor)) >= self.allowed;
        let (mut low, mut high) = (0.0, 1_000.0);
        if !over(high) {
            return None;
        }
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if over(middle) { high = middle } else { low = middle }
        }
        Some(high)
    }

    pub(crate) fn full_at(&self, size: &Size) -> String {
        let (name, value) = match self.grows {
            Grows::Tenants => ("tenants", size.tenants),
            Grows::Largest => ("people behind the address", size.largest),
            Grows::Shipments => ("shipments", size.shipments),
        };
        match self.factor(size) {
            Some(factor) => format!("{} {name}", round(value as f64 * factor)),
            None => format!("more than 1,000 times as many {name}"),
        }
    }
}

/// Rounds to two digits, because the inputs are no more precise.
fn round(value: f64) -> String {
    let magnitude = 10f64.powf((value.max(1.0).log10().floor() - 1.0).max(0.0));
    super::count(((value / magnitude).round() * magnitude) as u64)
}

/// Runs of a schedule that may be in progress at once.
fn processes(schedule: &AnySchedule) -> u64 {
    u64::from(schedule.timeout_secs).div_ceil(u64::from(schedule.every_minutes) * 60)
}

/// AssumeRole calls a second of all schedules that read in tenants. A process keeps each session as long as it may be used. If a
/// process holds fewer sessions than there are tenants, it never finds a cached one, because it walks the tenants in order.
fn sessions_by_schedules(size: &Size) -> f64 {
    let walks = registry::schedules().filter(|schedule| schedule.needs.contains(&Need::Tenants));
    walks.map(|schedule| sessions_asked(schedule, size.tenants, scale::TENANT_SESSIONS as u64)).sum()
}

fn sessions_asked(schedule: &AnySchedule, tenants: u64, held: u64) -> f64 {
    let each_run = tenants as f64 / (f64::from(schedule.every_minutes) * 60.0);
    let used_for = scale::TENANT_SESSION_USED_FOR.as_secs_f64();
    // Runs of one round share its tenants, and only they do.
    let held_by_all = processes(schedule) as f64 * tenants as f64 / used_for;
    if tenants > held { each_run } else { held_by_all.min(each_run) }
}

/// The polls of one parcel: a day as a label, three days on its way, eight hours out for delivery.
fn polls_of_a_parcel() -> f64 {
    let began = Timestamp::from_millis(1_767_268_800_000);
    let jitter = Jitter::of(100u64.to_le_bytes());
    let hours = |n: u64| Duration::from_secs(n * 3600);
    let journey = [(hours(24), Status::LabelCreated), (hours(96), Status::InTransit), (hours(104), Status::OutForDelivery)];
    let (mut now, mut polls) = (began, 0.0);
    loop {
        let since = now.since(began);
        let status = journey.iter().find(|(until, _)| since < *until).map_or(Status::Delivered, |(_, status)| *status);
        polls += 1.0;
        let parcel =
            Parcel { status, registered_at: began, eta: Some(began.plus(hours(104))), last_event_at: Some(now), zone: None };
        match next_poll(&parcel, PollOutcome::Known, now, jitter) {
            Some(next) => now = next,
            None => return polls,
        }
    }
}

fn requests(size: &Size) -> f64 {
    size.everybody() * AT_WORK / REQUEST_EACH_SECONDS
}

/// Sign-ins of a morning, and refreshes of active users.
fn sign_ins(size: &Size) -> f64 {
    size.everybody() * (1.0 / MORNING_SECONDS + AT_WORK / REFRESH_EACH_SECONDS)
}

/// In each round, the signer signs a checkpoint of each tenant's log, because every log has grown.
fn checkpoints(size: &Size) -> f64 {
    let signers = registry::schedules().filter(|schedule| schedule.needs.contains(&Need::SignLog));
    signers.map(|schedule| size.tenants as f64 / (f64::from(schedule.every_minutes) * 60.0)).sum()
}

pub(crate) fn rows(size: &Size) -> Vec<Row> {
    let row = |what, allowed: f64, unit, by, grows, demands: fn(&Size) -> f64| Row {
        what,
        unit,
        allowed,
        by,
        demand: demands(size),
        grows,
        demands,
    };
    let five_minutes = |per_address: u32| f64::from(per_address);
    let polling = shipments::consumers::CONSUMERS.iter().find(|consumer| consumer.name == "poll_tracking");
    let runs = polling.and_then(|consumer| consumer.queue.most_at_once).map_or(1.0, f64::from);
    let by_aws = |what, quota: Quota, unit, grows, demands| row(what, quota.allowed, unit, quota.page, grows, demands);
    use Grows::{Largest, Shipments, Tenants};
    vec![
        by_aws("AssumeRole by schedules", ASSUME_ROLE, "a second", Tenants, sessions_by_schedules),
        by_aws("AssumeRole by requests, at most one per request", ASSUME_ROLE, "a second", Tenants, requests),
        row("API requests", f64::from(REQUESTS_PER_SECOND), "a second", "own: the stage's throttle", Tenants, requests),
        by_aws("API requests", API_REQUESTS, "a second", Tenants, requests),
        by_aws("Lambda: requests in progress", LAMBDA_AT_ONCE, "at once", Tenants, |size| requests(size) * REQUEST_SECONDS),
        by_aws("Cognito: all users sign in within an hour, and refresh", COGNITO_SIGN_INS, "a second", Tenants, sign_ins),
        by_aws(
            "Cognito: the client's secret, if all sign-in functions start at once",
            COGNITO_CLIENT_READS,
            "a second",
            Tenants,
            |size| sign_ins(size) * SIGN_IN_SECONDS,
        ),
        by_aws("KMS: keys unwrapped, at most two a request", KMS_SYMMETRIC, "a second", Tenants, |size| 2.0 * requests(size)),
        by_aws("KMS: checkpoints signed, of all tenants", KMS_ECC, "a second", Tenants, checkpoints),
        row(
            "Mail: daily digests of one time zone, within their hour",
            f64::from(scale::MAILS_PER_MINUTE) * 60.0,
            "an hour",
            "own: the mail gate",
            Tenants,
            Size::everybody,
        ),
        row(
            "One address: sign-ins with a second factor in ten minutes",
            five_minutes(SIGN_INS_PER_ADDRESS),
            "in 5 minutes",
            "own: WAF",
            Largest,
            |size| size.largest as f64 * 2.0 * (1.0 + MISTYPES) * 300.0 / CLINIC_MORNING_SECONDS,
        ),
        row(
            "One address: wrong passwords of a morning",
            f64::from(RateLimit::SIGN_IN_FAILURES.calls),
            "an hour",
            "own: `sign_in_failures`",
            Largest,
            |size| size.largest as f64 * MISTYPES,
        ),
        row(
            "One address: requests of all active users",
            five_minutes(REQUESTS_PER_ADDRESS),
            "in 5 minutes",
            "own: WAF",
            Largest,
            |size| size.largest as f64 / REQUEST_EACH_SECONDS * 300.0,
        ),
        row(
            "One tenant: requests of all active users",
            f64::from(scale::TENANT_CALLS_PER_MINUTE),
            "a minute",
            "own: the tenant's quota",
            Largest,
            |size| size.largest as f64 / REQUEST_EACH_SECONDS * 60.0,
        ),
        by_aws("One tenant: write units of its audit log", PARTITION_WRITES, "a second", Largest, |size| {
            size.largest as f64 / REQUEST_EACH_SECONDS * 2.0
        }),
        row(
            "Carrier: polls, without pushes",
            f64::from(scale::CARRIER_CALLS_PER_MINUTE),
            "a minute",
            "own: the carrier's gate",
            Shipments,
            |size| size.registered_per_second() * 60.0 * polls_of_a_parcel(),
        ),
        row(
            "Poller: polls in progress",
            runs * scale::PARTS_AT_ONCE as f64,
            "at once",
            "own: `most_at_once`",
            Shipments,
            |size| size.registered_per_second() * polls_of_a_parcel() * CARRIER_SECONDS,
        ),
        row(
            "Carrier's pushes from one address",
            five_minutes(PUSHES_PER_ADDRESS),
            "in 5 minutes",
            "own: WAF",
            Shipments,
            |size| size.registered_per_second() * SCANS * 300.0,
        ),
        row(
            "Carrier's pushes from one address",
            f64::from(RateLimit::WEBHOOK.calls),
            "a minute",
            "own: `webhook`",
            Shipments,
            |size| size.registered_per_second() * SCANS * 60.0,
        ),
        by_aws("Event bus: domain events", PUT_EVENTS, "a second", Shipments, |size| size.registered_per_second() * EVENTS),
        row(
            "Outbox: a day's events of a tenth of all shipments, sent again",
            scale::EVENTS_SWEPT as f64 * 60.0 * 24.0,
            "a day",
            "own: the sweep",
            Shipments,
            |size| size.registered_per_second() * EVENTS * 86_400.0 / 10.0,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Counts the AssumeRole calls of one process that walks the tenants in order, run by run, and holds so many sessions.
    fn walked(schedule: &AnySchedule, tenants: u64, held: u64, seconds: u64) -> u64 {
        let used_for = scale::TENANT_SESSION_USED_FOR.as_secs();
        let (mut sessions, mut asked, mut step) = (HashMap::new(), 0, 0u64);
        for at in (0..seconds).step_by(schedule.every_minutes as usize * 60) {
            for tenant in 0..tenants {
                step += 1;
                let good = sessions.get(&tenant).is_some_and(|(since, _)| at - since < used_for);
                if !good {
                    asked += 1;
                    if sessions.len() as u64 >= held && !sessions.contains_key(&tenant) {
                        let unused = sessions.iter().min_by_key(|(_, (_, used))| *used).map(|(tenant, _)| *tenant);
                        unused.map(|tenant| sessions.remove(&tenant));
                    }
                }
                let since = if good { sessions[&tenant].0 } else { at };
                sessions.insert(tenant, (since, step));
            }
        }
        asked
    }

    #[test]
    fn computed_sessions_equal_those_of_a_simulated_walk() {
        let schedule = registry::schedules().find(|schedule| schedule.name == "sweep_outbox").unwrap();
        assert_eq!(processes(schedule), 1);
        // 24 times 55 minutes.
        let seconds = scale::TENANT_SESSION_USED_FOR.as_secs() * 24;
        for (tenants, held) in [(50, 64), (64, 64), (65, 64), (100, 64)] {
            let counted = walked(schedule, tenants, held, seconds) as f64 / seconds as f64;
            let said = sessions_asked(schedule, tenants, held);
            assert!((counted - said).abs() / said < 0.02, "{tenants} of {held}: {counted} and {said}");
        }
    }

    #[test]
    fn schedules_of_ten_thousand_tenants_leave_most_sessions_to_requests() {
        let size = Size::DOCUMENTED;
        assert!(size.tenants <= scale::TENANT_SESSIONS as u64);
        assert!(sessions_by_schedules(&size) < 60.0, "{}", sessions_by_schedules(&size));
    }

    #[test]
    fn parcel_is_polled_some_dozens_of_times() {
        assert!((50.0..200.0).contains(&polls_of_a_parcel()), "{}", polls_of_a_parcel());
    }
}
