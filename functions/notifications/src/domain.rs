//! The business: what a notification is, who wants which, and when they want to be left alone.

mod digest_times;
mod id;
mod kind;
mod local_time;
mod preferences;

pub use id::{DigestId, NotificationId, Seq};
pub use kind::{Channels, Kind};
pub use local_time::{LocalTime, QuietHours, Zone};
pub use preferences::{Digest, Frequency, Preferences};

use common::{EventId, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

/// What a notification is about: a type and an id, from which the API tells the rest to whoever may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Subject {
    /// Cedar's name of its type, as `Shipment`.
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
    /// The domain event that it tells of.
    pub event: EventId,
    pub created_at: Timestamp,
    pub read_at: Option<Timestamp>,
    /// Whether it goes to open sockets: decided when it was stored, by preferences and quiet hours of that moment.
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
