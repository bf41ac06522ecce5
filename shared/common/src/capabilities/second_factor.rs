//! Using, enrolling and removing a second factor.

use crate::{
    base::{Error, Result, SessionId, Timestamp, need::needs},
    identity::{
        EndReason, Membership, SecondFactor, Spent,
        second_factor::{ACTIVE, PENDING, forgive, key, pending, take_try},
        session,
    },
    request::{Permit, Public},
    store::{
        changes::{Condition, Edit, Ending, Op},
        item::Table,
    },
};
use phi::SealedFields;

impl<E: crate::request::Endpoint> Permit<'_, E> {
    /// Takes a try at the caller's own second factor, if there is one.
    ///
    /// # Errors
    /// 429 `second_factor_locked` after five wrong codes in a row; 503.
    pub async fn try_second_factor(&self) -> Result<Option<SecondFactor>> {
        needs!(E, SecondFactor);
        let context = self.context;
        take_try(&context.deps.db, context.principal.tenant(), context.principal.user(), context.now).await
    }

    /// Opens its sealed data.
    ///
    /// # Errors
    /// 503 if the tenant's key is not in memory and KMS does not answer.
    pub async fn open_second_factor<T: SealedFields>(&self, factor: &SecondFactor) -> Result<T> {
        needs!(E, Seal);
        self.context.deps.keyring.of(factor.tenant).open(key(factor.user).place(), &factor.read_sealed()?).await
    }

    /// Begins to enrol: stores an authenticator that is inactive until its first code. The commit is 409 `totp_enrolled` if an
    /// active one exists.
    ///
    /// # Errors
    /// 503 as [`open_second_factor`](Self::open_second_factor).
    pub async fn enrol_second_factor<T: SealedFields>(&mut self, sealed: &T) -> Result<()> {
        let user = self.principal().user();
        let sealed = self.seal(key(user).place(), sealed).await?;
        let item = pending(user, sealed);
        let unless_active = Condition::Any(vec![Condition::Absent, Condition::Is("status", PENDING.to_owned())]);
        self.changes().put(Table::Records, item, unless_active, enrolled());
        Ok(())
    }

    /// Activates it, with these recovery codes.
    pub fn activate_second_factor(&mut self, factor: &SecondFactor, step: i64, recovery: Vec<u8>) {
        let edit = factor.edit().number("last_step", step).text("status", ACTIVE).bytes("recovery", recovery);
        self.changes().edit(edit, raced());
        self.changes().ops.push((forgive(factor.user), raced()));
    }

    /// Stores that a code was used up.
    pub fn spend_second_factor(&mut self, factor: &SecondFactor, spent: Spent) {
        self.changes().ops.extend([(factor.spend(spent), raced()), (forgive(factor.user), raced())]);
    }

    /// Replaces the recovery codes. The commit is 409 if there is no second factor.
    pub fn replace_recovery_codes(&mut self, recovery: Vec<u8>) {
        let active = Condition::Is("status", ACTIVE.to_owned());
        let edit = Edit::of(key(self.principal().user())).bytes("recovery", recovery).add("uses", 1).when(active);
        self.changes().edit(edit, Error::conflict("totp_not_enrolled", "there is no second factor"));
    }

    /// Removes it. The commit is 409 if there is none.
    pub fn remove_second_factor(&mut self) {
        let key = key(self.principal().user());
        let none = Error::conflict("totp_not_enrolled", "there is no second factor");
        self.changes().delete(key, Condition::Is("status", ACTIVE.to_owned()), none);
    }

    /// Records in the caller's session that a second factor was given now.
    pub fn stamp_second_factor(&mut self) {
        needs!(E, Sessions);
        let (user, session, now) = (self.principal().user(), self.principal().session(), self.now());
        let edit = Edit::of(session::key(user, session)).text("mfa_at", now);
        self.changes().ops.push((Op::Edit { table: Table::Ephemera, edit }, raced()));
    }
}

impl<E: crate::request::PublicEndpoint> Public<'_, E> {
    /// Takes a try at the second factor of a member who is signing in.
    ///
    /// # Errors
    /// 429 `second_factor_locked` after five wrong codes in a row; 503.
    pub async fn try_second_factor(&self, member: &Membership) -> Result<Option<SecondFactor>> {
        needs!(E, SecondFactor);
        take_try(&self.deps.db, member.tenant, member.user, self.now()).await.map(|factor| factor.filter(|f| f.active))
    }

    /// Opens its sealed data.
    ///
    /// # Errors
    /// 503 if the tenant's key is not in memory and KMS does not answer.
    pub async fn open_second_factor<T: SealedFields>(&self, factor: &SecondFactor) -> Result<T> {
        needs!(E, Seal);
        self.deps.keyring.of(factor.tenant).open(key(factor.user).place(), &factor.read_sealed()?).await
    }

    /// Stores that a code was used up, in this request's transaction.
    pub fn spend_second_factor(&mut self, factor: &SecondFactor, spent: Spent) {
        let raced = Error::Unauthenticated(crate::base::AuthFailure::InvalidCredentials);
        let ops = [factor.spend(spent), forgive(factor.user)];
        self.writes.ops.extend(ops.map(|op| (factor.tenant, op, raced.clone())));
    }

    /// The time at which a second factor was enrolled in a session for enrolment. The session ends.
    ///
    /// # Errors
    /// 503.
    pub async fn enrolled_in(&mut self, member: &Membership, session: SessionId) -> Result<Option<Timestamp>> {
        let row = self.deps.db.get(member.tenant, Table::Ephemera, &session::key(member.user, session)).await?;
        let Some(at) = row.and_then(|row| row.maybe("mfa_at").transpose()).transpose()? else { return Ok(None) };
        let ending = Ending::of(member.user, session, EndReason::Enrolled);
        self.writes.endings.push((ending, Error::internal("session")));
        Ok(Some(at))
    }
}

/// The error for a concurrent request with the same code.
fn raced() -> Error {
    Error::conflict("changed", "the second factor has just been used or changed")
}

fn enrolled() -> Error {
    Error::conflict("totp_enrolled", "a second factor exists already: remove it first")
}
