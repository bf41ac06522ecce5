//! What the stack has just done: one [`Served`] a request and one [`Ran`] a run of another function, put together from what the
//! stack and the function know of it.

use common::base::telemetry::{LogSink, WideEvent};
use serde_json::Value;
use std::{
    cell::RefCell,
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// A request that has been answered.
#[derive(Clone, Debug)]
pub struct Served {
    pub method: String,
    /// The route's template; the path where there is no such route.
    pub route: String,
    pub status: u16,
    pub took: Duration,
    /// The function's own log line, where one was asked.
    pub line: Option<Value>,
}

/// What woke a function that nobody has called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Messages of its queue.
    Consumer,
    /// The clock.
    Schedule,
    /// An open socket, or one that opens or closes.
    Socket,
}

/// A run that is over.
#[derive(Clone, Debug)]
pub struct Ran {
    pub kind: Kind,
    pub domain: &'static str,
    pub name: &'static str,
    /// Messages that it was given, or parts that were due.
    pub items: usize,
    /// How many of them are to come again.
    pub failed: usize,
    pub took: Duration,
    /// What went wrong beside what the lines say.
    pub error: Option<String>,
    /// The function's own log lines.
    pub lines: Vec<Value>,
}

/// Is told of each request once it is answered, and of each other run once it is over.
pub trait Observer: Send + Sync + fmt::Debug {
    fn served(&self, request: &Served);
    fn ran(&self, run: &Ran);
}

tokio::task_local! {
    /// The lines of the run that this task is in.
    static HEARD: RefCell<Vec<Value>>;
}

/// Takes the functions' log lines and keeps each until its request is answered, or its run is over.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    waiting: Mutex<HashMap<String, Value>>,
    observer: Option<Arc<dyn Observer>>,
}

impl Lines {
    pub(crate) fn new(observer: Option<Arc<dyn Observer>>) -> Self {
        Self { waiting: Mutex::default(), observer }
    }

    /// `request_id` was given to the function with the request.
    pub(crate) fn served(&self, request_id: &str, mut served: Served) {
        served.line = self.lock().remove(request_id);
        if let Some(observer) = &self.observer {
            observer.served(&served);
        }
    }

    /// Does the work, and gives what it logged in this task.
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
        let Ok(line) = serde_json::from_str::<Value>(&event.to_line()) else { return };
        if HEARD.try_with(|heard| heard.borrow_mut().push(line.clone())).is_ok() {
            return;
        }
        // The authorizer's lines have no request's id; what it refused is seen in the answer.
        if let Some(id) = line["request_id"].as_str() {
            self.lock().insert(id.to_owned(), line.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(function: &'static str) -> WideEvent {
        let mut line = WideEvent::default();
        line.set("function", function);
        line
    }

    #[tokio::test]
    async fn a_run_hears_its_own_lines_and_nobody_elses() {
        let lines = Lines::default();
        let run = |name| {
            let lines = &lines;
            lines.heard(async move {
                lines.write(&line(name));
                tokio::task::yield_now().await;
                lines.write(&line(name));
            })
        };
        let (((), a), ((), b)) = tokio::join!(run("a"), run("b"));
        let names = |heard: &[Value]| heard.iter().map(|l| l["function"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!((names(&a), names(&b)), (vec!["a".to_owned(); 2], vec!["b".to_owned(); 2]));
    }
}
