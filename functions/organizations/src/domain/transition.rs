//! The states of a tenant and their transitions.
//!
//! | From | To | By |
//! |---|---|---|
//! | pending | active | the creation of its keys |
//! | active | suspended | [`Transition::Suspend`] |
//! | suspended | active | [`Transition::Reactivate`] |
//! | suspended | archived | [`Transition::Archive`] |

use common::{
    base::{Error, Result},
    identity::TenantStatus,
};

/// An operator's change of a tenant's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The tenant's members have no access, and its work waits, until it is reactivated.
    Suspend,
    Reactivate,
    /// Permanent. Only a suspended tenant can be archived, so that one mistake does not lock anybody out for ever.
    Archive,
}

impl Transition {
    /// The state after the transition.
    ///
    /// # Errors
    /// 409 `wrong_status` if the transition does not start at `status`.
    pub const fn from(self, status: TenantStatus) -> Result<TenantStatus> {
        use TenantStatus::{Active, Archived, Suspended};
        match (self, status) {
            (Self::Suspend, Active) => Ok(Suspended),
            (Self::Reactivate, Suspended) => Ok(Active),
            (Self::Archive, Suspended) => Ok(Archived),
            (Self::Suspend, _) => Err(Error::conflict("wrong_status", "only an active organization can be suspended")),
            (Self::Reactivate, _) => Err(Error::conflict("wrong_status", "only a suspended organization can be reactivated")),
            (Self::Archive, _) => Err(Error::conflict("wrong_status", "only a suspended organization can be archived")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TenantStatus::{Active, Archived, Pending, Suspended};

    #[test]
    fn tenant_status_changes_only_by_the_listed_transitions() {
        for status in [Pending, Active, Suspended, Archived] {
            let to = |transition: Transition| transition.from(status).ok();
            let expected = match status {
                Active => (Some(Suspended), None, None),
                Suspended => (None, Some(Active), Some(Archived)),
                Pending | Archived => (None, None, None),
            };
            assert_eq!((to(Transition::Suspend), to(Transition::Reactivate), to(Transition::Archive)), expected, "{status:?}");
        }
    }
}
