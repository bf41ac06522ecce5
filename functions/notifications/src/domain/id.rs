//! Ids that contain the place of their item.

use common::base::{Timestamp, Uuid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The number of a notification among its user's: 1, 2, 3, … without a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Seq(pub i64);

impl Seq {
    /// The largest number that fits forty bits of an id and twelve digits of a sort key.
    pub const MAX: Self = Self(999_999_999_999);

    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Printed in twelve digits, so that texts sort like the numbers.
impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

common::id! {
    /// A notification. Its id is a UUIDv7 whose last forty random bits are its number, so that the id leads to the item without
    /// an index. It is only meaningful in its user's own inbox.
    pub struct NotificationId = "ntf"
}
common::id! {
    /// One digest. Every attempt to send it has the same id.
    pub struct DigestId = "dig"
}

const SEQ_BYTES: std::ops::Range<usize> = 11..16;

impl NotificationId {
    pub fn of(seq: Seq, now: Timestamp) -> Self {
        let mut bytes = *Self::new(now).uuid().as_bytes();
        bytes[SEQ_BYTES].copy_from_slice(&seq.0.to_be_bytes()[3..]);
        Self::from_uuid(Uuid::from_bytes(bytes))
    }

    pub fn seq(&self) -> Seq {
        let mut number = [0; 8];
        number[3..].copy_from_slice(&self.uuid().as_bytes()[SEQ_BYTES]);
        Seq(i64::from_be_bytes(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notification_id_contains_number_and_time_and_is_a_uuid_v7() {
        let now = Timestamp::from_millis(1_767_268_800_123);
        for seq in [Seq(1), Seq(42), Seq::MAX] {
            let id = NotificationId::of(seq, now);
            assert_eq!(id.seq(), seq);
            assert_eq!(id.uuid().get_version_num(), 7);
            assert!(
                NotificationId::first_at(now) <= id && id < NotificationId::first_at(Timestamp::from_millis(now.as_millis() + 1))
            );
            assert_ne!(id, NotificationId::of(seq, now));
        }
    }

    #[test]
    fn numbers_sort_the_same_as_texts() {
        assert!(Seq(9).to_string() < Seq(10).to_string());
        assert_eq!(Seq::MAX.to_string().len(), Seq(1).to_string().len());
    }
}
