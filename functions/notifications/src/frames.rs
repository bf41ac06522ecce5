//! The frames on sockets. They contain only numbers, ids and kinds, because no policy is evaluated for a frame.

use crate::domain::{Kind, Notification, NotificationId, Seq};
use serde::{Deserialize, Serialize};

/// A frame from the server.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ServerFrame {
    Notification {
        seq: Seq,
        notification_id: NotificationId,
        kind: Kind,
    },
    /// The answer to a ping. A client that has seen an earlier number requests the ones in between.
    Pong {
        latest_seq: Seq,
    },
    /// The end of a replay.
    Replayed {
        up_to: Seq,
        /// Whether there is more to request.
        more: bool,
    },
}

impl From<&Notification> for ServerFrame {
    fn from(notification: &Notification) -> Self {
        Self::Notification { seq: notification.seq(), notification_id: notification.id, kind: notification.kind }
    }
}

/// A frame from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientFrame {
    /// Keeps the connection alive.
    Ping {},
    /// Requests the notifications after this number.
    Replay { from: Seq },
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn client_frame_is_ping_or_replay() {
        let read = |frame| serde_json::from_value::<ClientFrame>(frame).ok();
        assert_eq!(read(json!({"type": "ping"})), Some(ClientFrame::Ping {}));
        assert_eq!(read(json!({"type": "replay", "from": 41})), Some(ClientFrame::Replay { from: Seq(41) }));
        for wrong in
            [json!(null), json!({}), json!({"type": "subscribe"}), json!({"type": "replay"}), json!({"type": "ping", "x": 1})]
        {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
    }

    #[test]
    fn server_frames_contain_only_numbers_ids_and_kinds() {
        let id = NotificationId::of(Seq(7), common::base::Timestamp::from_millis(1_767_268_800_000));
        let frame = ServerFrame::Notification { seq: Seq(7), notification_id: id, kind: Kind::ShipmentVoided };
        let expected = json!({"type": "notification", "seq": 7, "notification_id": id, "kind": "shipment_voided"});
        assert_eq!(serde_json::to_value(frame).unwrap(), expected);
    }
}
