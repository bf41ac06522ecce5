//! Ids that say where an item lies.

use common::{Timestamp, Uuid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How many notifications a user had been given when this one came: 1, 2, 3, … without a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Seq(pub i64);

impl Seq {
    /// Forty bits of an id, and twelve digits of a sort key.
    pub const MAX: Self = Self(999_999_999_999);

    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// In twelve digits, so that texts sort as the numbers do.
impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

common::id! {
    /// A notification. A UUIDv7 whose last forty random bits are its sequence number, so that an id leads to its item
    /// without an index. It means something in its user's own inbox only.
    pub struct NotificationId = "ntf"
}
common::id! {
    /// One digest: the same for every attempt to send it.
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
    fn an_id_tells_its_number_and_its_time_and_is_still_a_uuid_v7() {
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
    fn numbers_sort_as_texts() {
        assert!(Seq(9).to_string() < Seq(10).to_string());
        assert_eq!(Seq::MAX.to_string().len(), Seq(1).to_string().len());
    }
}
