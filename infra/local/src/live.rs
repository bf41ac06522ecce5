//! Reports the stack's work: one [`Served`] per request and one [`Ran`] per run of another function, combined from the stack's
//! data and the function's log lines.

use common::base::telemetry::{LogSink, WideEvent};
use serde_json::Value;
use std::{
    cell::RefCell,
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// A completed request.
#[derive(Clone, Debug)]
pub struct Served {
    pub method: String,
    /// The route's template, or the path if there is no route.
    pub route: String,
    pub status: u16,
    pub took: Duration,
    /// The function's own log line, if a function was called.
    pub line: Option<Value>,
}

/// The trigger of a function that has no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A queue's messages.
    Consumer,
    /// The clock.
    Schedule,
    /// A socket's connect, message or disconnect.
    Socket,
}

/// A completed run.
#[derive(Clone, Debug)]
pub struct Ran {
    pub kind: Kind,
    pub domain: &'static str,
    pub name: &'static str,
    /// The number of messages in the batch, or of parts that were due.
    pub items: usize,
    /// The number that will be retried.
    pub failed: usize,
    pub took: Duration,
    /// An error that the lines do not contain.
    pub error: Option<String>,
    /// The function's own log lines.
    pub lines: Vec<Value>,
}

/// Receives each request after its answer, and each other run after its end.
pub trait Observer: Send + Sync + fmt::Debug {
    fn served(&self, request: &Served);
    fn ran(&self, run: &Ran);
}

tokio::task_local! {
    /// The log lines of this task's run.
    static HEARD: RefCell<Vec<Value>>;
}

/// Collects the functions' log lines until the request is answered or the run has ended.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    waiting: Mutex<HashMap<String, Value>>,
    observer: Option<Arc<dyn Observer>>,
}

impl Lines {
    pub(crate) fn new(observer: Option<Arc<dyn Observer>>) -> Self {
        Self { waiting: Mutex::default(), observer }
    }

    /// `request_id` is the one in the function's event.
    pub(crate) fn served(&self, request_id: &str, mut served: Served) {
        served.line = self.lock().remove(request_id);
        if let Some(observer) = &self.observer {
            observer.served(&served);
        }
    }

    /// Runs the work, and returns the log lines of this task.
    pub(crate) async fn heard<T>(&self, work: impl Future<Output = T>) -> (T, Vec<Value>) {
        let listening = async {
            let done = work.await;
            (done, HEARD.with(RefCell::take))
        };
        HEARD.scope(RefCell::default(), listening).await
    }

    pub(crate) fn ran(&self, run: &Ran) {
        if let Some(observer) = &self.observer {
            observer.ran(run);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Value>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogSink for Lines {
    fn write(&self, event: &WideEvent) {
        if let Ok(line) = serde_json::from_str(&event.to_line()) {
            self.hear(line);
        }
    }
}

impl Lines {
    fn hear(&self, line: Value) {
        if HEARD.try_with(|heard| heard.borrow_mut().push(line.clone())).is_ok() {
            return;
        }
        // The authorizer's lines have no request id; its refusals are visible in the answer.
        if let Some(id) = line["request_id"].as_str() {
            self.lock().insert(id.to_owned(), line.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn run_collects_only_its_own_lines() {
        let lines = Lines::default();
        let run = |name| {
            let lines = &lines;
            lines.heard(async move {
                lines.hear(json!({ "function": name }));
                tokio::task::yield_now().await;
                lines.hear(json!({ "function": name }));
            })
        };
        let (((), a), ((), b)) = tokio::join!(run("a"), run("b"));
        let names = |heard: &[Value]| heard.iter().map(|l| l["function"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!((names(&a), names(&b)), (vec!["a".to_owned(); 2], vec!["b".to_owned(); 2]));
    }
}
