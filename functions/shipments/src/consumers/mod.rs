//! The domain's queue consumers, one a file.

common::consumers! {
    poll_tracking::PollTracking,
    refresh_tracking::RefreshTracking,
}

pub(crate) use poll_tracking::QUEUE as POLLS;
