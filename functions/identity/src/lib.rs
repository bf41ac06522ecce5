//! Authentication: sign-in by password over Cognito, sessions with our own refresh tokens, the authorizer in front of every other
//! function, and the trigger that Cognito calls before it issues a token.
//!
//! Cognito only verifies passwords. The tenant and the roles come from the membership record, and a token is valid only together
//! with the live session that sign-in created.

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

/// The events that this domain publishes.
pub const EVENTS: &[common::store::Schema] = common::events![common::identity::SessionEnded, events::PasswordResetRequested];
