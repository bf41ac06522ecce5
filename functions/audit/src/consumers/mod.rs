//! The domain's queue consumers, one a file.

common::consumers! {
    seal_audit::SealAudit,
}
