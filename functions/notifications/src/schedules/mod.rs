//! What the clock runs in this domain.

common::schedules! {
    send_digests::SendDigests,
}

pub(crate) use send_digests::COUNTED;
