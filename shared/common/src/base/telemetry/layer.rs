//! The subscriber, which writes lines.

use super::{
    LogSink,
    record::{self, work_span},
};
use serde::Serialize;
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap, fmt, pin::Pin, sync::Arc, time::Instant};
use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber, dispatcher,
    field::{Field, Visit},
    instrument::{Instrument, Instrumented, WithDispatch, WithSubscriber},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt},
    registry::{LookupSpan, SpanRef},
};

// The targets of our spans and events. No module has such a path, so no other crate's spans and events have these targets.
/// A span: work that writes one line.
pub(super) const WORK: &str = "cloister/work";
/// A span: a part of the work, whose fields are dropped.
pub(super) const ITEM: &str = "cloister/item";
/// A span: a call to a service.
pub(super) const CALL: &str = "cloister/call";
/// An event: a field of the work's line.
pub(super) const FIELD: &str = "cloister/field";
/// An event: a line of its own.
pub(crate) const LINE: &str = "cloister/line";
/// An event: the end of the work.
pub(crate) const END: &str = "cloister/end";
const TARGETS: [&str; 6] = [WORK, ITEM, CALL, FIELD, LINE, END];

/// The runtime's own errors, such as an answer that Lambda did not accept. Their fields are not read.
const RUNTIME: &str = "lambda_runtime::layers::api_";

/// The number of calls that a line lists. The rest is counted: a schedule may make thousands.
const MOST_CALLS: usize = 16;

/// Receives the spans and events of `tracing`, and writes lines to a sink.
#[derive(Clone)]
pub struct Log(Dispatch);

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

impl Log {
    pub fn new(sink: Arc<dyn LogSink>) -> Self {
        let log = Self(Dispatch::new(Registry::default().with(Lines(sink))));
        // `tracing` asks only the current subscriber whether it hears a callsite, as long as a process has one subscriber. So a
        // callsite that is first met outside any log would stay off.
        log.hears_now(record::meet);
        log
    }

    /// Makes it the log of the process too, for errors of the Lambda runtime. The first log of a process stays.
    #[must_use]
    pub(crate) fn of_process(self) -> Self {
        let _ = dispatcher::set_global_default(self.0.clone());
        self
    }

    /// Does work whose lines this log writes. In a process of many stacks, such as the tests', each has its own log.
    pub(crate) fn hears<W: Future>(&self, work: W) -> WithDispatch<W> {
        work.with_subscriber(self.0.clone())
    }

    /// Does work that writes one line of this log ([`one_line`](super::one_line)). The work is on the heap, because the future of
    /// an endpoint is large.
    pub(crate) fn writes_line<W: Future>(&self, work: W) -> WithDispatch<Instrumented<Pin<Box<W>>>> {
        let span = self.hears_now(work_span);
        self.hears(Box::pin(work).instrument(span))
    }

    /// Like [`hears`](Self::hears), for work that does not wait.
    pub(crate) fn hears_now<T>(&self, work: impl FnOnce() -> T) -> T {
        dispatcher::with_default(&self.0, work)
    }
}

/// A log line. Fields have names such as `shipment.id` and `duration_ms`.
#[derive(Clone, Debug, Default)]
pub struct WideEvent(BTreeMap<Cow<'static, str>, Value>);

impl WideEvent {
    fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    pub fn to_line(&self) -> String {
        let mut line = serde_json::to_string(&self.0).unwrap_or_default();
        line.push('\n');
        line
    }
}

impl Visit for WideEvent {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value);
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value);
    }
    /// No `LogValue` is recorded by its `Debug`.
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

#[derive(Debug)]
struct Lines(Arc<dyn LogSink>);

/// The data of work for its line.
#[derive(Debug, Default)]
struct Work {
    fields: WideEvent,
    calls: Calls,
}

#[derive(Debug, Default)]
struct Calls {
    listed: Vec<Call>,
    /// The number of calls that are not listed.
    more: u64,
}

/// A call to a service.
#[derive(Debug, Serialize)]
struct Call {
    service: String,
    operation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u64>,
    duration_us: u64,
    outcome: Cow<'static, str>,
    #[serde(skip)]
    began: Instant,
}

impl Call {
    fn begun() -> Self {
        let (service, operation) = (String::new(), String::new());
        Self { service, operation, attempts: None, duration_us: 0, outcome: "dropped".into(), began: Instant::now() }
    }
}

