//! The context of public endpoints. It has no scope, because the caller has not signed in. Its operations are those that signing
//! in needs.

use crate::{
    audit::{activity::Activity, event::Who},
    aws::cognito::Cognito,
    base::{
        Error, Grant, Identity, Listed, Principal, Result, SessionId, SessionKind, TenantId, Timestamp, UserId,
        config::EMAIL_FIELD,
        digest::hash,
        error::{AuthFailure, Refusal},
        need::needs,
        telemetry::{self, LogValue},
    },
    identity::{
        EndReason, invitation,
        membership::{self, Membership},
        open_sessions,
        pending_sign_in::{PendingSignIn, PoolSecret, PoolToken},
        refresh_token::RefreshToken,
        session::{self, Refresh, Session},
        session_end, sign_in_epoch,
    },
    policy::{Action, Circumstances, Resource},
    request::{Deps, PublicEndpoint, http::Request, network_limit},
    store::{
        RateLimit,
        changes::{Condition, Ending, Op},
        dynamodb::{Db, Update},
        item::{Item, Key, Table},
        outbox::DomainEvent,
        rate_limit,
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use ledger::ActorType;
use phi::Sealed;
use std::{marker::PhantomData, time::Duration};

/// The policy's action for signing in.
pub(crate) const OPEN_SESSION: Action = Action("openSession");

/// The context of a public endpoint's handler.
#[derive(Debug)]
pub struct Public<'a, E> {
    pub(crate) deps: &'a Deps,
    pub(crate) request: &'a Request,
    pub(crate) activity: Activity<'a>,
    /// The beginning of the sign-in that this request continues.
    pub(crate) began: Timestamp,
    /// The error for its network, if the network's budget of failures is spent.
    pub(crate) spent: Option<rate_limit::Spent>,
    /// Whether it has presented a secret that cannot be guessed. Then other errors do not count against its network.
    pub(crate) vouched: bool,
    /// The member who was recognised.
    pub(crate) member: Option<KnownMember>,
    pub(crate) writes: Writes,
    pub(crate) of: PhantomData<fn() -> E>,
}

/// The writes of a public endpoint's transaction.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    /// Operations, each with its tenant and the error for its failed condition.
    pub(crate) ops: Vec<(TenantId, Op, Error)>,
    pub(crate) events: Vec<(TenantId, DomainEvent)>,
    /// Sessions of the recognised member that end.
    pub(crate) endings: Vec<(Ending, Error)>,
}

impl Writes {
    pub(crate) fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.events.is_empty() && self.endings.is_empty()
    }
}

/// The condition for opening a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInStep {
    Open,
    /// After a second factor is given.
    AfterSecondFactor,
    /// After a second factor is enrolled.
    AfterEnrolment,
}

/// A user's account, as the policy sees it.
struct Account {
    user: UserId,
    tenant: TenantId,
}

impl Resource for Account {
    const TYPE: &'static str = "User";
    fn id(&self) -> String {
        self.user.to_string()
    }
    fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant)
    }
}

/// A member whom a public endpoint has recognised. Its audit event goes to that tenant's log.
#[derive(Clone, Debug)]
pub(crate) struct KnownMember {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) session: Option<SessionId>,
    pub(crate) grants: Listed<Grant>,
}

impl KnownMember {
    /// The actor of an audit event.
    pub(crate) fn who(&self, request: &Request, now: Timestamp) -> Who {
        Who {
            id: Some(self.user.to_string()),
            kind: Some(ActorType::User),
            role: self.grants.iter().find(|grant| grant.holds_at(now)).map(|grant| grant.role),
            session: self.session,
            ..Who::anonymous(request)
        }
    }
}

impl<'a, E: PublicEndpoint> Public<'a, E> {
    /// The recognised member, for a separate audit event.
    pub(crate) fn known_user(&self) -> Who {
        self.member.as_ref().map_or_else(|| Who::anonymous(self.request), |known| known.who(self.request, self.now()))
    }

