//! Forwards a request to another listener on this machine, and its answer back.

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Headers of a single connection, which must not be forwarded.
const OWN: [&str; 4] = ["host", "content-length", "transfer-encoding", "connection"];

#[derive(Clone, Debug)]
pub(crate) struct Forward {
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Forward {
    pub(crate) fn new() -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// The complete answer of `url`.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) async fn send(&self, method: &Method, url: &str, headers: &HeaderMap, body: Bytes) -> Result<Response, String> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
            request = request.header(name, value);
        }
        let request = request.body(Full::from(body)).map_err(|error| error.to_string())?;
        let answer = self.client.request(request).await.map_err(|error| error.to_string())?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok(Response::from_parts(parts, Body::from(body)))
    }
}
