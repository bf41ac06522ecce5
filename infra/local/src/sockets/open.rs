//! The open sockets by id, each with its queue of frames.

use super::event::Client;
use common::base::{Clock, SystemClock, Timestamp};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, mpsc};

/// The most frames that wait for a slow client. With one more, the socket is closed.
pub(super) const WAITING: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<HashMap<String, Connection>>);

#[derive(Clone, Debug)]
struct Connection {
    frames: mpsc::Sender<String>,
    end: Arc<End>,
    seen: Seen,
}

/// A connection's data in the management API.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) connected_at: Timestamp,
    pub(super) last_active_at: Timestamp,
    pub(super) source_ip: String,
    pub(super) user_agent: String,
}

/// Ends a connection with a reason.
#[derive(Debug, Default)]
pub(super) struct End {
    why: Mutex<Option<Why>>,
    told: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Its queue was full.
    TooSlow,
    /// The management API deleted it.
    Deleted,
}

/// The result of sending a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Queued,
    TooSlow,
    Gone,
}

impl Connections {
    /// Returns the receiver of frames, and the signal to end.
    pub(super) fn add(&self, client: &Client) -> (mpsc::Receiver<String>, Arc<End>) {
        let (frames, queue) = mpsc::channel(WAITING);
        let end = Arc::new(End::default());
        let seen = Seen {
            connected_at: client.connected_at,
            last_active_at: SystemClock.now(),
            source_ip: client.source_ip.clone(),
            user_agent: client.user_agent.clone(),
        };
        self.lock().insert(client.connection_id.clone(), Connection { frames, end: end.clone(), seen });
        (queue, end)
    }

    pub(super) fn remove(&self, id: &str) {
        self.lock().remove(id);
    }

    pub(super) fn touch(&self, id: &str) {
        if let Some(connection) = self.lock().get_mut(id) {
            connection.seen.last_active_at = SystemClock.now();
        }
    }

    pub(super) fn send(&self, id: &str, frame: String) -> Sent {
        let Some(Connection { frames, end, .. }) = self.lock().get(id).cloned() else { return Sent::Gone };
        match frames.try_send(frame) {
            Ok(()) => Sent::Queued,
            Err(mpsc::error::TrySendError::Closed(_)) => Sent::Gone,
            Err(mpsc::error::TrySendError::Full(_)) => {
                end.tell(Why::TooSlow);
                self.remove(id);
                Sent::TooSlow
            }
        }
    }

    pub(super) fn seen(&self, id: &str) -> Option<Seen> {
        self.lock().get(id).map(|connection| connection.seen.clone())
    }

    /// Whether there was such a connection.
    pub(super) fn delete(&self, id: &str) -> bool {
        let connection = self.lock().remove(id);
        connection.inspect(|connection| connection.end.tell(Why::Deleted)).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl End {
    fn tell(&self, why: Why) {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        // It is stored if the connection is not waiting at the moment.
        self.told.notify_one();
    }

    pub(super) async fn told(&self) -> Why {
        loop {
            let why = *self.why.lock().unwrap_or_else(PoisonError::into_inner);
            match why {
                Some(why) => return why,
                None => self.told.notified().await,
            }
        }
    }
}
