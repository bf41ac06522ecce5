//! The receivers outside AWS: clients at their sockets, and mailboxes. They record all that is sent to them.

use crate::App;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use serde_json::Value;
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub(crate) struct Outside {
    frames: Vec<(String, Value)>,
    closed: Vec<String>,
    gone: BTreeSet<String>,
    mails: Vec<Value>,
}

impl Outside {
    /// Service and operation of a call to a receiver outside.
    pub(crate) fn operation(request: &HttpRequest) -> Option<(&'static str, &'static str)> {
        if connection(request).is_some() {
            let post = request.method() == "POST";
            return Some(("Sockets", if post { "PostToConnection" } else { "DeleteConnection" }));
        }
        request.uri().ends_with("/v2/email/outbound-emails").then_some(("Ses", "SendEmail"))
    }

    /// Status, error and body of the response, if the call is to a receiver outside.
    pub(crate) fn answer(&mut self, request: &HttpRequest) -> Option<(u16, Option<&'static str>, &'static str)> {
        let body = || serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
        let Some(connection) = connection(request) else {
            Self::operation(request)?;
            self.mails.push(body());
            return Some((200, None, r#"{"MessageId":"synthetic"}"#));
        };
        if self.gone.contains(&connection) {
            return Some((410, Some("GoneException"), "{}"));
        }
        if request.method() == "POST" {
            self.frames.push((connection, body()));
            return Some((200, None, ""));
        }
        self.gone.insert(connection.clone());
        self.closed.push(connection);
        Some((204, None, ""))
    }
}

fn connection(request: &HttpRequest) -> Option<String> {
    let (_, id) = request.uri().rsplit_once("/@connections/").or_else(|| request.uri().rsplit_once("/%40connections/"))?;
    Some(id.split('?').next().unwrap_or(id).replace("%3D", "="))
}

impl App {
    /// The frames that were sent to a client, in order.
    pub fn frames(&self, connection: &str) -> Vec<Value> {
        self.wire().with_outside(|o| o.frames.iter().filter(|(to, _)| to == connection).map(|(_, frame)| frame.clone()).collect())
    }
    /// The frames that were sent to all clients: connection and frame.
    pub fn all_frames(&self) -> Vec<(String, Value)> {
        self.wire().with_outside(|o| o.frames.clone())
    }
    /// The connections that our functions closed, in order.
    pub fn closed_sockets(&self) -> Vec<String> {
        self.wire().with_outside(|o| o.closed.clone())
    }
    /// A client disconnects without a close. From now on API Gateway answers 410 (gone) for its connection.
    pub fn hang_up(&self, connection: &str) {
        self.wire().with_outside(|o| o.gone.insert(connection.to_owned()));
    }
    /// A client's connection is not open yet. Until it is, API Gateway answers 410 (gone) for it.
    pub fn still_opening(&self, connection: &str) {
        self.hang_up(connection);
    }
    /// A client's connection is open from now on.
    pub fn is_open(&self, connection: &str) {
        self.wire().with_outside(|o| o.gone.remove(connection));
    }
    /// The mails that were sent, as requests to SES.
    pub fn mails(&self) -> Vec<Value> {
        self.wire().with_outside(|o| o.mails.clone())
    }
}
