//! The digest's part of an inbox's state.
//!
//! | Attribute | Content |
//! |---|---|
//! | `digest_due` | the due time, also in the index `due`, list `DIGEST` |
//! | `digest_id`, `digest_up_to` | a digest that is being sent, and the last number that it counts |
//! | `digest_token` | the attempt that is sending it |
//! | `mailed_up_to` | the last number that a digest has counted |
//! | `digest_urgent` | the last urgent number |
//!
//! A digest is claimed, sent and settled. A claim is due again ten minutes later: the run that finds it then sends the same
//! digest again, under the same id, because its sender was killed.

use super::{State, state_key};
use crate::domain::{DigestId, Seq};
use common::{
    background::CONTENDED,
    base::{Error, Result, Timestamp, UserId},
    store::{Changes, Condition, Edit, Row},
};
use std::time::Duration;

/// The list of inboxes whose digest is due.
pub(crate) const LIST: &str = "DIGEST";
/// The list of inboxes with an urgent digest. Entries that an older version put on the other list stay there.
pub(crate) const URGENT: &str = "DIGEST_URGENT";
/// The lifetime of a claim.
const LEASE: Duration = Duration::from_secs(10 * 60);

/// The due time of a digest, and the claim of the one that is being sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Due {
    pub(crate) at: Option<Timestamp>,
    pub(crate) claim: Option<Claim>,
    pub(crate) mailed_up_to: Seq,
    urgent: Seq,
}

/// A digest that is being sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) id: DigestId,
    /// The last number that it counts.
    pub(crate) up_to: Seq,
    /// Identifies this attempt to send it.
    pub(crate) token: String,
}

impl Due {
    pub(super) fn from_row(row: &Row) -> Result<Self> {
        let claim = match row.maybe::<DigestId>("digest_id")? {
            None => None,
            Some(id) => Some(Claim { id, up_to: Seq(row.number("digest_up_to")?), token: row.text("digest_token")?.to_owned() }),
        };
        let seq = |name| Seq(row.maybe_number(name).unwrap_or(0));
        Ok(Self { at: row.maybe("digest_due")?, claim, mailed_up_to: seq("mailed_up_to"), urgent: seq("digest_urgent") })
    }

    /// The condition that due time and claim are unchanged: nobody has claimed or settled a digest since.
    pub(super) fn unmoved(&self) -> Condition {
        let token = self.claim.as_ref().map(|claim| &claim.token);
        Condition::All(vec![Condition::as_read("digest_due", self.at), Condition::as_read("digest_token", token)])
    }

    /// Whether an urgent notification after `seq` waits.
    pub(crate) fn is_urgent_after(&self, seq: Seq) -> bool {
        self.urgent > seq
    }
}

/// Puts an inbox on the list of due digests; if one is urgent, on the list that is handled first.
pub(super) fn due(edit: Edit, at: Timestamp, is_urgent: bool) -> Edit {
    edit.text("digest_due", at).due(if is_urgent { URGENT } else { LIST }, at)
}

pub(super) fn urgent(edit: Edit, seq: Seq) -> Edit {
    edit.number("digest_urgent", seq.0)
}

/// Claims the digest for this attempt: a new one of all notifications so far, or one whose sender was killed.
pub(crate) fn claim(changes: &mut Changes, user: UserId, state: &State, claim: &Claim, now: Timestamp) {
    let edit = Edit::of(state_key(user))
        .text("digest_id", claim.id)
        .number("digest_up_to", claim.up_to.0)
        .text("digest_token", &claim.token);
    let is_urgent = state.digest.is_urgent_after(state.digest.mailed_up_to);
    changes.note(due(edit, now.plus(LEASE), is_urgent).when(state.digest.unmoved()));
}

/// Moves the due time of a digest, unless a notification has arrived since `state` was read, because it may be urgent.
pub(crate) fn postpone(changes: &mut Changes, user: UserId, state: &State, to: Option<Timestamp>) {
    changes.note(moved(user, to, false).when(nothing_new(state)));
}

/// Like `postpone`, but if the condition fails, the whole transaction fails with `or`.
pub(crate) fn reschedule(changes: &mut Changes, user: UserId, state: &State, to: Option<Timestamp>, or: Error) {
    changes.edit(moved(user, to, false).when(nothing_new(state)), or);
}

/// The condition that nothing has arrived, and nobody has claimed or settled a digest, since `state` was read.
fn nothing_new(state: &State) -> Condition {
    Condition::All(vec![state.unmoved(), state.digest.unmoved()])
}

fn moved(user: UserId, to: Option<Timestamp>, is_urgent: bool) -> Edit {
    let edit = Edit::of(state_key(user));
    match to {
        Some(at) => due(edit, at, is_urgent),
        None => edit.remove("digest_due").not_due(),
    }
}

/// Records that the claimed digest was sent. The next one is due at `next`. If something has arrived since `state` was read, or
/// another attempt has the digest, the result is [`CONTENDED`], and the state must be read again.
pub(crate) fn settle(changes: &mut Changes, user: UserId, state: &State, claim: &Claim, next: Option<Timestamp>) {
    let is_urgent = state.digest.is_urgent_after(claim.up_to);
    changes.edit(settled(moved(user, next, is_urgent), claim).when(nothing_new(state)), CONTENDED);
}

/// Like `settle`, even if something has arrived: the next digest is due at `now` and will find it.
pub(crate) fn settle_and_look(changes: &mut Changes, user: UserId, claim: &Claim, now: Timestamp) {
    changes.edit(settled(moved(user, Some(now), true), claim).when(held(claim)), CONTENDED);
}

/// Records that there was nothing to send. The next digest is due at `next`. If something has arrived since `state` was read, the
/// claim stays, and is due at its end.
pub(crate) fn settle_nothing(changes: &mut Changes, user: UserId, state: &State, claim: &Claim, next: Option<Timestamp>) {
    let is_urgent = state.digest.is_urgent_after(claim.up_to);
    changes.note(settled(moved(user, next, is_urgent), claim).when(nothing_new(state)));
}

fn settled(edit: Edit, claim: &Claim) -> Edit {
    edit.remove("digest_id").remove("digest_up_to").remove("digest_token").number("mailed_up_to", claim.up_to.0)
}

fn held(claim: &Claim) -> Condition {
    Condition::Is("digest_token", claim.token.clone())
}
