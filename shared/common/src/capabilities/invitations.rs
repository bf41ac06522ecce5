//! Inviting a user into a tenant. An invitation creates a member and emits an event. The consumer that mirrors users to Cognito
//! (`users`) checks later whether the e-mail is free, so that neither the answer nor its duration shows this.

use crate::{
    background::{Background, Delivery},
    base::{Error, Grant, Need, Result, TenantId, Timestamp, UserId, need::declares},
    identity::{
        Membership,
        membership::{self, MemberPii},
    },
    request::{Deps, Permit, Platform},
    store::{
        Event,
        changes::Changes,
        item::{Item, Version},
    },
};
use phi::{Email, PersonName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The data of a user to be invited.
#[derive(Debug)]
pub struct Invitation {
    pub email: Email,
    pub name: Option<PersonName>,
    pub grants: Vec<Grant>,
    /// The user's department, as the tenant names it.
    pub department: Option<String>,
}

/// A user was invited.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct UserInvited {
    pub user_id: UserId,
}

impl Event for UserInvited {
    const SCHEMA: &'static str = "user.invited";
}

/// Creates the member, and emits the event.
async fn invite(deps: &Deps, tenant: TenantId, now: Timestamp, changes: &mut Changes, new: Invitation) -> Result<Membership> {
    let user = UserId::new(now);
    let pii = MemberPii { email: new.email, name: new.name };
    let member = Membership {
        tenant,
        user,
        active: true,
        invited: true,
        grants: new.grants.into(),
        department: new.department,
        mfa_enrolled: false,
        created_at: now,
        version: Version::FIRST.0,
        pii: deps.keyring.of(tenant).seal(&Membership::place(user), &pii).await?,
    };
    changes.create(member.clone().into_item()?, Error::internal("user id"));
    changes.create(Item::new(membership::entry_key(user)), Error::internal("user id"));
    changes.emit(UserInvited { user_id: user }.into());
    Ok(member)
}

macro_rules! invites {
    ($Permit:ident, $Bound:ident) => {
        impl<E: crate::request::$Bound> $Permit<'_, E> {
            /// Invites a user into the scope's tenant. The commit creates the member. A mail with their first password follows,
            /// unless the e-mail belongs to another user; then only that user gets a mail.
            ///
            /// # Errors
            /// 503 if the tenant's key is not in memory and KMS does not answer.
            pub async fn invite(&mut self, invitation: Invitation) -> Result<Membership> {
                const { assert!(declares(E::NEEDS, Need::Write), "changes items: add Need::Write to NEEDS") }
                const { assert!(declares(E::NEEDS, Need::Seal), "seals the e-mail: add Need::Seal to NEEDS") }
                let context = self.inner.context;
                invite(context.deps, context.tenant, context.now, &mut self.inner.effects.changes, invitation).await
            }
        }
    };
}
invites!(Permit, Endpoint);
invites!(Platform, PlatformEndpoint);

impl<B: Background> Delivery<'_, B> {
    /// Invites a user into the scope's tenant, like a request.
    ///
    /// # Errors
    /// 503 if the tenant's key is not in memory and KMS does not answer.
    pub async fn invite(&mut self, invitation: Invitation) -> Result<Membership> {
        const { assert!(declares(B::NEEDS, Need::Write), "changes items: add Need::Write to NEEDS") }
        const { assert!(declares(B::NEEDS, Need::Seal), "seals the e-mail: add Need::Seal to NEEDS") }
        let job = self.job;
        invite(job.deps, job.tenant, job.now, &mut self.changes, invitation).await
    }
}
