//! Invalidates pending sign-ins when their user's sessions end or are rewritten. A pending sign-in has no session yet that could
//! end with the others. Without this, a sign-in with the old password that still waits for a code would open a session, and a
//! session that opens during the search for the others would be missed.
//!
//! | Partition | Sort | Content |
//! |---|---|---|
//! | `SIGN_INS#<user>` | `VOID` | the time before which pending sign-ins are invalid; the number of opened sessions |

use crate::{
    base::{Result, TenantId, Timestamp, UserId},
    store::{
        changes::{Condition, Edit, Op},
        dynamodb::Db,
        item::{Key, Table},
    },
};
use std::time::Duration;

/// Longer than any sign-in stays pending.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);

fn key(user: UserId) -> Key {
    Key::new(format!("SIGN_INS#{user}"), "VOID")
}

/// The number of sessions that a user has opened recently. Read it before listing the sessions.
pub(crate) async fn opened(db: &Db, tenant: TenantId, user: UserId) -> Result<i64> {
    let row = db.get(tenant, Table::Ephemera, &key(user)).await?;
    Ok(row.and_then(|row| row.maybe_number("opened")).unwrap_or(0))
}

fn no_more_than(opened: i64) -> Condition {
    Condition::Any(vec![Condition::Missing("opened"), Condition::AtMost("opened", opened)])
}

/// The condition that no session was opened since.
pub(crate) fn unchanged(user: UserId, opened: i64) -> Op {
    Op::Check { table: Table::Ephemera, key: key(user), condition: no_more_than(opened) }
}

/// Like `unchanged`, and invalidates the pending sign-ins.
pub(crate) fn invalidate(user: UserId, now: Timestamp, opened: i64) -> Op {
    let edit = Edit::of(key(user)).number("before", now.as_millis()).number("expires_at", now.plus(REMEMBERED).as_secs());
    Op::Edit { table: Table::Ephemera, edit: edit.when(no_more_than(opened)) }
}

/// The condition that a sign-in from `began` is still valid, and counts the session that it opens.
pub(crate) fn open(user: UserId, began: Timestamp, now: Timestamp) -> Op {
    let leads = Condition::Any(vec![Condition::Missing("before"), Condition::AtMost("before", began.as_millis())]);
    let edit = Edit::of(key(user)).add("opened", 1).number("expires_at", now.plus(REMEMBERED).as_secs());
    Op::Edit { table: Table::Ephemera, edit: edit.when(leads) }
}
