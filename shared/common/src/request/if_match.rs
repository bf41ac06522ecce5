//! `If-Match`: the version that a caller wants to change.

use crate::{
    base::{Error, Result, number::plain_number},
    store::Version,
};

/// The value of `If-Match`: any version, or one, such as `"3"`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ExpectedVersion {
    Any,
    Is(Version),
}

impl ExpectedVersion {
    pub(crate) const INVALID: Error =
        Error::BadRequest { code: "invalid_if_match", detail: "`If-Match` must be a version such as \"3\"" };

    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let text = text.trim();
        // RFC 9110 quotes an entity tag. The bare number is accepted too, and no other form.
        let number = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        plain_number(number).map(|n| Self::Is(Version(n))).ok_or(Self::INVALID)
    }
    pub(crate) fn check(&self, current: Version) -> Result<()> {
        match self {
            Self::Any => Ok(()),
            Self::Is(version) if *version == current => Ok(()),
            Self::Is(_) => Err(Error::Stale),
        }
    }
}
