//! The user pool as whoever keeps it in line sees it. Every call may be made again: what is so already is done.

use super::{Cognito, unavailable};
use crate::{Error, Result, Role, UserId};
use aws_sdk_cognitoidentityprovider::{
    error::{ProvideErrorMetadata, SdkError},
    types::{AttributeType, MessageActionType},
};
use std::collections::BTreeSet;

/// A user, as the pool has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PoolUser {
    pub(crate) enabled: bool,
}

fn code<E: ProvideErrorMetadata, R>(e: &SdkError<E, R>) -> Option<&str> {
    e.as_service_error().and_then(ProvideErrorMetadata::code)
}

/// Of somebody who is not there, what is asked for is done.
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
            Ok(found) => Ok(Some(PoolUser { enabled: found.enabled })),
            Err(e) if code(&e) == Some("UserNotFoundException") => Ok(None),
            Err(e) => Err(unavailable(&e)),
        }
    }

    /// Makes a user who must choose a password of their own. The pool sends no mail.
    ///
    /// # Errors
    /// 503, also while another user of the pool has this e-mail.
    pub(crate) async fn admin_create(&self, user: UserId, email: &str, temporary: &str) -> Result<()> {
        let attribute = |name: &str, value: &str| {
            AttributeType::builder().name(name).value(value).build().map_err(|_| Error::internal("user attribute"))
        };
        let create = self.client.admin_create_user().user_pool_id(&self.pool).username(user.to_string());
        let create = create.user_attributes(attribute("email", email)?).user_attributes(attribute("email_verified", "true")?);
        let sent = create.temporary_password(temporary).message_action(MessageActionType::Suppress).send().await;
        sent.map(drop).map_err(|e| unavailable(&e))
    }

    /// A password that is good for one sign-in, which asks for another. What was the password before is none any more.
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

    /// Ends every refresh token of theirs.
    pub(crate) async fn admin_sign_out(&self, user: UserId) -> Result<()> {
        let sign_out = self.client.admin_user_global_sign_out().user_pool_id(&self.pool).username(user.to_string());
        done_if_gone(sign_out.send().await)
    }

    pub(crate) async fn admin_delete(&self, user: UserId) -> Result<()> {
        done_if_gone(self.client.admin_delete_user().user_pool_id(&self.pool).username(user.to_string()).send().await)
    }

    /// Has the user be in the groups of `roles`, and in no other.
    pub(crate) async fn admin_set_groups(&self, user: UserId, roles: &[Role]) -> Result<()> {
        let username = user.to_string();
        // There are no more groups than roles, so one page has them all.
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
