//! The domain's schedules.

common::schedules! {
    sweep_outbox::SweepOutbox,
}
