//! The scope: one caller in one tenant. It is the context of an endpoint before the policy is evaluated. It also contains the
//! reader that it shares with the permit.

use crate::{
    audit::{activity::Activity, trace::Earlier},
    base::{
        Principal, Result, TenantId, UserId,
        need::needs,
        telemetry::{self, LogValue},
    },
    identity::{
        Membership,
        membership::{self, MemberItem},
    },
    policy::{Circumstances, PlatformResource},
    request::{Deps, http::Request, idempotency::Claim},
    store::{
        dynamodb::Query,
        item::{Key, Row, Table},
    },
};
use std::{marker::PhantomData, ops::Deref};

/// The context of a request after its caller is known.
#[derive(Clone, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) deps: &'a Deps,
    pub(crate) request: &'a Request,
    /// Its tenant is the one on whose data the request works.
    pub(crate) activity: Activity<'a>,
    pub(crate) principal: Principal,
    pub(crate) circumstances: Circumstances,
    pub(crate) claim: Option<Claim>,
}

impl<'a> Deref for Context<'a> {
    type Target = Activity<'a>;
    fn deref(&self) -> &Activity<'a> {
        &self.activity
    }
}

/// A request for endpoint `E` by one caller of one tenant, before the policy is evaluated. It only reads.
///
/// ```
/// fn target<E: common::request::Endpoint>(scope: &common::request::Scope<'_, E>) -> common::base::TenantId {
///     scope.tenant()
/// }
/// ```
/// Only a permit has changes:
/// ```compile_fail,E0599
/// fn target<E: common::request::Endpoint>(scope: &common::request::Scope<'_, E>) {
///     scope.changes();
/// }
/// ```
#[derive(Debug)]
pub struct Scope<'a, E> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) of: PhantomData<fn() -> E>,
}

impl<'a, E: crate::request::Operation> Scope<'a, E> {
    pub(crate) fn new(context: &'a Context<'a>) -> Self {
        Self { context, of: PhantomData }
    }
    pub fn principal(&self) -> &'a Principal {
        &self.context.principal
    }
    pub fn tenant(&self) -> TenantId {
        self.context.tenant
    }
    pub fn reader(&self) -> Reader<'a> {
        needs!(E, Read);
        Reader::of(self.context)
    }
    /// The deployment itself, for requests that concern no tenant.
    pub fn platform(&self) -> PlatformResource {
        PlatformResource(self.context.deps.config.deployment.clone())
    }
    /// A field of the log line.
    pub fn log(&self, name: &'static str, value: impl LogValue) {
        telemetry::record(name, value);
    }
}

/// The result of a search among a tenant's members.
#[derive(Debug)]
pub enum FoundMember {
    Here(Box<Membership>),
    /// The user with that id was deleted.
    Deleted,
    /// There is none, or the id belongs to an API key, which is not a user.
    Nobody,
}

/// Reads the tenant's business items.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    pub(crate) deps: &'a Deps,
    pub(crate) tenant: TenantId,
    /// The request, if there is one.
    pub(crate) context: Option<&'a Context<'a>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn of(context: &'a Context<'a>) -> Self {
        Self { deps: context.deps, tenant: context.tenant, context: Some(context) }
    }

    /// One item, read consistently. In a request with an idempotency key, the first read in the caller's own tenant also reads
    /// the key's record.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn get(&self, key: &Key) -> Result<Option<Row>> {
        if let Some(Context { claim: Some(claim), principal, activity, .. }) = self.context
            && self.tenant == principal.tenant()
            && activity.trace.with(|t| matches!(t.earlier, Earlier::NotRead))
        {
            let wanted = [(Table::Records, key), (Table::Ephemera, claim.key())];
            let [row, earlier] = self.deps.db.get_each(self.tenant, wanted).await?;
            activity.trace.with(|t| t.earlier = Earlier::Read(earlier));
            return Ok(row);
        }
        self.deps.db.get(self.tenant, Table::Records, key).await
    }

    /// A member of the tenant, read like [`get`](Self::get).
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn member(&self, user: UserId) -> Result<FoundMember> {
        let Some(row) = self.get(&membership::key(user)).await? else { return Ok(FoundMember::Nobody) };
        Ok(match MemberItem::from_row(self.tenant, user, &row)? {
            MemberItem::Person(member) => FoundMember::Here(member),
            MemberItem::Deleted => FoundMember::Deleted,
            MemberItem::ApiKey => FoundMember::Nobody,
        })
    }

    /// One page of the tenant's members, in the order in which they were added, and the cursor of the next.
    ///
    /// # Errors
    /// As [`page`](Self::page).
    pub async fn members(&self, limit: u32, cursor: Option<&str>) -> Result<(Vec<Membership>, Option<String>)> {
        let (rows, next) = self.page(&membership::list().limit(limit), cursor).await?;
        Ok((membership::listed(self.tenant, &rows)?, next))
    }

    /// The first page of a query, if the rest is not needed.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn query(&self, query: &Query) -> Result<Vec<Row>> {
        Ok(self.deps.db.query(self.tenant, query, None).await?.rows)
    }

    /// One page of a query, and the cursor of the next.
    ///
    /// # Errors
    /// 422 `invalid_cursor`; 503 if DynamoDB or, for a first cursor, KMS does not answer.
    pub async fn page(&self, query: &Query, cursor: Option<&str>) -> Result<(Vec<Row>, Option<String>)> {
        let Self { deps, tenant, .. } = *self;
        let from = match cursor {
            None => None,
            Some(cursor) => Some(deps.keyring.of(tenant).open_cursor(cursor, query).await?),
        };
        let page = deps.db.query(tenant, query, from).await?;
        let next = match page.next {
            None => None,
            Some(position) => Some(deps.keyring.of(tenant).seal_cursor(&position, query).await?),
        };
        Ok((page.rows, next))
    }
}
