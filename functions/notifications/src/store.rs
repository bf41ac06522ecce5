//! The layout of notifications in the table.
//!
//! | Partition | Sort | Content |
//! |---|---|---|
//! | `INBOX#<user>` | `STATE` | the last number, the count of unread ones, the watermark up to which all are read; the time of
//! the next digest |
//! | | `PREFERENCES` | the user's preferences |
//! | | `N#<number in twelve digits>` | a notification |
//!
//! Unread notifications are in the index `status`, in `UNREAD#<user>`. Reading all moves the watermark in the state and does not
//! change the items: a notification below the watermark is read, whatever its item says.
//!
//! INVARIANT: `unread` is the number of items above `read_up_to` without `read_at`. Each change of either is in one transaction
//! with it. A delivery takes the next number, on condition that it is free. Reading one counts down, on condition that it is
//! unread and above the watermark. Reading all sets zero, on condition that no number was added since.

pub(crate) mod digest;
mod preferences;

pub(crate) use digest::{Claim, Due};
pub(crate) use preferences::{Said, StoredPreferences};

use crate::domain::{Kind, Notification, NotificationId, Seq, Subject};
use common::{
    background::CONTENDED,
    base::{Error, Result, Timestamp, UserId},
    request::Reader,
    store::{Changes, Condition, Edit, Index, Item, Key, Row, TableQuery},
};

const STATE: &str = "STATE";
const PREFERENCES: &str = "PREFERENCES";
const CHANGED: Error = Error::conflict("inbox_changed", "the inbox has changed in the meantime: try again");

fn inbox(user: UserId) -> String {
    format!("INBOX#{user}")
}

pub(crate) fn state_key(user: UserId) -> Key {
    Key::new(inbox(user), STATE)
}

pub(crate) fn preferences_key(user: UserId) -> Key {
    Key::new(inbox(user), PREFERENCES)
}

fn key(user: UserId, seq: Seq) -> Key {
    Key::new(inbox(user), format!("N#{seq}"))
}

/// The user whose inbox contains an item.
pub(crate) fn owner(key: &Key) -> Option<UserId> {
    key.place().strip_prefix("INBOX#")?.parse().ok()
}

/// The state of a user's inbox, without its items. The state of an unused inbox is the default.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// The last number that was assigned.
    pub(crate) seq: Seq,
    pub(crate) unread: i64,
    /// All notifications up to this number are read.
    pub(crate) read_up_to: Seq,
    pub(crate) digest: Due,
}

impl State {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            seq: Seq(row.number("seq")?),
            unread: row.number("unread")?,
            read_up_to: Seq(row.number("read_up_to")?),
            digest: Due::from_row(row)?,
        })
    }

    pub(crate) async fn read(reader: Reader<'_>, user: UserId) -> Result<Self> {
        reader.get(&state_key(user)).await?.as_ref().map_or_else(|| Ok(Self::default()), Self::from_row)
    }

    /// The condition that no number was assigned since this was read.
    fn unmoved(&self) -> Condition {
        if self.seq == Seq(0) { Condition::Missing("seq") } else { Condition::NumberIs("seq", self.seq.0) }
    }
}

/// Reads state and preferences by one Query.
pub(crate) async fn state_and_preferences(reader: Reader<'_>, user: UserId) -> Result<(State, Option<Said>)> {
    let (mut state, mut preferences) = (State::default(), None);
    for row in reader.query(&TableQuery::items(inbox(user)).between(PREFERENCES, STATE)).await? {
        match row.text("sk")? {
            STATE => state = State::from_row(&row)?,
            PREFERENCES => preferences = Some(Said::from_row(&row)?),
            _ => {}
        }
    }
    Ok((state, preferences))
}

/// The notification of an item; `None` if this version does not know its kind. It stays in the inbox and counts, until a newer
/// version shows it.
pub(crate) fn notification(row: &Row) -> Result<Option<Notification>> {
    let Some(kind) = row.word::<Kind>("kind")? else { return Ok(None) };
    Ok(Some(Notification {
        id: row.parse("notification_id")?,
        kind,
        subject: Subject { kind: row.text("subject_type")?.to_owned(), id: row.text("subject_id")?.to_owned() },
        event: row.parse("event_id")?,
        created_at: row.parse("created_at")?,
        read_at: row.maybe("read_at")?,
        push: row.number("push")? == 1,
        pushed_at: row.maybe("pushed_at")?,
        email: row.number("email")? == 1,
    }))
}

