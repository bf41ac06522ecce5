//! Permits: what a handler holds once the policy has said yes. It can read, seal, open and say what is to change; it
//! cannot commit.

use crate::{
    base::{Error, Need, Principal, Result, TenantId, Timestamp, error::AuthFailure, need::declares, telemetry::LogValue},
    identity::{Membership, Tenant, membership, session_end::EndReason, tenant},
    policy::{Action, Resource},
    request::{
        IfMatch, Operation,
        headers::Header,
        if_match::Wanted,
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
use std::marker::PhantomData;

/// How many profiles a list of tenants reads at once.
const PROFILES_AT_ONCE: usize = 8;

/// What a handler leaves behind besides its answer.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) changes: Changes,
    /// What changes outside the scope's tenant: the platform's directories, and a tenant in the making.
    pub(crate) elsewhere: Vec<(TenantId, Changes)>,
    pub(crate) etag: Option<Version>,
    pub(crate) location: Option<String>,
}

/// Proof that this request was authenticated, scoped and allowed to do `E` to its target.
///
/// Only the pipeline makes one; who is given one can use it:
/// ```
/// fn handle<'a, E: common::Endpoint>(permit: common::Permit<'a, E>) -> &'a E::Target {
///     permit.target()
/// }
/// ```
/// ```compile_fail,E0451
/// fn forge<'a, E: common::Endpoint>(target: &'a E::Target) -> common::Permit<'a, E> {
///     common::Permit { inner: unreachable!(), target }
/// }
/// ```
/// A text is not logged, and so no PHI is, though an id is:
/// ```
/// fn handle<E: common::Endpoint>(permit: common::Permit<'_, E>, caller: common::UserId) {
///     permit.log("user.id", caller);
/// }
/// ```
/// ```compile_fail,E0277
/// fn handle<E: common::Endpoint>(permit: common::Permit<'_, E>, name: phi::PersonName) {
///     permit.log("patient.name", name);
/// }
/// ```
/// ```compile_fail,E0277
/// fn handle<E: common::Endpoint>(permit: common::Permit<'_, E>, typed_by_the_caller: String) {
///     permit.log("note", typed_by_the_caller);
/// }
/// ```
#[derive(Debug)]
pub struct Permit<'a, E: crate::request::Endpoint> {
    pub(crate) inner: Work<'a>,
    pub(crate) target: &'a E::Target,
}

/// The same for one item of a batch.
#[derive(Debug)]
pub struct Batch<'a, E: crate::request::BatchEndpoint> {
    pub(crate) inner: Work<'a>,
    pub(crate) of: PhantomData<fn() -> E>,
}

/// The same for the platform's operators, in the tenant that the request is about.
#[derive(Debug)]
pub struct Platform<'a, E: crate::request::PlatformEndpoint> {
    pub(crate) inner: Work<'a>,
    pub(crate) of: PhantomData<fn() -> E>,
}

/// A caller's work in its tenant.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) effects: Effects,
}

