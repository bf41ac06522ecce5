//! What the endpoints do alike.

use crate::{
    domain::{Persons, Transition, UserRolesChanged, appointed, dismissed},
    store::{self, Stored},
    view::OrganizationView,
};
use common::{
    Edit, Error, Event, Grant, Invitation, MemberChange, Platform, PlatformEndpoint, Result, Role, TenantId, TenantStatus, UserId,
};
use phi::{Email, Sealed};

/// What a change is told whose organization somebody else has just changed.
pub(crate) const CHANGED: Error = Error::conflict("changed", "the organization has just been changed by somebody else");

/// The organization that the request is about.
///
/// # Errors
/// 404 where there is none; 503.
pub(crate) async fn read<E: PlatformEndpoint>(cx: &Platform<'_, E>) -> Result<Stored> {
    Stored::read(cx.reader(), cx.tenant()).await
}

/// The same where it is to be changed.
///
/// # Errors
/// 409 `wrong_status` where it has no keys yet, or is kept for its records only.
pub(crate) async fn read_to_change<E: PlatformEndpoint>(cx: &Platform<'_, E>) -> Result<Stored> {
    let stored = read(cx).await?;
    match stored.tenant.status {
        TenantStatus::Active | TenantStatus::Suspended => Ok(stored),
        TenantStatus::Pending => Err(Error::conflict("wrong_status", "the organization is still being made")),
        TenantStatus::Archived => Err(Error::conflict("wrong_status", "the organization is archived")),
    }
}

/// That it is a customer's. The platform is a tenant too, but it has no agreement with itself and cannot shut itself out.
///
/// # Errors
/// 409 `platform`.
pub(crate) fn customers(stored: Stored) -> Result<Stored> {
    if stored.id == TenantId::PLATFORM {
        return Err(Error::conflict("platform", "this is the platform itself"));
    }
    Ok(stored)
}

/// Who is named on a profile.
pub(crate) async fn persons<E: PlatformEndpoint>(cx: &Platform<'_, E>, sealed: Option<&Sealed<Persons>>) -> Result<Persons> {
    match sealed {
        Some(sealed) => cx.open(&store::place(), sealed).await,
        None => Ok(Persons::default()),
    }
}

/// Seals who is named on a profile, in place of what was sealed before.
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

/// Commits a change of the profile, and names what changes.
pub(crate) fn change<E: PlatformEndpoint>(cx: &mut Platform<'_, E>, edit: Edit, fields: impl IntoIterator<Item = &'static str>) {
    let changes = cx.changes();
    changes.edit(edit, CHANGED);
    changes.changed(fields);
}

/// Takes an organization from one state to another, and says so.
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

/// What becomes of somebody's being an administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Office {
    Appointed,
    Dismissed,
}

/// Makes a member of the tenant an administrator, or has one be it no longer. Who is so already stays so.
///
/// # Errors
/// 422 where there is no such member. The commit is 409 `last_admin` where nobody would be left who administers the tenant.
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

/// Invites somebody who will administer the tenant. As with every invitation, nobody is told whether the e-mail is somebody's.
pub(crate) async fn invite_admin<E: PlatformEndpoint>(cx: &mut Platform<'_, E>, email: Email) -> Result<()> {
    customers(read_to_change(cx).await?)?;
    let grants = vec![Grant::always(Role::TenantAdmin)];
    let member = cx.invite(Invitation { email, name: None, grants, department: None }).await?;
    cx.touched("User", member.user);
    cx.log("user.id", member.user);
    cx.changes().changed(["grants"]);
    Ok(())
}
