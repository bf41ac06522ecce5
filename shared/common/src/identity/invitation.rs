//! The acceptance of an invitation.

use crate::{
    identity::{Membership, admin_count, membership},
    store::{
        changes::{Condition, Edit},
        item::Version,
    },
};

/// The changes at the first sign-in of an invited user. The membership has the next version then.
pub(crate) fn accepted(member: &Membership) -> Vec<Edit> {
    let next = Version(member.version).next();
    let as_it_was = vec![Condition::VersionIs(Version(member.version)), membership::is_invited()];
    let arrives = Edit::of(membership::key(member.user))
        .text("status", membership::status(member.active, false))
        .number("invited", false)
        .number("version", next.0)
        .when(Condition::All(as_it_was));
    let administers = admin_count::counts(member.active, &member.grants);
    std::iter::once(arrives).chain(admin_count::change(false, administers).map(|(edit, _)| edit)).collect()
}
