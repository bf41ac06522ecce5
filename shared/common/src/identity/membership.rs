//! Memberships: a user's tenant and roles. Only the record counts, never a token's claims.
//!
//! There are three items. The directory's item, in the platform's partition, finds a user's tenant. The membership, in the
//! tenant's own partition, contains the grants, and every write checks that they have not changed since the session copied them.
//! An entry in the partition `MEMBERS` lists the user, because a partition of the table can be read consistently and an index
//! cannot.

use crate::{
    base::{
        Error, Grant, KeyBounds, Listed, Principal, Result, Role, SessionKind, TenantId, Timestamp, UserId, error::AuthFailure,
    },
    store::{
        Changes,
        changes::{Condition, Edit},
        dynamodb::{Db, Query},
        item::{Index, Item, Key, Row, Table, Version},
    },
};
use futures_util::{StreamExt, TryStreamExt, future::try_join, stream};
use phi::{Email, PersonName, Sealed, SearchToken};
use std::{collections::BTreeSet, str::FromStr};

phi::sealed_fields! {
    /// The personal data in a membership.
    #[derive(Clone, Debug)]
    pub struct MemberPii in "memberships" {
        1 => email: Email,
        2 => name: Option<PersonName>,
    }
}

#[derive(Clone, Debug)]
pub struct Membership {
    pub tenant: TenantId,
    pub user: UserId,
    /// Whether the user may sign in, because they are not disabled.
    pub active: bool,
    /// Whether the user has not signed in yet.
    pub invited: bool,
    pub grants: Listed<Grant>,
    /// The user's department, as the tenant names it.
    pub department: Option<String>,
    /// Whether the user has a second factor.
    pub mfa_enrolled: bool,
    pub created_at: Timestamp,
    pub version: i64,
    pub pii: Sealed<MemberPii>,
}

const ACTIVE: &str = "active";

const DELETED: &str = "deleted";

/// An attribute of every person's item, which an API key's item does not have.
const GRANTS: &str = "grants";

pub(crate) const fn status(active: bool, invited: bool) -> &'static str {
    match (active, invited) {
        (true, false) => ACTIVE,
        (true, true) => "invited",
        (false, _) => "disabled",
    }
}

/// Whether a member with a status may sign in.
struct Standing {
    active: bool,
}

impl FromStr for Standing {
    type Err = ();
    fn from_str(word: &str) -> Result<Self, ()> {
        let known = [status(true, false), status(true, true), status(false, false), DELETED];
        let active = word == status(true, false) || word == status(true, true);
        known.contains(&word).then_some(Self { active }).ok_or(())
    }
}

/// A tenant's list of members: in the index of all, and as a separate partition.
pub(crate) const LIST: &str = "MEMBERS";

pub(crate) fn key(user: UserId) -> Key {
    Key::new(format!("MEMBER#{user}"), "MEMBERSHIP")
}

/// A user's entry in the partition that lists the members.
pub(crate) fn entry_key(user: UserId) -> Key {
    Key::new(LIST, user.to_string())
}

pub(crate) fn directory_key(user: UserId) -> Key {
    Key::new(format!("DIRECTORY#{user}"), "USER")
}

/// The platform's items for a user whose e-mail is claimed under `email`: their tenant, and the e-mail's token, by which the
/// claim is found when they are deleted.
pub(crate) fn in_directory(user: UserId, tenant: TenantId, email: &SearchToken) -> (Item, Item) {
    let directory = Item::new(directory_key(user)).text("tenant_id", tenant).text("email_token", email);
    (directory, Item::new(email_key(email)).text("user_id", user).text("tenant_id", tenant))
}

/// The rest of a deleted member: no personal data, and no entry in a list.
pub(crate) fn tombstone(user: UserId, version: crate::store::Version, now: Timestamp) -> Edit {
    let edit = Edit::of(key(user)).text("status", DELETED).text("deleted_at", now).number("version", version.0);
    let edit = edit.remove("sealed").remove(GRANTS).remove("department").remove("mfa_enrolled").remove("invited");
    edit.unindexed(Index::All)
}

/// The owner of an e-mail. It belongs to one user in the whole deployment, and is found by its token under the platform's search
/// key.
pub(crate) fn email_key(token: impl std::fmt::Display) -> Key {
    Key::new(format!("EMAIL#{token}"), "CLAIM")
}

impl Membership {
    /// The place to which its personal data is bound.
    pub fn place(user: UserId) -> String {
        key(user).place().to_owned()
    }

    /// Whether the user is active and has signed in.
    pub const fn has_arrived(&self) -> bool {
        self.active && !self.invited
    }

    /// The roles that are valid now.
    pub fn roles(&self, now: Timestamp) -> impl Iterator<Item = Role> {
        self.grants.iter().filter(move |grant| grant.holds_at(now)).map(|grant| grant.role)
    }

    pub(crate) fn into_item(self) -> Result<Item> {
        Ok(Item::new(key(self.user))
            .text("status", status(self.active, self.invited))
            .number("invited", self.invited)
            .text(GRANTS, self.grants.to_text())
            .maybe("department", self.department)
            .number("mfa_enrolled", self.mfa_enrolled)
            .text("created_at", self.created_at)
            .number("version", self.version)
            .bytes("sealed", self.pii.into_bytes())
            .indexed(Index::All, LIST, self.user))
    }

