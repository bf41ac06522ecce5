//! What this domain's queues run.

common::consumers! {
    provision_organization::ProvisionOrganization,
    stop_organization::StopOrganization,
    release_messages::ReleaseMessages,
}
