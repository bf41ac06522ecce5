//! The internal events of this domain.

use common::store::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A password reset was requested for an e-mail, which may or may not belong to an account.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PasswordResetRequested {
    /// The e-mail's search token under the platform's key.
    pub email_token: String,
}

impl Event for PasswordResetRequested {
    const SCHEMA: &'static str = "user.password_reset_requested";
}
