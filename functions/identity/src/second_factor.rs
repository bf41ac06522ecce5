//! The codes that callers send, and their verification.

use crate::domain::{
    recovery::{self, RecoveryCode},
    totp::{Authenticator, TotpCode},
};
use common::{
    base::{Error, FieldError, Result, Timestamp},
    identity::{SecondFactor, Spent},
};

/// An authenticator's code or a recovery code.
#[derive(Debug)]
pub(crate) enum Given {
    Totp(TotpCode),
    Recovery(RecoveryCode),
}

impl Given {
    /// # Errors
    /// 422 if it is neither or both.
    pub(crate) fn of(code: Option<TotpCode>, recovery_code: Option<RecoveryCode>) -> Result<Self> {
        match (code, recovery_code) {
            (Some(code), None) => Ok(Self::Totp(code)),
            (None, Some(code)) => Ok(Self::Recovery(code)),
            (None, None) => Err(Error::invalid("code", "required", "send `code`, or `recovery_code`")),
            (Some(_), Some(_)) => Err(Error::Invalid(vec![FieldError::new(
                "recovery_code",
                "not_both",
                "send `code` or `recovery_code`, not both",
            )])),
        }
    }

    /// The part of the second factor that the code uses up, if it is valid.
    pub(crate) fn judge(&self, factor: &SecondFactor, authenticator: &Authenticator, now: Timestamp) -> Option<Spent> {
        match self {
            Self::Totp(code) => {
                let step = authenticator.secret.verify(code, now, factor.last_step);
                step.ok().map(Spent::Step)
            }
            Self::Recovery(code) => recovery::spend(&factor.recovery, code).map(Spent::Recovery),
        }
    }
}
