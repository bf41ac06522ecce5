//! Permits: the context of a handler after the policy has permitted its request. It can read, seal, open and collect changes; it
//! cannot commit.

use crate::{
    base::{
        Error, Principal, Result, TenantId, Timestamp,
        error::AuthFailure,
        need::needs,
        telemetry::{self, LogValue},
    },
    identity::{Membership, Tenant, membership, session_end::EndReason, tenant},
    policy::{Action, Resource},
    request::{
        Endpoint, IfMatch, Operation, PlatformEndpoint,
        headers::Header,
        if_match::ExpectedVersion,
        scope::{Context, Reader},
    },
    store::{
        Version,
        changes::{Changes, Ending},
        dynamodb::Query,
        item::{Index, Row, Table},
    },
};
use futures_util::{StreamExt, TryStreamExt, stream};
use phi::{Sealed, SealedFields, SearchToken};
use std::{
    marker::PhantomData,
    ops::{Deref, DerefMut},
};

/// The number of profiles that a list of tenants reads concurrently.
const PROFILES_AT_ONCE: usize = 8;

/// The results of a handler besides its answer.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) changes: Changes,
    /// Changes outside the scope's tenant: in the platform's directories, and in a new tenant.
    pub(crate) elsewhere: Vec<(TenantId, Changes)>,
    pub(crate) etag: Option<Version>,
    pub(crate) location: Option<String>,
}

/// Proves that this request was authenticated, scoped and permitted to do `E` to its target.
///
/// Only the pipeline creates one; a function that gets one can use it:
/// ```
/// fn handle<'a, E: common::request::Endpoint>(permit: common::request::Permit<'a, E>) -> &'a E::Target {
///     permit.target()
/// }
/// ```
/// ```compile_fail,E0451
/// fn forge<'a, E: common::request::Endpoint>(target: &'a E::Target) -> common::request::Permit<'a, E> {
///     common::request::Permit { work: unreachable!(), target }
/// }
/// ```
/// A text cannot be logged, and so no PHI can, but an id can:
/// ```
/// fn handle<E: common::request::Endpoint>(permit: common::request::Permit<'_, E>, caller: common::base::UserId) {
///     permit.log("user.id", caller);
/// }
/// ```
/// ```compile_fail,E0277
/// fn handle<E: common::request::Endpoint>(permit: common::request::Permit<'_, E>, name: phi::PersonName) {
///     permit.log("patient.name", name);
/// }
/// ```
/// ```compile_fail,E0277
/// fn handle<E: common::request::Endpoint>(permit: common::request::Permit<'_, E>, typed_by_the_caller: String) {
///     permit.log("note", typed_by_the_caller);
/// }
/// ```
#[derive(Debug)]
pub struct Permit<'a, E: Endpoint> {
    pub(crate) work: Work<'a, E>,
    pub(crate) target: &'a E::Target,
}

/// A caller's permitted work in one tenant. Every kind of permit has its operations.
///
/// Only the pipeline creates one:
/// ```compile_fail,E0451
/// fn forge<'a, E>() -> common::request::Work<'a, E> {
///     common::request::Work { context: unreachable!(), effects: unreachable!(), of: unreachable!() }
/// }
/// ```
#[derive(Debug)]
pub struct Work<'a, E> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) effects: Effects,
    of: PhantomData<fn() -> E>,
}

/// The permit for one item of a batch.
pub type Batch<'a, E> = Work<'a, E>;

/// The permit of the platform's operators, in the tenant of the request.
pub type Platform<'a, E> = Work<'a, E>;

impl<'a, E: Endpoint> Deref for Permit<'a, E> {
    type Target = Work<'a, E>;
    fn deref(&self) -> &Work<'a, E> {
        &self.work
    }
}

impl<'a, E: Endpoint> DerefMut for Permit<'a, E> {
    fn deref_mut(&mut self) -> &mut Work<'a, E> {
        &mut self.work
    }
}

