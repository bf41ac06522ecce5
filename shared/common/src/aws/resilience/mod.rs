//! One policy for every call that leaves a process: how long it may take, how often it is tried, how many run at once, and
//! when it is not tried at all. [`Service::policy`] is the table.
//!
//! | | |
//! |---|---|
//! | deadline | no attempt starts after the end of what it is for, and none outlives it ([`within`]) |
//! | attempts | the SDK's own, with its full jitter; what is set here is how many, and for how long |
//! | retry budget | a service's retries are a fifth of its calls at most, beyond a burst of twenty ([`budget`]) |
//! | bulkhead | so many attempts of a service at once; who waits for a place waits a moment, and is refused |
//! | circuit | a service that does nothing but fail is left alone for a while ([`circuit`]) |
//!
//! It is the connector that all of it hangs on ([`connector`]): no call goes past it, and there is no second loop of retries. A
//! refusal is told as any other failure of the service is, by 503 `dependency_unavailable`, and nothing that must be on record
//! leaves without it.
//!
//! What it does NOT do: all but the gates of [`crate::store::shared_breaker`] is one process's own. A thousand processes ask a service that is
//! broken a thousand times before they have all learnt it. The head of an answer is waited for here; its body is under the SDK's
//! own timeout.

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

/// Those whom we call.
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

/// How a service is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) name: &'static str,
    /// How often one call is tried.
    pub(crate) attempts: u32,
    /// How long one attempt may take.
    pub(crate) attempt: Duration,
    /// How long a call may take, with all its attempts.
    pub(crate) call: Duration,
    /// How many attempts may be under way in a process.
    pub(crate) at_once: usize,
    pub(crate) circuit: Breaker,
}

/// Who decides that a service is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breaker {
    /// Each process, by what it has seen.
    Process,
    /// All processes together, by an item ([`crate::store::shared_breaker`]): a service that is slow, costly, or limits the account.
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

    /// The table. A process answers one request at a time, and what it does at once it does by eights: the places are for the
    /// local stack, which is one process, and for the day when something has gone wrong.
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
            // It is asked in the background, and is slower than AWS; who asks it tries again in a minute.
            Self::Ups => once("ups", 8, 32, Shared),
        }
    }

    /// As in `AWS_ENDPOINT_URL_<…>`.
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

/// A service of AWS's, by its SDK.
const fn aws(name: &'static str, at_once: usize, circuit: Breaker) -> Policy {
    Policy { name, attempts: 3, attempt: Duration::from_secs(2), call: Duration::from_secs(5), at_once, circuit }
}

/// A service that is asked by one request.
const fn once(name: &'static str, seconds: u64, at_once: usize, circuit: Breaker) -> Policy {
    let attempt = Duration::from_secs(seconds);
    Policy { name, attempts: 1, attempt, call: attempt, at_once, circuit }
}

/// What a process knows of those whom it calls.
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

/// So long before its end a function starts nothing more, and answers.
const ANSWER: Duration = Duration::from_millis(200);

tokio::task_local! {
    /// The end of what the calls of this task are for.
    static DEADLINE: Timestamp;
}

/// Does `work` for an invocation that ends at `end`: a little before, its calls are over.
pub(crate) async fn within<T>(end: Timestamp, work: impl Future<Output = T>) -> T {
    DEADLINE.scope(end.minus(ANSWER), work).await
}

pub(crate) fn deadline() -> Option<Timestamp> {
    DEADLINE.try_with(|deadline| *deadline).ok()
}

#[cfg(test)]
mod tests;
