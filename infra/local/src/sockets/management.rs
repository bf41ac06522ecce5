//! `@connections`: the management API for servers. As in API Gateway, it answers 410 for a closed connection.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html>

use super::{Functions, MESSAGE, Sockets, open::Sent};
use axum::{
    Json,
    extract::{Path, Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::json;
use std::sync::Arc;

pub(super) async fn answer<F: Functions>(
    State(sockets): State<Arc<Sockets<F>>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    match *request.method() {
        Method::POST => post(&sockets, &id, request).await,
        Method::GET => get(&sockets, &id),
        Method::DELETE if sockets.connections.delete(&id) => StatusCode::NO_CONTENT.into_response(),
        Method::DELETE => gone(),
        _ => refused(StatusCode::FORBIDDEN, "ForbiddenException", "no such method"),
    }
}

async fn post<F: Functions>(sockets: &Sockets<F>, id: &str, request: Request) -> Response {
    let too_large = || refused(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLargeException", "more than 128 KB");
    let Ok(body) = axum::body::to_bytes(request.into_body(), MESSAGE).await else { return too_large() };
    let Ok(text) = String::from_utf8(body.into()) else {
        return refused(StatusCode::BAD_REQUEST, "BadRequestException", "a frame is UTF-8 text");
    };
    match sockets.connections.send(id, text) {
        Sent::Queued => (StatusCode::OK, Json(json!({}))).into_response(),
        Sent::TooSlow => refused(StatusCode::TOO_MANY_REQUESTS, "LimitExceededException", "its reader cannot keep up"),
        Sent::Gone => gone(),
    }
}

fn get<F: Functions>(sockets: &Sockets<F>, id: &str) -> Response {
    let Some(seen) = sockets.connections.seen(id) else { return gone() };
    let identity = json!({ "sourceIp": seen.source_ip, "userAgent": seen.user_agent });
    let connection = json!({
        "connectedAt": seen.connected_at.to_string(),
        "lastActiveAt": seen.last_active_at.to_string(),
        "identity": identity,
    });
    Json(connection).into_response()
}

fn gone() -> Response {
    refused(StatusCode::GONE, "GoneException", "the connection is gone")
}

fn refused(status: StatusCode, kind: &'static str, message: &str) -> Response {
    (status, [("x-amzn-errortype", kind)], Json(json!({ "message": message }))).into_response()
}