impl Visit for Call {
    fn record_u64(&mut self, _: &Field, value: u64) {
        self.attempts = Some(value);
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "service" => value.clone_into(&mut self.service),
            "operation" => value.clone_into(&mut self.operation),
            _ => self.outcome = value.to_owned().into(),
        }
    }
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_heard(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        is_heard(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        match attributes.metadata().target() {
            CALL => {
                let mut call = Call::begun();
                attributes.record(&mut call);
                span.extensions_mut().insert(call);
            }
            _ => span.extensions_mut().insert(Work::default()),
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(call) = span.extensions_mut().get_mut::<Call>() {
            values.record(call);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let current = context.lookup_current();
        let line = match event.metadata().target() {
            FIELD => {
                return with_work(current, |target| matches!(target, WORK | ITEM), |work| event.record(&mut Named::of(work)));
            }
            LINE => WideEvent::default(),
            END => {
                let mut line = WideEvent::default();
                with_work(
                    current,
                    |target| target == WORK,
                    |work| {
                        line = work.fields.clone();
                        std::mem::take(&mut work.calls).add_to(&mut line);
                    },
                );
                line
            }
            at => runtime_error(event.metadata(), at),
        };
        self.write(line, event);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(mut call) = span.extensions_mut().remove::<Call>() else { return };
        call.duration_us = u64::try_from(call.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        with_work(span.parent(), |target| target == WORK, |work| work.calls.add(call));
    }
}

impl Lines {
    fn write(&self, mut line: WideEvent, event: &Event<'_>) {
        if TARGETS.contains(&event.metadata().target()) {
            event.record(&mut line);
        }
        self.0.write(&line);
    }
}

fn is_heard(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    TARGETS.contains(&target) || (*metadata.level() == Level::ERROR && metadata.is_event() && target.starts_with(RUNTIME))
}

/// Applies `f` to the data of the nearest work, from a span outwards.
fn with_work<'a, S: LookupSpan<'a>>(from: Option<SpanRef<'a, S>>, is_it: impl Fn(&str) -> bool, f: impl FnOnce(&mut Work)) {
    let Some(span) = from.and_then(|span| span.scope().find(|span| is_it(span.metadata().target()))) else { return };
    if let Some(work) = span.extensions_mut().get_mut::<Work>() {
        f(work);
    }
}

fn runtime_error(metadata: &Metadata<'_>, target: &str) -> WideEvent {
    let mut line = WideEvent::default();
    line.set("level", "error");
    line.set("event", "runtime");
    line.set("at", format!("{target}:{}", metadata.line().unwrap_or_default()));
    line
}

impl Calls {
    fn add(&mut self, call: Call) {
        if self.listed.len() < MOST_CALLS {
            self.listed.push(call);
        } else {
            self.more += 1;
        }
    }

    fn add_to(self, line: &mut WideEvent) {
        if !self.listed.is_empty() {
            line.set("calls", serde_json::to_value(self.listed).unwrap_or_default());
        }
        if self.more > 0 {
            line.set("calls.more", self.more);
        }
    }
}

/// Reads an event with a `name` and a `value`.
struct Named<'a> {
    work: &'a mut Work,
    name: Option<String>,
}

impl<'a> Named<'a> {
    fn of(work: &'a mut Work) -> Self {
        Self { work, name: None }
    }
    fn set(&mut self, value: impl Into<Value>) {
        if let Some(name) = self.name.take() {
            self.work.fields.set(name, value);
        }
    }
}

impl Visit for Named<'_> {
    fn record_bool(&mut self, _: &Field, value: bool) {
        self.set(value);
    }
    fn record_u64(&mut self, _: &Field, value: u64) {
        self.set(value);
    }
    fn record_i64(&mut self, _: &Field, value: i64) {
        self.set(value);
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "name" => self.name = Some(value.to_owned()),
            _ => self.set(value),
        }
    }
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{
        Timestamp,
        error::Cause,
        telemetry::{self, CallSpan, LogValue},
    };
    use serde_json::json;
    use std::sync::Mutex;

    #[derive(Debug, Default)]
    struct Written(Mutex<Vec<Value>>);

    impl LogSink for Written {
        fn write(&self, event: &WideEvent) {
            self.0.lock().unwrap().push(serde_json::from_str(&event.to_line()).unwrap());
        }
    }

    impl Written {
        fn log() -> (Arc<Self>, Log) {
            let written = Arc::new(Self::default());
            (written.clone(), Log::new(written))
        }
        fn lines(&self) -> Vec<Value> {
            self.0.lock().unwrap().clone()
        }
    }

    async fn pause() {
        tokio::task::yield_now().await;
    }

    #[tokio::test]
    async fn line_has_the_fields_of_its_work_in_their_json_types() {
        let (written, log) = Written::log();
        let work = async {
            telemetry::record("text", "a\"b");
            telemetry::record("overwritten", 1_u16);
            pause().await;
            telemetry::record("overwritten", i64::MIN);
            telemetry::record("nothing", None::<bool>);
            telemetry::end! {
                "at" = Timestamp::from_millis(0),
                "cause" = Some(Cause::code("some code")),
                "none" = None::<Cause>,
                "count" = u64::MAX,
                "is" = true,
            };
        };
        log.writes_line(work).await;
        let expected = json!({
            "text": "a\"b", "overwritten": i64::MIN, "at": "1970-01-01T00:00:00.000Z", "cause": "some code", "count": u64::MAX,
            "is": true,
        });
        assert_eq!(written.lines(), [expected]);
    }

    #[tokio::test]
    async fn concurrent_work_of_two_logs_writes_its_own_lines() {
        let ((a, log_a), (b, log_b)) = (Written::log(), Written::log());
        let work = |number: u64| async move {
            for _ in 0..3 {
                telemetry::record("number", number);
                pause().await;
            }
            telemetry::end! { "number.again" = number };
        };
        let of = |log: Log, number| async move {
            let both = async { tokio::join!(telemetry::one_line(work(number)), telemetry::one_line(work(number + 1))) };
            log.hears(both).await
        };
        tokio::join!(of(log_a, 1), of(log_b, 10));
        let line = |n: u64| json!({"number": n, "number.again": n});
        let sorted = |written: &Written| {
            let mut lines = written.lines();
            lines.sort_by_key(|line| line["number"].as_u64());
            lines
        };
        assert_eq!(sorted(&a), [line(1), line(2)]);
        assert_eq!(sorted(&b), [line(10), line(11)]);
    }

    #[tokio::test]
    async fn part_without_a_line_adds_nothing_to_the_line_of_its_work() {
        let (written, log) = Written::log();
        let work = async {
            telemetry::no_line(async { telemetry::record("of_the_part", true) }).await;
            telemetry::record("of_the_work", true);
            telemetry::line! { "alone" = true };
            telemetry::end! { "end" = true };
        };
        log.writes_line(work).await;
        assert_eq!(written.lines(), [json!({"alone": true}), json!({"of_the_work": true, "end": true})]);
    }

    #[tokio::test]
    async fn work_that_is_dropped_or_panics_writes_nothing_by_itself() {
        let (written, log) = Written::log();
        let dropped = log.writes_line(async {
            telemetry::record("field", true);
            std::future::pending::<()>().await;
        });
        assert!(futures_util::FutureExt::now_or_never(dropped).is_none());
        let panics = log.writes_line(async {
            telemetry::record("field", true);
            panic!("synthetic");
        });
        assert!(futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(panics)).await.is_err());
        assert_eq!(written.lines(), Vec::<Value>::new());
        log.writes_line(async {
            telemetry::end! { "end" = true };
        })
        .await;
        assert_eq!(written.lines(), [json!({"end": true})]);
    }

    /// The calls of a line, without their durations.
    fn calls(line: &Value) -> Vec<Value> {
        let mut calls = line["calls"].as_array().unwrap().clone();
        for call in &mut calls {
            assert!(call.as_object_mut().unwrap().remove("duration_us").unwrap().is_u64(), "{call}");
        }
        calls
    }

    #[tokio::test]
    async fn line_has_the_calls_of_its_work_in_the_order_of_their_ends() {
        let (written, log) = Written::log();
        let work = async {
            let operation = Cause::code("GetItem");
            let first = CallSpan::begin("dynamodb", &operation);
            let second = CallSpan::begin("kms", &Cause::code("Decrypt"));
            pause().await;
            second.ended(2, &Cause::code("ok"));
            drop(second);
            first.ended(1, &Cause::code("ThrottlingException"));
            drop(first);
            telemetry::no_line(async { drop(CallSpan::begin("sqs", &Cause::code("SendMessage"))) }).await;
            telemetry::line! { "alone" = true };
            telemetry::end! { "run" = 1_u64 };
            let again = CallSpan::begin("s3", &Cause::code("GetObject"));
            again.ended(1, &Cause::code("ok"));
            drop(again);
            telemetry::end! { "run" = 2_u64 };
            telemetry::end! { "run" = 3_u64 };
        };
        log.writes_line(work).await;
        let lines = written.lines();
        assert_eq!(lines[0], json!({"alone": true}));
        let expected = [
            json!({"service": "kms", "operation": "Decrypt", "attempts": 2, "outcome": "ok"}),
            json!({"service": "dynamodb", "operation": "GetItem", "attempts": 1, "outcome": "ThrottlingException"}),
            json!({"service": "sqs", "operation": "SendMessage", "outcome": "dropped"}),
        ];
        assert_eq!(calls(&lines[1]), expected);
        assert_eq!(calls(&lines[2]), [json!({"service": "s3", "operation": "GetObject", "attempts": 1, "outcome": "ok"})]);
        assert_eq!(lines[3], json!({"run": 3}));
    }

    #[tokio::test]
    async fn line_lists_some_calls_and_counts_the_rest() {
        let (written, log) = Written::log();
        for made in [MOST_CALLS, MOST_CALLS + 1, 5000] {
            let work = async {
                for _ in 0..made {
                    CallSpan::begin("dynamodb", &Cause::code("Query")).ended(1, &Cause::code("ok"));
                }
                telemetry::end! { "end" = true };
            };
            log.writes_line(work).await;
            let line = written.lines().pop().unwrap();
            assert_eq!(calls(&line).len(), MOST_CALLS);
            assert_eq!(line["calls.more"].as_u64(), Some((made - MOST_CALLS) as u64).filter(|more| *more > 0));
        }
    }

    /// A type of another crate, which prints its data.
    #[derive(Debug)]
    struct Printed(#[expect(dead_code, reason = "it is printed")] &'static str);

    #[tokio::test]
    async fn spans_and_events_of_other_crates_are_not_written() {
        let (written, log) = Written::log();
        let work = async {
            let span = tracing::span!(target: "aws_smithy_runtime", Level::ERROR, "invoke", body = "Ada Sample");
            let _entered = span.enter();
            tracing::event!(Level::TRACE, name = "Ada Sample");
            tracing::event!(Level::DEBUG, name = "Ada Sample", "said {}", "Ada Sample");
            tracing::event!(Level::INFO, name = "level", value = "Ada Sample");
            tracing::event!(target: "hyper", Level::WARN, body = ?Printed("Ada Sample"));
            tracing::event!(target: "lambda_runtime::layers::panic", Level::ERROR, error = ?Printed("Ada Sample"), "handler failed");
            tracing::event!(target: "cloister", Level::ERROR, level = "Ada Sample");
            telemetry::record("field", true);
            telemetry::end! { "end" = true };
        };
        log.writes_line(work).await;
        assert_eq!(written.lines(), [json!({"field": true, "end": true})]);
    }

    #[test]
    fn error_of_the_lambda_runtime_is_written_without_its_fields() {
        let (written, log) = Written::log();
        log.hears_now(|| {
            tracing::event!(target: "lambda_runtime::layers::api_client", Level::ERROR, error = ?Printed("Ada Sample"), "not sent: {}", "Ada");
            tracing::event!(target: "lambda_runtime::layers::api_client", Level::WARN, "Ada Sample");
        });
        let lines = written.lines();
        let at = lines[0]["at"].as_str().unwrap();
        assert!(at.starts_with("lambda_runtime::layers::api_client:"), "{at}");
        assert_eq!(lines, [json!({"level": "error", "event": "runtime", "at": at})]);
    }

    #[test]
    fn value_that_prints_by_debug_only_is_not_recorded() {
        struct Leaky;
        impl LogValue for Leaky {
            fn log_value(&self) -> impl telemetry::TracingValue {
                tracing::field::debug(Printed("Ada Sample"))
            }
        }
        let (written, log) = Written::log();
        log.hears_now(|| telemetry::line! { "leaky" = Leaky, "kept" = true });
        assert_eq!(written.lines(), [json!({"kept": true})]);
    }
}
