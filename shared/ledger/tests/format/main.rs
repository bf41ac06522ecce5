//! The audit log's format, one file for each part.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod events;
mod leaf;
mod log;
mod merkle;
mod note;
mod support;
