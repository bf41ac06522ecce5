//! The domain's schedules, one a file.

common::schedules! {
    warn_baa::WarnBaa,
}
