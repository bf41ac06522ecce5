//! One policy for every call that leaves a process: its timeout, its number of attempts, its concurrency, and the cases in which
//! it is not made at all. [`Service::policy`] is the table.
//!
//! | Mechanism | Effect |
//! |---|---|
//! | deadline | no attempt starts after the deadline of its work, and none outlives it ([`within`]) |
//! | attempts | the SDK's own, with full jitter; the number and the duration are set here |
//! | retry budget | a service's retries are at most a fifth of its calls, after a burst of twenty ([`budget`]) |
//! | bulkhead | the concurrent attempts of a service are limited; an attempt waits for a slot for a moment and is then refused |
//! | circuit | a service that only fails is not called for a while ([`circuit`]) |
//!
//! All of this is in the connector ([`connector`]), so no call bypasses it, and there is no second retry loop. A refusal is
//! reported like any other failure of the service, by 503 `dependency_unavailable`. Data that must be audited is not returned
//! without its audit event.
//!
//! Limits: except for the breakers of [`crate::store::shared_breaker`], the state is that of one process. A thousand processes
//! make at least a thousand calls to a broken service before all of them have opened their circuits. The guard waits for the head
//! of an answer; the SDK's own timeout applies to its body.

mod budget;
mod circuit;
mod connector;
mod guard;

pub use circuit::CircuitState;
pub(crate) use connector::Guarded;
pub(crate) use guard::Refused;
pub use guard::ServiceState;

use crate::base::{Clock, Timestamp};
use guard::Guard;
use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

/// The called services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    DynamoDb,
    Kms,
    Cognito,
    /// A pool's public keys, by plain HTTP.
    Jwks,
    Sqs,
    S3,
    Sts,
    Secrets,
    /// The management API of the socket API.
    Sockets,
    Ses,
    Ups,
}

/// The policy of calls to a service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) name: &'static str,
    /// The number of attempts of one call.
    pub(crate) attempts: u32,
    /// The timeout of one attempt.
    pub(crate) attempt: Duration,
    /// The timeout of a call, with all its attempts.
    pub(crate) call: Duration,
    /// The limit of concurrent attempts in a process.
    pub(crate) at_once: usize,
    pub(crate) circuit: Breaker,
}

/// The scope of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breaker {
    /// Each process, by its own results.
    Process,
    /// All processes together, by an item ([`crate::store::shared_breaker`]): for a service that is slow, costly, or limits the
    /// account.
    Shared,
}

impl Service {
    pub(crate) const ALL: [Self; 11] = [
        Self::DynamoDb,
        Self::Kms,
        Self::Cognito,
        Self::Jwks,
        Self::Sqs,
        Self::S3,
        Self::Sts,
        Self::Secrets,
        Self::Sockets,
        Self::Ses,
        Self::Ups,
    ];

    /// The table. A process handles one request at a time, with at most eight concurrent calls. The limits are for the local
    /// stack, which is one process, and for faults.
    pub(crate) const fn policy(self) -> Policy {
        use Breaker::{Process, Shared};
        match self {
            Self::DynamoDb => aws("dynamodb", 128, Process),
            Self::Kms => aws("kms", 32, Process),
            Self::Cognito => aws("cognito", 32, Process),
            Self::Jwks => once("jwks", 2, 4, Process),
            Self::Sqs => aws("sqs", 32, Process),
            Self::S3 => aws("s3", 16, Process),
            Self::Sts => aws("sts", 16, Process),
            Self::Secrets => aws("secretsmanager", 8, Process),
            Self::Sockets => aws("sockets", 64, Process),
            Self::Ses => aws("ses", 16, Shared),
            // It is called in the background and is slower than AWS; the caller retries in a minute.
            Self::Ups => once("ups", 8, 32, Shared),
        }
    }

    /// The name in `AWS_ENDPOINT_URL_<…>`.
    pub(crate) const fn variable(self) -> &'static str {
        match self {
            Self::DynamoDb => "DYNAMODB",
            Self::Kms => "KMS",
            Self::Cognito | Self::Jwks => "COGNITO_IDENTITY_PROVIDER",
            Self::Sqs => "SQS",
            Self::S3 => "S3",
            Self::Sts => "STS",
            Self::Secrets => "SECRETS_MANAGER",
            Self::Sockets => "APIGATEWAYMANAGEMENTAPI",
            Self::Ses => "SESV2",
            Self::Ups => "UPS",
        }
    }
}

/// An AWS service, called by its SDK.
const fn aws(name: &'static str, at_once: usize, circuit: Breaker) -> Policy {
    Policy { name, attempts: 3, attempt: Duration::from_secs(2), call: Duration::from_secs(5), at_once, circuit }
}

/// A service that is called by single requests.
const fn once(name: &'static str, seconds: u64, at_once: usize, circuit: Breaker) -> Policy {
    let attempt = Duration::from_secs(seconds);
    Policy { name, attempts: 1, attempt, call: attempt, at_once, circuit }
}

/// The guards of a process.
#[derive(Debug)]
pub(crate) struct Resilience {
    guards: BTreeMap<Service, Arc<Guard>>,
}

impl Resilience {
    pub(crate) fn new(clock: &Arc<dyn Clock>) -> Self {
        let guard = |service: Service| (service, Arc::new(Guard::new(service.policy(), clock.clone())));
        Self { guards: Service::ALL.into_iter().map(guard).collect() }
    }

    fn guard(&self, service: Service) -> Arc<Guard> {
        self.guards[&service].clone()
    }

    pub(crate) fn states(&self) -> Vec<ServiceState> {
        self.guards.values().map(|guard| guard.state()).collect()
    }
}

/// The time before its end at which a function starts nothing more and answers.
const ANSWER: Duration = Duration::from_millis(200);

tokio::task_local! {
    /// The deadline of this task's calls.
    static DEADLINE: Timestamp;
}

/// Does `work` for an invocation that ends at `end`. Its calls end a little before.
pub(crate) async fn within<T>(end: Timestamp, work: impl Future<Output = T>) -> T {
    DEADLINE.scope(end.minus(ANSWER), work).await
}

pub(crate) fn deadline() -> Option<Timestamp> {
    DEADLINE.try_with(|deadline| *deadline).ok()
}

#[cfg(test)]
mod tests;
