//! The form in which a caller gets notifications and preferences.

use crate::domain::{Channels, Digest, Kind, Notification, NotificationId, Preferences, QuietHours, Seq, Subject, Zone};
use common::{
    base::{EventId, Timestamp},
    store::Version,
};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// A notification.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Notification")]
pub struct NotificationView {
    pub notification_id: NotificationId,
    /// The user's first notification has 1, and there is no gap.
    pub seq: Seq,
    pub kind: Kind,
    pub subject: Subject,
    /// The domain event that caused it.
    pub event_id: EventId,
    pub created_at: Timestamp,
    pub read: bool,
    /// The time at which it was read individually; null if it was read with all others.
    pub read_at: Option<Timestamp>,
}

impl NotificationView {
    pub(crate) fn of(notification: Notification, read_up_to: Seq) -> Self {
        let seq = notification.seq();
        let Notification { id, kind, subject, event, created_at, read_at, .. } = notification;
        let read = read_at.is_some() || seq <= read_up_to;
        Self { notification_id: id, seq, kind, subject, event_id: event, created_at, read, read_at }
    }
}

/// One page of a user's notifications.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NotificationPage {
    pub items: Vec<NotificationView>,
    pub next_cursor: Option<String>,
    pub unread_count: i64,
    /// The number of the newest notification; 0 if there is none.
    pub latest_seq: Seq,
}

/// The state of the inbox after notifications were read.
#[derive(Debug, Serialize, JsonSchema)]
pub struct InboxView {
    pub unread_count: i64,
    /// Everything up to this number is read.
    pub read_up_to: Seq,
    pub latest_seq: Seq,
}

/// A user's preferences, with the effective channels of every kind.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NotificationPreferences")]
pub struct PreferencesView {
    pub channels: BTreeMap<Kind, Channels>,
    pub quiet_hours: Option<QuietHours>,
    pub digest: Digest,
    pub time_zone: Zone,
    /// 0 if the user has set no preferences yet.
    pub version: Version,
}

impl PreferencesView {
    pub(crate) fn of(preferences: &Preferences, version: Version) -> Self {
        Self {
            channels: Kind::ALL.into_iter().map(|kind| (kind, preferences.of(kind))).collect(),
            quiet_hours: preferences.quiet_hours,
            digest: preferences.digest,
            time_zone: preferences.time_zone.clone(),
            version,
        }
    }
}
