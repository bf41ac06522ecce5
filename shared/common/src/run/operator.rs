//! Operations with cloud credentials instead of a session: the first tenant, the first user, a developer's seed. Every operation
//! is audited in the log of the tenant that it concerns.

use crate::{
    audit::{
        activity::Activity,
        event::{Record, Who},
        session_end,
        trace::Trace,
    },
    aws::{
        cognito::{Cognito, IfThere},
        resilience,
    },
    base::{
        Error, EventId, Grant, Result, Role, TenantId, TenantKeyMode, Timestamp, UserId, Uuid, config::EMAIL_FIELD,
        telemetry::CorrelationId,
    },
    capabilities::members,
    identity::{
        EndReason, admin_count,
        membership::{self, MemberPii, Membership},
        open_sessions, second_factor, sign_in_epoch,
        tenant::{self, BaaTerm, Tenant, TenantStatus},
    },
    request::Deps,
    store::{
        changes::{Condition, Edit, Ending, Op},
        dynamodb::Query,
        item::{Index, Item, Key, Table},
        transaction::Unit,
    },
};
use ledger::ActorType;
use phi::{Email, Sealed, SealedFields, SearchToken};
use std::time::Duration;

/// The time limit of one operation.
const TIME: Duration = Duration::from_secs(20);
/// The term of the business associate agreement of a tenant that an operator creates.
const BAA_TERM: Duration = Duration::from_secs(3 * 365 * 24 * 60 * 60);

/// Operates on the whole deployment. Functions cannot create one.
#[derive(Debug)]
pub struct Operator<'a> {
    deps: &'a Deps,
    /// The name of the operator in the audit log.
    name: String,
}

/// A user to be added.
#[derive(Debug)]
pub struct NewUser<'a> {
    pub email: &'a Email,
    pub password: &'a str,
    /// Whether the password is permanent. Otherwise the first sign-in requires a new one.
    pub permanent: bool,
    pub roles: &'a [Role],
}

impl<'a> Operator<'a> {
    pub fn new(deps: &'a Deps, name: impl Into<String>) -> Self {
        Self { deps, name: name.into() }
    }

    pub(crate) const fn deps(&self) -> &Deps {
        self.deps
    }

    /// Audits an operation on one resource in a tenant's log, before it is done.
    pub(crate) async fn on_record(&self, tenant: TenantId, act: &'static str, kind: &str, id: &str) -> Result<()> {
        self.on_record_because(tenant, act, kind, id, None).await
    }

    /// Like `on_record`, with a reason, which is a code.
    pub(crate) async fn on_record_because(
        &self,
        tenant: TenantId,
        act: &'static str,
        kind: &str,
        id: &str,
        reason: Option<&str>,
    ) -> Result<()> {
        let mut unit = Unit::default();
        self.record_because(&mut unit, tenant, act, vec![(kind.to_owned(), id.to_owned())], reason)?;
        self.commit(&unit).await
    }

    /// Creates the platform's tenant and its first super_admin. An interrupted run is completed by the next run with the same
    /// e-mail. Of two concurrent runs, one continues: it holds a lease of the first user, for as long as it may set their
    /// password.
    ///
    /// # Errors
    /// 409 `bootstrapped` if it was done before, 409 `bootstrap_in_progress` while another run holds the lease, or held it when
    /// it was interrupted; 422 for a password that the pool refuses; 503.
    pub async fn bootstrap(&self, email: &Email, password: &str, permanent: bool) -> Result<UserId> {
        let cognito = self.deps.cognito.as_deref().ok_or(Error::internal("no cognito"))?;
        match self.create_platform().await {
            Ok(()) | Err(Error::Conflict { .. }) => {}
            Err(e) => return Err(e),
        }
        let (platform, lease) = (TenantId::PLATFORM, Lease::new(self.now()));
        let user = match self.lease_first_user(cognito, email, &lease).await {
            // Another run created a user first, which exists now.
            Err(Error::Conflict { .. }) => self.lease_first_user(cognito, email, &lease).await?,
            other => other?,
        };
        // No password is shown before the mark is removed, so any password in the pool may be replaced. No call of this run
        // starts at a time at which another run may hold the lease.
        let name = email.normalised();
        let set = cognito.create_user(user, &name, password, permanent, IfThere::SetPassword);
        if let Err(error) = resilience::within(lease.works_until, set).await {
            // A password that the pool refused is certainly not set; an interrupted call may still arrive.
            if error.status() < 500 {
                let free = Edit::of(first_key()).remove(LEASE).remove(LEASED_UNTIL).when(lease.is_held());
                let _ = self.deps.db.edit(platform, Table::Records, &free).await;
            }
            return Err(error);
        }
        let mut unit = Unit::default();
        let edit = Edit::of(first_key()).text(STATE, DONE).remove(LEASE).remove(LEASED_UNTIL).when(lease.is_held());
        unit.push(platform, Op::Edit { table: Table::Records, edit }, BOOTSTRAPPING);
        self.record(&mut unit, platform, "finish_bootstrap", vec![("User".to_owned(), user.to_string())])?;
        match self.commit(&unit).await {
            // The password is valid, and it is unknown whether the mark exists. If it does, no other run will show a password, so
            // this one must.
            Ok(()) | Err(Error::Unavailable { .. }) => Ok(user),
            Err(e) => Err(e),
        }
    }

