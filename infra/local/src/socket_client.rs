//! A small WebSocket client for loopback, for the tools and tests that talk to a running stack.

use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::HeaderValue},
};

/// The time limit of an answer on loopback.
const TIMEOUT: Duration = Duration::from_secs(20);

/// An open socket.
#[derive(Debug)]
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// The next input of the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketInput {
    Text(String),
    /// It was closed, with RFC 6455's code if there was one.
    Closed(Option<u16>),
    /// No frame within the time.
    Nothing,
}

/// Why there is no socket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSocket {
    /// The handshake was answered with this status.
    #[error("refused with {0}")]
    Refused(u16),
    #[error("no answer: {0}")]
    NoAnswer(String),
}

impl Socket {
    /// Opens a socket at a URL such as `ws://127.0.0.1:8787/ws?ticket=…`.
    ///
    /// # Errors
    /// [`NoSocket`]
    pub async fn open(url: &str) -> Result<Self, NoSocket> {
        let failed = |e: &dyn std::fmt::Display| NoSocket::NoAnswer(e.to_string());
        let mut request = url.into_client_request().map_err(|e| failed(&e))?;
        request.headers_mut().insert("user-agent", HeaderValue::from_static("cloister-local"));
        match timeout(TIMEOUT, connect_async(request)).await {
            Ok(Ok((socket, _))) => Ok(Self(socket)),
            Ok(Err(Error::Http(answer))) => Err(NoSocket::Refused(answer.status().as_u16())),
            Ok(Err(e)) => Err(failed(&e)),
            Err(e) => Err(failed(&e)),
        }
    }

    /// # Errors
    /// [`NoSocket::NoAnswer`] if it is closed.
    pub async fn say(&mut self, text: impl Into<String>) -> Result<(), NoSocket> {
        self.0.send(Message::text(text.into())).await.map_err(|e| NoSocket::NoAnswer(e.to_string()))
    }

    /// Waits for the next frame, and answers pings meanwhile.
    pub async fn hear(&mut self, patience: Duration) -> SocketInput {
        let next = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => return SocketInput::Text(text.as_str().to_owned()),
                    Some(Ok(Message::Close(frame))) => return SocketInput::Closed(frame.map(|frame| frame.code.into())),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return SocketInput::Closed(None),
                }
            }
        };
        timeout(patience, next).await.unwrap_or(SocketInput::Nothing)
    }

    /// Closes the socket, and waits for the other side's close frame.
    pub async fn close(mut self) {
        // It may be closed already.
        let _ = self.0.close(None).await;
        let _ = timeout(TIMEOUT, async { while let Some(Ok(_)) = self.0.next().await {} }).await;
    }
}
