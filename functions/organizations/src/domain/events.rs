//! The domain events of tenants. The envelope identifies the tenant.

use common::{
    base::UserId,
    store::{Event, Schema},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The events that this domain publishes.
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
    /// A tenant was created. It has a name and no keys yet.
    OrganizationCreated {} = "organization.created",
    /// The tenant has keys and is active.
    OrganizationActivated {} = "organization.activated",
    /// The tenant is suspended: its members have no access.
    OrganizationSuspended {} = "organization.suspended",
    /// The tenant is active again.
    OrganizationReactivated {} = "organization.reactivated",
    /// The tenant is archived permanently.
    OrganizationArchived {} = "organization.archived",
    /// The business associate agreement ends soon or has ended.
    BaaExpiring {
        /// The number of days until its end, rounded up; 0 if it has ended.
        days: u32
    } = "organization.baa_expiring",
    /// A member became an administrator of the tenant, or stopped being one. The event belongs to the users domain.
    UserRolesChanged { user_id: UserId } = "user.roles_changed",
}
