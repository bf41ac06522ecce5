//! The data that a piece of work collects for its audit event.

use crate::store::Row;
use std::{
    borrow::Cow,
    sync::{Mutex, PoisonError},
};

/// The data that a request collects for its audit event.
#[derive(Debug, Default)]
pub(crate) struct Trace(Mutex<Traced>);

#[derive(Debug, Default)]
pub(crate) struct Traced {
    /// The resources that the caller wanted to act on.
    pub(crate) aimed_at: Vec<(String, String)>,
    /// The resources that were read or changed in addition. A refused request touches nothing.
    pub(crate) touched: Vec<(String, String)>,
    pub(crate) disclosed: Vec<Cow<'static, str>>,
    /// The opened fields that the policy withholds.
    pub(crate) redacted: Vec<Cow<'static, str>>,
    /// The idempotency record that was read together with the target, if it was.
    pub(crate) earlier: Earlier,
}

#[derive(Debug, Default)]
pub(crate) enum Earlier {
    #[default]
    NotRead,
    Read(Option<Row>),
}

impl Trace {
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut Traced) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