    /// Leases the platform's first user to this run: creates them, or takes over from an earlier run that has not finished.
    async fn lease_first_user(&self, cognito: &Cognito, email: &Email, lease: &Lease) -> Result<UserId> {
        let platform = TenantId::PLATFORM;
        let first = self.deps.db.get(platform, Table::Records, &first_key()).await?;
        // Without a mark, the user was created in another way, or before marks existed. Then the pool shows whether the work is
        // complete.
        let marked = first.as_ref().and_then(|row| row.maybe_text(STATE).map(str::to_owned));
        let first = first.map(|row| row.parse::<UserId>("user_id")).transpose()?;
        let user = match (first, marked.as_deref(), self.claim(email).await?) {
            (Some(first), Some(PENDING), (_, Some((_, user)))) if user == first => user,
            (Some(first), None, (_, Some((_, user)))) if user == first && !cognito.has_signed_in(user).await? => user,
            (Some(_), Some(PENDING), _) => {
                let other = "a bootstrap of another e-mail was cut off: run it again with that e-mail";
                return Err(Error::conflict("bootstrap_pending", other));
            }
            (Some(_), ..) => return Err(BOOTSTRAPPED),
            (None, _, (_, Some((home, user)))) if home == platform => user,
            (None, _, (_, Some(_))) => return Err(email_taken()),
            (None, _, (token, None)) => {
                return self.add_member(platform, email, &[Role::SuperAdmin], &token, FirstUser::Leased(lease)).await;
            }
        };
        let mut unit = Unit::default();
        let as_read = match marked {
            Some(pending) => Condition::Is(STATE, pending),
            None => Condition::Missing(STATE),
        };
        let edit = Edit::of(first_key()).text("user_id", user).text(STATE, PENDING);
        let edit = edit.text(LEASE, &lease.id).number(LEASED_UNTIL, lease.until.as_millis());
        let edit = edit.when(Condition::All(vec![as_read, lease.is_free()]));
        unit.push(platform, Op::Edit { table: Table::Records, edit }, BOOTSTRAPPING);
        self.record(&mut unit, platform, "resume_bootstrap", vec![("User".to_owned(), user.to_string())])?;
        self.commit(&unit).await.map(|()| user)
    }

    /// Creates the platform's tenant.
    ///
    /// # Errors
    /// 409 `bootstrapped` if it exists.
    pub async fn create_platform(&self) -> Result<()> {
        match self.create(TenantId::PLATFORM, "platform", "bootstrap").await {
            Err(Error::Conflict { .. }) => Err(BOOTSTRAPPED),
            other => other,
        }
    }

    /// The tenant with a name, if there is one.
    ///
    /// # Errors
    /// 503.
    pub async fn tenant_named(&self, name: &str) -> Result<Option<TenantId>> {
        let row = self.deps.db.get(TenantId::PLATFORM, Table::Records, &tenant::name_key(name)).await?;
        row.map(|row| row.parse("tenant_id")).transpose()
    }

    /// Creates a tenant with its own keys.
    ///
    /// # Errors
    /// 409 `tenant_exists` if the name is taken; 503.
    pub async fn create_tenant(&self, name: &str) -> Result<TenantId> {
        let tenant = TenantId::new(self.now());
        self.create(tenant, name, "create_tenant").await?;
        Ok(tenant)
    }

