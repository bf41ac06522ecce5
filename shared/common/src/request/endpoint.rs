//! Endpoints: what one is, in four kinds, and the list of them all.

use crate::{
    base::{AuthFailure, Result},
    policy::{Action, Resource},
    request::{Batch, Operation, PerNetwork, Permit, Platform, Public, Scope},
    store::RateLimit,
};
use schemars::JsonSchema;
use serde::Serialize;
use std::future::Future;

/// An endpoint of the caller's own tenant.
pub trait Endpoint: Operation {
    const ACTION: Action;
    type Target: Resource;

    /// What the caller wants to act on. Reads only, before the policy is asked.
    fn target(scope: &Scope<'_, Self>, input: &Self::Input) -> impl Future<Output = Result<Self::Target>> + Send;

    /// The work. A [`Permit`] exists only once the policy has said yes.
    fn handle(cx: &mut Permit<'_, Self>, input: Self::Input) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// What a platform endpoint's request is about, and what the policy is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The deployment.
    Platform,
    /// The tenant named in the path: its profile, as [`Organization`](crate::policy::Organization).
    Tenant(crate::base::TenantId),
}

/// An endpoint about a tenant named in the path, or about the deployment: for the platform's operators, and for a tenant's own
/// administrators where the policy says so. Its scope opens after the policy has said yes, it is recorded in the caller's log
/// and in the tenant's, and it never carries PHI.
pub trait PlatformEndpoint: Operation {
    const ACTION: Action;
    /// Whether its requests are about tenants; otherwise they are about the platform.
    const OF_TENANT: bool = true;
    /// What the request is about.
    fn subject(input: &Self::Input) -> Subject;
    fn handle(cx: &mut Platform<'_, Self>, input: Self::Input) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// An endpoint for callers who have not signed in. [`Operation::LIMIT`] is what it takes of an e-mail's budget, where one is named.
pub trait PublicEndpoint: Operation {
    const PER_NETWORK: PerNetwork = PerNetwork::Failures(RateLimit::FAILURES);
    /// What credentials that do not fit are called here: a password, the answer to a challenge, a token.
    const REFUSED: AuthFailure = AuthFailure::InvalidCredentials;
    /// Whether its successes are counted on the record, one event for each network and minute: where a partner's service sends more
    /// than anybody reads, and what a request changes is nobody's business. Its writes are in no transaction then.
    const COUNTED: bool = false;
    /// Whether its requests are recorded. Only what tells nothing of anybody is not.
    const AUDITED: bool = true;
    fn handle(cx: &mut Public<'_, Self>, input: Self::Input) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// An endpoint that does one thing to many items, each in a transaction of its own.
pub trait BatchEndpoint: Operation<Output = crate::request::BatchOutput<Self::Done>> {
    const ACTION: Action;
    type Target: Resource;
    type Item: Send + Sync;
    type Done: Serialize + JsonSchema + Send;

    fn target(scope: &Scope<'_, Self>, input: &Self::Input) -> impl Future<Output = Result<Self::Target>> + Send;
    fn items(input: Self::Input) -> Vec<Self::Item>;
    /// One item's work, with changes of its own.
    fn handle(cx: &mut Batch<'_, Self>, item: Self::Item) -> impl Future<Output = Result<Self::Done>> + Send;
}
