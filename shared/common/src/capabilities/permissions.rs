//! The caller's permissions, according to the policies.

use crate::{
    base::Result,
    policy::{Permission, PermissionAnswer, PermissionQuestion},
    request::{Endpoint, Permit},
};

impl<E: Endpoint> Permit<'_, E> {
    /// The caller's permissions, action by action, for their current roles.
    ///
    /// # Errors
    /// Internal if a policy cannot be evaluated.
    pub fn permissions(&self) -> Result<Vec<Permission>> {
        let context = self.context;
        context.deps.policies.permissions(&context.principal, &context.circumstances)
    }

    /// Whether the caller may do an action now; `None` if the action does not exist for this type of resource.
    ///
    /// # Errors
    /// Internal if a policy cannot be evaluated.
    pub fn may(&self, asked: &PermissionQuestion) -> Result<Option<PermissionAnswer>> {
        let context = self.context;
        context.deps.policies.answer(&context.principal, asked, &context.circumstances)
    }
}