impl<'a, E: crate::request::Endpoint> Permit<'a, E> {
    pub fn target(&self) -> &'a E::Target {
        self.target
    }

    /// Checks `If-Match` against the version that the target has.
    ///
    /// # Errors
    /// 412 where it names another version, 400 where it is not a version, 428 where there is none and one is required.
    pub fn check_version(&self, current: Version) -> Result<()> {
        self.inner.check_version::<E>(current)
    }

    /// The caller's own membership and tenant, as they stand now.
    ///
    /// # Errors
    /// 401 where the membership is gone or disabled; 503 where DynamoDB does not answer.
    pub async fn own_membership(&self) -> Result<(Membership, Tenant)> {
        const { assert!(declares(E::NEEDS, Need::Read), "reads items: add Need::Read to NEEDS") }
        let Context { deps, principal, .. } = self.inner.context;
        let home = principal.tenant();
        let member = membership::active(&deps.db, home, principal.user());
        let (member, tenant) = futures_util::future::try_join(member, tenant::profile(&deps.db, home)).await?;
        Ok((member, tenant.ok_or(Error::Unauthenticated(AuthFailure::NoMembership))?))
    }

    /// Cognito, for what is done with a password.
    ///
    /// # Errors
    /// Internal where the function was not given it.
    pub fn cognito(&self) -> Result<&'a crate::aws::cognito::Cognito> {
        const { assert!(declares(E::NEEDS, Need::SignIn), "asks Cognito: add Need::SignIn to NEEDS") }
        const { assert!(declares(E::NEEDS, Need::Passwords), "sets a password: add Need::Passwords to NEEDS") }
        self.inner.context.deps.cognito.as_deref().ok_or(Error::internal("no cognito"))
    }

    /// Ends the caller's own session.
    pub fn sign_out(&mut self) {
        const { assert!(declares(E::NEEDS, Need::Write), "changes items: add Need::Write to NEEDS") }
        const { assert!(declares(E::NEEDS, Need::Sessions), "ends a session: add Need::Sessions to NEEDS") }
        let who = &self.inner.context.principal;
        let ending = Ending::of(who.user(), who.session(), EndReason::SignedOut);
        self.inner.effects.changes.end_session(ending, Error::unauthenticated());
    }
    /// The version that the answer shows, as its ETag.
    pub fn etag(&mut self, version: Version) {
        self.inner.effects.etag = Some(version);
    }
    /// Where what was created can be read.
    pub fn location(&mut self, path: String) {
        self.inner.effects.location = Some(path);
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

/// What every kind of permit can do.
macro_rules! work {
    ($Permit:ident, $Bound:ident) => {
        impl<'a, E: crate::$Bound> $Permit<'a, E> {
            pub fn principal(&self) -> &'a Principal {
                &self.inner.context.principal
            }
            pub fn tenant(&self) -> TenantId {
                self.inner.context.tenant
            }
            pub fn now(&self) -> Timestamp {
                self.inner.context.now
            }
            pub fn reader(&self) -> Reader<'a> {
                const { assert!(declares(<E as Operation>::NEEDS, Need::Read), "reads items: add Need::Read to NEEDS") }
                Reader::of(self.inner.context)
            }
            /// What is to change. The pipeline commits it, in one transaction with the audit event.
            pub fn changes(&mut self) -> &mut Changes {
                const { assert!(declares(<E as Operation>::NEEDS, Need::Write), "changes items: add Need::Write to NEEDS") }
                &mut self.inner.effects.changes
            }
            /// Seals a record's PHI under a fresh record key, bound to `record`.
            ///
            /// # Errors
            /// 503 where the tenant's key is not in memory and KMS does not answer.
            pub async fn seal<T: SealedFields>(&self, record: &str, fields: &T) -> Result<Sealed<T>> {
                const { assert!(declares(<E as Operation>::NEEDS, Need::Seal), "seals PHI: add Need::Seal to NEEDS") }
                self.inner.seal(record, fields).await
            }
            /// Seals a record's PHI in place of what was sealed `before`. What another version of the code wrote there, and this
            /// one does not know, stays.
            ///
            /// # Errors
            /// 503 as [`seal`](Self::seal); internal where the record before does not open.
            pub async fn reseal<T: SealedFields>(&self, record: &str, fields: &T, before: &Sealed<T>) -> Result<Sealed<T>> {
                const { assert!(declares(<E as Operation>::NEEDS, Need::Seal), "seals PHI: add Need::Seal to NEEDS") }
                self.inner.context.deps.keyring.of(self.inner.context.tenant).reseal(record, fields, before).await
            }
            /// Opens a record's PHI, and puts its fields on the audit record as disclosed.
            ///
            /// # Errors
            /// 503 as [`seal`](Self::seal); internal where the record does not open.
            pub async fn open<T: SealedFields>(&self, record: &str, sealed: &Sealed<T>) -> Result<T> {
                const { assert!(declares(<E as Operation>::NEEDS, Need::Seal), "opens PHI: add Need::Seal to NEEDS") }
                self.inner.open(record, sealed).await
            }
            /// Whether the policy shows the caller a field of a kind of record, as `shipments` and `contents`, for the purpose
            /// that they state. What it does not show goes on the audit record as redacted, and is to be left out of the answer.
            ///
            /// # Errors
            /// Internal, where the question cannot be put.
            pub fn shows(&self, records: &str, field: &'static str) -> Result<bool> {
                self.inner.shows(records, field)
            }
            /// Sees that the tenant's branch key can be had: it is in memory, or KMS unwraps it now.
            ///
            /// # Errors
            /// 503 as [`seal`](Self::seal).
            pub async fn unlock(&self) -> Result<()> {
                const { assert!(declares(<E as Operation>::NEEDS, Need::Seal), "unwraps the branch key: add Need::Seal to NEEDS") }
                self.inner.context.deps.keyring.of(self.inner.context.tenant).unlock().await
            }
            /// The search token of a normalised value of `field`.
            ///
            /// # Errors
            /// 503 as [`seal`](Self::seal).
            pub async fn search_token(&self, field: &'static str, normalised: &str) -> Result<SearchToken> {
                const { assert!(declares(<E as Operation>::NEEDS, Need::Search), "makes search tokens: add Need::Search to NEEDS") }
                self.inner.search_token(field, normalised).await
            }
            /// Puts an item on the audit record as read or changed.
            pub fn touched(&self, kind: &str, id: impl ToString) {
                self.inner.context.trace.with(|t| t.touched.push((kind.to_owned(), id.to_string())));
            }
            /// A field of the log line.
            pub fn log(&self, name: &'static str, value: impl LogValue) {
                self.inner.context.trace.with(|t| t.line.set(name, value));
            }
        }
    };
}
work!(Permit, Endpoint);
work!(Batch, BatchEndpoint);
work!(Platform, PlatformEndpoint);

