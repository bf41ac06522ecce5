//! The domain's schedules.

common::schedules! {
    mail_checkpoints::MailCheckpoints,
    sign_checkpoint::SignCheckpoint,
    verify_audit::VerifyAudit,
}

use common::background::Part;

/// A tenant's whole log.
#[derive(Debug)]
pub struct Log;

impl Part for Log {
    fn name(&self) -> String {
        "log".to_owned()
    }
}

#[cfg(test)]
mod tests;
