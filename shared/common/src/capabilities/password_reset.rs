//! Password resets, in two halves that do not share secrets. The request stores an intent, which is the same whether or not the
//! account exists. The consumer of the intent mails a token, which works once within half an hour and is stored as a hash.
//!
//! | Partition | Sort | Content |
//! |---|---|---|
//! | *platform* `RESET#<hash>` | `RESET` | the user, the expiry, and the request that uses it
//! ([`crate::capabilities::password_change`]) |

use crate::{
    background::{Background, Delivery},
    base::{Error, Result, TenantId, UserId, digest::hash, need::needs},
    capabilities::members,
    identity::{EndReason, MemberPii, Membership, membership, open_sessions, sign_in_epoch},
    request::{Public, PublicEndpoint},
    store::{
        DomainEvent,
        changes::{Condition, Ending},
        item::{Item, Key, Table},
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use phi::Email;
use std::time::Duration;

const GOOD_FOR: Duration = Duration::from_secs(30 * 60);

pub(crate) fn key(token: &str) -> Key {
    Key::new(format!("RESET#{}", URL_SAFE_NO_PAD.encode(hash(&[token.as_bytes()]))), "RESET")
}

/// A user who can get mail.
#[derive(Debug)]
pub struct Addressee {
    pub tenant: TenantId,
    pub user: UserId,
    pub email: Email,
}

impl<B: Background> Delivery<'_, B> {
    /// The user whose sign-in e-mail has this token, if they are an active member.
    ///
    /// # Errors
    /// 503.
    pub async fn addressee(&self, email_token: &str) -> Result<Option<Addressee>> {
        needs!(B, Passwords);
        let deps = self.job.deps;
        let claim = deps.db.get(TenantId::PLATFORM, Table::Records, &membership::email_key(email_token)).await?;
        let Some(claim) = claim else { return Ok(None) };
        let (tenant, user) = (claim.parse("tenant_id")?, claim.parse("user_id")?);
        let member = membership::of(&deps.db, tenant, user).await?.filter(|member| member.active);
        let Some(member) = member else { return Ok(None) };
        let MemberPii { email, .. } = deps.keyring.of(tenant).open(&Membership::place(user), &member.pii).await?;
        Ok(Some(Addressee { tenant, user, email }))
    }

    /// The token in this message's mail: the same at each delivery, and infeasible to guess without the platform's search key.
    ///
    /// # Errors
    /// 503.
    pub async fn reset_token(&self) -> Result<String> {
        let message = self.envelope().ok_or(Error::internal("no message"))?;
        let token = self.search_token("password.reset", &message.id.to_string()).await?;
        Ok(URL_SAFE_NO_PAD.encode(hash(&[token.to_string().as_bytes()])))
    }

    /// Allows a token to reset a user's password.
    pub fn allow_reset(&mut self, token: &str, whose: &Addressee) {
        let until = self.now().plus(GOOD_FOR);
        let item = Item::new(key(token))
            .text("tenant_id", whose.tenant)
            .text("user_id", whose.user)
            .number("good_until", until.as_millis())
            .number("expires_at", until.as_secs() + 1);
        self.changes().put(Table::Ephemera, item, Condition::Absent, Error::internal("reset token"));
    }
}

impl<E: PublicEndpoint> Public<'_, E> {
    /// Ends a user's sessions and pending sign-ins, in this request's transaction.
    ///
    /// # Errors
    /// 503. The commit is 409 if they have signed in meanwhile.
    pub(crate) async fn shut_out(&mut self, member: &Membership) -> Result<()> {
        let now = self.deps.clock.now();
        let opened = sign_in_epoch::opened(&self.deps.db, member.tenant, member.user).await?;
        for session in open_sessions::unended(&self.deps.db, member.tenant, member.user, now).await? {
            let ending = Ending::of(member.user, session.session, EndReason::PasswordReset);
            self.writes.endings.push((ending, Error::internal("session")));
        }
        self.writes.ops.push((member.tenant, sign_in_epoch::invalidate(member.user, now, opened), members::CHANGED));
        Ok(())
    }

    /// Emits an event to a consumer of the platform's own tenant.
    pub fn emit_to_platform(&mut self, event: DomainEvent) {
        self.writes.events.push((TenantId::PLATFORM, event));
    }
}
