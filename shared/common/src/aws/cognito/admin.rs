//! Administration of the user pool. Every call may be repeated: if its effect exists already, it succeeds.

use super::{
    Cognito, SignIn,
    password::{NotAPassword, prepared},
    unavailable,
};
use crate::base::{Error, Result, Role, UserId};
use aws_sdk_cognitoidentityprovider::{
    error::{ProvideErrorMetadata, SdkError},
    operation::admin_create_user::AdminCreateUserError,
    types::{AttributeType, MessageActionType, UserStatusType},
};
use std::collections::BTreeSet;

/// A user in the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PoolUser {
    pub(crate) enabled: bool,
    /// Whether they have chosen a password. Until then nobody has signed in as them.
    pub(crate) has_signed_in: bool,
}

/// The handling of a user who is to be created and exists already, because an earlier run may have lost its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfThere {
    SetPassword,
    SetPasswordUnlessSignedIn,
}

fn code<E: ProvideErrorMetadata, R>(e: &SdkError<E, R>) -> Option<&str> {
    e.as_service_error().and_then(ProvideErrorMetadata::code)
}

fn weak_or_unavailable<E: ProvideErrorMetadata, R>(e: &SdkError<E, R>) -> Error {
    match code(e) {
        Some("InvalidPasswordException" | "PasswordHistoryPolicyViolationException") => weak(),
        _ => unavailable(e),
    }
}

fn weak() -> Error {
    Error::invalid("password", "weak", "the password does not meet the pool's rules")
}

/// If the user does not exist, the operation counts as done.
fn done_if_gone<T, E: ProvideErrorMetadata, R>(sent: Result<T, SdkError<E, R>>) -> Result<()> {
    match sent {
        Ok(_) => Ok(()),
        Err(e) if code(&e) == Some("UserNotFoundException") => Ok(()),
        Err(e) => Err(unavailable(&e)),
    }
}

impl Cognito {
    pub(crate) async fn admin_get(&self, user: UserId) -> Result<Option<PoolUser>> {
        match self.client.admin_get_user().user_pool_id(&self.pool).username(user.to_string()).send().await {
            Ok(found) => {
                let has_signed_in = found.user_status != Some(UserStatusType::ForceChangePassword);
                Ok(Some(PoolUser { enabled: found.enabled, has_signed_in }))
            }
            Err(e) if code(&e) == Some("UserNotFoundException") => Ok(None),
            Err(e) => Err(unavailable(&e)),
        }
    }

    /// Whether the pool has the user, with a chosen password.
    pub(crate) async fn has_signed_in(&self, user: UserId) -> Result<bool> {
        Ok(self.admin_get(user).await?.is_some_and(|known| known.has_signed_in))
    }

    /// Creates a user whose name is our id and who signs in by e-mail, with a permanent password or one for a single sign-in. It
    /// may be repeated, and completes the work of an interrupted run.
    ///
    /// # Errors
    /// 409 `email_taken` if another user of the pool has the e-mail; 422 for a password that the pool refuses; 503.
    pub(crate) async fn create_user(
        &self,
        user: UserId,
        email: &str,
        password: &str,
        permanent: bool,
        there: IfThere,
    ) -> Result<()> {
        let password = &*prepared(password).map_err(|NotAPassword| weak())?;
        let known = match self.admin_get(user).await? {
            Some(known) => Some(known),
            None => match self.send_create(user, email, password).await {
                Ok(()) => None,
                // The name is one of our ids. If it is taken, an earlier call of ours has lost its answer.
                Err(e) if matches!(code(&e), Some("UsernameExistsException" | "AliasExistsException")) => {
                    let taken = || Error::conflict("email_taken", "this e-mail signs in already");
                    Some(self.admin_get(user).await?.ok_or_else(taken)?)
                }
                Err(e) => return Err(weak_or_unavailable(&e)),
            },
        };
        let set = match (known, there) {
            (None, _) => permanent,
            (Some(_), IfThere::SetPassword) => true,
            (Some(known), IfThere::SetPasswordUnlessSignedIn) => !known.has_signed_in,
        };
        if set {
            let set = self.client.admin_set_user_password().user_pool_id(&self.pool).username(user.to_string());
            if let Err(e) = set.password(password).permanent(permanent).send().await {
                let refused = weak_or_unavailable(&e);
                // The pool's history refuses the password that an earlier attempt has set.
                let stands = refused.status() < 500 && self.stands(user, password, permanent).await?;
                return if stands { Ok(()) } else { Err(refused) };
            }
        }
        Ok(())
    }

