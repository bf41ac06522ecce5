//! Memberships: which tenant a user belongs to, and in what roles. The record decides, never a token's claims.
//!
//! Two items. The directory's, in the platform's partition, finds a user's tenant; the membership, in the tenant's own,
//! holds the grants, and every write checks that they have not changed since the session copied them.

use crate::{
    Error, Grant, Result, TenantId, UserId,
    db::{Db, Query},
    error::AuthFailure,
    table::{Index, Item, Key, Row, Table},
    unit::Condition,
};
use phi::{Email, Sealed};

phi::sealed_fields! {
    /// What a membership holds of a person.
    #[derive(Clone, Debug)]
    pub struct MemberPii in "memberships" {
        1 => email: Email,
    }
}

#[derive(Clone, Debug)]
pub struct Membership {
    pub tenant: TenantId,
    pub user: UserId,
    pub active: bool,
    pub grants: Vec<Grant>,
    /// Where in its tenant the user works, as the tenant names it.
    pub department: Option<String>,
    /// Whether the user signs in with a second factor.
    pub mfa_enrolled: bool,
    pub version: i64,
    pub pii: Sealed<MemberPii>,
}

const ACTIVE: &str = "active";

pub(crate) const fn status(active: bool) -> &'static str {
    if active { ACTIVE } else { "disabled" }
}

/// A tenant's list of members, in the index of all.
pub(crate) const LIST: &str = "MEMBERS";

pub(crate) fn key(user: UserId) -> Key {
    Key::new(format!("MEMBER#{user}"), "MEMBERSHIP")
}

fn directory_key(user: UserId) -> Key {
    Key::new(format!("DIRECTORY#{user}"), "USER")
}

/// Whose an e-mail is: one user's in the whole deployment, found by its token under the platform's search key.
pub(crate) fn email_key(token: impl std::fmt::Display) -> Key {
    Key::new(format!("EMAIL#{token}"), "CLAIM")
}

/// The field that an e-mail's token is made for.
pub(crate) const EMAIL_FIELD: &str = "user.email";

impl Membership {
    /// What its PII is bound to: the record to open it by.
    pub fn place(user: UserId) -> String {
        key(user).place().to_owned()
    }

    /// The membership, and its entry in the platform's directory.
    pub(crate) fn into_items(self) -> Result<(Item, Item)> {
        let grants = serde_json::to_string(&self.grants).map_err(|_| Error::internal("grants"))?;
        let member = Item::new(key(self.user))
            .text("status", status(self.active))
            .text("grants", grants)
            .maybe("department", self.department)
            .number("mfa_enrolled", self.mfa_enrolled)
            .number("version", self.version)
            .bytes("sealed", self.pii.into_bytes())
            .indexed(Index::All, LIST, self.user);
        Ok((member, Item::new(directory_key(self.user)).text("tenant_id", self.tenant)))
    }

    fn from_row(tenant: TenantId, user: UserId, row: &Row) -> Result<Self> {
        Ok(Self {
            tenant,
            user,
            active: row.text("status")? == ACTIVE,
            grants: serde_json::from_str(row.text("grants")?).map_err(|_| Error::internal("grants"))?,
            department: row.maybe_text("department").map(str::to_owned),
            mfa_enrolled: row.maybe_number("mfa_enrolled").is_some_and(|n| n != 0),
            version: row.number("version")?,
            pii: Sealed::from_bytes(row.bytes("sealed")?.to_vec()).map_err(|_| Error::internal("membership"))?,
        })
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
    let row = db.get(tenant, Table::Records, &key(user)).await?.ok_or(Error::Unauthenticated(AuthFailure::NoMembership))?;
    let membership = Membership::from_row(tenant, user, &row)?;
    if membership.active { Ok(membership) } else { Err(Error::Unauthenticated(AuthFailure::NoMembership)) }
}

/// A member, active or not.
pub(crate) async fn of(db: &Db, tenant: TenantId, user: UserId) -> Result<Option<Membership>> {
    let row = db.get(tenant, Table::Records, &key(user)).await?;
    row.map(|row| Membership::from_row(tenant, user, &row)).transpose()
}

/// Every member of a tenant.
pub(crate) async fn all(db: &Db, tenant: TenantId) -> Result<Vec<Membership>> {
    let query = Query::index(Index::All, LIST).limit(1000);
    let rows = db.query_all(tenant, &query).await?;
    rows.iter().map(|row| Membership::from_row(tenant, row.parse("ix_sort")?, row)).collect()
}

/// What holds of a membership while its user may be given work.
pub(crate) fn is_active() -> Condition {
    Condition::Is("status", ACTIVE.to_owned())
}

/// What every write checks: nobody has changed the caller's membership since the session copied it.
pub(crate) fn unchanged(version: i64) -> Condition {
    Condition::All(vec![Condition::VersionIs(crate::Version(version)), is_active()])
}
