//! Who signs in, and how: sign-in by password over Cognito, sessions with refresh tokens of our own, and the authorizer that
//! stands before every other function.
//!
//! Cognito knows passwords and nothing else of consequence: the tenant and the roles come from the membership record, and a
//! token opens nothing without the live session that signing in here has made.

mod account;
pub mod authorizer;
pub mod consumers;
pub mod domain;
pub mod endpoints;
mod events;
#[cfg(test)]
mod fixtures;
pub mod jwks;
mod second_factor;
mod secret;
mod sign_in;
pub mod token;

/// What this domain publishes.
pub const EVENTS: &[common::Schema] = common::events![common::SessionEnded, events::PasswordResetRequested];