    async fn create(&self, tenant: TenantId, name: &str, act: &'static str) -> Result<()> {
        let exists = || Error::conflict("tenant_exists", "there is a tenant of that name");
        // Checked before an unnecessary KMS key is created; the commit's condition decides.
        if self.tenant_named(name).await?.is_some() {
            return Err(exists());
        }
        let keyring = &self.deps.keyring;
        let kms_key = match self.deps.config.tenant_key_mode {
            TenantKeyMode::Own if tenant != TenantId::PLATFORM => keyring.kms_key(tenant, &self.deps.config.deployment).await?,
            _ => self.deps.config.pool_key_arn.clone(),
        };
        let mut unit = Unit::default();
        for (op, or) in keyring.first_keys(tenant, &kms_key).await? {
            unit.push(tenant, op, or);
        }
        let now = self.now();
        // An operator who creates a tenant with cloud credentials has signed an agreement with it.
        let baa = (tenant != TenantId::PLATFORM).then(|| BaaTerm { signed_at: now, expires_at: now.plus(BAA_TERM) });
        let profile = Tenant { baa, ..Tenant::new(name.to_owned(), TenantStatus::Active, now) };
        unit.push(tenant, absent(Table::Records, profile.into_item()?), exists());
        unit.push(TenantId::PLATFORM, absent(Table::Records, tenant::name_claim(name, tenant)), exists());
        self.record(&mut unit, tenant, act, vec![("Tenant".to_owned(), tenant.to_string())])?;
        self.commit(&unit).await
    }

    /// Switches automatic rotation on for every tenant's own KMS key, as for new keys. Returns the number of tenants with such a
    /// key. A key that rotates already is unchanged, so the next run completes an interrupted one.
    ///
    /// # Errors
    /// 503.
    pub async fn rotate_tenant_keys(&self) -> Result<usize> {
        let query = Query { newest_first: false, ..Query::index(Index::All, tenant::LIST).limit(1000) };
        let rows = self.deps.db.query_all(TenantId::PLATFORM, &query).await?;
        let mut rotating = 0;
        for row in &rows {
            let tenant: TenantId = row.parse("tenant_id")?;
            if self.deps.keyring.rotate_tenants_key(tenant, &self.deps.config.deployment).await? {
                self.on_record(tenant, "rotate_key", "Tenant", &tenant.to_string()).await?;
                rotating += 1;
            }
        }
        Ok(rotating)
    }

    /// Sets a tenant's status. Processes cache it for five seconds.
    ///
    /// # Errors
    /// 404 if there is no such tenant; 503.
    pub async fn set_status(&self, tenant: TenantId, status: TenantStatus) -> Result<()> {
        let mut unit = Unit::default();
        let edit = Edit::of(tenant::profile_key()).text("status", status.as_str());
        let op = Op::Edit { table: Table::Records, edit };
        unit.push(tenant, op, Error::NotFound);
        self.record(&mut unit, tenant, "set_tenant_status", vec![("Tenant".to_owned(), tenant.to_string())])?;
        self.commit(&unit).await
    }

    /// Adds a user: the membership first and then Cognito, so that the next run completes an interrupted one. A user who has
    /// signed in is not changed.
    ///
    /// # Errors
    /// 409 if the e-mail belongs to another tenant's user; 422 for a password that the pool refuses; 503.
    pub async fn create_user(&self, tenant: TenantId, new: &NewUser<'_>) -> Result<UserId> {
        let cognito = self.deps.cognito.as_deref().ok_or(Error::internal("no cognito"))?;
        let user = self.create_membership(tenant, new.email, new.roles).await?;
        let there = IfThere::SetPasswordUnlessSignedIn;
        cognito.create_user(user, &new.email.normalised(), new.password, new.permanent, there).await?;
        Ok(user)
    }

    /// Adds a member who cannot sign in yet, or finds an existing one.
    ///
    /// # Errors
    /// 409 if the e-mail belongs to another tenant's user; 503.
    pub async fn create_membership(&self, tenant: TenantId, email: &Email, roles: &[Role]) -> Result<UserId> {
        match self.claim(email).await? {
            (_, Some((home, user))) if home == tenant => Ok(user),
            (_, Some(_)) => Err(email_taken()),
            (token, None) => self.add_member(tenant, email, roles, &token, FirstUser::Made).await,
        }
    }

