//! Public endpoints' context: no scope, because nobody has signed in. What it can do is what signing in needs.

use crate::{
    Action, Deps, Error, EventId, Grant, Identity, Need, Operation, Principal, PublicEndpoint, RateLimit, Resource, Result,
    SessionId, SessionKind, TenantId, Timestamp, UserId,
    cognito::Cognito,
    db::{Db, Update},
    endpoint::declares,
    error::{AuthFailure, Refusal},
    idempotency::hash,
    invitations, limit, members,
    membership::{self, Membership},
    outbox::{DomainEvent, Envelope},
    pending::{PendingSignIn, PoolSecret, PoolToken},
    permit,
    policy::Circumstances,
    request::Request,
    scope::Trace,
    session::{self, Refresh, Session},
    table::{Item, Key, Row, Table},
    telemetry::{CorrelationId, LogValue},
    under_way,
    unit::{Condition, Op},
};
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use phi::Sealed;
use std::{marker::PhantomData, time::Duration};

/// What signing in asks the policy.
pub(crate) const OPEN_SESSION: Action = Action("openSession");

/// What a public endpoint's handler is given.
#[derive(Debug)]
pub struct Public<'a, E> {
    pub(crate) deps: &'a Deps,
    pub(crate) request: &'a Request,
    pub(crate) now: Timestamp,
    /// When the sign-in began that this request goes on with.
    pub(crate) began: Timestamp,
    pub(crate) trace: &'a Trace,
    /// The id of the audit event that this request will leave.
    pub(crate) audit_id: EventId,
    pub(crate) correlation_id: CorrelationId,
    /// Whose request it turned out to be.
    pub(crate) member: Option<Known>,
    pub(crate) ops: Vec<(TenantId, Op, Error)>,
    pub(crate) of: PhantomData<fn() -> E>,
}

/// When a session may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    Open,
    /// Once the second factor is given.
    AfterSecondFactor,
    /// Once there is a second factor.
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

/// A member whom a public endpoint has recognised: its audit event goes to that tenant's log.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) session: Option<SessionId>,
    pub(crate) grants: Vec<Grant>,
}

