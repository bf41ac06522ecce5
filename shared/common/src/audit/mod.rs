//! The audit log: its events.

pub(crate) mod event;
pub(crate) mod session_end;
pub(crate) mod trace;
