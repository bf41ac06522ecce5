//! The domain's schedules, one a file.

common::schedules! {
    expire_sessions::ExpireSessions,
}
