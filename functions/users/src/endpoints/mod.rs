//! The domain's endpoints, one a file.

common::endpoints! {
    tenant invite_user::InviteUser,
    tenant list_users::ListUsers,
    tenant get_user::GetUser,
    tenant update_user::UpdateUser,
    tenant delete_user::DeleteUser,
    tenant disable_user::DisableUser,
    tenant enable_user::EnableUser,
    tenant reset_user_password::ResetUserPassword,
    tenant sign_out_user::SignOutUser,
    tenant resend_invitation::ResendInvitation,
    tenant get_mail_suppression::GetMailSuppression,
    tenant lift_mail_suppression::LiftMailSuppression,
    tenant list_user_sessions::ListUserSessions,
    tenant end_user_sessions::EndUserSessions,
    tenant grant_role::GrantRole,
    tenant revoke_role::RevokeRole,
    tenant list_roles::ListRoles,
    tenant view_permissions::ViewPermissions,
    tenant check_permissions::CheckPermissions,
}
