//! Who signs in, and how: sign-in by password over Cognito, sessions with refresh tokens of our own, the authorizer that stands
//! before every other function, and what Cognito asks before it issues a token.
//!
//! Cognito knows passwords and nothing else of consequence: the tenant and the roles come from the membership record, and a
//! token opens nothing without the live session that signing in here has made.

mod account;
mod api_keys;
pub mod authorizer;
pub mod consumers;
pub mod domain;
pub mod endpoints;
mod events;
#[cfg(test)]
mod fixtures;
pub mod jwks;
pub mod pre_token_generation;
pub mod schedules;
mod second_factor;
mod secret;
mod sign_in;
pub mod token;

/// What this domain publishes.
pub const EVENTS: &[common::Schema] = common::events![common::SessionEnded, events::PasswordResetRequested];
