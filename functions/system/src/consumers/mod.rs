//! The domain's queue consumers.

common::consumers! {
    settle_outbox::SettleOutbox,
}
