//! The domain events of users. They contain only ids; a consumer reads the current state.

use common::{
    base::UserId,
    capabilities::UserInvited,
    store::{Event, Schema},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The events that this domain publishes.
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
    /// An invited user who has not signed in yet gets another mail.
    InvitationResent = "user.invitation_resent",
    /// An administrator has disabled an account.
    UserDisabled = "user.disabled",
    /// An administrator has enabled it again.
    UserEnabled = "user.enabled",
    /// An account was deleted.
    UserDeleted = "user.deleted",
    /// An administrator has signed a user out everywhere.
    UserSignedOut = "user.signed_out",
    /// An administrator requires a user to choose another password.
    PasswordResetByAdmin = "user.password_reset_by_admin",
    /// A user's roles or their terms changed.
    UserRolesChanged = "user.roles_changed",
}
