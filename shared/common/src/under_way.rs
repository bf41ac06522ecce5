//! Sign-ins that are under way when their user's sessions end. They have no session yet that could end with the others: whoever
//! has said the old password, and not given a code, would still come in by it.
//!
//! | Partition | Sort | What |
//! |---|---|---|
//! | `SIGN_INS#<user>` | `VOID` | sign-ins that began before this open no session |

use crate::{
    Timestamp, UserId,
    table::{Item, Key, Table},
    unit::{Condition, Op},
};
use std::time::Duration;

/// Longer than any sign-in waits for its answers.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);

fn key(user: UserId) -> Key {
    Key::new(format!("SIGN_INS#{user}"), "VOID")
}

/// Has those that are under way lead nowhere.
pub(crate) fn void(user: UserId, now: Timestamp) -> Op {
    let item = Item::new(key(user)).number("before", now.as_millis()).number("expires_at", now.plus(REMEMBERED).as_secs());
    Op::Put { table: Table::Ephemera, item, condition: None }
}

/// That one which began then still leads somewhere.
pub(crate) fn leads(user: UserId, began: Timestamp) -> Op {
    let condition = Condition::Any(vec![Condition::Absent, Condition::AtMost("before", began.as_millis())]);
    Op::Check { table: Table::Ephemera, key: key(user), condition }
}
