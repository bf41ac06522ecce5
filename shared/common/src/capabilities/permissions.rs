//! What the caller may do, as the policies say.

use crate::{
    base::Result,
    policy::{Answer, Asked, Permission},
    request::{Endpoint, Permit},
};

impl<E: Endpoint> Permit<'_, E> {
    /// What the caller may do, action by action: by their roles, and now.
    ///
    /// # Errors
    /// Internal where a policy cannot be asked.
    pub fn permissions(&self) -> Result<Vec<Permission>> {
        let context = self.inner.context;
        context.deps.policies.permissions(&context.principal, &context.circumstances)
    }

    /// Whether the caller may do something, as things stand; nothing where there is no such action on such a thing.
    ///
    /// # Errors
    /// Internal where a policy cannot be asked.
    pub fn may(&self, asked: &Asked) -> Result<Option<Answer>> {
        let context = self.inner.context;
        context.deps.policies.answer(&context.principal, asked, &context.circumstances)
    }
}
