//! Answers, complete and corrupted.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body::{Body, Frame};
use serde_json::{Value, json};

use super::fault::{Endpoint, Fault};
use super::oauth;

/// A JSON answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    body: Value,
    retry_after: Option<u32>,
}

impl Reply {
    pub(super) fn new(status: StatusCode, body: Value) -> Self {
        Self { status, body, retry_after: None }
    }

    pub(super) fn ok(body: &Value) -> Self {
        Self::new(StatusCode::OK, body.clone())
    }

    pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Self {
        Self::new(status, json!({ "response": { "errors": [{ "code": code, "message": message }] } }))
    }

    /// Adds a field next to `response`.
    pub(super) fn with(mut self, name: &str, value: Value) -> Self {
        self.body[name] = value;
        self
    }

    /// The answer of a fault that answers instead of UPS.
    pub(super) fn instead(fault: Option<Fault>, endpoint: Endpoint) -> Option<Self> {
        match fault? {
            Fault::Unauthorized if endpoint == Endpoint::Token => Some(oauth::refused_client()),
            Fault::Unauthorized => Some(oauth::refused_token()),
            Fault::RateLimited { retry_after } => {
                let reply = Self::error(StatusCode::TOO_MANY_REQUESTS, "10429", "Too Many Requests");
                Some(Self { retry_after, ..reply })
            }
            Fault::ServerError => {
                let message = "Something went wrong while processing your request, please try again later";
                Some(Self::error(StatusCode::INTERNAL_SERVER_ERROR, "10004", message))
            }
            _ => None,
        }
    }

    /// The final answer, corrupted if the fault says so.
    pub(super) fn respond(self, fault: Option<Fault>) -> Response {
        let Self { status, body, retry_after } = self;
        let body = body.to_string();
        let mut response = match fault {
            Some(Fault::MalformedJson) => {
                let half = body.chars().take(body.chars().count() / 2).collect::<String>();
                (StatusCode::OK, [(header::CONTENT_TYPE, JSON)], half + "<!--").into_response()
            }
            Some(Fault::WrongContentType) => {
                let page = "<html><head><title>UPS</title></head><body>We'll be right back.</body></html>";
                (StatusCode::OK, [(header::CONTENT_TYPE, "text/html;charset=UTF-8")], page).into_response()
            }
            Some(Fault::TruncatedBody) => {
                let half = Bytes::copy_from_slice(&body.as_bytes()[..body.len() / 2]);
                let length = [(header::CONTENT_TYPE, JSON.to_owned()), (header::CONTENT_LENGTH, body.len().to_string())];
                (StatusCode::OK, length, axum::body::Body::new(Torn::After(half))).into_response()
            }
            Some(Fault::Dropped) => axum::body::Body::new(Torn::AtOnce).into_response(),
            _ => (status, [(header::CONTENT_TYPE, JSON)], body).into_response(),
        };
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

const JSON: &str = "application/json;charset=UTF-8";

/// A body that breaks off, together with the connection. If it breaks off at once, hyper has not sent the headers either.
#[derive(Debug)]
enum Torn {
    After(Bytes),
    /// One more poll, so that earlier bytes are sent by then.
    Flushing,
    AtOnce,
}

#[derive(Debug, thiserror::Error)]
#[error("broken off on purpose")]
struct BrokenOff;

impl Body for Torn {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match std::mem::replace(&mut *self, Self::AtOnce) {
            Self::After(half) => {
                *self = Self::Flushing;
                Poll::Ready(Some(Ok(Frame::data(half))))
            }
            Self::Flushing => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Self::AtOnce => Poll::Ready(Some(Err(BrokenOff))),
        }
    }
}
