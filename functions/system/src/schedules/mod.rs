//! What the clock runs of the system domain.

common::schedules! {
    sweep_outbox::SweepOutbox,
}
