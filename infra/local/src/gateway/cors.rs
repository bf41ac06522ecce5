//! The origins that may call: exact origins, as in the template's `AllowedOrigins`.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header},
};
use common::request::EXPOSED_HEADERS;
use registry::{CORS_ALLOWED_HEADERS, CORS_MAX_AGE_SECONDS};

#[derive(Debug)]
pub(crate) struct Cors {
    origins: Vec<String>,
}

impl Cors {
    pub(crate) fn new(origins: Vec<String>) -> Self {
        Self { origins }
    }

    /// The answer to OPTIONS. It does not depend on the requested method or headers.
    pub(crate) fn preflight(&self, methods: &[&'static str]) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        set(response.headers_mut(), header::ACCESS_CONTROL_ALLOW_METHODS, &format!("{}, OPTIONS", methods.join(", ")));
        set(response.headers_mut(), header::ACCESS_CONTROL_ALLOW_HEADERS, CORS_ALLOWED_HEADERS);
        set(response.headers_mut(), header::ACCESS_CONTROL_MAX_AGE, &CORS_MAX_AGE_SECONDS.to_string());
        response
    }

    /// Lets an allowed origin read the answer.
    pub(crate) fn allow(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        set(headers, header::VARY, "Origin");
        let Some(origin) = origin.and_then(|o| o.to_str().ok()) else { return };
        if self.origins.iter().any(|allowed| allowed == origin) {
            set(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            set(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        }
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
