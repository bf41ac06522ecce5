//! The resources of this domain: the caller's own account, and sessions.

use common::{
    base::{Principal, SessionId, TenantId, UserId},
    policy::{Attribute, Resource},
};

/// A user, as the policy sees them.
#[derive(Debug)]
pub struct User {
    pub(crate) id: UserId,
    tenant: TenantId,
}

impl User {
    /// The caller's own account.
    pub(crate) fn own(who: &Principal) -> Self {
        Self { id: who.user(), tenant: who.tenant() }
    }
}

impl Resource for User {
    const TYPE: &'static str = "User";
    fn id(&self) -> String {
        self.id.to_string()
    }
    fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant)
    }
}

/// A session, as the policy sees it.
#[derive(Debug)]
pub struct Session {
    pub(crate) id: SessionId,
    user: UserId,
    tenant: TenantId,
}

impl Session {
    /// A session of the caller, whether or not a session with that id exists.
    pub(crate) fn own(who: &Principal, id: SessionId) -> Self {
        Self { id, user: who.user(), tenant: who.tenant() }
    }
}

impl Resource for Session {
    const TYPE: &'static str = "Session";
    fn id(&self) -> String {
        self.id.to_string()
    }
    fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant)
    }
    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![("user", Attribute::Entity("User", self.user.to_string()))]
    }
}
