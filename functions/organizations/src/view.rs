//! The form in which a caller gets an organization.

use crate::{domain::Persons, store::Stored};
use common::{
    base::{TenantId, Timestamp, network::AllowList},
    identity::{Settings, TenantStatus},
    store::Version,
};
use phi::{Disclosed, Email, PersonName, PhiValue};
use schemars::JsonSchema;
use serde::Serialize;

/// A tenant's profile.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Organization")]
pub struct OrganizationView {
    pub tenant_id: TenantId,
    pub name: String,
    pub display_name: Option<String>,
    pub status: TenantStatus,
    pub contacts: ContactsView,
    /// The business associate agreement, if one was recorded.
    pub baa: Option<BaaView>,
    /// The networks from which members may call; anywhere if empty.
    pub allowed_networks: AllowList,
    pub created_at: Timestamp,
    pub version: Version,
}

/// The contacts of an organization.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Contacts")]
pub struct ContactsView {
    pub security: Disclosed<Option<Email>>,
    pub technical: Disclosed<Option<Email>>,
    pub billing: Disclosed<Option<Email>>,
}

/// A business associate agreement.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Baa")]
pub struct BaaView {
    pub signed_at: Timestamp,
    pub expires_at: Timestamp,
    pub signatory: Disclosed<Option<PersonName>>,
    /// SHA-256 of the signed document.
    pub document_sha256: Option<String>,
    /// Whether it is in force now. Without an agreement in force, nobody can read health information.
    pub in_force: bool,
}

impl OrganizationView {
    pub(crate) fn new(stored: &Stored, persons: Persons, now: Timestamp) -> Self {
        let Stored { id, tenant, display_name, document, .. } = stored;
        let Persons { signatory, security_contact, technical_contact, billing_contact } = persons;
        Self {
            tenant_id: *id,
            name: tenant.name.clone(),
            display_name: display_name.clone(),
            status: tenant.status,
            contacts: ContactsView {
                security: security_contact.disclose(),
                technical: technical_contact.disclose(),
                billing: billing_contact.disclose(),
            },
            baa: tenant.baa.map(|term| BaaView {
                signed_at: term.signed_at,
                expires_at: term.expires_at,
                signatory: signatory.disclose(),
                document_sha256: document.clone(),
                in_force: term.in_force_at(now),
            }),
            allowed_networks: tenant.allowed_networks.clone(),
            created_at: tenant.created_at,
            version: tenant.version,
        }
    }
}

/// A tenant in a list, without personal data.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OrganizationSummary {
    pub tenant_id: TenantId,
    pub name: String,
    pub display_name: Option<String>,
    pub status: TenantStatus,
    pub baa_expires_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub version: Version,
}

impl From<Stored> for OrganizationSummary {
    fn from(stored: Stored) -> Self {
        let Stored { id, tenant, display_name, .. } = stored;
        Self {
            tenant_id: id,
            name: tenant.name,
            display_name,
            status: tenant.status,
            baa_expires_at: tenant.baa.map(|term| term.expires_at),
            created_at: tenant.created_at,
            version: tenant.version,
        }
    }
}

/// One page of tenants.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OrganizationPage {
    pub items: Vec<OrganizationSummary>,
    pub next_cursor: Option<String>,
}

/// The tenant's settings.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SettingsView {
    pub tenant_id: TenantId,
    #[serde(flatten)]
    pub settings: Settings,
    pub version: Version,
}

impl From<&Stored> for SettingsView {
    fn from(stored: &Stored) -> Self {
        Self { tenant_id: stored.id, settings: Settings::clone(&stored.tenant.settings), version: stored.version() }
    }
}
