//! What this domain says to itself.

use common::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Somebody wants to reset the password of whoever has an e-mail, if anybody has.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PasswordResetRequested {
    /// The e-mail's search token under the platform's key.
    pub email_token: String,
}

impl Event for PasswordResetRequested {
    const SCHEMA: &'static str = "user.password_reset_requested";
}
