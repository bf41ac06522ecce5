//! The rules of tenants. No AWS, no HTTP, no clock.

mod admins;
mod agreement;
mod events;
mod names;
mod settings;
mod transition;

pub use admins::{appointed, dismissed};
pub use agreement::{Agreement, DocumentHash};
pub use events::{
    BaaExpiring, EVENTS, OrganizationActivated, OrganizationArchived, OrganizationCreated, OrganizationReactivated,
    OrganizationSuspended, UserRolesChanged,
};
pub use names::{DisplayName, TenantName};
pub use settings::NewSettings;
pub use transition::Transition;

use phi::{Email, PersonName};

phi::sealed_fields! {
    /// The personal data in a tenant's profile: the signatory of its agreement and its contacts.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Persons in "organizations" {
        1 => signatory: Option<PersonName>,
        2 => security_contact: Option<Email>,
        3 => technical_contact: Option<Email>,
        4 => billing_contact: Option<Email>,
    }
}

phi::sealed_fields! {
    /// The first administrator to invite, sealed by the platform until the tenant has keys.
    #[derive(Clone, Debug, PartialEq)]
    pub struct FirstAdmin in "organizations_to_be" {
        1 => email: Email,
    }
}
