//! Runs one socket from its start to its end.

use super::{
    Functions, Sockets,
    event::Client,
    open::{End, Why},
};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, timeout},
};

/// Frames of one socket that functions handle at once; the next is read when one of them is done.
const AT_ONCE: u32 = 8;
/// The time limit for sending a frame.
const SENDING: Duration = Duration::from_secs(10);
/// The time limit for sending a close frame, and for the other side's.
const CLOSING: Duration = Duration::from_millis(500);

/// How a socket ended: RFC 6455's code, and a reason for the disconnect function.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ended {
    code: u16,
    reason: String,
    /// Whether the gateway ended it, so that the client must get a close frame.
    by_us: bool,
}

impl Ended {
    fn by_us(code: u16, reason: &str) -> Self {
        Self { code, reason: reason.to_owned(), by_us: true }
    }
    fn by_them(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), by_us: false }
    }
}

/// Serves the socket until it ends, and calls the disconnect function.
pub(super) async fn serve<F: Functions>(sockets: &Arc<Sockets<F>>, client: Client, mut socket: WebSocket) {
    let (queue, end) = sockets.connections.add(&client);
    let client = Arc::new(client);
    let ended = Talk { sockets, client: &client, working: Arc::new(Semaphore::new(AT_ONCE as usize)) };
    let ended = ended.run(&mut socket, queue, &end).await;
    sockets.connections.remove(&client.connection_id);
    if ended.by_us {
        farewell(&mut socket, &ended).await;
    }
    drop(socket);
    sockets.functions.serve("$disconnect", client.disconnect(ended.code, &ended.reason)).await;
}

struct Talk<'a, F> {
    sockets: &'a Arc<Sockets<F>>,
    client: &'a Arc<Client>,
    working: Arc<Semaphore>,
}

impl<F: Functions> Talk<'_, F> {
    async fn run(&self, socket: &mut WebSocket, mut queue: mpsc::Receiver<String>, end: &End) -> Ended {
        let limits = self.sockets.limits;
        let oldest = Instant::now() + limits.age;
        let mut idle = Instant::now() + limits.idle;
        loop {
            tokio::select! {
                frame = socket.recv() => match self.received(frame).await {
                    Ok(()) => idle = Instant::now() + limits.idle,
                    Err(ended) => return ended,
                },
                Some(text) = queue.recv() => {
                    let sending = timeout(SENDING, socket.send(Message::text(text)));
                    let sent = tokio::select! {
                        sent = sending => sent,
                        why = end.told() => return Ended::of(why),
                        () = self.sockets.halt.stopped() => return stopping(),
                    };
                    match sent {
                        Ok(Ok(())) => idle = Instant::now() + limits.idle,
                        Ok(Err(_)) => return Ended::by_them(1006, "Abnormal closure"),
                        Err(_) => return Ended::of(Why::TooSlow),
                    }
                    self.sockets.connections.touch(&self.client.connection_id);
                }
                why = end.told() => return Ended::of(why),
                () = tokio::time::sleep_until(idle) => return Ended::by_us(1001, "Going away: idle"),
                () = tokio::time::sleep_until(oldest) => return Ended::by_us(1001, "Going away"),
                () = self.sockets.halt.stopped() => return stopping(),
            }
        }
    }

    async fn received(&self, frame: Option<Result<Message, axum::Error>>) -> Result<(), Ended> {
        match frame {
            Some(Ok(Message::Text(text))) => {
                self.sockets.connections.touch(&self.client.connection_id);
                self.work(text.as_str().to_owned()).await;
                Ok(())
            }
            Some(Ok(Message::Binary(_))) => Err(Ended::by_us(1003, "Unsupported data")),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => Err(Ended::by_them(code, reason.as_str())),
            Some(Ok(Message::Close(None))) => Err(Ended::by_them(1005, "Client-side close frame status not set")),
            Some(Err(error)) if is_too_large(&error) => Err(Ended::by_us(1009, "Message too big")),
            Some(Err(_)) | None => Err(Ended::by_them(1006, "Connection closed abnormally")),
        }
    }

    /// Passes a frame to its function, which continues if the client disconnects. Its reply is queued with all other frames.
    async fn work(&self, body: String) {
        // INVARIANT: no code closes the semaphore.
        let permit = self.working.clone().acquire_owned().await;
        let (sockets, client) = (self.sockets.clone(), self.client.clone());
        tokio::spawn(async move {
            let reply = match sockets.functions.serve("$default", client.message(&body)).await {
                Some(answer) => super::functions::text(answer),
                None => Some(
                    json!({ "message": "Internal server error", "connectionId": client.connection_id, "requestId": client.connection_id })
                        .to_string(),
                ),
            };
            if let Some(reply) = reply {
                sockets.connections.send(&client.connection_id, reply);
            }
            drop(permit);
        });
    }
}

impl Ended {
    fn of(why: Why) -> Self {
        match why {
            Why::TooSlow => Self::by_us(1013, "Try again later: too slow"),
            Why::Deleted => Self::by_us(1000, "Closed by the server"),
        }
    }
}

fn stopping() -> Ended {
    Ended::by_us(1012, "Service restart")
}

/// The library reports this only as a text.
fn is_too_large(error: &axum::Error) -> bool {
    error.to_string().contains("too long") || error.to_string().contains("too big")
}

/// A client that has stopped reading does not read this either: then the connection is dropped.
async fn farewell(socket: &mut WebSocket, ended: &Ended) {
    let frame = CloseFrame { code: ended.code, reason: ended.reason.as_str().into() };
    let closing = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    let _ = timeout(CLOSING, closing).await;
}
