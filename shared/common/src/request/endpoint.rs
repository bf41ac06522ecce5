//! Endpoints: their definition, in four kinds.

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

    /// The resource that the caller wants to act on. It only reads, before the policy is evaluated.
    fn target(scope: &Scope<'_, Self>, input: &Self::Input) -> impl Future<Output = Result<Self::Target>> + Send;

    /// The work. A [`Permit`] exists only after the policy has permitted it.
    fn handle(cx: &mut Permit<'_, Self>, input: Self::Input) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// The subject of a platform endpoint's request, and the resource for the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The deployment.
    Platform,
    /// The tenant in the path: its profile, as [`Organization`](crate::policy::Organization).
    Tenant(crate::base::TenantId),
}

/// An endpoint about a tenant in the path, or about the deployment: for the platform's operators, and for a tenant's own
/// administrators if the policy permits it. Its scope opens after the policy has permitted it, its event is in the caller's log
/// and in the tenant's, and it never contains PHI.
pub trait PlatformEndpoint: Operation {
    const ACTION: Action;
    /// Whether its requests are about tenants; otherwise they are about the platform.
    const OF_TENANT: bool = true;
    /// The subject of the request.
    fn subject(input: &Self::Input) -> Subject;
    fn handle(cx: &mut Platform<'_, Self>, input: Self::Input) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// An endpoint for callers who have not signed in. [`Operation::LIMIT`] is the part that it takes of an e-mail's budget, if it
/// names one.
pub trait PublicEndpoint: Operation {
    const PER_NETWORK: PerNetwork = PerNetwork::Failures(RateLimit::FAILURES);
    /// The reason for invalid credentials here: a password, the answer to a challenge, a token.
    const REFUSED: AuthFailure = AuthFailure::InvalidCredentials;
    /// Whether its successes are counted, in one event for each network and minute: for a partner's service that sends more
    /// requests than people read, and whose changes are bookkeeping. Its writes are in no transaction then.
    const COUNTED: bool = false;
    /// Whether its requests are audited. Only endpoints that reveal nothing about anybody are not.
    const AUDITED: bool = true;
    fn handle(cx: &mut Public<'_, Self>, input: Self::Input) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// An endpoint that does the same for many items, each in its own transaction.
pub trait BatchEndpoint: Operation<Output = crate::request::BatchOutput<Self::Done>> {
    const ACTION: Action;
    type Target: Resource;
    type Item: Send + Sync;
    type Done: Serialize + JsonSchema + Send;

    fn target(scope: &Scope<'_, Self>, input: &Self::Input) -> impl Future<Output = Result<Self::Target>> + Send;
    fn items(input: Self::Input) -> Vec<Self::Item>;
    /// One item's work, with its own changes.
    fn handle(cx: &mut Batch<'_, Self>, item: Self::Item) -> impl Future<Output = Result<Self::Done>> + Send;
}
