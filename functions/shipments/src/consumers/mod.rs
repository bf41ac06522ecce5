//! What the domain's queues run, one a file.

common::consumers! {
    poll_tracking::PollTracking,
    refresh_tracking::RefreshTracking,
}

pub(crate) use poll_tracking::QUEUE as POLLS;
