//! IAM, as far as the templates ask it: whether AWS would let a call through.
//!
//! No emulator here evaluates all that the templates say. So each call that functions and operators make is judged on its way, by the
//! policies that are deployed: of the role that signed it, of a tenant's session, and of the key, bucket, queue or topic that it is
//! about. Whatever is not understood (an operator, a key, an element, an operation) is an error and never leave.
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
pub use gate::{ADMINISTRATOR, Gate, OPERATOR, Refused, function_key};
pub use record::{Grant, Judged, Records, directory};

use policy::{Effect, Meant, Policy};
use std::collections::{BTreeMap, BTreeSet};

/// What is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("IAM: {0}")]
pub struct Malformed(pub(crate) String);

/// A request's condition keys, in lower case, each with its values.
pub(crate) type Context = BTreeMap<String, Vec<String>>;

/// Somebody who signs calls: a role's session.
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
    /// The role that asked for the session, as it is called in every deployment, where one did.
    pub(crate) of: Option<String>,
}

/// One action of which a call needs leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) context: Context,
}

/// What the policy of a resource means for those of its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A KMS key's, or a role's trust: without it nobody may, whatever his own policies say.
    Needed,
    /// Any other's: it lets in besides who is let in by his own.
    Enough,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// By which statements of the identity's policy.
    Allowed(BTreeSet<usize>),
    Denied(Why),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// A statement denies it.
    Explicit,
    /// The identity's policy allows no such thing.
    Identity,
    /// The policy of the resource does not let him in.
    Resource,
}

/// AWS's logic within one account: who is denied by anything is denied; otherwise the identity's policy or the resource's allows; a key
/// and a role want their own policy to do so, which may leave it to the account's.
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
