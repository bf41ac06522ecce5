//! API Gateway's management API: sends to a connection, or closes it.
//!
//! Source: AWS, "Use @connections commands in your backend service".

use crate::{aws::errors::unavailable, base::Result};
use aws_sdk_apigatewaymanagement::{Client, primitives::Blob};

const SERVICE: &str = "sockets";

#[derive(Debug)]
pub(crate) struct Push {
    client: Client,
}

/// The result of sending a frame or closing a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Accepted,
    /// The connection does not exist (410): not any more, or not yet.
    Gone,
}

impl Push {
    pub(crate) const fn new(client: Client) -> Self {
        Self { client }
    }

    /// # Errors
    /// 503 if API Gateway does not accept it.
    pub(crate) async fn send(&self, connection: &str, frame: Vec<u8>) -> Result<Sent> {
        match self.client.post_to_connection().connection_id(connection).data(Blob::new(frame)).send().await {
            Ok(_) => Ok(Sent::Accepted),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_gone_exception()) => Ok(Sent::Gone),
            Err(e) => Err(unavailable(SERVICE)(e)),
        }
    }

    /// Closes a connection. A gone connection counts as closed, unless it may still be opening.
    ///
    /// # Errors
    /// 503 if API Gateway does not answer.
    pub(crate) async fn close(&self, connection: &str) -> Result<Sent> {
        match self.client.delete_connection().connection_id(connection).send().await {
            Ok(_) => Ok(Sent::Accepted),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_gone_exception()) => Ok(Sent::Gone),
            Err(e) => Err(unavailable(SERVICE)(e)),
        }
    }
}

/// The URL of the management API of a socket API: the same address, called by HTTP.
pub(crate) fn management_url(sockets_url: &str) -> String {
    match sockets_url.split_once("://") {
        Some(("ws", rest)) => format!("http://{rest}"),
        Some(("wss", rest)) => format!("https://{rest}"),
        _ => sockets_url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn management_url_has_the_host_of_the_sockets_url() {
        for (sockets, management) in [
            ("wss://abc.execute-api.example/live", "https://abc.execute-api.example/live"),
            ("ws://127.0.0.1:9001/live", "http://127.0.0.1:9001/live"),
        ] {
            assert_eq!(management_url(sockets), management);
        }
    }
}