    /// Issues an authenticator, which the member needs for sign-in from now on. Their sessions and pending sign-ins end, because
    /// none of them has given it.
    ///
    /// # Errors
    /// 404 if there is no such member; 409 `changed` if they signed in meanwhile; 503.
    pub async fn hand_out_authenticator<T: SealedFields>(&self, tenant: TenantId, user: UserId, sealed: &T) -> Result<()> {
        let (sealed, now) = (self.seal_authenticator(tenant, user, sealed).await?, self.now());
        let opened = sign_in_epoch::opened(&self.deps.db, tenant, user).await?;
        let open = open_sessions::unended(&self.deps.db, tenant, user, now).await?;
        let mut unit = Unit::default();
        let item = second_factor::handed_out(user, sealed);
        unit.push(tenant, Op::Put { table: Table::Records, item, condition: None }, Error::internal("second factor"));
        let edit = Edit::of(membership::key(user)).number("mfa_enrolled", true).add("version", 1);
        unit.push(tenant, Op::Edit { table: Table::Records, edit }, Error::NotFound);
        unit.push(tenant, sign_in_epoch::invalidate(user, now, opened), members::CHANGED);
        let trace = Trace::default();
        let activity = self.activity(tenant, &trace);
        let resources = vec![("User".to_owned(), user.to_string())];
        let record = Record { resources, ..Record::of(&activity, "hand_out_authenticator", self.who()) };
        unit.push(tenant, record.op()?, Error::internal("audit event exists"));
        let endings = open.iter().map(|open| Ending::of(user, open.session, EndReason::SecondFactorActivated));
        session_end::end(&mut unit, tenant, endings.map(|ending| (ending, members::CHANGED)).collect(), &record)?;
        self.commit(&unit).await
    }

    /// An authenticator's secret, sealed for its place.
    ///
    /// # Errors
    /// 503 if the tenant's key is not in memory and KMS does not answer.
    pub async fn seal_authenticator<T: SealedFields>(&self, tenant: TenantId, user: UserId, sealed: &T) -> Result<Sealed<T>> {
        self.deps.keyring.of(tenant).seal(&second_factor::place(user), sealed).await
    }

    /// The token by which an e-mail is claimed, and its owner.
    async fn claim(&self, email: &Email) -> Result<(SearchToken, Option<(TenantId, UserId)>)> {
        let platform = TenantId::PLATFORM;
        let token = self.deps.keyring.of(platform).search_token(EMAIL_FIELD, &email.normalised()).await?;
        let row = self.deps.db.get(platform, Table::Records, &membership::email_key(token)).await?;
        let owner = row.map(|row| Ok::<_, Error>((row.parse("tenant_id")?, row.parse("user_id")?))).transpose()?;
        Ok((token, owner))
    }

    async fn add_member(
        &self,
        tenant: TenantId,
        email: &Email,
        roles: &[Role],
        token: &SearchToken,
        if_first: FirstUser<'_>,
    ) -> Result<UserId> {
        let now = self.now();
        let user = UserId::new(now);
        let pii = MemberPii { email: email.clone(), name: None };
        let membership = Membership {
            tenant,
            user,
            active: true,
            invited: false,
            grants: roles.iter().map(|r| Grant::always(*r)).collect::<Vec<_>>().into(),
            department: None,
            mfa_enrolled: false,
            created_at: now,
            version: 1,
            pii: self.deps.keyring.of(tenant).seal(&Membership::place(user), &pii).await?,
        };
        let administers = admin_count::counts(membership.has_arrived(), &membership.grants);
        let (member, (directory, claim)) = (membership.into_item()?, membership::in_directory(user, tenant, token));
        let mut unit = Unit::default();
        unit.push(tenant, absent(Table::Records, member), email_taken());
        unit.push(tenant, absent(Table::Records, Item::new(membership::entry_key(user))), email_taken());
        unit.push(TenantId::PLATFORM, absent(Table::Records, directory), email_taken());
        unit.push(TenantId::PLATFORM, absent(Table::Records, claim), email_taken());
        if let Some((edit, or)) = admin_count::change(false, administers) {
            unit.push(tenant, Op::Edit { table: Table::Records, edit }, or);
        }
        let first = Item::new(first_key()).text("user_id", user);
        let first = match if_first {
            FirstUser::Leased(Lease { id, until, .. }) => {
                Some(first.text(STATE, PENDING).text(LEASE, id).number(LEASED_UNTIL, until.as_millis()))
            }
            FirstUser::Made if tenant != TenantId::PLATFORM => None,
            FirstUser::Made => self.deps.db.get(tenant, Table::Records, &first_key()).await?.is_none().then_some(first),
        };
        if let Some(first) = first {
            unit.push(tenant, absent(Table::Records, first), BOOTSTRAPPED);
        }
        self.record(&mut unit, tenant, "create_user", vec![("User".to_owned(), user.to_string())])?;
        self.commit(&unit).await?;
        Ok(user)
    }

