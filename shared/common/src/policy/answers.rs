//! Answers about permissions before an action: all of a caller's permissions, or single ones. Nothing is executed, and nothing is
//! read except the data in the question. So the answers depend on the policies, and never show which resources exist.

use super::{
    circumstances::Circumstances,
    decision::{Attribute, Decided, Policies, RESOURCES, Thing},
};
use crate::base::{Error, Principal, Result, TenantId, Timestamp, UserId, error::Refusal};
use schemars::JsonSchema;
use serde::Serialize;

/// The reach of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Any resource of the tenant.
    Yes,
    /// Resources that belong or are assigned to the caller.
    Own,
    No,
}

/// An action, and the reach of the caller's roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Permission {
    pub action: &'static str,
    /// The type of its resource.
    pub resource: &'static str,
    /// The permission of the roles, with everything else in order.
    pub allowed: Reach,
    /// The permission now.
    pub now: Reach,
    /// The missing condition, if less is permitted now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
}

/// A question: whether the caller may do `action` on the resource.
#[derive(Clone, Debug)]
pub struct PermissionQuestion {
    pub action: String,
    pub resource: String,
    /// The id of the resource. If absent, any resource of the tenant that is assigned to nobody.
    pub id: Option<String>,
    /// For a user: their department, if the caller may learn it.
    pub department: Option<String>,
}

/// The answer, and the policies that determined it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Answer")]
pub struct PermissionAnswer {
    pub allowed: bool,
    /// The `@id`s of the determining policies: those that permitted, or those that forbade. Empty if none permitted.
    pub policies: Vec<String>,
    /// The missing condition, if a policy names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
}

/// Every action, and the type of its resource.
fn actions() -> impl Iterator<Item = (&'static str, &'static str)> {
    RESOURCES
        .lines()
        .filter_map(|line| line.split_once(": "))
        .flat_map(|(action, kinds)| kinds.split(' ').map(move |k| (action, k)))
}

/// A user id that nobody has.
fn stranger() -> UserId {
    UserId::first_at(Timestamp::from_millis(0))
}

impl Policies {
    fn reach(
        &self,
        who: &Principal,
        action: &str,
        kind: &'static str,
        circumstances: &Circumstances,
    ) -> Result<(Reach, Option<Refusal>)> {
        let ask = |owner: UserId| {
            let on = Thing::imagined(kind, owner, stranger(), who.tenant());
            self.ask(who, action, on, circumstances).map_err(|_| Error::internal("policy"))
        };
        if ask(stranger())?.allowed {
            return Ok((Reach::Yes, None));
        }
        let own = ask(who.user())?;
        Ok((if own.allowed { Reach::Own } else { Reach::No }, own.refusal))
    }

    pub(crate) fn permissions(&self, who: &Principal, circumstances: &Circumstances) -> Result<Vec<Permission>> {
        let best = Circumstances::best_for(who);
        // Actions that need a purpose of use are evaluated as if one had been stated.
        let now = Circumstances { purpose: best.purpose, ..circumstances.clone() };
        let permission = |(action, resource)| {
            let (allowed, _) = self.reach(who, action, resource, &best)?;
            let (now, refusal) = if allowed == Reach::No { (allowed, None) } else { self.reach(who, action, resource, &now)? };
            let code = refusal.filter(|_| now != allowed).map(Refusal::code);
            Ok(Permission { action, resource, allowed, now, code })
        };
        actions().map(permission).collect()
    }

    /// # Errors
    /// Internal if a policy cannot be evaluated.
    pub(crate) fn answer(
        &self,
        who: &Principal,
        asked: &PermissionQuestion,
        circumstances: &Circumstances,
    ) -> Result<Option<PermissionAnswer>> {
        let known = actions().find(|(action, kind)| *action == asked.action && *kind == asked.resource);
        let Some((action, kind)) = known else { return Ok(None) };
        let mut on = Thing::imagined(kind, stranger(), stranger(), who.tenant());
        if let Some(id) = &asked.id {
            on.name(id);
        }
        if let Some(department) = &asked.department {
            on.attributes.push(("department", Attribute::Text(department.clone())));
        }
        let Decided { allowed, policies, refusal } =
            self.ask(who, action, on, circumstances).map_err(|_| Error::internal("policy"))?;
        Ok(Some(PermissionAnswer { allowed, policies, code: refusal.map(Refusal::code) }))
    }
}

impl Thing {
    /// Sets the id from the question, and the attributes that follow from the id itself.
    fn name(&mut self, id: &str) {
        id.clone_into(&mut self.id);
        let mut set = |name: &'static str, kind, value: String| {
            self.attributes.retain(|(known, _)| *known != name);
            self.attributes.push((name, Attribute::Entity(kind, value)));
        };
        match self.kind {
            // The collections of a tenant have the tenant's id.
            "Organization" | "Users" | "ApiKeys" | "Shipments" | "AuditLog" => {
                if let Ok(tenant) = id.parse::<TenantId>() {
                    self.tenant = Some(tenant);
                }
            }
            "Inbox" => set("user", "User", id.to_owned()),
            "RoleGrant" => {
                if let Some((user, role)) = id.split_once('/') {
                    set("user", "User", user.to_owned());
                    set("role", "Role", role.to_owned());
                }
            }
            _ => {}
        }
    }
}