impl<'a, E: PublicEndpoint> Public<'a, E> {
    pub fn now(&self) -> Timestamp {
        self.now
    }
    pub fn source_ip(&self) -> &str {
        &self.request.source_ip
    }
    pub fn log(&self, name: &'static str, value: impl LogValue) {
        self.trace.with(|t| t.line.set(name, value));
    }
    /// The deployment's own answer to who may speak to it: for health and description.
    pub fn deployment(&self) -> &'a str {
        &self.deps.config.deployment
    }

    /// Takes one call from the budget of `subject` (an e-mail's token) besides the address's.
    ///
    /// # Errors
    /// 429 where it is spent.
    pub async fn limit(&self, limit: RateLimit, subject: &str) -> Result<()> {
        limit::before_sign_in(&self.deps.db, limit, subject, self.now).await.map(drop)
    }

    /// # Errors
    /// 401 where the account of this e-mail is locked: there is none either of whom that is not told.
    pub async fn unless_locked(&self, email_token: &str) -> Result<()> {
        if limit::is_locked(&self.deps.db, email_token, self.now).await? {
            return Err(Error::Unauthenticated(AuthFailure::AccountLocked));
        }
        Ok(())
    }

    /// Counts a wrong password for this e-mail.
    ///
    /// # Errors
    /// 503.
    pub async fn wrong_password(&self, email_token: &str) -> Result<()> {
        limit::wrong_password(&self.deps.db, email_token, self.now).await
    }

    /// A search token under the platform's own key: how a limit names an e-mail without holding it.
    ///
    /// # Errors
    /// 503 where the key is not in memory and KMS does not answer.
    pub async fn platform_token(&self, field: &'static str, normalised: &str) -> Result<String> {
        const { assert!(declares(<E as Operation>::NEEDS, Need::Search), "makes search tokens: add Need::Search to NEEDS") }
        let key = self.deps.keyring.search(TenantId::PLATFORM).await?;
        Ok(key.field(&TenantId::PLATFORM.to_string(), field).token(normalised).to_string())
    }

    /// # Errors
    /// Internal where the function was not given Cognito.
    pub fn cognito(&self) -> Result<&'a Cognito> {
        const { assert!(declares(<E as Operation>::NEEDS, Need::SignIn), "asks Cognito: add Need::SignIn to NEEDS") }
        self.deps.cognito.as_deref().ok_or(Error::internal("no cognito"))
    }

    /// The active membership of a user whom Cognito has vouched for. From here on the request is that member's.
    ///
    /// # Errors
    /// 401 where there is none, 403 where the tenant is not active.
    pub async fn member(&mut self, user: UserId) -> Result<Membership> {
        const { assert!(declares(<E as Operation>::NEEDS, Need::Read), "reads memberships: add Need::Read to NEEDS") }
        let tenant = membership::tenant_of(&self.deps.db, user).await?;
        let member = membership::active(&self.deps.db, tenant, user).await?;
        self.member = Some(Known { tenant, user, session: None, grants: member.grants.clone() });
        self.deps.gates.enter(tenant).await?;
        Ok(member)
    }

    /// As [`member`](Self::member), of the user whose sign-in e-mail this is, for where Cognito has vouched for the password
    /// and has not handed out a token that says whose.
    ///
    /// # Errors
    /// As [`member`](Self::member).
    pub async fn member_of_email(&mut self, email: &phi::Email) -> Result<Membership> {
        let token = self.platform_token(membership::EMAIL_FIELD, &email.normalised()).await?;
        let claim = self.deps.db.get(TenantId::PLATFORM, Table::Records, &membership::email_key(token)).await?;
        let user = claim.ok_or(Error::Unauthenticated(AuthFailure::NoMembership))?.parse("user_id")?;
        self.member(user).await
    }

    /// What the policy says to somebody who has said the right password, and given a second factor at `mfa_at` if at all.
    ///
    /// # Errors
    /// 403 where they may not sign in from here, or now.
    pub async fn may_open_session(&self, member: &Membership, mfa_at: Option<Timestamp>) -> Result<Leave> {
        let (deps, now) = (self.deps, self.now);
        let gate = deps.gates.enter(member.tenant).await?;
        let who = Principal::of_member(member, mfa_at, now);
        let ip = &self.request.source_ip;
        let circumstances = Circumstances::of(&who, &gate, &deps.config.operator_networks, ip, None, now);
        let target = Account { user: member.user, tenant: member.tenant };
        let decided = deps.policies.decide(&who, OPEN_SESSION, &target, &circumstances)?;
        match decided.refusal {
            _ if decided.allowed => Ok(Leave::Open),
            Some(refusal) if refusal != Refusal::MfaRequired => Err(Error::Forbidden(refusal)),
            _ if member.mfa_enrolled => Ok(Leave::AfterSecondFactor),
            Some(_) => Ok(Leave::AfterEnrolment),
            None => Err(Error::Forbidden(Refusal::SignIn)),
        }
    }

    /// Opens a session: its items are written with this request's audit event.
    ///
    /// `mfa_at` is when its user gave a second factor, if they did.
    pub async fn open_session(
        &mut self,
        member: &Membership,
        id: SessionId,
        pool_refresh: &str,
        mfa_at: Option<Timestamp>,
    ) -> Result<RefreshToken> {
        const { assert!(declares(<E as Operation>::NEEDS, Need::Sessions), "opens a session: add Need::Sessions to NEEDS") }
        const { assert!(declares(<E as Operation>::NEEDS, Need::Seal), "seals the pool's token: add Need::Seal to NEEDS") }
        let gate = self.deps.gates.of(member.tenant).await?;
        let lifetime = gate.settings.lifetime();
        let token = RefreshToken::new(member.tenant, member.user, id);
        let secret = PoolToken { token: PoolSecret(pool_refresh.to_owned()) };
        let sealed = permit::seal(self.deps, member.tenant, session::refresh_key(id).place(), &secret).await?;
        let session = self.session(member, id, mfa_at, lifetime);
        let refresh = Refresh {
            session: id,
            ends_at: session.expires_at,
            refresh_hash: token.hash(),
            device_hash: self.device(),
            pool_token: sealed.into_bytes(),
        };
        let again = Error::Unauthenticated(AuthFailure::InvalidCredentials);
        for item in [session.into_item()?, refresh.into_item()] {
            let op = Op::Put { table: Table::Ephemera, item, condition: Some(Condition::Absent) };
            self.ops.push((member.tenant, op, again.clone()));
        }
        self.ops.push((member.tenant, under_way::opens(member.user, self.began, self.now), again.clone()));
        self.as_it_is(member, again);
        // Room for it among the others.
        let others = members::unended(&self.deps.db, member.tenant, member.user, self.now).await?;
        for oldest in others.iter().skip(members::MOST_SESSIONS - 1) {
            let op = members::end_session(member.user, oldest.session);
            self.ops.push((member.tenant, op, Error::internal("session")));
        }
        if let Some(known) = &mut self.member {
            known.session = Some(id);
        }
        Ok(token)
    }

    /// The session that a refresh token belongs to, if the token is the one that is good now, or its predecessor presented
    /// once more within 30 seconds by the same device (whose answer was lost).
    ///
    /// # Errors
    /// 401. A token that was used before ends its session, and is on the record as a security event.
    pub async fn present(&mut self, token: &RefreshToken) -> Result<Presented> {
        const { assert!(declares(<E as Operation>::NEEDS, Need::Sessions), "reads a session: add Need::Sessions to NEEDS") }
        const { assert!(declares(<E as Operation>::NEEDS, Need::Read), "reads memberships: add Need::Read to NEEDS") }
        const { assert!(declares(<E as Operation>::NEEDS, Need::Seal), "opens the pool's token: add Need::Seal to NEEDS") }
        let refused = || Error::Unauthenticated(AuthFailure::InvalidRefreshToken);
        let RefreshToken { tenant, user, session, .. } = *token;
        let key = session::refresh_key(session);
        let row = self.deps.db.get(tenant, Table::Ephemera, &key).await?.ok_or_else(refused)?;
        let given = token.hash();
        let is = |name: &'static str| row.bytes(name).is_ok_and(|stored| same(stored, &given));
        let (current, previous) = (is("refresh_hash"), is("previous_hash"));
        let ever = current
            || previous
            || row.maybe_bytes("used_hashes").is_some_and(|used| used.chunks_exact(32).any(|h| same(h, &given)));
        if !ever {
            return Err(refused());
        }
        let live = self.deps.db.get(tenant, Table::Ephemera, &session::key(user, session)).await?.ok_or_else(refused)?;
        let grants: Vec<Grant> = serde_json::from_str(live.text("grants")?).map_err(|_| Error::internal("grants"))?;
        self.member = Some(Known { tenant, user, session: Some(session), grants });
        let repeated = previous
            && same(row.bytes("device_hash")?, &self.device())
            && self.now.as_millis() - row.number("rotated_at")? <= REPEAT_WITHIN_MS;
        // Before asking whether the session lives: where its end succeeded and the event of it failed, the next attempt
        // still leaves the event.
        if !current && !repeated {
            let correlation_id = &CorrelationId::new(self.now);
            let cause = session::Cause { event: EventId::new(self.now), correlation_id, now: self.now };
            session::end(&self.deps.db, tenant, user, session, cause).await?;
            return Err(Error::Unauthenticated(AuthFailure::RefreshTokenReused));
        }
        let gate = self.deps.gates.of(tenant).await?;
        if let Some(failure) = session::ended(&live, gate.settings.idle(self.deps.config.session_idle), self.now)? {
            return Err(Error::Unauthenticated(failure));
        }
        gate.enter()?;
        membership::active(&self.deps.db, tenant, user).await?;
        let sealed =
            Sealed::<PoolToken>::from_bytes(row.bytes("pool_token")?.to_vec()).map_err(|_| Error::internal("pool token"))?;
        let opened = permit::open(self.deps, tenant, key.place(), &sealed).await?;
        Ok(Presented { tenant, user, session, pool_refresh: opened.token.0, row, current })
    }

    /// Replaces a presented token by a new one, and the pool's own where it has given another. Of two that race, one wins;
    /// the other presents a predecessor.
    ///
    /// # Errors
    /// 401 where the token was rotated meanwhile.
    pub async fn rotate(&mut self, presented: &Presented, pool_refresh: Option<&str>) -> Result<RefreshToken> {
        const { assert!(declares(<E as Operation>::NEEDS, Need::Sessions), "rotates a token: add Need::Sessions to NEEDS") }
        let Presented { tenant, user, session, row, .. } = presented;
        let token = RefreshToken::new(*tenant, *user, *session);
        let key = session::refresh_key(*session);
        session::used(&self.deps.db, *tenant, *user, *session, self.now).await?;
        let bytes = |b: &[u8]| AttributeValue::B(Blob::new(b));
        let old = row.bytes("refresh_hash")?;
        let used = with_used(row.maybe_bytes("used_hashes").unwrap_or_default(), old);
        let mut expression = "SET refresh_hash = :new, used_hashes = :used".to_owned();
        let mut values = vec![(":new", bytes(&token.hash())), (":used", bytes(&used)), (":old", bytes(old))];
        if let Some(pool_refresh) = pool_refresh {
            let secret = PoolToken { token: PoolSecret(pool_refresh.to_owned()) };
            let sealed = permit::seal(self.deps, *tenant, key.place(), &secret).await?;
            expression.push_str(", pool_token = :pool");
            values.push((":pool", bytes(&sealed.into_bytes())));
        }
        if presented.current {
            expression.push_str(", previous_hash = :old, rotated_at = :now");
            values.push((":now", AttributeValue::N(self.now.as_millis().to_string())));
        } else {
            // The predecessor was taken once; now it is a used token like any other.
            expression.push_str(" REMOVE previous_hash, rotated_at");
        }
        let update = Update { expression: &expression, condition: Some("refresh_hash = :old"), names: &[], values };
        match self.deps.db.update(*tenant, Table::Ephemera, &key, update).await? {
            Ok(_) => Ok(token),
            Err(_) => Err(Error::Unauthenticated(AuthFailure::InvalidRefreshToken)),
        }
    }

    /// Keeps `secret` for five minutes and five tries, under a handle that only its holder knows: a sign-in that waits for
    /// an answer.
    pub async fn suspend(&mut self, secret: &PendingSignIn) -> Result<String> {
        self.keep(secret, random_text(), PENDING_FOR, |item| item).await
    }

    /// The same for ten minutes, in which the handle is a bearer token of a session that may enrol a second factor, and nothing
    /// else.
    pub async fn suspend_to_enrol(&mut self, member: &Membership, mut secret: PendingSignIn) -> Result<String> {
        let id = SessionId::from_uuid(crate::Uuid::from_bytes(crate::random::bytes()));
        secret.enrolment = Some(PoolSecret(id.to_string()));
        let until = self.now.plus(ENROLMENT_FOR);
        let session =
            Session { kind: SessionKind::Enrolment, expires_at: until, ..self.session(member, id, None, ENROLMENT_FOR) };
        let op = Op::Put { table: Table::Ephemera, item: session.into_item()?, condition: Some(Condition::Absent) };
        self.ops.push((member.tenant, op, Error::internal("session")));
        self.as_it_is(member, Error::Unauthenticated(AuthFailure::InvalidCredentials));
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
        const { assert!(declares(<E as Operation>::NEEDS, Need::Sessions), "keeps a pending sign-in: add Need::Sessions to NEEDS") }
        const { assert!(declares(<E as Operation>::NEEDS, Need::Seal), "seals a pending sign-in: add Need::Seal to NEEDS") }
        let key = pending_key(&handle);
        let sealed = permit::seal(self.deps, TenantId::PLATFORM, key.place(), secret).await?;
        let item = Item::new(key)
            .bytes("sealed", sealed.into_bytes())
            .number("tries", 0)
            .number("began", self.began.as_millis())
            .number("expires_at", self.now.plus(lasts).as_secs());
        let op = Op::Put { table: Table::Ephemera, item: with(item), condition: Some(Condition::Absent) };
        self.ops.push((TenantId::PLATFORM, op, Error::internal("pending sign-in")));
        Ok(handle)
    }

    /// Whoever changes the membership meanwhile does not know of the session that is opened, which has copied what it was. Who
    /// comes for the first time changes it by coming.
    fn as_it_is(&mut self, member: &Membership, or: Error) {
        if member.invited {
            let edits = invitations::accepted(member).into_iter();
            self.ops.extend(edits.map(|edit| (member.tenant, Op::Edit { table: Table::Records, edit }, or.clone())));
        } else {
            let condition = membership::unchanged(member.version);
            let check = Op::Check { table: Table::Records, key: membership::key(member.user), condition };
            self.ops.push((member.tenant, check, or));
        }
    }

    /// A session of a member, as it begins.
    fn session(&self, member: &Membership, id: SessionId, mfa_at: Option<Timestamp>, lifetime: Duration) -> Session {
        Session {
            user: member.user,
            session: id,
            kind: SessionKind::Full,
            grants: member.grants.clone(),
            // Who comes for the first time accepts their invitation by it, which changes their membership.
            membership_version: member.version + i64::from(member.invited),
            department: member.department.clone(),
            mfa_enrolled: member.mfa_enrolled,
            mfa_at,
            bounds: None,
            ip: self.request.source_ip.clone(),
            user_agent: self.request.user_agent().chars().take(session::USER_AGENT).collect(),
            created_at: self.now,
            expires_at: self.now.plus(lifetime),
        }
    }

    /// Says that something happened in a tenant, with whatever this request writes.
    pub(crate) fn emit(&mut self, tenant: TenantId, event: DomainEvent) -> Result<()> {
        let envelope = Envelope {
            id: EventId::new(self.now),
            tenant_id: tenant,
            actor: self.member.as_ref().map_or_else(|| E::NAME.to_owned(), |known| known.user.to_string()),
            on_behalf_of: None,
            cause: self.audit_id,
            correlation_id: self.correlation_id.clone(),
            schema: event.schema.to_owned(),
            version: event.version,
            occurred_at: self.now,
            payload: event.payload,
        };
        let op = Op::Put { table: Table::Ledger, item: envelope.into_item()?, condition: None };
        self.ops.push((tenant, op, Error::internal("domain event")));
        Ok(())
    }

    /// Takes one try at a suspended sign-in.
    ///
    /// # Errors
    /// 401 where there is none of that handle, or its time or tries are spent.
    pub async fn resume(&mut self, handle: &str) -> Result<PendingSignIn> {
        const { assert!(declares(<E as Operation>::NEEDS, Need::Sessions), "reads a pending sign-in: add Need::Sessions to NEEDS") }
        const { assert!(declares(<E as Operation>::NEEDS, Need::Seal), "opens a pending sign-in: add Need::Seal to NEEDS") }
        let key = pending_key(handle);
        let update = Update {
            expression: "SET tries = tries + :one",
            condition: Some("expires_at > :now AND tries < :most"),
            names: &[],
            values: vec![
                (":one", AttributeValue::N("1".to_owned())),
                (":most", AttributeValue::N(PENDING_TRIES.to_string())),
                (":now", AttributeValue::N(self.now.as_secs().to_string())),
            ],
        };
        let refused = Error::Unauthenticated(AuthFailure::InvalidCredentials);
        let row = self.deps.db.update(TenantId::PLATFORM, Table::Ephemera, &key, update).await?.map_err(|_| refused)?;
        self.began = Timestamp::from_millis(row.number("began")?);
        let sealed = Sealed::from_bytes(row.bytes("sealed")?.to_vec()).map_err(|_| Error::internal("pending sign-in"))?;
        permit::open(self.deps, TenantId::PLATFORM, key.place(), &sealed).await
    }

    /// Ends a suspended sign-in that was answered: of two answers, one does.
    pub fn resumed(&mut self, handle: &str) {
        let twice = Error::Unauthenticated(AuthFailure::InvalidCredentials);
        let condition = Some(Condition::Present);
        self.ops.push((TenantId::PLATFORM, Op::Delete { table: Table::Ephemera, key: pending_key(handle), condition }, twice));
    }

    fn device(&self) -> [u8; 32] {
        hash(&[self.request.user_agent().as_bytes()])
    }
}