    fn record(&self, unit: &mut Unit, tenant: TenantId, act: &'static str, resources: Vec<(String, String)>) -> Result<()> {
        self.record_because(unit, tenant, act, resources, None)
    }

    fn record_because(
        &self,
        unit: &mut Unit,
        tenant: TenantId,
        act: &'static str,
        resources: Vec<(String, String)>,
        reason: Option<&str>,
    ) -> Result<()> {
        let trace = Trace::default();
        let activity = self.activity(tenant, &trace);
        let record = Record { resources, reason, ..Record::of(&activity, act, self.who()) };
        unit.push(tenant, record.op()?, Error::internal("audit event exists"));
        Ok(())
    }

    fn activity<'t>(&'t self, tenant: TenantId, trace: &'t Trace) -> Activity<'t> {
        let (now, policies) = (self.now(), &*self.deps.policies);
        let (correlation_id, audit_id) = (CorrelationId::new(now), EventId::new(now));
        Activity { tenant, now, deadline: now.plus(TIME), correlation_id, audit_id, policies, trace }
    }

    fn who(&self) -> Who {
        Who { kind: Some(ActorType::Operator), id: Some(self.name.clone()), ..Who::default() }
    }

    async fn commit(&self, unit: &Unit) -> Result<()> {
        Ok(unit.commit(&self.deps.db, self.now().plus(TIME)).await?)
    }

    fn now(&self) -> Timestamp {
        self.deps.clock.now()
    }
}

/// The key of the item for the platform's first user. Without the item, the platform is not bootstrapped.
fn first_key() -> Key {
    Key::new("BOOTSTRAP", "FIRST_USER")
}

/// The state of the bootstrap: pending until the pool has the password that is then shown.
const STATE: &str = "state";
const PENDING: &str = "pending";
const DONE: &str = "done";

/// The run that may set the first user's password, and until when.
const LEASE: &str = "lease";
const LEASED_UNTIL: &str = "leased_until";
/// The time for which a run may call the pool.
const WORKS: Duration = Duration::from_secs(40);
/// The time for which no other run may: its last call has arrived by then, and its end is recorded or not, with clocks up to half
/// a minute apart.
const LEASED: Duration = Duration::from_secs(90);

const BOOTSTRAPPED: Error = Error::conflict("bootstrapped", "the platform has been bootstrapped already");
const BOOTSTRAPPING: Error =
    Error::conflict("bootstrap_in_progress", "another bootstrap is under way, or was cut off: try again in two minutes");

/// A run's lease of the platform's first user.
#[derive(Debug)]
struct Lease {
    id: String,
    now: Timestamp,
    works_until: Timestamp,
    until: Timestamp,
}

impl Lease {
    fn new(now: Timestamp) -> Self {
        let id = Uuid::from_bytes(crate::base::random::bytes()).simple().to_string();
        Self { id, now, works_until: now.plus(WORKS), until: now.plus(LEASED) }
    }

    fn is_held(&self) -> Condition {
        Condition::Is(LEASE, self.id.clone())
    }

    fn is_free(&self) -> Condition {
        Condition::Any(vec![Condition::Missing(LEASED_UNTIL), Condition::AtMost(LEASED_UNTIL, self.now.as_millis())])
    }
}

/// The recorded state of the platform's first user.
#[derive(Clone, Copy, Debug)]
enum FirstUser<'a> {
    /// The run with the lease has not set their password yet.
    Leased(&'a Lease),
    /// They were created in another way.
    Made,
}

fn email_taken() -> Error {
    Error::conflict("email_taken", "this e-mail belongs to another user")
}

fn absent(table: Table, item: Item) -> Op {
    Op::Put { table, item, condition: Some(Condition::Absent) }
}
