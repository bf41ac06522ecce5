//! Clients that open sockets, as events of API Gateway.

use crate::App;
use common::{
    background::AnySocket,
    base::Identity,
    request::authorizer::{self, Authorizer},
};
use serde_json::{Map, Value, json};

const IP: &str = "192.0.2.7";

impl App {
    /// Calls a function of the socket API for a client. Returns the response's status.
    ///
    /// # Panics
    /// If the event does not parse as one of API Gateway's.
    pub async fn socket(&self, function: &AnySocket, who: &Identity, connection: &str, body: Option<&Value>) -> i64 {
        self.socket_from(IP, function, who, connection, body).await
    }

    /// The same for a client at another address.
    ///
    /// # Panics
    /// If the event does not parse as one of API Gateway's.
    pub async fn socket_from(
        &self,
        ip: &str,
        function: &AnySocket,
        who: &Identity,
        connection: &str,
        body: Option<&Value>,
    ) -> i64 {
        let authorizer: Map<_, _> = who.to_context().into_iter().map(|(k, v)| (k.to_owned(), Value::String(v))).collect();
        let event = json!({
            "requestContext": {
                "routeKey": function.route_key,
                "authorizer": authorizer,
                "connectionId": connection,
                "connectedAt": 0,
                "requestTimeEpoch": 0,
                "messageId": null,
                "stage": "live",
                "identity": {"sourceIp": ip, "userAgent": "testing/1"},
            },
            "body": body.map(Value::to_string),
            "isBase64Encoded": false,
        });
        let event = serde_json::from_value(event).expect("a socket's event");
        function.serve(self.deps(), event).await.status_code
    }

    /// Calls an authorizer for a handshake with `ticket` from `ip`. Returns its context, which names the client's user.
    ///
    /// # Errors
    /// As [`authorizer::authorize`].
    ///
    /// # Panics
    /// If the response has no context.
    pub async fn shake_hands<A: Authorizer>(
        &self,
        authorizer: &A,
        ticket: Option<&str>,
        ip: &str,
    ) -> Result<Map<String, Value>, authorizer::Refused> {
        let query: Map<_, _> = ticket.map(|ticket| ("ticket".to_owned(), Value::String(ticket.to_owned()))).into_iter().collect();
        let event = json!({
            "type": "REQUEST",
            "methodArn": "arn:aws:execute-api:us-east-1:000000000000:sockets/live/$connect",
            "headers": {},
            "multiValueHeaders": {},
            "queryStringParameters": query,
            "multiValueQueryStringParameters": {},
            "pathParameters": {},
            "stageVariables": {},
            "requestContext": {"routeKey": "$connect", "connectionId": "connection-0", "stage": "live", "identity": {"sourceIp": ip}},
        });
        let event = serde_json::from_value(event).expect("an authorizer's event");
        let answer = authorizer::authorize(self.deps(), authorizer, event).await?;
        Ok(answer.context.as_object().expect("a context").clone())
    }
}
