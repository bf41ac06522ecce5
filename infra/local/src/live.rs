//! What the stack has just done: one [`Served`] a request, put together from what the gateway and the function know of it.

use common::telemetry::{LogSink, WideEvent};
use serde_json::Value;
use std::{
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

/// Is told of each request once it is answered.
pub trait Observer: Send + Sync + fmt::Debug {
    fn served(&self, request: &Served);
}

/// Takes the functions' log lines and keeps each until its request is answered.
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

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Value>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogSink for Lines {
    fn write(&self, event: &WideEvent) {
        let Ok(line) = serde_json::from_str::<Value>(&event.to_line()) else { return };
        // The authorizer's lines have no request's id; what it refused is seen in the answer.
        if let Some(id) = line["request_id"].as_str() {
            self.lock().insert(id.to_owned(), line.clone());
        }
    }
}
