//! What bounds a deployment, for `cargo xtask scale`: the constants themselves, under names that say whose they are.

use std::time::Duration;

/// How many tenants' sessions a process holds, and how long each is used.
pub const TENANT_SESSIONS: usize = crate::aws::tenant_credentials::SESSIONS_HELD;
pub const TENANT_SESSION_USED_FOR: Duration = crate::aws::tenant_credentials::USED_FOR;
/// Calls of a tenant in a minute, where its settings say nothing else.
pub const TENANT_CALLS_PER_MINUTE: u32 = crate::store::tenant_quota::CALLS;
/// Mails in a minute, and what of them yields at most.
pub const MAILS_PER_MINUTE: u32 = crate::capabilities::mail::PER_MINUTE;
/// Events of a tenant that one sweep tells again.
pub const EVENTS_SWEPT: usize = crate::capabilities::outbox::SWEPT;
/// Calls to the carrier in a minute, where a deployment says nothing else.
pub const CARRIER_CALLS_PER_MINUTE: u32 = crate::base::config::CARRIER_CALLS_PER_MINUTE;
/// How many parts of a run, and how many tenants' lists, are under way at once.
pub const PARTS_AT_ONCE: usize = crate::background::IN_FLIGHT;
pub const TENANTS_AT_ONCE: usize = crate::background::TENANTS_AT_ONCE;
