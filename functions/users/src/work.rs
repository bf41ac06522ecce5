//! The resources of the endpoints, and the work that the endpoints share.

use crate::view::UserView;
use common::{
    base::{Error, Result, Role, TenantId, UserId},
    capabilities::MemberChange,
    identity::{MemberPii, Membership},
    policy::{Action, Attribute, Resource, Viewed},
    request::{Endpoint, FoundMember, Permit, Reader},
    store::{Event, Version},
};
use phi::Email;

const VIEW: Action = Action("viewUser");

/// The error for a user who tries to end their own account.
pub(crate) const OWN_ACCOUNT: Error = Error::conflict("own_account", "another administrator must do this to your account");

/// The collection of a tenant's users.
#[derive(Clone, Copy, Debug)]
pub struct Users(pub(crate) TenantId);

impl Resource for Users {
    const TYPE: &'static str = "Users";
    fn id(&self) -> String {
        self.0.to_string()
    }
    fn tenant(&self) -> Option<TenantId> {
        Some(self.0)
    }
}

/// The caller themselves, for questions about their own permissions.
#[derive(Clone, Copy, Debug)]
pub struct Myself {
    pub(crate) user: UserId,
    pub(crate) tenant: TenantId,
}

impl Resource for Myself {
    const TYPE: &'static str = "User";
    fn id(&self) -> String {
        self.user.to_string()
    }
    fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant)
    }
}

/// A user of the tenant.
#[derive(Clone, Debug)]
pub struct Person(pub(crate) Membership);

impl Person {
    pub(crate) async fn read(reader: Reader<'_>, user: UserId) -> Result<Self> {
        match reader.member(user).await? {
            FoundMember::Here(member) => Ok(Self(*member)),
            FoundMember::Deleted | FoundMember::Nobody => Err(Error::NotFound),
        }
    }
}

fn department(member: &Membership) -> Vec<(&'static str, Attribute)> {
    member.department.iter().map(|department| ("department", Attribute::Text(department.clone()))).collect()
}

impl Resource for Person {
    const TYPE: &'static str = "User";
    const VIEW: Option<Action> = Some(VIEW);
    fn id(&self) -> String {
        self.0.user.to_string()
    }
    fn tenant(&self) -> Option<TenantId> {
        Some(self.0.tenant)
    }
    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        department(&self.0)
    }
}

/// A user of the tenant, or a former one: the repetition of a deletion gets the answer of the deletion.
#[derive(Clone, Debug)]
pub struct SomebodyOnce {
    user: UserId,
    tenant: TenantId,
    pub(crate) member: Option<Membership>,
}

impl SomebodyOnce {
    pub(crate) async fn read(reader: Reader<'_>, tenant: TenantId, user: UserId) -> Result<Self> {
        let member = match reader.member(user).await? {
            FoundMember::Here(member) => Some(*member),
            FoundMember::Deleted => None,
            FoundMember::Nobody => return Err(Error::NotFound),
        };
        Ok(Self { user, tenant, member })
    }
}

impl Resource for SomebodyOnce {
    const TYPE: &'static str = "User";
    const VIEW: Option<Action> = Some(VIEW);
    fn id(&self) -> String {
        self.user.to_string()
    }
    fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant)
    }
    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.member.as_ref().map(department).unwrap_or_default()
    }
}

/// A role that a user has or is about to get.
#[derive(Clone, Debug)]
pub struct RoleGrant {
    pub(crate) member: Membership,
    pub(crate) role: Role,
}

impl RoleGrant {
    pub(crate) async fn read(reader: Reader<'_>, user: UserId, role: Role) -> Result<Self> {
        Person::read(reader, user).await.map(|Person(member)| Self { member, role })
    }
}

impl Resource for RoleGrant {
    const TYPE: &'static str = "RoleGrant";
    const VIEW: Option<Action> = Some(VIEW);
    fn id(&self) -> String {
        format!("{}/{}", self.member.user, self.role)
    }
    fn tenant(&self) -> Option<TenantId> {
        Some(self.member.tenant)
    }
    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        let user = ("user", Attribute::Entity("User", self.member.user.to_string()));
        vec![user, ("role", Attribute::Entity("Role", self.role.as_str().to_owned()))]
    }
    fn viewed(&self) -> Viewed {
        Viewed { kind: Person::TYPE, id: self.member.user.to_string(), attributes: department(&self.member) }
    }
}

/// The member of the request and their address, for its mail suppression.
pub(crate) async fn addressed<'a, E: Endpoint<Target = Person>>(cx: &mut Permit<'a, E>) -> Result<(&'a Membership, Email)> {
    let member = &cx.target().0;
    cx.log("user.id", member.user);
    let MemberPii { email, .. } = cx.open(&Membership::place(member.user), &member.pii).await?;
    cx.touched(Person::TYPE, member.user);
    Ok((member, email))
}

/// Shows a member to a caller who may see them.
pub(crate) async fn shown<E: Endpoint>(cx: &mut Permit<'_, E>, member: &Membership) -> Result<UserView> {
    let pii = cx.open(&Membership::place(member.user), &member.pii).await?;
    cx.touched(Person::TYPE, member.user);
    cx.etag(Version(member.version));
    Ok(UserView::new(member, pii, cx.now()))
}

/// Changes a member that was read before, records `field` as changed, and emits `event`. Returns the changed member.
pub(crate) async fn change<E: Endpoint>(
    cx: &mut Permit<'_, E>,
    member: &Membership,
    change: MemberChange,
    field: &'static str,
    event: impl Event,
) -> Result<Membership> {
    let mut next = member.clone();
    let MemberChange { active, grants, .. } = change.clone();
    next.active = active.unwrap_or(member.active);
    next.grants = grants.map_or_else(|| member.grants.clone(), Into::into);
    next.version = cx.change_member(member, change).await?.0;
    let changes = cx.changes();
    changes.changed([field]);
    changes.emit(event.into());
    Ok(next)
}
