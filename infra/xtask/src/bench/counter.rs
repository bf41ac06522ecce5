//! Counts the calls that the SDKs send.

use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector},
    orchestrator::HttpRequest,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The calls by name, each retry counted: `dynamodb Query`, `s3 PutObject`.
pub(crate) type Calls = BTreeMap<String, usize>;

/// An HTTP connector that counts.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    inner: SharedHttpConnector,
    calls: Arc<Mutex<Calls>>,
}

impl Counter {
    pub(crate) fn new() -> Self {
        Self { inner: common::aws::https(), calls: Arc::default() }
    }

    pub(crate) fn connector(&self) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }

    /// The calls since the last `take`.
    pub(crate) fn take(&self) -> Calls {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl HttpConnector for Counter {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let name = name(request.headers().get("x-amz-target"), request.uri());
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
        self.inner.call(request)
    }
}

/// S3's SDK puts the operation into the URL.
fn name(target: Option<&str>, uri: &str) -> String {
    let object = || uri.split_once("x-id=").map(|(_, id)| ("S3", id.split('&').next().unwrap_or(id)));
    let (service, operation) = target.and_then(|target| target.split_once('.')).or_else(object).unwrap_or(("other", uri));
    let service = match service {
        "DynamoDB_20120810" => "dynamodb",
        "TrentService" => "kms",
        "S3" => "s3",
        other => other,
    };
    format!("{service} {operation}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_is_named_by_its_service_and_operation() {
        assert_eq!(name(Some("DynamoDB_20120810.Query"), "http://127.0.0.1:1/"), "dynamodb Query");
        assert_eq!(name(None, "http://127.0.0.1:1/bucket/key?x-id=PutObject"), "s3 PutObject");
    }
}
