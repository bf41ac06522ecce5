//! `GET /docs`: the API's interactive reference. It loads everything from this server.

use axum::{
    Router,
    http::header,
    response::{Html, IntoResponse},
    routing::get,
};

const SCALAR: &str = include_str!("../../assets/scalar.js");
const PAGE: &str = include_str!("../../assets/docs.html");
const START: &str = include_str!("../../assets/docs.js");

/// Allows only this server: no other host, no inline script, no frame. The reference needs inline styles.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/docs", get(|| async { with_policy(Html(PAGE)) }))
        .route("/docs/start.js", get(|| async { script(START) }))
        .route("/docs/scalar.js", get(|| async { script(SCALAR) }))
}

fn script(text: &'static str) -> impl IntoResponse {
    with_policy(([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], text))
}

fn with_policy(response: impl IntoResponse) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, response)
}
