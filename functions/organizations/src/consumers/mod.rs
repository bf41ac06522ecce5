//! The domain's queue consumers, one a file.

common::consumers! {
    provision_organization::ProvisionOrganization,
    stop_organization::StopOrganization,
    release_messages::ReleaseMessages,
}