impl<'a, E: Endpoint> Permit<'a, E> {
    pub fn target(&self) -> &'a E::Target {
        self.target
    }

    /// The caller's own membership and tenant, in their current state.
    ///
    /// # Errors
    /// 401 if the membership was deleted or disabled; 503 if DynamoDB does not answer.
    pub async fn own_membership(&self) -> Result<(Membership, Tenant)> {
        needs!(E, Read);
        let (deps, principal) = (self.context.deps, &self.context.principal);
        let home = principal.tenant();
        let member = membership::active(&deps.db, home, principal.user());
        let (member, tenant) = futures_util::future::try_join(member, tenant::profile(&deps.db, home)).await?;
        Ok((member, tenant.ok_or(Error::Unauthenticated(AuthFailure::NoMembership))?))
    }

    /// Cognito, for work with passwords.
    ///
    /// # Errors
    /// Internal if the function was not given it.
    pub fn cognito(&self) -> Result<&'a crate::aws::cognito::Cognito> {
        needs!(E, SignIn, Passwords);
        self.context.deps.cognito.as_deref().ok_or(Error::internal("no cognito"))
    }

    /// Ends the caller's own session.
    pub fn sign_out(&mut self) {
        needs!(E, Write, Sessions);
        let who = &self.context.principal;
        let ending = Ending::of(who.user(), who.session(), EndReason::SignedOut);
        self.effects.changes.end_session(ending, Error::unauthenticated());
    }
}

/// A field of a kind of record, as the policy sees it.
struct Field {
    tenant: TenantId,
    name: String,
}

impl Resource for Field {
    const TYPE: &'static str = "Field";
    fn id(&self) -> String {
        self.name.clone()
    }
    fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant)
    }
}

impl<'a, E: Operation> Work<'a, E> {
    pub(crate) fn new(context: &'a Context<'a>) -> Self {
        Self { context, effects: Effects::default(), of: PhantomData }
    }
    pub fn principal(&self) -> &'a Principal {
        &self.context.principal
    }
    pub fn tenant(&self) -> TenantId {
        self.context.tenant
    }
    pub fn now(&self) -> Timestamp {
        self.context.now
    }
    pub fn reader(&self) -> Reader<'a> {
        needs!(E, Read);
        Reader::of(self.context)
    }
    /// The changes. The pipeline commits them, in one transaction with the audit event.
    pub fn changes(&mut self) -> &mut Changes {
        needs!(E, Write);
        &mut self.effects.changes
    }
    /// Seals a record's PHI under a fresh record key, bound to `record`.
    ///
    /// # Errors
    /// 503 if the tenant's key is not in memory and KMS does not answer.
    pub async fn seal<T: SealedFields>(&self, record: &str, fields: &T) -> Result<Sealed<T>> {
        needs!(E, Seal);
        self.context.deps.keyring.of(self.context.tenant).seal(record, fields).await
    }
    /// Seals a record's PHI in place of the record `before`. Data in it that this version of the code does not know is
    /// kept.
    ///
    /// # Errors
    /// 503 as [`seal`](Self::seal); internal if the previous record does not open.
    pub async fn reseal<T: SealedFields>(&self, record: &str, fields: &T, before: &Sealed<T>) -> Result<Sealed<T>> {
        needs!(E, Seal);
        self.context.deps.keyring.of(self.context.tenant).reseal(record, fields, before).await
    }
    /// Opens a record's PHI, and adds its fields to the audit event as disclosed.
    ///
    /// # Errors
    /// 503 as [`seal`](Self::seal); internal if the record does not open.
    pub async fn open<T: SealedFields>(&self, record: &str, sealed: &Sealed<T>) -> Result<T> {
        needs!(E, Seal);
        let opened = self.context.deps.keyring.of(self.context.tenant).open(record, sealed).await?;
        self.context.trace.with(|t| {
            for field in T::FIELDS {
                if !t.disclosed.iter().any(|name| name == field.name) {
                    t.disclosed.push(field.name.into());
                }
            }
        });
        Ok(opened)
    }
    /// Whether the policy shows the caller a field of a kind of record, such as `shipments` and `contents`, for the
    /// stated purpose of use. If not, the field is added to the audit event as redacted, and must be omitted from the
    /// answer.
    ///
    /// # Errors
    /// Internal if the policy cannot be evaluated.
    pub fn shows(&self, records: &str, field: &'static str) -> Result<bool> {
        let (deps, principal, circumstances, tenant, trace) =
            (self.context.deps, &self.context.principal, &self.context.circumstances, self.context.tenant, self.context.trace);
        let asked = Field { tenant, name: format!("{records}.{field}") };
        let shown = deps.policies.decide(principal, Action("disclose"), &asked, circumstances)?.allowed;
        if !shown {
            trace.with(|t| {
                t.disclosed.retain(|name| name != field);
                if !t.redacted.iter().any(|name| name == field) {
                    t.redacted.push(field.into());
                }
            });
        }
        Ok(shown)
    }
    /// Verifies that the tenant's branch key is available: it is in memory, or KMS unwraps it now.
    ///
    /// # Errors
    /// 503 as [`seal`](Self::seal).
    pub async fn unlock(&self) -> Result<()> {
        needs!(E, Seal);
        self.context.deps.keyring.of(self.context.tenant).unlock().await
    }
    /// The search token of a normalised value of `field`.
    ///
    /// # Errors
    /// 503 as [`seal`](Self::seal).
    pub async fn search_token(&self, field: &'static str, normalised: &str) -> Result<SearchToken> {
        needs!(E, Search);
        let (deps, tenant) = (self.context.deps, self.context.tenant);
        deps.keyring.of(tenant).search_token(field, normalised).await
    }
    /// Adds an item to the audit event as read or changed.
    pub fn touched(&self, kind: &str, id: impl ToString) {
        self.context.trace.with(|t| t.touched.push((kind.to_owned(), id.to_string())));
    }
    /// A field of the log line.
    pub fn log(&self, name: &'static str, value: impl LogValue) {
        telemetry::record(name, value);
    }
    /// Checks `If-Match` against the version of the target.
    ///
    /// # Errors
    /// 412 for another version, 400 for a text that is not a version, 428 if it is missing and required.
    pub fn check_version(&self, current: Version) -> Result<()> {
        const { assert!(!matches!(E::IF_MATCH, IfMatch::Ignored), "looks at `If-Match`: say so in IF_MATCH") }
        match self.context.request.headers.value(Header::IfMatch) {
            None if E::IF_MATCH == IfMatch::Required => Err(Error::VersionRequired),
            None => Ok(()),
            Some(value) => ExpectedVersion::parse(value.to_str().unwrap_or_default())?.check(current),
        }
    }
    /// The version in the answer, as its ETag.
    pub fn etag(&mut self, version: Version) {
        self.effects.etag = Some(version);
    }
    /// The path of the created item.
    pub fn location(&mut self, path: String) {
        self.effects.location = Some(path);
    }
}

