//! A tenant's administrators are counted, so that the last of them cannot go. The count is changed in the transaction that makes
//! somebody an administrator, or has them be one no longer.
//!
//! Counted are those who will still be there tomorrow: who have signed in, are not disabled, and have the role for good. A grant
//! that ends by itself, or has yet to begin, counts for nobody.

use crate::{
    base::{Error, Grant, Role},
    store::{
        changes::{Condition, Edit},
        item::Key,
    },
};

const COUNT: &str = "count";

const LAST: Error =
    Error::conflict("last_admin", "a tenant keeps one administrator at least, who has signed in and has the role for good");

fn key() -> Key {
    Key::new("ADMINS", "COUNT")
}

/// Whether somebody with these grants counts, who has or has not arrived.
pub(crate) fn counts(arrived: bool, grants: &[Grant]) -> bool {
    arrived && grants.contains(&Grant::always(Role::TenantAdmin))
}

/// What else changes where somebody counted and counts.
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
