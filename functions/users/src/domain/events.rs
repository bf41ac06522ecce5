//! What others hear of users: ids only. Whoever hears it reads what is so now.

use common::{Event, Schema, UserId, UserInvited};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What this domain publishes.
pub const EVENTS: &[Schema] = common::events![
    UserInvited,
    InvitationResent,
    UserDisabled,
    UserEnabled,
    UserDeleted,
    UserSignedOut,
    PasswordResetByAdmin,
    UserRolesChanged,
];

macro_rules! events {
    ($($(#[$doc:meta])* $Name:ident = $schema:literal),* $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
            pub struct $Name {
                pub user_id: UserId,
            }

            impl Event for $Name {
                const SCHEMA: &'static str = $schema;
            }
        )*
    };
}

events! {
    /// Somebody who was invited and has not come is to be written to again.
    InvitationResent = "user.invitation_resent",
    /// An administrator has disabled an account.
    UserDisabled = "user.disabled",
    /// An administrator has enabled it again.
    UserEnabled = "user.enabled",
    /// An account is gone for good.
    UserDeleted = "user.deleted",
    /// An administrator has signed somebody out everywhere.
    UserSignedOut = "user.signed_out",
    /// An administrator wants somebody to choose another password.
    PasswordResetByAdmin = "user.password_reset_by_admin",
    /// Somebody has another role, or one less, or for another time.
    UserRolesChanged = "user.roles_changed",
}
