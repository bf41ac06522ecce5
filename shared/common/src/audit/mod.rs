//! The audit log: its events.

pub(crate) mod event;
