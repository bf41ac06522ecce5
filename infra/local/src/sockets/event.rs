//! The events of a WebSocket API.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html>

use axum::http::request::Parts;
use common::base::{Clock, SystemClock, Timestamp, random};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, net::SocketAddr};

const API: &str = "local-sockets";
const STAGE: &str = emulators::apigateway::STAGE;

/// A client, and its handshake request.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) connection_id: String,
    pub(crate) connected_at: Timestamp,
    pub(crate) source_ip: String,
    pub(crate) user_agent: String,
    domain: String,
    headers: Vec<(String, String)>,
    query: Vec<(String, String)>,
    /// The authorizer's context, after it has accepted the client.
    pub(crate) authorizer: Map<String, Value>,
}

impl Client {
    pub(crate) fn new(head: &Parts, peer: SocketAddr) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut headers: Vec<_> = head
            .headers
            .iter()
            .filter(|(name, _)| *name != "x-forwarded-for")
            .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
            .collect();
        headers.push(("x-forwarded-for".to_owned(), peer.ip().to_string()));
        let header = |name: &str| head.headers.get(name).map(|value| text(value.as_bytes())).unwrap_or_default();
        Self {
            connection_id: connection_id(),
            connected_at: SystemClock.now(),
            source_ip: peer.ip().to_string(),
            user_agent: header("user-agent"),
            domain: header("host"),
            headers,
            query: form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect(),
            authorizer: Map::new(),
        }
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The authorizer's event and the method's ARN.
    pub(crate) fn authorizer_event(&self) -> (Value, String) {
        let method = format!("arn:aws:execute-api:{}:{}:{API}/{STAGE}/$connect", emulators::REGION, emulators::ACCOUNT);
        let mut event = self.with_headers(self.context("$connect", "CONNECT"));
        event["type"] = "REQUEST".into();
        event["methodArn"] = method.as_str().into();
        event["stageVariables"] = json!({});
        (event, method)
    }

    pub(crate) fn connect(&self) -> Value {
        let mut event = self.with_headers(self.context("$connect", "CONNECT"));
        event["isBase64Encoded"] = false.into();
        event
    }

    pub(crate) fn message(&self, body: &str) -> Value {
        let mut context = self.context("$default", "MESSAGE");
        context["messageId"] = connection_id().into();
        json!({ "requestContext": context, "body": body, "isBase64Encoded": false })
    }

    pub(crate) fn disconnect(&self, code: u16, reason: &str) -> Value {
        let mut context = self.context("$disconnect", "DISCONNECT");
        context["disconnectStatusCode"] = code.into();
        context["disconnectReason"] = reason.into();
        let headers = json!({ "Host": self.domain, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": "" });
        json!({ "headers": headers, "requestContext": context, "isBase64Encoded": false })
    }

    fn with_headers(&self, context: Value) -> Value {
        json!({
            "headers": last(&self.headers),
            "multiValueHeaders": all(&self.headers),
            "queryStringParameters": last(&self.query),
            "multiValueQueryStringParameters": all(&self.query),
            "requestContext": context,
        })
    }

    fn context(&self, route: &str, kind: &str) -> Value {
        let now = SystemClock.now();
        let request_id = connection_id();
        let mut context = json!({
            "routeKey": route,
            "eventType": kind,
            "messageId": null,
            "extendedRequestId": request_id,
            "requestTime": common_log_time(now),
            "messageDirection": "IN",
            "stage": STAGE,
            "connectedAt": self.connected_at.as_millis(),
            "requestTimeEpoch": now.as_millis(),
            "identity": { "sourceIp": self.source_ip, "userAgent": self.user_agent },
            "requestId": request_id,
            "domainName": self.domain,
            "connectionId": self.connection_id,
            "apiId": API,
        });
        if !self.authorizer.is_empty() {
            context["authorizer"] = Value::Object(self.authorizer.clone());
        }
        context
    }
}

/// As API Gateway's: base64 with an equals sign, so that code which does not encode it in a path fails here too.
fn connection_id() -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE};
    URL_SAFE.encode(random::bytes::<11>())
}

/// `19/Jan/2026:21:13:26 +0000`
fn common_log_time(at: Timestamp) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = at.to_string();
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    let month = part(5..7).parse::<usize>().ok().and_then(|m| MONTHS.get(m.checked_sub(1)?)).unwrap_or(&"Jan");
    format!("{}/{month}/{}:{} +0000", part(8..10), part(0..4), part(11..19))
}

fn last(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<Map<_, _>>().into()
}

fn all(pairs: &[(String, String)]) -> Value {
    let mut map: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in pairs {
        map.entry(name).or_default().push(value);
    }
    json!(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lambda_events::apigw::{ApiGatewayCustomAuthorizerRequestTypeRequest, ApiGatewayWebsocketProxyRequest};
    use axum::http::Request;

    fn client() -> Client {
        let (head, ()) = Request::get("/ws?ticket=t%2B1")
            .header("host", "127.0.0.1:8787")
            .header("user-agent", "synthetic/1")
            .header("x-forwarded-for", "203.0.113.9")
            .body(())
            .unwrap()
            .into_parts();
        Client::new(&head, ([127, 0, 0, 1], 4000).into())
    }

    #[test]
    fn authorizer_gets_the_ticket_and_the_source_address() {
        let (event, method) = client().authorizer_event();
        let event: ApiGatewayCustomAuthorizerRequestTypeRequest = serde_json::from_str(&event.to_string()).unwrap();
        assert_eq!(event.query_string_parameters.first("ticket"), Some("t+1"));
        assert_eq!(event.method_arn, Some(method));
        assert_eq!(event.request_context.identity.unwrap().source_ip.as_deref(), Some("127.0.0.1"));
        assert_eq!(event.headers["x-forwarded-for"], "127.0.0.1");
    }

    #[test]
    fn each_route_gets_its_event() {
        let mut client = client();
        client.authorizer.insert("tenant_id".into(), "ten_1".into());
        let parsed = |event: Value| serde_json::from_str::<ApiGatewayWebsocketProxyRequest>(&event.to_string()).unwrap();
        let (connect, message, disconnect) =
            (parsed(client.connect()), parsed(client.message("{}")), parsed(client.disconnect(1001, "Going away")));
        for (event, route, kind) in
            [(&connect, "$connect", "CONNECT"), (&message, "$default", "MESSAGE"), (&disconnect, "$disconnect", "DISCONNECT")]
        {
            let context = &event.request_context;
            assert_eq!((context.route_key.as_deref(), context.event_type.as_deref()), (Some(route), Some(kind)));
            assert_eq!(context.connection_id.as_ref(), Some(&client.connection_id));
            assert_eq!(context.authorizer.fields["tenant_id"], "ten_1");
            assert_eq!(context.connected_at, client.connected_at.as_millis());
        }
        assert_eq!(message.body.as_deref(), Some("{}"));
        assert!(message.request_context.message_id.is_some());
        assert_eq!(disconnect.request_context.disconnect_status_code, Some(1001));
    }

    #[test]
    fn times_are_in_the_common_log_format() {
        assert_eq!(common_log_time(Timestamp::from_millis(1_768_857_206_000)), "19/Jan/2026:21:13:26 +0000");
    }
}
