//! The work that the endpoints share.

use crate::{
    domain::{Persons, Transition, UserRolesChanged, appointed, dismissed},
    store::{self, Stored},
    view::OrganizationView,
};
use common::{
    base::{Error, Grant, Result, Role, TenantId, UserId},
    capabilities::{Invitation, MemberChange},
    identity::TenantStatus,
    request::{Platform, PlatformEndpoint},
    store::{Edit, Event},
};
use phi::{Email, Sealed};

/// The error for a change of an organization that another request has just changed.
pub(crate) const CHANGED: Error = Error::conflict("changed", "another request has just changed the organization");

/// The organization of the request.
///
/// # Errors
/// 404 if there is none; 503.
pub(crate) async fn read<E: PlatformEndpoint>(cx: &Platform<'_, E>) -> Result<Stored> {
    Stored::read(cx.reader(), cx.tenant()).await
}

/// The same, for a request that changes it.
///
/// # Errors
/// 409 `wrong_status` if it has no keys yet, or is archived.
pub(crate) async fn read_to_change<E: PlatformEndpoint>(cx: &Platform<'_, E>) -> Result<Stored> {
    let stored = read(cx).await?;
    match stored.tenant.status {
        TenantStatus::Active | TenantStatus::Suspended => Ok(stored),
        TenantStatus::Pending => Err(Error::conflict("wrong_status", "the organization is still being created")),
        TenantStatus::Archived => Err(Error::conflict("wrong_status", "the organization is archived")),
    }
}

/// Checks that the tenant is a customer. The platform is a tenant too, but it has no agreement with itself and must not lock
/// itself out.
///
/// # Errors
/// 409 `platform`.
pub(crate) fn customers(stored: Stored) -> Result<Stored> {
    if stored.id == TenantId::PLATFORM {
        return Err(Error::conflict("platform", "this organization is the platform itself"));
    }
    Ok(stored)
}

/// The persons on a profile.
pub(crate) async fn persons<E: PlatformEndpoint>(cx: &Platform<'_, E>, sealed: Option<&Sealed<Persons>>) -> Result<Persons> {
    match sealed {
        Some(sealed) => cx.open(&store::place(), sealed).await,
        None => Ok(Persons::default()),
    }
}

/// Seals the persons on a profile, in place of the previously sealed record.
pub(crate) async fn seal<E: PlatformEndpoint>(
    cx: &Platform<'_, E>,
    persons: &Persons,
    before: Option<&Sealed<Persons>>,
) -> Result<Sealed<Persons>> {
    match before {
        Some(before) => cx.reseal(&store::place(), persons, before).await,
        None => cx.seal(&store::place(), persons).await,
    }
}

/// The answer that shows an organization.
pub(crate) fn shown<E: PlatformEndpoint>(cx: &mut Platform<'_, E>, stored: &Stored, persons: Persons) -> OrganizationView {
    cx.etag(stored.version());
    OrganizationView::new(stored, persons, cx.now())
}

/// Commits a change of the profile, and records the changed fields.
pub(crate) fn change<E: PlatformEndpoint>(cx: &mut Platform<'_, E>, edit: Edit, fields: impl IntoIterator<Item = &'static str>) {
    let changes = cx.changes();
    changes.edit(edit, CHANGED);
    changes.changed(fields);
}

/// Changes an organization's state and emits an event.
pub(crate) async fn transit<E: PlatformEndpoint>(
    cx: &mut Platform<'_, E>,
    transition: Transition,
    event: impl Event,
) -> Result<OrganizationView> {
    let mut stored = customers(read(cx).await?)?;
    cx.check_version(stored.version())?;
    let status = transition.from(stored.tenant.status)?;
    let edit = stored.set_status(status);
    change(cx, edit, ["status"]);
    cx.changes().emit(event.into());
    let persons = persons(cx, stored.persons.as_ref()).await?;
    Ok(shown(cx, &stored, persons))
}

/// The change of a member's administrator role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Office {
    Appointed,
    Dismissed,
}

/// Makes a member of the tenant an administrator, or removes that role. Nothing happens if the member is in that state already.
///
/// # Errors
/// 422 if there is no such member. The commit is 409 `last_admin` if no administrator would remain.
pub(crate) async fn change_admin<E: PlatformEndpoint>(cx: &mut Platform<'_, E>, user: UserId, office: Office) -> Result<()> {
    cx.log("user.id", user);
    customers(read_to_change(cx).await?)?;
    let nobody = || Error::invalid("user_id", "no_such_member", "expected a member of the organization");
    let member = cx.member(user).await?.ok_or_else(nobody)?;
    cx.touched("User", user);
    let grants = match office {
        Office::Appointed => appointed(&member.grants),
        Office::Dismissed => dismissed(&member.grants),
    };
    let Some(grants) = grants else { return Ok(()) };
    cx.change_member(&member, MemberChange { grants: Some(grants), ..MemberChange::default() }).await?;
    let changes = cx.changes();
    changes.changed(["grants"]);
    changes.emit(UserRolesChanged { user_id: user }.into());
    Ok(())
}

/// Invites a person as administrator of the tenant. As for every invitation, the answer does not show whether the e-mail belongs
/// to a user.
pub(crate) async fn invite_admin<E: PlatformEndpoint>(cx: &mut Platform<'_, E>, email: Email) -> Result<()> {
    customers(read_to_change(cx).await?)?;
    let grants = vec![Grant::always(Role::TenantAdmin)];
    let member = cx.invite(Invitation { email, name: None, grants, department: None }).await?;
    cx.touched("User", member.user);
    cx.log("user.id", member.user);
    cx.changes().changed(["grants"]);
    Ok(())
}
