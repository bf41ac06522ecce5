//! What the system domain's queues run.

common::consumers! {
    settle_outbox::SettleOutbox,
}
