//! The log lines of a test.

use common::base::telemetry::{LogSink, WideEvent};
use serde_json::Value;
use std::sync::Mutex;

#[derive(Debug, Default)]
pub(crate) struct Lines(Mutex<Vec<Value>>);

impl Lines {
    pub(crate) fn all(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap().clear();
    }
}

impl LogSink for Lines {
    fn write(&self, event: &WideEvent) {
        self.0.lock().unwrap().push(serde_json::from_str(&event.to_line()).unwrap());
    }
}
