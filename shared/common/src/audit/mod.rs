//! The events of the audit log.

pub(crate) mod activity;
pub(crate) mod event;
pub(crate) mod session_end;
pub(crate) mod trace;