impl<E: PlatformEndpoint> Work<'_, E> {
    /// Changes in the platform's own partitions: its directories of tenants, names and users.
    pub fn directory(&mut self) -> &mut Changes {
        self.new_tenant(TenantId::PLATFORM)
    }

    /// Changes in a tenant that this request creates.
    pub fn new_tenant(&mut self, tenant: TenantId) -> &mut Changes {
        needs!(E, Tenants);
        self.effects.elsewhere(tenant)
    }

    /// The address of the request, according to API Gateway.
    pub fn source_ip(&self) -> &str {
        &self.context.request.source_ip
    }

    /// One page of tenants, newest first, each with its profile's current item.
    ///
    /// # Errors
    /// 422 `invalid_cursor`; 503 if DynamoDB or, for a first cursor, KMS does not answer.
    pub async fn tenants(&self, limit: u32, cursor: Option<&str>) -> Result<(Vec<(TenantId, Row)>, Option<String>)> {
        needs!(E, Tenants, Read, Search);
        let deps = self.context.deps;
        let directory = Reader { deps, tenant: TenantId::PLATFORM, context: None };
        let (entries, next) = directory.page(&Query::index(Index::All, tenant::LIST).limit(limit), cursor).await?;
        let profile = async |entry: Row| {
            let tenant = entry.parse("tenant_id")?;
            let row = deps.db.get(tenant, Table::Records, &tenant::profile_key()).await?;
            Ok::<_, Error>(row.map(|row| (tenant, row)))
        };
        let profiles: Vec<_> = stream::iter(entries).map(profile).buffered(PROFILES_AT_ONCE).try_collect().await?;
        Ok((profiles.into_iter().flatten().collect(), next))
    }
}

impl Effects {
    /// The changes in `tenant`, which may be any.
    pub(crate) fn elsewhere(&mut self, tenant: TenantId) -> &mut Changes {
        let at = match self.elsewhere.iter().position(|(t, _)| *t == tenant) {
            Some(at) => at,
            None => {
                self.elsewhere.push((tenant, Changes::default()));
                self.elsewhere.len() - 1
            }
        };
        &mut self.elsewhere[at].1
    }

    /// Whether there are no changes except bookkeeping.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.elsewhere.iter().all(|(_, changes)| changes.is_empty())
    }
}
