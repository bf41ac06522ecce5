//! Those whom our functions reach: clients at their sockets, and mailboxes. They keep what they get.

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
    /// Service and operation of a call that goes out.
    pub(crate) fn operation(request: &HttpRequest) -> Option<(&'static str, &'static str)> {
        if connection(request).is_some() {
            let post = request.method() == "POST";
            return Some(("Sockets", if post { "PostToConnection" } else { "DeleteConnection" }));
        }
        request.uri().ends_with("/v2/email/outbound-emails").then_some(("Ses", "SendEmail"))
    }

    /// Status, error and body of the answer, if the call goes out.
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
    /// What a client has been sent, in order.
    pub fn frames(&self, connection: &str) -> Vec<Value> {
        self.wire().with_outside(|o| o.frames.iter().filter(|(to, _)| to == connection).map(|(_, frame)| frame.clone()).collect())
    }
    /// What all clients have been sent: connection and frame.
    pub fn all_frames(&self) -> Vec<(String, Value)> {
        self.wire().with_outside(|o| o.frames.clone())
    }
    /// The connections that were closed by us, in order.
    pub fn closed_sockets(&self) -> Vec<String> {
        self.wire().with_outside(|o| o.closed.clone())
    }
    /// A client goes without a word: from now on its connection is gone (410).
    pub fn hang_up(&self, connection: &str) {
        self.wire().with_outside(|o| o.gone.insert(connection.to_owned()));
    }
    /// A client's connection is not open yet: until it is, API Gateway says of it that it is gone (410).
    pub fn still_opening(&self, connection: &str) {
        self.hang_up(connection);
    }
    /// It is open from now on.
    pub fn is_open(&self, connection: &str) {
        self.wire().with_outside(|o| o.gone.remove(connection));
    }
    /// The mails that were sent, as SES was asked to send them.
    pub fn mails(&self) -> Vec<Value> {
        self.wire().with_outside(|o| o.mails.clone())
    }
}
