//! What a piece of work gathers on its way for its log line and its audit event.

use crate::{base::telemetry::WideEvent, store::Row};
use std::{
    borrow::Cow,
    sync::{Mutex, PoisonError},
};

/// What a request gathers on its way for its log line and its audit event.
#[derive(Debug, Default)]
pub(crate) struct Trace(Mutex<Traced>);

#[derive(Debug, Default)]
pub(crate) struct Traced {
    pub(crate) line: WideEvent,
    /// What the caller asked to act on.
    pub(crate) aimed_at: Vec<(String, String)>,
    /// What was read or changed besides. A refusal touched nothing.
    pub(crate) touched: Vec<(String, String)>,
    pub(crate) disclosed: Vec<Cow<'static, str>>,
    /// What was opened and the policy does not show.
    pub(crate) redacted: Vec<Cow<'static, str>>,
    /// The idempotency record that was read along with the target, if it was.
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
