//! Prints a request that a property forbids and the policies allow.

use cedar_policy::{Authorizer, Entities, EntityUid, PolicySet};
use cedar_policy_symcc::Env;
use std::fmt::Write;

/// The principal, resource, context and deciding policies. The solver chooses the shortest ids, such as `""`.
pub(crate) fn written(name: &str, found: &Env, policies: &PolicySet) -> String {
    let (request, entities) = (&found.request, &found.entities);
    // Cedar itself evaluates the request again, to exclude errors of the translation.
    let answer = Authorizer::new().is_authorized(request, policies, entities);
    let mut by: Vec<_> = answer.diagnostics().reason().map(ToString::to_string).collect();
    by.sort();
    let mut text = format!("{name}: {:?} by {}", answer.decision(), by.join(", "));
    for (what, uid) in [("principal", request.principal()), ("resource", request.resource())] {
        if let Some(uid) = uid {
            let _ = write!(text, "\n  {what:<9}  {}", described(uid, entities));
        }
    }
    if let Some(context) = request.context() {
        let _ = write!(text, "\n  context    {context}");
    }
    text
}

/// `User::"" in Role::"viewer" {tenant: Tenant::"A"}`.
fn described(uid: &EntityUid, entities: &Entities) -> String {
    let mut text = uid.to_string();
    let mut parents: Vec<_> = entities.ancestors(uid).into_iter().flatten().map(ToString::to_string).collect();
    parents.sort();
    if !parents.is_empty() {
        let _ = write!(text, " in {}", parents.join(", "));
    }
    let Some(entity) = entities.get(uid) else { return text };
    let mut attributes: Vec<_> =
        entity.attrs().map(|(name, value)| value.map_or_else(|e| format!("{name}: {e}"), |v| format!("{name}: {v}"))).collect();
    attributes.sort();
    if !attributes.is_empty() {
        let _ = write!(text, " {{{}}}", attributes.join(", "));
    }
    text
}
