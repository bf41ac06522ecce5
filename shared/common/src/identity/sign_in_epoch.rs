//! Sign-ins that are under way when their user's sessions end, or are rewritten. They have no session yet that could end with the
//! others: whoever has said the old password, and not given a code, would still come in by it; and a session that is opened while
//! the others are looked for would be missed.
//!
//! | Partition | Sort | What |
//! |---|---|---|
//! | `SIGN_INS#<user>` | `VOID` | sign-ins that began before this open no session; how many sessions have been opened |

use crate::{
    base::{Result, TenantId, Timestamp, UserId},
    store::{
        changes::{Condition, Edit, Op},
        dynamodb::Db,
        item::{Key, Table},
    },
};
use std::time::Duration;

/// Longer than any sign-in waits for its answers.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);

fn key(user: UserId) -> Key {
    Key::new(format!("SIGN_INS#{user}"), "VOID")
}

/// How many sessions a user has opened of late: to be asked before it is asked which.
pub(crate) async fn opened(db: &Db, tenant: TenantId, user: UserId) -> Result<i64> {
    let row = db.get(tenant, Table::Ephemera, &key(user)).await?;
    Ok(row.and_then(|row| row.maybe_number("opened")).unwrap_or(0))
}

fn no_more_than(opened: i64) -> Condition {
    Condition::Any(vec![Condition::Missing("opened"), Condition::AtMost("opened", opened)])
}

/// That no session was opened since.
pub(crate) fn unchanged(user: UserId, opened: i64) -> Op {
    Op::Check { table: Table::Ephemera, key: key(user), condition: no_more_than(opened) }
}

/// The same, and has sign-ins that are under way lead nowhere.
pub(crate) fn void(user: UserId, now: Timestamp, opened: i64) -> Op {
    let edit = Edit::of(key(user)).number("before", now.as_millis()).number("expires_at", now.plus(REMEMBERED).as_secs());
    Op::Edit { table: Table::Ephemera, edit: edit.when(no_more_than(opened)) }
}

/// That a sign-in which began then still leads somewhere: it opens a session.
pub(crate) fn opens(user: UserId, began: Timestamp, now: Timestamp) -> Op {
    let leads = Condition::Any(vec![Condition::Missing("before"), Condition::AtMost("before", began.as_millis())]);
    let edit = Edit::of(key(user)).add("opened", 1).number("expires_at", now.plus(REMEMBERED).as_secs());
    Op::Edit { table: Table::Ephemera, edit: edit.when(leads) }
}
