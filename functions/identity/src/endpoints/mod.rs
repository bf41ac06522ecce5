//! The identity domain's endpoints.

common::endpoints! {
    public login::Login,
    public challenge::Challenge,
    public refresh::Refresh,
    public forgot_password::ForgotPassword,
    public reset_password::ResetPassword,
    tenant change_password::ChangePassword,
    tenant logout::Logout,
    tenant me::Me,
    tenant list_sessions::ListSessions,
    tenant end_session::EndSession,
    tenant enrol_totp::EnrolTotp,
    tenant activate_totp::ActivateTotp,
    tenant verify_mfa::VerifyMfa,
    tenant create_recovery_codes::CreateRecoveryCodes,
    tenant disable_totp::DisableTotp,
    tenant create_api_key::CreateApiKey,
    tenant list_api_keys::ListApiKeys,
    tenant rotate_api_key::RotateApiKey,
    tenant revoke_api_key::RevokeApiKey,
}

#[cfg(test)]
mod mfa_tests;
#[cfg(test)]
mod password_tests;
