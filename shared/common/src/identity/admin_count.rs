//! Counts a tenant's administrators, so that the last one cannot be removed. The transaction that grants or removes the role
//! changes the count.
//!
//! Only users who will still be administrators later are counted: those who have signed in, are not disabled, and have the role
//! permanently. A grant that ends, or has not begun yet, does not count.

use crate::{
    base::{Error, Grant, Role},
    store::{
        changes::{Condition, Edit},
        item::Key,
    },
};

const COUNT: &str = "count";

const LAST: Error =
    Error::conflict("last_admin", "a tenant must keep at least one administrator who has signed in and has the role permanently");

fn key() -> Key {
    Key::new("ADMINS", "COUNT")
}

/// Whether a user with these grants counts.
pub(crate) fn counts(arrived: bool, grants: &[Grant]) -> bool {
    arrived && grants.contains(&Grant::always(Role::TenantAdmin))
}

/// The additional edit if the user starts or stops counting.
pub(crate) fn change(counted: bool, counts: bool) -> Option<(Edit, Error)> {
    let edit = Edit::of(key());
    match (counted, counts) {
        (false, true) => {
            let always = Condition::Any(vec![Condition::Absent, Condition::Present]);
            Some((edit.add(COUNT, 1).when(always), Error::internal("administrators")))
        }
        (true, false) => Some((edit.add(COUNT, -1).when(Condition::AtLeast(COUNT, 2)), LAST)),
        _ => None,
    }
}