const REPEAT_WITHIN_MS: i64 = 30_000;
/// Used tokens that a session remembers, so that the reuse of an old one is known for what it is.
const USED_KEPT: usize = 64;

/// The hashes of used refresh tokens with one more: the newest [`USED_KEPT`].
fn with_used(used: &[u8], hash: &[u8]) -> Vec<u8> {
    let mut used = [used, hash].concat();
    used.drain(..used.len().saturating_sub(USED_KEPT * 32));
    used
}
const PENDING_FOR: Duration = Duration::from_secs(300);
const ENROLMENT_FOR: Duration = Duration::from_secs(600);
/// What a handle begins with that is a bearer token too.
const ENROLMENT_PREFIX: &str = "clo_setup_";
const PENDING_TRIES: u32 = 5;

fn same(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

fn pending_key(handle: &str) -> Key {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    Key::new(format!("PENDING#{}", URL_SAFE_NO_PAD.encode(hash(&[handle.as_bytes()]))), "SIGN_IN")
}

/// Whom a handle lets enrol a second factor; nobody, where it is no such handle.
///
/// # Errors
/// 401 where it is one and does not hold, or no longer.
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
    URL_SAFE_NO_PAD.encode(crate::random::bytes::<32>())
}

/// A session that a refresh token was good for.
#[derive(Debug)]
pub struct Presented {
    pub tenant: TenantId,
    pub user: UserId,
    pub session: SessionId,
    pool_refresh: String,
    row: Row,
    current: bool,
}