impl<E: crate::request::PlatformEndpoint> Platform<'_, E> {
    /// What is to change in the platform's own partitions: its directories of tenants, names and users.
    pub fn directory(&mut self) -> &mut Changes {
        self.founding(TenantId::PLATFORM)
    }

    /// What is to be in a tenant that this request makes.
    pub fn founding(&mut self, tenant: TenantId) -> &mut Changes {
        const { assert!(declares(E::NEEDS, Need::Tenants), "changes what the platform knows of tenants: add Need::Tenants to NEEDS") }
        self.inner.effects.elsewhere(tenant)
    }

    /// Checks `If-Match` against the version that the tenant's profile has.
    ///
    /// # Errors
    /// 412 where it names another version, 400 where it is not a version, 428 where there is none and one is required.
    pub fn check_version(&self, current: Version) -> Result<()> {
        self.inner.check_version::<E>(current)
    }

    /// The version that the answer shows, as its ETag.
    pub fn etag(&mut self, version: Version) {
        self.inner.effects.etag = Some(version);
    }

    /// Where what was created can be read.
    pub fn location(&mut self, path: String) {
        self.inner.effects.location = Some(path);
    }

    /// The address that the request came from, as API Gateway saw it.
    pub fn source_ip(&self) -> &str {
        &self.inner.context.request.source_ip
    }

    /// One page of tenants, newest first, each with its profile's item as it is now.
    ///
    /// # Errors
    /// 422 `invalid_cursor`; 503 where DynamoDB or, for a first cursor, KMS does not answer.
    pub async fn tenants(&self, limit: u32, cursor: Option<&str>) -> Result<(Vec<(TenantId, Row)>, Option<String>)> {
        const { assert!(declares(E::NEEDS, Need::Tenants), "looks over all tenants: add Need::Tenants to NEEDS") }
        const { assert!(declares(E::NEEDS, Need::Read), "reads profiles: add Need::Read to NEEDS") }
        const { assert!(declares(E::NEEDS, Need::Search), "seals cursors: add Need::Search to NEEDS") }
        let deps = self.inner.context.deps;
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
    /// The changes in `tenant`, whichever they are.
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

    /// Whether nothing changes that anybody would ask about.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.elsewhere.iter().all(|(_, changes)| changes.is_empty())
    }
}

impl Work<'_> {
    async fn seal<T: SealedFields>(&self, record: &str, fields: &T) -> Result<Sealed<T>> {
        self.context.deps.keyring.of(self.context.tenant).seal(record, fields).await
    }

    async fn open<T: SealedFields>(&self, record: &str, sealed: &Sealed<T>) -> Result<T> {
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

    fn shows(&self, records: &str, field: &'static str) -> Result<bool> {
        let Context { deps, principal, circumstances, tenant, trace, .. } = self.context;
        let asked = Field { tenant: *tenant, name: format!("{records}.{field}") };
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

    async fn search_token(&self, field: &'static str, normalised: &str) -> Result<SearchToken> {
        let Context { deps, tenant, .. } = self.context;
        deps.keyring.of(*tenant).search_token(field, normalised).await
    }

    fn check_version<E: Operation>(&self, current: Version) -> Result<()> {
        const { assert!(!matches!(E::IF_MATCH, IfMatch::Ignored), "looks at `If-Match`: say so in IF_MATCH") }
        match self.context.request.headers.value(Header::IfMatch) {
            None if E::IF_MATCH == IfMatch::Required => Err(Error::VersionRequired),
            None => Ok(()),
            Some(value) => Wanted::parse(value.to_str().unwrap_or_default())?.check(current),
        }
    }
}
