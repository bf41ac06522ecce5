//! Parts that the tests of this package share: samples that succeed, and endpoints for tests only.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

pub mod counter;
pub mod fixture;
pub mod journeys;
pub mod later;
pub mod matrix;
pub mod people;
mod probes;
pub mod samples;
pub mod schema;
pub mod state;

pub use probes::PROBES;
