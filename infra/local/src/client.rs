//! A small HTTP client for loopback, for the tools and tests that talk to a running stack.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client as Hyper, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

/// The time limit of a request on loopback.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Sends requests to one base URL.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    hyper: Hyper<HttpConnector, Full<Bytes>>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer from {url}: {why}")]
pub struct NoAnswer {
    pub url: String,
    pub why: String,
}

/// A complete answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// [`Value::Null`] if the body is not JSON.
    pub json: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
    /// The problem's code, or an empty text.
    pub fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }
}

impl Client {
    /// `base` is `http://127.0.0.1:PORT`.
    pub fn new(base: impl Into<String>) -> Self {
        Self::from_address(base, Ipv4Addr::LOCALHOST)
    }

    /// The same from another address of 127.0.0.0/8, which the stack treats as another caller. If the system has no such address,
    /// requests fail.
    pub fn from_address(base: impl Into<String>, address: Ipv4Addr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_local_address(Some(IpAddr::V4(address)));
        Self { base: base.into(), hyper: Hyper::builder(TokioExecutor::new()).build(connector) }
    }

    /// Sends a request; the body is sent unchanged, without extra headers.
    ///
    /// # Errors
    /// [`NoAnswer`] if there is no listener, or no complete answer in time.
    pub async fn send(
        &self,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, NoAnswer> {
        let url = format!("{}{path}", self.base);
        let failed = |why: &dyn std::fmt::Display| NoAnswer { url: url.clone(), why: why.to_string() };
        let mut request = Request::builder().method(method).uri(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).map_err(|e| failed(&e))?;
        let exchange = async {
            let answer = self.hyper.request(request).await.map_err(|e| failed(&e))?;
            let (head, body) = answer.into_parts();
            let bytes = Body::new(body).collect().await.map_err(|e| failed(&e))?.to_bytes();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let json = serde_json::from_str(&text).unwrap_or(Value::Null);
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, text, json })
        };
        tokio::time::timeout(TIMEOUT, exchange).await.map_err(|e| failed(&e))?
    }
}
