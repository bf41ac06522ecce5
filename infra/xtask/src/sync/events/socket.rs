//! The event of a function of the socket API.
//!
//! Source: AWS, "Amazon API Gateway WebSocket API mapping template and access logging variable reference".

use common::{background::AnySocket, request::SocketRoute};
use emulators::apigateway::STAGE;
use serde_json::{Value, json};

pub(super) fn event(socket: &AnySocket) -> Value {
    let kind = match socket.route {
        SocketRoute::Connect => "CONNECT",
        SocketRoute::Disconnect => "DISCONNECT",
        SocketRoute::Message => "MESSAGE",
    };
    let mut event = json!({
        "requestContext": {
            "routeKey": socket.route_key,
            "eventType": kind,
            "extendedRequestId": "{{request_id}}",
            "requestId": "{{request_id}}",
            "requestTime": "01/Jan/2026:12:00:00 +0000",
            "requestTimeEpoch": 1_767_268_800_000_i64,
            "connectedAt": 1_767_268_800_000_i64,
            "messageDirection": "IN",
            "stage": STAGE,
            "identity": { "sourceIp": "127.0.0.1", "userAgent": "cloister-event/1" },
            "domainName": "127.0.0.1",
            "connectionId": "c3ludGhldGlj=",
            "apiId": "local-sockets",
            "authorizer": {
                "tenant_id": "{{tenant_id}}",
                "user_id": "{{user_id}}",
                "session_id": "{{session_id}}",
                "exp": "{{exp}}",
            },
        },
        "isBase64Encoded": false,
    });
    match socket.route {
        SocketRoute::Connect => {
            event["headers"] = json!({ "Host": "127.0.0.1", "User-Agent": "cloister-event/1" });
            // The authorizer has consumed the ticket.
            event["queryStringParameters"] = json!({ "ticket": "synthetic" });
        }
        SocketRoute::Disconnect => {
            event["requestContext"]["disconnectStatusCode"] = json!(1000);
            event["requestContext"]["disconnectReason"] = "".into();
        }
        SocketRoute::Message => {
            event["requestContext"]["messageId"] = "{{request_id}}".into();
            event["body"] = json!({ "type": "ping" }).to_string().into();
        }
    }
    event
}
