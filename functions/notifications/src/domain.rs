//! The business rules: notifications, the users who get them, and their quiet hours.

mod digest_times;
mod id;
mod kind;
mod local_time;
mod preferences;

pub use id::{DigestId, NotificationId, Seq};
pub use kind::{Channels, Kind};
pub use local_time::{LocalTime, QuietHours, Zone};
pub use preferences::{Digest, Frequency, Preferences};

use common::base::{EventId, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

/// The subject of a notification: a type and an id. The API returns the details to callers who may see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Subject {
    /// Cedar's name of its type, such as `Shipment`.
    #[serde(rename = "type")]
    pub kind: String,
    pub id: String,
}

/// One notification of one user. It holds ids and codes, and no PHI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    pub id: NotificationId,
    pub kind: Kind,
    pub subject: Subject,
    /// The domain event that caused it.
    pub event: EventId,
    pub created_at: Timestamp,
    pub read_at: Option<Timestamp>,
    /// Whether it is pushed to open sockets. Preferences and quiet hours decided this when it was stored.
    pub push: bool,
    pub pushed_at: Option<Timestamp>,
    /// Whether a digest counts it.
    pub email: bool,
}

impl Notification {
    pub fn seq(&self) -> Seq {
        self.id.seq()
    }
}
