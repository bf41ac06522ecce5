//! What the policies say to somebody who asks before they act: all that they may do, or whether they may do this. Nothing is
//! done, and nothing is read but what the question names; so the answers tell of policies, and never of what exists.

use super::{
    circumstances::Circumstances,
    decision::{Attribute, Decided, Policies, RESOURCES, Thing},
};
use crate::base::{Error, Principal, Result, TenantId, Timestamp, UserId, error::Refusal};
use schemars::JsonSchema;
use serde::Serialize;

/// How far a role reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Anything of the tenant.
    Yes,
    /// What is one's own, or assigned to one.
    Own,
    No,
}

/// An action, and how far somebody's roles reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Permission {
    pub action: &'static str,
    /// The type of what it is done to.
    pub resource: &'static str,
    /// What the roles allow, were all else as it should be.
    pub allowed: Reach,
    /// What they allow now.
    pub now: Reach,
    /// What is missing, where less is allowed now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
}

/// A question: whether one may do `action` to the thing of `resource`'s type.
#[derive(Clone, Debug)]
pub struct Asked {
    pub action: String,
    pub resource: String,
    /// Which thing. Otherwise any of the tenant that is nobody's in particular.
    pub id: Option<String>,
    /// Of a user: where they work, as far as the caller may be told.
    pub department: Option<String>,
}

/// The answer, and which policies gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Answer {
    pub allowed: bool,
    /// The `@id`s of the policies that decided: those that permitted, or those that forbade. None where none permitted.
    pub policies: Vec<String>,
    /// What is missing, where a policy says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
}

/// Every action, and the type of what it is done to.
fn actions() -> impl Iterator<Item = (&'static str, &'static str)> {
    RESOURCES
        .lines()
        .filter_map(|line| line.split_once(": "))
        .flat_map(|(action, kinds)| kinds.split(' ').map(move |k| (action, k)))
}

/// Somebody whom nobody is.
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
        // What wants a purpose of use says which: asked here as if one had been stated.
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
    /// Internal where a policy cannot be asked.
    pub(crate) fn answer(&self, who: &Principal, asked: &Asked, circumstances: &Circumstances) -> Result<Option<Answer>> {
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
        Ok(Some(Answer { allowed, policies, code: refusal.map(Refusal::code) }))
    }
}

impl Thing {
    /// Gives it the id that somebody has named, and what follows from the id itself.
    fn name(&mut self, id: &str) {
        id.clone_into(&mut self.id);
        let mut set = |name: &'static str, kind, value: String| {
            self.attributes.retain(|(known, _)| *known != name);
            self.attributes.push((name, Attribute::Entity(kind, value)));
        };
        match self.kind {
            // A tenant's own things are named after it.
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
