//! What the clock runs in this domain, one a file.

common::schedules! {
    warn_baa::WarnBaa,
}
