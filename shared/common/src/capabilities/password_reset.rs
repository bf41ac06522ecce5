//! Resetting a password that was forgotten, in two halves that know nothing of each other's secrets: the request leaves an
//! intent, the same whether there is such an account or not; who handles it mails a token, which is good once and for half an
//! hour, and is stored as a hash.
//!
//! | Partition | Sort | What |
//! |---|---|---|
//! | *platform* `RESET#<hash>` | `RESET` | whose password it resets, and until when; which request uses it ([`crate::capabilities::password_change`]) |

use crate::{
    background::{Background, Delivery},
    base::{Error, Need, Result, TenantId, UserId, digest::hash, need::declares},
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

/// Somebody who can be written to.
#[derive(Debug)]
pub struct Addressee {
    pub tenant: TenantId,
    pub user: UserId,
    pub email: Email,
}

impl<B: Background> Delivery<'_, B> {
    /// Whose sign-in e-mail has this token, if it is an active member's.
    ///
    /// # Errors
    /// 503.
    pub async fn addressee(&self, email_token: &str) -> Result<Option<Addressee>> {
        const { assert!(declares(B::NEEDS, Need::Passwords), "looks for an account: add Need::Passwords to NEEDS") }
        let deps = self.ground.deps;
        let claim = deps.db.get(TenantId::PLATFORM, Table::Records, &membership::email_key(email_token)).await?;
        let Some(claim) = claim else { return Ok(None) };
        let (tenant, user) = (claim.parse("tenant_id")?, claim.parse("user_id")?);
        let member = membership::of(&deps.db, tenant, user).await?.filter(|member| member.active);
        let Some(member) = member else { return Ok(None) };
        let MemberPii { email, .. } = deps.keyring.of(tenant).open(&Membership::place(user), &member.pii).await?;
        Ok(Some(Addressee { tenant, user, email }))
    }

    /// The token that this message's mail has in it: the same at each delivery, and nobody's to guess who has not the platform's
    /// search key.
    ///
    /// # Errors
    /// 503.
    pub async fn reset_token(&self) -> Result<String> {
        let message = self.envelope().ok_or(Error::internal("no message"))?;
        let token = self.search_token("password.reset", &message.id.to_string()).await?;
        Ok(URL_SAFE_NO_PAD.encode(hash(&[token.to_string().as_bytes()])))
    }

    /// Lets a token reset somebody's password.
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
    /// Ends what somebody has come in by until now, or is about to, with what this request writes.
    ///
    /// # Errors
    /// 503. The commit is 409 where they came in meanwhile.
    pub(crate) async fn shut_out(&mut self, member: &Membership) -> Result<()> {
        let now = self.deps.clock.now();
        let opened = sign_in_epoch::opened(&self.deps.db, member.tenant, member.user).await?;
        for session in open_sessions::unended(&self.deps.db, member.tenant, member.user, now).await? {
            let ending = Ending::of(member.user, session.session, EndReason::PasswordReset);
            self.endings.push((ending, Error::internal("session")));
        }
        self.ops.push((member.tenant, sign_in_epoch::void(member.user, now, opened), members::CHANGED));
        Ok(())
    }

    /// Says something to a consumer of the platform's own.
    ///
    /// # Errors
    /// Internal where the event cannot be written down.
    pub fn emit_to_platform(&mut self, event: DomainEvent) -> Result<()> {
        self.emit(TenantId::PLATFORM, event)
    }
}