    pub fn now(&self) -> Timestamp {
        self.activity.now
    }
    pub fn source_ip(&self) -> &str {
        &self.request.source_ip
    }
    pub fn log(&self, name: &'static str, value: impl LogValue) {
        telemetry::record(name, value);
    }
    /// The deployment's name.
    pub fn deployment(&self) -> &'a str {
        &self.deps.config.deployment
    }

    /// Takes one call from the budget of an e-mail, which is named by its token.
    ///
    /// # Errors
    /// 429 if it is spent.
    pub async fn limit_email(&self, limit: RateLimit, email_token: &str) -> Result<()> {
        self.limit(limit, &network_limit::of_email(email_token)).await
    }

    /// Takes one call from the budget of `subject`, in addition to the network's.
    pub(crate) async fn limit(&self, limit: RateLimit, subject: &str) -> Result<()> {
        rate_limit::before_sign_in(&self.deps.db, limit, subject, self.now()).await.map(drop)
    }

    /// # Errors
    /// 401 if the account of this e-mail is locked. Unknown e-mails get the same error as locked accounts.
    pub async fn unless_locked(&self, email_token: &str) -> Result<()> {
        if rate_limit::is_locked(&self.deps.db, email_token, self.now()).await? {
            return Err(Error::Unauthenticated(AuthFailure::AccountLocked));
        }
        Ok(())
    }

    /// Counts a wrong password for this e-mail.
    ///
    /// # Errors
    /// 503.
    pub async fn wrong_password(&self, email_token: &str) -> Result<()> {
        rate_limit::wrong_password(&self.deps.db, email_token, self.now()).await
    }

    /// A search token under the platform's own key, so that a limit can refer to an e-mail without storing it.
    ///
    /// # Errors
    /// 503 if the key is not in memory and KMS does not answer.
    pub async fn platform_token(&self, field: &'static str, normalised: &str) -> Result<String> {
        needs!(E, Search);
        Ok(self.deps.keyring.of(TenantId::PLATFORM).search_token(field, normalised).await?.to_string())
    }

    /// # Errors
    /// Internal if the function was not given Cognito.
    pub fn cognito(&self) -> Result<&'a Cognito> {
        needs!(E, SignIn);
        self.deps.cognito.as_deref().ok_or(Error::internal("no cognito"))
    }

    /// The active membership of a user whom Cognito has authenticated. From here on the request belongs to that member.
    ///
    /// # Errors
    /// 401 if there is none, 403 if the tenant is not active.
    pub async fn member(&mut self, user: UserId) -> Result<Membership> {
        needs!(E, Read);
        let tenant = membership::tenant_of(&self.deps.db, user).await?;
        let member = membership::active(&self.deps.db, tenant, user).await?;
        self.member = Some(KnownMember { tenant, user, session: None, grants: member.grants.clone() });
        self.deps.gates.enter(tenant).await?;
        Ok(member)
    }

    /// Like [`member`](Self::member), for the user of this sign-in e-mail: Cognito has verified the password but issued no token
    /// that identifies the user.
    ///
    /// # Errors
    /// Like [`member`](Self::member).
    pub async fn member_of_email(&mut self, email: &phi::Email) -> Result<Membership> {
        let token = self.platform_token(EMAIL_FIELD, &email.normalised()).await?;
        let claim = self.deps.db.get(TenantId::PLATFORM, Table::Records, &membership::email_key(token)).await?;
        let user = claim.ok_or(Error::Unauthenticated(AuthFailure::NoMembership))?.parse("user_id")?;
        self.member(user).await
    }

    /// The policy's decision for a user who has given the right password, and perhaps a second factor at `mfa_at`.
    ///
    /// # Errors
    /// 403 if they may not sign in from this network, or now.
    pub async fn may_open_session(&self, member: &Membership, mfa_at: Option<Timestamp>) -> Result<SignInStep> {
        let (deps, now) = (self.deps, self.now());
        let gate = deps.gates.enter(member.tenant).await?;
        let who = Principal::of_member(member, mfa_at, now);
        let ip = &self.request.source_ip;
        let circumstances = Circumstances::of(&who, &gate, &deps.config.operator_networks, ip, None, now);
        let target = Account { user: member.user, tenant: member.tenant };
        let decided = deps.policies.decide(&who, OPEN_SESSION, &target, &circumstances)?;
        match decided.refusal {
            _ if decided.allowed => Ok(SignInStep::Open),
            Some(refusal) if refusal != Refusal::MfaRequired => Err(Error::Forbidden(refusal)),
            _ if member.mfa_enrolled => Ok(SignInStep::AfterSecondFactor),
            Some(_) => Ok(SignInStep::AfterEnrolment),
            None => Err(Error::Forbidden(Refusal::SignIn)),
        }
    }

    /// Opens a session: its items are written with this request's audit event.
    ///
    /// `mfa_at` is the time at which its user gave a second factor, if they did.
    pub async fn open_session(
        &mut self,
        member: &Membership,
        id: SessionId,
        pool_refresh: &str,
        mfa_at: Option<Timestamp>,
    ) -> Result<RefreshToken> {
        needs!(E, Sessions, Seal);
        let gate = self.deps.gates.of(member.tenant).await?;
        let lifetime = gate.settings.lifetime();
        let token = RefreshToken::new(member.tenant, member.user, id);
        let secret = PoolToken { token: PoolSecret(pool_refresh.to_owned()) };
        let sealed = self.deps.keyring.of(member.tenant).seal(session::refresh_key(id).place(), &secret).await?;
        let idle = gate.settings.idle(self.deps.config.session_idle);
        let session = self.session(member, id, mfa_at, (lifetime, idle));
        let refresh = Refresh {
            session: id,
            ends_at: session.expires_at,
            refresh_hash: token.hash(),
            device_hash: self.device(),
            pool_token: sealed.into_bytes(),
        };
        let again = Error::Unauthenticated(AuthFailure::InvalidCredentials);
        for item in [session.into_item(), refresh.into_item()] {
            let op = Op::Put { table: Table::Ephemera, item, condition: Some(Condition::Absent) };
            self.writes.ops.push((member.tenant, op, again.clone()));
        }
        self.writes.ops.push((member.tenant, sign_in_epoch::open(member.user, self.began, self.now()), again.clone()));
        self.check_unchanged(member, again);
        // Makes room for it among the user's sessions.
        let others = open_sessions::unended(&self.deps.db, member.tenant, member.user, self.now()).await?;
        let ends_already =
            |other: &&open_sessions::OpenSession| self.writes.endings.iter().any(|(ending, _)| ending.session == other.session);
        let too_many: Vec<_> =
            others.iter().filter(|other| !ends_already(other)).skip(open_sessions::MOST_SESSIONS - 1).collect();
        for oldest in too_many {
            let ending = Ending::of(member.user, oldest.session, EndReason::TooManySessions);
            self.writes.endings.push((ending, Error::internal("session")));
        }
        if let Some(known) = &mut self.member {
            known.session = Some(id);
        }
        Ok(token)
    }

    /// Stores `secret` for five minutes and five tries, under a handle that only its holder has: a pending sign-in.
    pub async fn suspend(&mut self, secret: &PendingSignIn) -> Result<String> {
        self.keep(secret, random_text(), PENDING_FOR, |item| item).await
    }

    /// Like `suspend`, for ten minutes. The handle is a bearer token of a session that may only enrol a second factor.
    pub async fn suspend_to_enrol(&mut self, member: &Membership, mut secret: PendingSignIn) -> Result<String> {
        let id = SessionId::from_uuid(crate::base::Uuid::from_bytes(crate::base::random::bytes()));
        secret.enrolment = Some(PoolSecret(id.to_string()));
        let until = self.now().plus(ENROLMENT_FOR);
        let session = Session {
            kind: SessionKind::Enrolment,
            expires_at: until,
            ..self.session(member, id, None, (ENROLMENT_FOR, ENROLMENT_FOR))
        };
        let op = Op::Put { table: Table::Ephemera, item: session.into_item(), condition: Some(Condition::Absent) };
        self.writes.ops.push((member.tenant, op, Error::internal("session")));
        self.check_unchanged(member, Error::Unauthenticated(AuthFailure::InvalidCredentials));
        let (tenant, user) = (member.tenant, member.user);
        let handle = format!("{ENROLMENT_PREFIX}{}", random_text());
        self.keep(&secret, handle, ENROLMENT_FOR, |item| {
            item.text("tenant_id", tenant).text("user_id", user).text("session_id", id)
        })
        .await
    }

    async fn keep(
        &mut self,
        secret: &PendingSignIn,
        handle: String,
        lasts: Duration,
        with: impl FnOnce(Item) -> Item,
    ) -> Result<String> {
        needs!(E, Sessions, Seal);
        let key = pending_key(&handle);
        let sealed = self.deps.keyring.of(TenantId::PLATFORM).seal(key.place(), secret).await?;
        let item = Item::new(key)
            .bytes("sealed", sealed.into_bytes())
            .number("tries", 0)
            .number("began", self.began.as_millis())
            .number("expires_at", self.now().plus(lasts).as_secs());
        let op = Op::Put { table: Table::Ephemera, item: with(item), condition: Some(Condition::Absent) };
        self.writes.ops.push((TenantId::PLATFORM, op, Error::internal("pending sign-in")));
        Ok(handle)
    }

    /// A concurrent change of the membership does not see the session that is being opened, which has copied the old membership.
    /// So the membership must be unchanged. The first sign-in changes it itself.
    fn check_unchanged(&mut self, member: &Membership, or: Error) {
        if member.invited {
            let edits = invitation::accepted(member).into_iter();
            self.writes.ops.extend(edits.map(|edit| (member.tenant, Op::Edit { table: Table::Records, edit }, or.clone())));
        } else {
            let condition = membership::unchanged(member.version);
            let check = Op::Check { table: Table::Records, key: membership::key(member.user), condition };
            self.writes.ops.push((member.tenant, check, or));
        }
    }

    /// The initial state of a member's session.
    fn session(
        &self,
        member: &Membership,
        id: SessionId,
        mfa_at: Option<Timestamp>,
        (lifetime, idle): (Duration, Duration),
    ) -> Session {
        Session {
            user: member.user,
            session: id,
            kind: SessionKind::Full,
            grants: member.grants.clone(),
            // The first sign-in accepts the invitation, which changes the membership.
            membership_version: member.version + i64::from(member.invited),
            department: member.department.clone(),
            mfa_enrolled: member.mfa_enrolled,
            mfa_at,
            bounds: None,
            ip: self.request.source_ip.clone(),
            user_agent: self.request.user_agent().chars().take(session::USER_AGENT).collect(),
            created_at: self.now(),
            expires_at: self.now().plus(lifetime),
            look_at: session_end::first_look(idle, self.now()),
        }
    }

    /// Takes one try at a pending sign-in.
    ///
    /// # Errors
    /// 401 if there is none with that handle, or its time or tries are spent.
    pub async fn resume(&mut self, handle: &str) -> Result<PendingSignIn> {
        needs!(E, Sessions, Seal);
        let key = pending_key(handle);
        let update = Update {
            expression: "SET tries = tries + :one",
            condition: Some("expires_at > :now AND tries < :most"),
            names: &[],
            values: vec![
                (":one", AttributeValue::N("1".to_owned())),
                (":most", AttributeValue::N(PENDING_TRIES.to_string())),
                (":now", AttributeValue::N(self.now().as_secs().to_string())),
            ],
        };
        let refused = Error::Unauthenticated(AuthFailure::InvalidCredentials);
        let row = self.deps.db.update(TenantId::PLATFORM, Table::Ephemera, &key, update).await?.done_or(refused)?;
        self.vouched = true;
        self.began = Timestamp::from_millis(row.number("began")?);
        let sealed = Sealed::from_bytes(row.bytes("sealed")?.to_vec()).map_err(|_| Error::internal("pending sign-in"))?;
        self.deps.keyring.of(TenantId::PLATFORM).open(key.place(), &sealed).await
    }

    /// Ends a pending sign-in that was answered. Of two answers, only one is accepted.
    pub fn resumed(&mut self, handle: &str) {
        let twice = Error::Unauthenticated(AuthFailure::InvalidCredentials);
        let condition = Some(Condition::Present);
        self.writes.ops.push((
            TenantId::PLATFORM,
            Op::Delete { table: Table::Ephemera, key: pending_key(handle), condition },
            twice,
        ));
    }

    pub(crate) fn device(&self) -> [u8; 32] {
        hash(&[self.request.user_agent().as_bytes()])
    }
}

