//! The audit log's format, a file a part.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod events;
mod leaf;
mod log;
mod merkle;
mod note;
mod support;
