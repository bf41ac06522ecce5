//! Tests the UPS emulator by HTTP.

#![expect(clippy::unwrap_used, reason = "a helper's failure is the test's")]

mod alerts;
mod control;
mod faults;
mod journeys;
mod rig;
mod tokens;
mod tracking;
