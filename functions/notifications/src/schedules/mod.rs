//! The domain's schedules.

common::schedules! {
    send_digests::SendDigests,
}

pub(crate) use send_digests::COUNTED;
