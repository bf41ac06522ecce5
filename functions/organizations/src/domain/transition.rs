//! The states of a tenant, and how it comes from one into another.
//!
//! | From | To | By |
//! |---|---|---|
//! | pending | active | its keys are made |
//! | active | suspended | [`Transition::Suspend`] |
//! | suspended | active | [`Transition::Reactivate`] |
//! | suspended | archived | [`Transition::Archive`] |

use common::{Error, Result, TenantStatus};

/// What an operator does to a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Nobody enters, and nothing happens for it, until it is reactivated.
    Suspend,
    Reactivate,
    /// For good. Only what is suspended already: nobody is shut out by one slip.
    Archive,
}

impl Transition {
    /// The state that it leads to.
    ///
    /// # Errors
    /// 409 `wrong_status` where it does not lead on from `status`.
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
    fn a_tenant_goes_these_ways_and_no_others() {
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