/// The number of a notification's item, for any kind.
pub(crate) fn seq(row: &Row) -> Result<Seq> {
    row.parse::<NotificationId>("notification_id").map(|id| id.seq())
}

/// The caller's notification with an id.
///
/// # Errors
/// [`Error::NotFound`] if the caller has no such notification.
pub(crate) async fn find(reader: Reader<'_>, user: UserId, id: NotificationId) -> Result<Notification> {
    let found = at(reader, user, id.seq()).await?.ok_or(Error::NotFound)?;
    if found.id == id { Ok(found) } else { Err(Error::NotFound) }
}

pub(crate) async fn at(reader: Reader<'_>, user: UserId, seq: Seq) -> Result<Option<Notification>> {
    reader.get(&key(user, seq)).await?.as_ref().map_or(Ok(None), notification)
}

/// Stores the notification that follows `state`, counts it, and sets the digest's due time if `digest_due` has one.
pub(crate) fn deliver(
    changes: &mut Changes,
    user: UserId,
    state: &State,
    notification: &Notification,
    digest_due: Option<Timestamp>,
) {
    let mut edit = Edit::of(state_key(user)).number("seq", notification.seq().0).add("unread", 1);
    if state.seq == Seq(0) {
        edit = edit.number("read_up_to", 0);
    }
    if let Some(at) = digest_due {
        edit = digest::due(edit, at, notification.kind.is_urgent());
    }
    if notification.kind.is_urgent() {
        edit = digest::urgent(edit, notification.seq());
    }
    changes.edit(edit.when(Condition::All(vec![state.unmoved(), state.digest.unmoved()])), CONTENDED);
    changes.create(item(user, notification), Error::internal("notification exists"));
}

fn item(user: UserId, notification: &Notification) -> Item {
    let seq = notification.seq();
    let Notification { id, kind, subject, event, created_at, read_at, push, pushed_at, email } = notification;
    Item::new(key(user, seq))
        .text("notification_id", id)
        .text("kind", kind)
        .text("subject_type", &subject.kind)
        .text("subject_id", &subject.id)
        .text("event_id", event)
        .text("created_at", created_at)
        .maybe("read_at", read_at.as_ref())
        .number("push", i64::from(*push))
        .maybe("pushed_at", pushed_at.as_ref())
        .number("email", i64::from(*email))
        .indexed(Index::Status, unread(user), seq)
}

fn unread(user: UserId) -> String {
    format!("UNREAD#{user}")
}

/// Marks one as read, and counts it down.
pub(crate) fn mark_read(changes: &mut Changes, user: UserId, seq: Seq, now: Timestamp) {
    let unread = Condition::All(vec![Condition::Present, Condition::Missing("read_at")]);
    let read = Edit::of(key(user, seq)).text("read_at", now).unindexed(Index::Status).when(unread);
    changes.edit(read, CHANGED);
    let above = Condition::AtMost("read_up_to", seq.0 - 1);
    changes.edit(Edit::of(state_key(user)).add("unread", -1).when(above), CHANGED);
}

/// Marks all as read, by one write for any number of them.
pub(crate) fn mark_all_read(changes: &mut Changes, user: UserId, state: &State) {
    let edit = Edit::of(state_key(user)).number("read_up_to", state.seq.0).number("unread", 0).when(state.unmoved());
    changes.edit(edit, CHANGED);
}

/// Records that a notification was pushed to the sockets. This is bookkeeping.
pub(crate) fn pushed(changes: &mut Changes, user: UserId, seq: Seq, now: Timestamp) {
    let once = Condition::All(vec![Condition::Present, Condition::Missing("pushed_at")]);
    changes.note(Edit::of(key(user, seq)).text("pushed_at", now).when(once));
}

fn numbered(user: UserId) -> TableQuery {
    TableQuery::items(inbox(user))
}

/// The query of all notifications, newest first.
pub(crate) fn list(user: UserId) -> TableQuery {
    numbered(user).between("N#", format!("N#{}", Seq::MAX)).newest_first()
}

/// The query of those that were not read one by one, newest first. Those below the watermark are read.
pub(crate) fn list_unread(user: UserId) -> TableQuery {
    TableQuery::index(Index::Status, unread(user))
}

/// The query of the numbers after `from`, oldest first.
pub(crate) fn after(user: UserId, from: Seq) -> TableQuery {
    numbered(user).between(format!("N#{}", from.next()), format!("N#{}", Seq::MAX))
}
