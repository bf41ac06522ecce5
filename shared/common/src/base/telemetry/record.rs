//! The only places that create events of `tracing`.

use super::{
    CallSpan, LogValue,
    layer::{ITEM, WORK},
};
use crate::base::error::Cause;
use tracing::{Instrument, Level, Span, instrument::Instrumented};

/// Adds a field to the line of the current work.
pub(crate) fn record(name: &'static str, value: impl LogValue) {
    tracing::event!(target: super::layer::FIELD, Level::INFO, { "name" = name, "value" = value.log_value() });
}

/// Does work that writes one line, by [`end!`], with the fields that the work has recorded and the calls that it has made.
pub(crate) fn one_line<W: Future>(work: W) -> Instrumented<W> {
    work.instrument(work_span())
}

pub(super) fn work_span() -> Span {
    tracing::span!(target: WORK, Level::INFO, "work")
}

/// Meets the callsites that calls outside any log may meet too. Without a line, they have no effect.
pub(super) fn meet() {
    drop((work_span(), CallSpan::begin("", &Cause::default())));
    record("", false);
}

/// Does a part of the current work that writes no line: its fields are dropped, and its calls are the work's.
pub(crate) fn no_line<P: Future>(part: P) -> Instrumented<P> {
    let span = tracing::span!(target: ITEM, Level::INFO, "item");
    part.instrument(span)
}

/// Writes a line with these fields: `line!("event" = "queue.notice", "timestamp" = now)`.
macro_rules! line {
    ($($name:literal = $value:expr),+ $(,)?) => {
        $crate::base::telemetry::event!($crate::base::telemetry::LINE, $($name = $value),+)
    };
}

/// Writes the line of the current work: its recorded fields, these fields, and its calls.
macro_rules! end {
    ($($name:literal = $value:expr),+ $(,)?) => {
        $crate::base::telemetry::event!($crate::base::telemetry::END, $($name = $value),+)
    };
}

macro_rules! event {
    ($target:expr, $($name:literal = $value:expr),+) => {{
        use $crate::base::telemetry::LogValue as _;
        tracing::event!(target: $target, tracing::Level::INFO, { $($name = $value.log_value()),+ });
    }};
}

pub(crate) use {end, event, line};
