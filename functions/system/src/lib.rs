//! What the platform says of itself: whether it runs, whether it is ready, and what it can be asked.

pub mod endpoints;
