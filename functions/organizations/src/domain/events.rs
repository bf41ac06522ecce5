//! What others hear of tenants. Whose it is stands in the envelope.

use common::{Event, Schema, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What this domain publishes.
pub const EVENTS: &[Schema] = common::events![
    OrganizationCreated,
    OrganizationActivated,
    OrganizationSuspended,
    OrganizationReactivated,
    OrganizationArchived,
    BaaExpiring,
];

macro_rules! events {
    ($($(#[$doc:meta])* $Name:ident { $($(#[$fdoc:meta])* $field:ident: $T:ty),* } = $schema:literal),* $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
            pub struct $Name { $($(#[$fdoc])* pub $field: $T),* }

            impl Event for $Name {
                const SCHEMA: &'static str = $schema;
            }
        )*
    };
}

events! {
    /// A tenant is wanted: it has a name and no keys.
    OrganizationCreated {} = "organization.created",
    /// It has keys, and can be entered.
    OrganizationActivated {} = "organization.activated",
    /// Nobody enters it any more, for now.
    OrganizationSuspended {} = "organization.suspended",
    /// It can be entered again.
    OrganizationReactivated {} = "organization.reactivated",
    /// Nobody will enter it again.
    OrganizationArchived {} = "organization.archived",
    /// The business associate agreement ends.
    BaaExpiring {
        /// In so many days, rounded up; none where it has ended.
        days: u32
    } = "organization.baa_expiring",
    /// Somebody administers the tenant, or does no longer: the users domain's event.
    UserRolesChanged { user_id: UserId } = "user.roles_changed",
}