    fn from_row(tenant: TenantId, user: UserId, row: &Row) -> Result<Self> {
        Ok(Self {
            tenant,
            user,
            // A member with a status that this version does not know has no access.
            active: row.word::<Standing>("status")?.is_some_and(|standing| standing.active),
            invited: row.maybe_number("invited").is_some_and(|n| n != 0),
            grants: row.listed(GRANTS)?,
            department: row.maybe_text("department").map(str::to_owned),
            mfa_enrolled: row.maybe_number("mfa_enrolled").is_some_and(|n| n != 0),
            created_at: row.parse("created_at")?,
            version: row.number("version")?,
            pii: Sealed::from_bytes(row.bytes("sealed")?.to_vec()).map_err(|_| Error::internal("membership"))?,
        })
    }
}

impl Principal {
    /// A member who is signing in.
    pub(crate) fn of_member(member: &Membership, mfa_at: Option<Timestamp>, now: Timestamp) -> Self {
        let roles = member.roles(now).collect();
        Self {
            kind: SessionKind::Full,
            grants: member.grants.to_vec(),
            membership_version: member.version,
            department: member.department.clone(),
            mfa_enrolled: member.mfa_enrolled,
            mfa_at,
            bounds: KeyBounds::default(),
            signed_in_at: now,
            session_ends_at: now,
            ..Self::imagined(member.tenant, member.user, roles)
        }
    }
}

impl Changes {
    /// Fails the commit unless a member is unchanged since it was read.
    pub fn check_unchanged(&mut self, member: &Membership, or: Error) {
        self.check(key(member.user), Condition::VersionIs(Version(member.version)), or);
    }

    /// Fails the commit unless `user` is at that moment an active member of this tenant, and a person.
    pub fn check_member(&mut self, user: UserId, or: Error) {
        self.check(key(user), is_active_person(), or);
    }
}

/// The tenant of a user.
///
/// # Errors
/// 401 if the directory has no such user.
pub(crate) async fn tenant_of(db: &Db, user: UserId) -> Result<TenantId> {
    let row = db.get(TenantId::PLATFORM, Table::Records, &directory_key(user)).await?;
    row.ok_or(Error::Unauthenticated(AuthFailure::NoMembership))?.parse("tenant_id")
}

/// # Errors
/// 401 if the user has no active membership in `tenant`.
pub(crate) async fn active(db: &Db, tenant: TenantId, user: UserId) -> Result<Membership> {
    let membership = of(db, tenant, user).await?.filter(|membership| membership.active);
    membership.ok_or(Error::Unauthenticated(AuthFailure::NoMembership))
}

/// A member who is a person, active or not. API keys and deleted users are not.
pub(crate) async fn of(db: &Db, tenant: TenantId, user: UserId) -> Result<Option<Membership>> {
    let row = db.get(tenant, Table::Records, &key(user)).await?;
    row.map_or(Ok(None), |row| MemberItem::from_row(tenant, user, &row).map(MemberItem::person))
}

/// The kind of a member item. Three kinds have keys of the same form.
#[derive(Debug)]
pub(crate) enum MemberItem {
    Person(Box<Membership>),
    /// An API key acts as this member. It is not a person, so it has neither grants nor a sealed record.
    ApiKey,
    /// A deleted person. Only the item remains.
    Deleted,
}

impl MemberItem {
    pub(crate) fn from_row(tenant: TenantId, user: UserId, row: &Row) -> Result<Self> {
        if row.text("status")? == DELETED {
            return Ok(Self::Deleted);
        }
        if row.maybe_text(GRANTS).is_none() && row.maybe_bytes("sealed").is_none() {
            return Ok(Self::ApiKey);
        }
        Membership::from_row(tenant, user, row).map(|member| Self::Person(Box::new(member)))
    }

    fn person(self) -> Option<Membership> {
        match self {
            Self::Person(member) => Some(*member),
            Self::ApiKey | Self::Deleted => None,
        }
    }
}

/// The list of a tenant's members.
pub(crate) fn list() -> Query {
    Query::index(Index::All, LIST)
}

/// The persons among rows of that list. The index lags, so a row may belong to a deleted person.
pub(crate) fn listed(tenant: TenantId, rows: &[Row]) -> Result<Vec<Membership>> {
    let item = |row: &Row| MemberItem::from_row(tenant, row.parse("ix_sort")?, row);
    rows.iter().filter_map(|row| item(row).map(MemberItem::person).transpose()).collect()
}

/// Every member of a tenant in their current state, for work that must reach all of them. Members from before the entries existed
/// are in the index, and have been for a long time.
pub(crate) async fn all(db: &Db, tenant: TenantId) -> Result<Vec<Membership>> {
    let (entries, index) = (Query::items(LIST), list().limit(1000));
    let (entries, rows) = try_join(db.query_all(tenant, &entries), db.query_all(tenant, &index)).await?;
    let mut users = entries.iter().map(|row| row.parse("sk")).collect::<Result<BTreeSet<UserId>>>()?;
    for row in &rows {
        users.insert(row.parse("ix_sort")?);
    }
    let members = stream::iter(users).map(|user| of(db, tenant, user)).buffered(AT_ONCE);
    members.try_filter_map(async |member| Ok(member)).try_collect().await
}

/// The number of members that are read concurrently.
const AT_ONCE: usize = 16;

/// The condition that a member, person or API key, is active.
fn is_active() -> Condition {
    Condition::Is("status", ACTIVE.to_owned())
}

/// The condition that a member can be an assignee: an active person and not an API key.
pub(crate) fn is_active_person() -> Condition {
    Condition::All(vec![is_active(), Condition::Has(GRANTS)])
}

/// The condition that a membership's user has not signed in yet.
pub(crate) fn is_invited() -> Condition {
    Condition::Is("status", status(true, true).to_owned())
}

/// The condition of every write: the caller's membership is unchanged since the session copied it.
pub(crate) fn unchanged(version: i64) -> Condition {
    Condition::All(vec![Condition::VersionIs(crate::store::Version(version)), is_active()])
}
