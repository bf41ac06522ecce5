//! An HTTP connector to AWS that evaluates IAM for each request.

use super::{
    calls::Call,
    gate::{Decision, Gate},
    refusal::ServiceAnswer,
};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
};
use aws_smithy_types::body::SdkBody;
use std::sync::Arc;

/// A connector that evaluates each call first.
#[derive(Clone, Debug)]
pub struct Guarded {
    inner: SharedHttpConnector,
    gate: Arc<Gate>,
}

impl Guarded {
    #[must_use]
    pub const fn new(inner: SharedHttpConnector, gate: Arc<Gate>) -> Self {
        Self { inner, gate }
    }
}

impl Gate {
    /// Evaluates a request. Returns the answer if the service must not give it, and the answer that replaces "no such object".
    ///
    /// # Errors
    /// The error answer of IAM or STS.
    pub fn admit(&self, request: &HttpRequest) -> Result<Option<HttpResponse>, Box<HttpResponse>> {
        let headers = request.headers().iter().collect();
        let body = request.body().bytes().unwrap_or_default();
        match self.judge(&Call::new(request.method(), request.uri(), headers, body)) {
            Decision::Passes { if_missing } => Ok(if_missing.map(respond)),
            Decision::Answered(answer) => Err(Box::new(respond(answer))),
        }
    }
}

impl HttpConnector for Guarded {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match self.gate.admit(&request) {
            Err(answer) => {
                if let Some(refused) = self.gate.last_refused().filter(|_| !answer.status().is_success()) {
                    eprintln!("IAM: {refused}");
                }
                HttpConnectorFuture::ready(Ok(*answer))
            }
            Ok(if_missing) => {
                let answer = self.inner.call(request);
                HttpConnectorFuture::new(async move { Ok(missing(answer.await?, if_missing)) })
            }
        }
    }
}

/// S3's answer, or the one for a caller who may not learn that the object is absent.
pub fn missing(answer: HttpResponse, if_missing: Option<HttpResponse>) -> HttpResponse {
    match if_missing {
        Some(denied) if answer.status().as_u16() == 404 => denied,
        _ => answer,
    }
}

fn respond(answer: ServiceAnswer) -> HttpResponse {
    let mut response = http::Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let response = response.body(SdkBody::from(answer.body)).map_err(|_| ()).and_then(|answer| answer.try_into().map_err(|_| ()));
    // INVARIANT: statuses and headers come from `refusal`, where they are well-formed.
    response.unwrap_or_else(|()| HttpResponse::new(server_error(), SdkBody::empty()))
}

fn server_error() -> aws_smithy_runtime_api::http::StatusCode {
    http::StatusCode::INTERNAL_SERVER_ERROR.into()
}
