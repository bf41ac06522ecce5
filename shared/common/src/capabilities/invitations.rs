//! Inviting a user into a tenant. An invitation creates a member and emits an event. The consumer that mirrors users to Cognito
//! (`users`) checks later whether the e-mail is free, so that neither the answer nor its duration shows this.

use crate::{
    background::{Background, Delivery},
    base::{Error, Grant, Result, TenantId, Timestamp, UserId, need::needs},
    identity::{
        Membership,
        membership::{self, MemberPii},
    },
    request::{Deps, Operation, Work},
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

impl<E: Operation> Work<'_, E> {
    /// Invites a user into the scope's tenant. The commit creates the member. A mail with their first password follows,
    /// unless the e-mail belongs to another user; then only that user gets a mail.
    ///
    /// # Errors
    /// 503 if the tenant's key is not in memory and KMS does not answer.
    pub async fn invite(&mut self, invitation: Invitation) -> Result<Membership> {
        needs!(E, Write, Seal);
        let context = self.context;
        invite(context.deps, context.tenant, context.now, &mut self.effects.changes, invitation).await
    }
}

impl<B: Background> Delivery<'_, B> {
    /// Invites a user into the scope's tenant, like a request.
    ///
    /// # Errors
    /// 503 if the tenant's key is not in memory and KMS does not answer.
    pub async fn invite(&mut self, invitation: Invitation) -> Result<Membership> {
        needs!(B, Write, Seal);
        let job = self.job;
        invite(job.deps, job.tenant, job.now, &mut self.changes, invitation).await
    }
}
