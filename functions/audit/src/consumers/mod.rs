//! What the audit domain's queues run.

common::consumers! {
    seal_audit::SealAudit,
}
