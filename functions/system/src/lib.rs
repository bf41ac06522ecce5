//! The platform's own endpoints: whether it runs, whether it is ready, and its API description. It also ensures, for all domains,
//! that no event stays in the outbox.

pub mod consumers;
pub mod endpoints;
pub mod schedules;
