//! What the clock runs in this domain, one a file.

common::schedules! {
    expire_sessions::ExpireSessions,
}
