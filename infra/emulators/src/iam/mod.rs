//! An evaluator of IAM for the templates' policies: whether AWS would allow a call.
//!
//! The emulators do not evaluate all policies of the templates. So each call of functions and operators is evaluated before it is
//! forwarded, with the deployed policies: of the role that signed it, of a tenant's session, and of the key, bucket, queue or
//! topic. Anything that is not supported (an operator, a key, an element, an operation) is an error and never allowed.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>

mod account;
mod calls;
mod condition;
mod connector;
mod front;
mod gate;
mod pattern;
mod policy;
mod record;
mod refusal;
mod sts;
#[cfg(test)]
mod tests;

pub use connector::{Guarded, missing};
pub use front::Front;
pub use gate::{ADMINISTRATOR, Gate, IN_A_TENANT, OPERATOR, Refused, function_key};
pub use record::{Grant, Judged, Records, directory};

use policy::{Effect, Meant, Policy};
use std::collections::{BTreeMap, BTreeSet};

/// The part that is not supported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("IAM: {0}")]
pub struct Malformed(pub(crate) String);

/// A request's condition keys, in lower case, each with its values.
pub(crate) type Context = BTreeMap<String, Vec<String>>;

/// A principal that signs calls: a role's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    /// The role's name.
    pub(crate) name: String,
    /// The role's ARN, which is `aws:PrincipalArn`.
    pub(crate) role: String,
    /// The session's ARN.
    pub(crate) session: String,
    pub(crate) account: String,
    /// The role's tags and, over these, the session's.
    pub(crate) tags: BTreeMap<String, String>,
    /// The role that assumed this one, if any, in the form that all deployments share.
    pub(crate) of: Option<String>,
}

/// One action that needs permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) context: Context,
}

/// The effect of a resource's policy on principals of the same account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A KMS key's policy, or a role's trust policy: it must allow the call, in addition to the principal's own policies.
    Needed,
    /// Any other resource policy: it suffices to allow the call, like the principal's own policies.
    Enough,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// By these statements of the identity's policy.
    Allowed(BTreeSet<usize>),
    Denied(Why),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// A statement denies the call.
    Explicit,
    /// The identity's policy does not allow the call.
    Identity,
    /// The resource's policy does not allow the call.
    Resource,
}

/// AWS's logic within one account: any deny wins. Otherwise the identity's or the resource's policy must allow the call. A key's
/// or a role's own policy must allow it too, and may delegate to the account's policies.
pub(crate) fn evaluate(
    who: &Principal,
    identity: &Policy,
    resource: Option<(Kind, &Policy)>,
    ask: &Ask,
) -> Result<Verdict, Malformed> {
    let own = identity.speaking(ask, who)?;
    let of_resource = resource.map(|(kind, policy)| Ok::<_, Malformed>((kind, policy.speaking(ask, who)?))).transpose()?;
    let denies = |effect: Effect| effect == Effect::Deny;
    let by_resource = of_resource.iter().flat_map(|(_, statements)| statements);
    if own.iter().any(|(_, statement, _)| denies(statement.effect)) || by_resource.clone().any(|(_, s, _)| denies(s.effect)) {
        return Ok(Verdict::Denied(Why::Explicit));
    }
    let allowed: BTreeSet<_> = own.iter().map(|(place, ..)| *place).collect();
    let meant = by_resource.map(|(_, _, meant)| *meant).max();
    let kind = of_resource.as_ref().map(|(kind, _)| *kind);
    Ok(match (kind, meant, allowed.is_empty()) {
        (Some(Kind::Needed), None, _) => Verdict::Denied(Why::Resource),
        (Some(_), Some(Meant::Himself), _) | (_, _, false) => Verdict::Allowed(allowed),
        _ => Verdict::Denied(Why::Identity),
    })
}
