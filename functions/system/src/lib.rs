//! What the platform says of itself: whether it runs, whether it is ready, and what it can be asked. And what it does for all
//! domains: it sees to it that no event stays in the outbox.

pub mod consumers;
pub mod endpoints;
pub mod schedules;
