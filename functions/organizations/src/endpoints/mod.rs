//! The domain's endpoints, one a file.

common::endpoints! {
    platform create_organization::CreateOrganization,
    platform list_organizations::ListOrganizations,
    platform get_organization::GetOrganization,
    platform update_organization::UpdateOrganization,
    platform suspend_organization::SuspendOrganization,
    platform reactivate_organization::ReactivateOrganization,
    platform archive_organization::ArchiveOrganization,
    platform put_baa::PutBaa,
    platform get_settings::GetSettings,
    platform put_settings::PutSettings,
    platform put_ip_allowlist::PutIpAllowlist,
    platform add_admin::AddAdmin,
    platform remove_admin::RemoveAdmin,
}