const PENDING_FOR: Duration = Duration::from_secs(300);
const ENROLMENT_FOR: Duration = Duration::from_secs(600);
/// The prefix of a handle that is also a bearer token.
const ENROLMENT_PREFIX: &str = "clo_setup_";
const PENDING_TRIES: u32 = 5;

fn pending_key(handle: &str) -> Key {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    Key::new(format!("PENDING#{}", URL_SAFE_NO_PAD.encode(hash(&[handle.as_bytes()]))), "SIGN_IN")
}

/// The identity for enrolling a second factor by a handle; `None` if it is not such a handle.
///
/// # Errors
/// 401 if it is such a handle and is not valid, or not any more.
pub(crate) async fn enrolling(db: &Db, handle: &str, now: Timestamp) -> Result<Option<Identity>> {
    if !handle.starts_with(ENROLMENT_PREFIX) {
        return Ok(None);
    }
    let refused = || Error::Unauthenticated(AuthFailure::NoSession);
    let row = db.get(TenantId::PLATFORM, Table::Ephemera, &pending_key(handle)).await?.ok_or_else(refused)?;
    let expires_at = Timestamp::from_millis(row.number("expires_at")? * 1000);
    if expires_at <= now || row.maybe_text("session_id").is_none() {
        return Err(refused());
    }
    let (tenant, user, session) = (row.parse("tenant_id")?, row.parse("user_id")?, row.parse("session_id")?);
    Ok(Some(Identity { tenant, user, session, expires_at }))
}

fn random_text() -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(crate::base::random::bytes::<32>())
}
