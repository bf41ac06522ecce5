//! The term of a role.

use common::base::{Error, FieldError, Result, Timestamp};

/// The start and the end; without them, the role is permanent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Term {
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl Term {
    /// A term that begins before it ends, and has not ended. A start in the past means that it begins now.
    ///
    /// # Errors
    /// 422 for any other term.
    pub fn new(from: Option<Timestamp>, until: Option<Timestamp>, now: Timestamp) -> Result<Self> {
        let wrong = |code, message: &str| Err(Error::Invalid(vec![FieldError::new("valid_until", code, message.to_owned())]));
        match (from, until) {
            (Some(from), Some(until)) if until <= from => wrong("empty_range", "expected a time later than `valid_from`"),
            (_, Some(until)) if until <= now => wrong("in_the_past", "expected a time in the future"),
            _ => Ok(Self { from: from.filter(|from| *from > now), until }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn term_must_begin_before_its_end_and_end_in_the_future() {
        let at = |millis| Some(Timestamp::from_millis(millis));
        let now = Timestamp::from_millis(1_000);
        assert_eq!(Term::new(None, None, now).unwrap(), Term::default());
        assert_eq!(Term::new(at(500), at(2_000), now).unwrap(), Term { from: None, until: at(2_000) });
        assert_eq!(Term::new(at(1_500), None, now).unwrap(), Term { from: at(1_500), until: None });
        for (from, until) in [(at(3_000), at(2_000)), (at(2_000), at(2_000)), (None, at(1_000)), (at(0), at(999))] {
            assert!(Term::new(from, until, now).is_err(), "{from:?} {until:?}");
        }
    }
}