    /// Whether this is the user's password now, permanent or for a single sign-in.
    async fn stands(&self, user: UserId, password: &str, permanent: bool) -> Result<bool> {
        if permanent {
            return self.is_password(user, password).await;
        }
        Ok(matches!(self.password(&user.to_string(), password).await?, SignIn::NewPasswordRequired { .. }))
    }

    /// Creates a user who must choose a password. The pool sends no mail.
    ///
    /// # Errors
    /// 503, also while another user of the pool has this e-mail.
    pub(crate) async fn admin_create(&self, user: UserId, email: &str, temporary: &str) -> Result<()> {
        self.send_create(user, email, temporary).await.map_err(|e| unavailable(&e))
    }

    async fn send_create(&self, user: UserId, email: &str, temporary: &str) -> Result<(), SdkError<AdminCreateUserError>> {
        let attribute = |name: &str, value: &str| AttributeType::builder().name(name).value(value).build();
        let mut create = self.client.admin_create_user().user_pool_id(&self.pool).username(user.to_string());
        for (name, value) in [("email", email), ("email_verified", "true")] {
            create = create.user_attributes(attribute(name, value).map_err(SdkError::construction_failure)?);
        }
        create.temporary_password(temporary).message_action(MessageActionType::Suppress).send().await.map(drop)
    }

    /// Sets a password for a single sign-in, which must be replaced there. The previous password becomes invalid.
    pub(crate) async fn admin_set_temporary_password(&self, user: UserId, temporary: &str) -> Result<()> {
        let set = self.client.admin_set_user_password().user_pool_id(&self.pool).username(user.to_string());
        set.password(temporary).permanent(false).send().await.map(drop).map_err(|e| unavailable(&e))
    }

    pub(crate) async fn admin_enable(&self, user: UserId, enabled: bool) -> Result<()> {
        let username = user.to_string();
        if enabled {
            let enable = self.client.admin_enable_user().user_pool_id(&self.pool).username(username);
            enable.send().await.map(drop).map_err(|e| unavailable(&e))
        } else {
            done_if_gone(self.client.admin_disable_user().user_pool_id(&self.pool).username(username).send().await)
        }
    }

    /// Revokes all of the user's refresh tokens.
    pub(crate) async fn admin_sign_out(&self, user: UserId) -> Result<()> {
        let sign_out = self.client.admin_user_global_sign_out().user_pool_id(&self.pool).username(user.to_string());
        done_if_gone(sign_out.send().await)
    }

    pub(crate) async fn admin_delete(&self, user: UserId) -> Result<()> {
        done_if_gone(self.client.admin_delete_user().user_pool_id(&self.pool).username(user.to_string()).send().await)
    }

    /// Puts the user into the groups of `roles`, and removes them from all others.
    pub(crate) async fn admin_set_groups(&self, user: UserId, roles: &[Role]) -> Result<()> {
        let username = user.to_string();
        // There are no more groups than roles, so one page contains all of them.
        let asked = self.client.admin_list_groups_for_user().user_pool_id(&self.pool).username(&username).limit(60);
        let groups = asked.send().await.map_err(|e| unavailable(&e))?.groups.unwrap_or_default();
        let has: BTreeSet<String> = groups.into_iter().filter_map(|group| group.group_name).collect();
        let wants: BTreeSet<String> = roles.iter().map(|role| role.as_str().to_owned()).collect();
        for group in wants.difference(&has) {
            let add = self.client.admin_add_user_to_group().user_pool_id(&self.pool).username(&username);
            add.group_name(group).send().await.map_err(|e| unavailable(&e))?;
        }
        for group in has.difference(&wants) {
            let remove = self.client.admin_remove_user_from_group().user_pool_id(&self.pool).username(&username);
            remove.group_name(group).send().await.map_err(|e| unavailable(&e))?;
        }
        Ok(())
    }
}