impl Presented {
    /// The pool's own refresh token.
    pub fn pool_refresh(&self) -> &str {
        &self.pool_refresh
    }
}

/// The API's refresh token: opaque to its holder, single-use, stored as a hash. It carries where its session lies.
#[derive(Clone)]
pub struct RefreshToken {
    tenant: TenantId,
    user: UserId,
    session: SessionId,
    secret: [u8; 32],
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RefreshToken({})", self.session)
    }
}

impl RefreshToken {
    const BYTES: usize = 16 * 3 + 32;

    fn new(tenant: TenantId, user: UserId, session: SessionId) -> Self {
        Self { tenant, user, session, secret: crate::random::bytes() }
    }

    pub fn to_text(&self) -> String {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let bytes =
            [self.tenant.uuid().as_bytes(), self.user.uuid().as_bytes(), self.session.uuid().as_bytes(), &self.secret[..]]
                .concat();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// # Errors
    /// 401 where the text is no refresh token of ours.
    pub fn parse(text: &str) -> Result<Self> {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let read = || {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|b| b.len() == Self::BYTES)?;
            let uuid = |i: usize| crate::id::Uuid::from_slice(&bytes[i * 16..(i + 1) * 16]).ok();
            let secret = bytes[48..].try_into().ok()?;
            Some(Self {
                tenant: TenantId::from_uuid(uuid(0)?),
                user: UserId::from_uuid(uuid(1)?),
                session: SessionId::from_uuid(uuid(2)?),
                secret,
            })
        };
        read().ok_or(Error::Unauthenticated(AuthFailure::InvalidRefreshToken))
    }

    fn hash(&self) -> [u8; 32] {
        hash(&[&self.secret])
    }
}

#[cfg(test)]
mod used_tokens {
    use super::*;

    #[test]
    fn used_tokens_are_remembered_up_to_a_number_and_the_newest_stay() {
        let used = (0..=255_u8).fold(Vec::new(), |used, n| with_used(&used, &[n; 32]));
        assert_eq!((used.len(), used[0], used[used.len() - 1]), (USED_KEPT * 32, 192, 255));
    }
}
