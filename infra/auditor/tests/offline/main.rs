//! The auditor's command over bundles on disk: what stands is proven, and whatever was done to one is caught, named and placed.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod command;
mod example;
mod made;
mod statements;
mod tampered;
