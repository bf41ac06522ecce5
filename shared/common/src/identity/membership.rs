//! Memberships: which tenant a user belongs to, and in what roles. The record decides, never a token's claims.
//!
//! Three items. The directory's, in the platform's partition, finds a user's tenant; the membership, in the tenant's own,
//! holds the grants, and every write checks that they have not changed since the session copied them. An entry in the partition
//! `MEMBERS` lists the user: a partition of the table is read as it is, an index as it was a moment ago.

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
    /// What a membership holds of a person.
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
    /// Whether the user may sign in: nobody has disabled them.
    pub active: bool,
    /// Whether the user has never signed in yet.
    pub invited: bool,
    pub grants: Listed<Grant>,
    /// Where in its tenant the user works, as the tenant names it.
    pub department: Option<String>,
    /// Whether the user signs in with a second factor.
    pub mfa_enrolled: bool,
    pub created_at: Timestamp,
    pub version: i64,
    pub pii: Sealed<MemberPii>,
}

const ACTIVE: &str = "active";

const DELETED: &str = "deleted";

/// What every person's item has, and no API key's.
const GRANTS: &str = "grants";

pub(crate) const fn status(active: bool, invited: bool) -> &'static str {
    match (active, invited) {
        (true, false) => ACTIVE,
        (true, true) => "invited",
        (false, _) => "disabled",
    }
}

/// Whether a member of a status may sign in.
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

/// A tenant's list of members: in the index of all, and as a partition of its own.
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

/// What the platform knows of a user, by whom the e-mail is claimed under `email`: whose tenant's they are, and the e-mail's token,
/// by which the claim is found when they leave.
pub(crate) fn in_directory(user: UserId, tenant: TenantId, email: &SearchToken) -> (Item, Item) {
    let directory = Item::new(directory_key(user)).text("tenant_id", tenant).text("email_token", email);
    (directory, Item::new(email_key(email)).text("user_id", user).text("tenant_id", tenant))
}

/// What is left of a member who was deleted: nothing of the person, and that it is no list's.
pub(crate) fn tombstone(user: UserId, version: crate::store::Version, now: Timestamp) -> Edit {
    let edit = Edit::of(key(user)).text("status", DELETED).text("deleted_at", now).number("version", version.0);
    let edit = edit.remove("sealed").remove(GRANTS).remove("department").remove("mfa_enrolled").remove("invited");
    edit.unindexed(Index::All)
}

/// Whose an e-mail is: one user's in the whole deployment, found by its token under the platform's search key.
pub(crate) fn email_key(token: impl std::fmt::Display) -> Key {
    Key::new(format!("EMAIL#{token}"), "CLAIM")
}

impl Membership {
    /// What its PII is bound to: the record to open it by.
    pub fn place(user: UserId) -> String {
        key(user).place().to_owned()
    }

    /// Whether the user is here for good: active, and has signed in.
    pub const fn has_arrived(&self) -> bool {
        self.active && !self.invited
    }

    /// The roles that they hold now.
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
            // A status that this version does not know lets nobody in.
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
    /// Lets the commit fail unless a member is still as they were read.
    pub fn check_unchanged(&mut self, member: &Membership, or: Error) {
        self.check(key(member.user), Condition::VersionIs(Version(member.version)), or);
    }

    /// Lets the commit fail unless `user` is an active member of this tenant at that moment, and a person.
    pub fn check_member(&mut self, user: UserId, or: Error) {
        self.check(key(user), is_active_person(), or);
    }
}

/// The tenant of a user.
///
/// # Errors
/// 401 where the directory knows no such user.
pub(crate) async fn tenant_of(db: &Db, user: UserId) -> Result<TenantId> {
    let row = db.get(TenantId::PLATFORM, Table::Records, &directory_key(user)).await?;
    row.ok_or(Error::Unauthenticated(AuthFailure::NoMembership))?.parse("tenant_id")
}

/// # Errors
/// 401 where the user has no active membership in `tenant`.
pub(crate) async fn active(db: &Db, tenant: TenantId, user: UserId) -> Result<Membership> {
    let membership = of(db, tenant, user).await?.filter(|membership| membership.active);
    membership.ok_or(Error::Unauthenticated(AuthFailure::NoMembership))
}

/// A person who is a member, active or not. API keys and deleted users are none.
pub(crate) async fn of(db: &Db, tenant: TenantId, user: UserId) -> Result<Option<Membership>> {
    let row = db.get(tenant, Table::Records, &key(user)).await?;
    row.map_or(Ok(None), |row| MemberItem::from_row(tenant, user, &row).map(MemberItem::person))
}

/// What a member item is of. Three kinds lie under one kind of key.
#[derive(Debug)]
pub(crate) enum MemberItem {
    Person(Box<Membership>),
    /// An API key acts as this member. There is no person: neither grants nor a sealed record.
    ApiKey,
    /// A person who was deleted. Only the item is left.
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

/// The persons among rows of that list. The index lags: a row may be of somebody who has been deleted since.
pub(crate) fn listed(tenant: TenantId, rows: &[Row]) -> Result<Vec<Membership>> {
    let item = |row: &Row| MemberItem::from_row(tenant, row.parse("ix_sort")?, row);
    rows.iter().filter_map(|row| item(row).map(MemberItem::person).transpose()).collect()
}

/// Every member of a tenant, each as they are now: for what is to reach all of them. Who was a member before there were entries is in
/// the index, and has been for long.
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

/// How many members are read at once.
const AT_ONCE: usize = 16;

/// Holds of a member, person or API key, who may act.
fn is_active() -> Condition {
    Condition::Is("status", ACTIVE.to_owned())
}

/// Holds of a member who may be given work: an active person, not an API key.
pub(crate) fn is_active_person() -> Condition {
    Condition::All(vec![is_active(), Condition::Has(GRANTS)])
}

/// What holds of a membership until its user signs in for the first time.
pub(crate) fn is_invited() -> Condition {
    Condition::Is("status", status(true, true).to_owned())
}

/// What every write checks: nobody has changed the caller's membership since the session copied it.
pub(crate) fn unchanged(version: i64) -> Condition {
    Condition::All(vec![Condition::VersionIs(crate::store::Version(version)), is_active()])
}
