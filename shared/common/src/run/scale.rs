//! The limits of a deployment, for `cargo xtask scale`: the constants of the code, with names for their use.

use std::time::Duration;

/// The number of tenants whose sessions a process holds, and the time for which each is used.
pub const TENANT_SESSIONS: usize = crate::aws::tenant_credentials::SESSIONS_HELD;
pub const TENANT_SESSION_USED_FOR: Duration = crate::aws::tenant_credentials::USED_FOR;
/// The default number of a tenant's calls in a minute.
pub const TENANT_CALLS_PER_MINUTE: u32 = crate::store::tenant_quota::CALLS;
/// The number of mails in a minute, and the largest part of them for mail of lower priority.
pub const MAILS_PER_MINUTE: u32 = crate::capabilities::mail::PER_MINUTE;
/// The number of a tenant's events that one sweep emits again.
pub const EVENTS_SWEPT: usize = crate::capabilities::outbox::SWEPT;
/// The default number of calls to the carrier in a minute.
pub const CARRIER_CALLS_PER_MINUTE: u32 = crate::base::config::CARRIER_CALLS_PER_MINUTE;
/// The number of parts of a run, and of tenants' lists, that are processed concurrently.
pub const PARTS_AT_ONCE: usize = crate::background::IN_FLIGHT;
pub const TENANTS_AT_ONCE: usize = crate::background::TENANTS_AT_ONCE;
