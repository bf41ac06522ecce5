//! Makes notifications of a domain event: stored for each user exactly once, then sent to their open sockets.

use crate::{
    domain::{Channels, Kind, Notification, NotificationId, Preferences, Subject},
    events::Heard,
    frames::Told,
    store,
    triggers::{self, Facts, TRIGGERS},
};
use common::{
    Background, Cause, Consumer, Delivery, Envelope, Error, EventId, Feed, Incoming, Need, Part, Queue, Result, UserId,
};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How many of a user's newest notifications are searched for the one of a message that comes again. What is older has been
/// asked for by whoever missed it.
const SEARCHED: u32 = 100;
/// For how long whoever has stored a notification is the one to send it: longer than a run may take.
const CLAIMED: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct DeliverNotification;

/// One user who is told.
#[derive(Debug)]
pub struct Recipient {
    user: UserId,
    kind: Kind,
    subject: Subject,
    /// What this run has made, if its commit was the one that stored it.
    made: Mutex<Option<NotificationId>>,
}

impl Recipient {
    fn made(&self) -> std::sync::MutexGuard<'_, Option<NotificationId>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part for Recipient {
    fn name(&self) -> String {
        self.user.to_string()
    }
}

impl Background for DeliverNotification {
    const NAME: &'static str = "deliver_notification";
    const SUMMARY: &'static str = "Make notifications of domain events, and send them to open sockets";
    const NEEDS: &'static [Need] = &[Need::Write, Need::Push];
    type Part = Recipient;

    async fn handle(cx: &mut Delivery<'_, Self>, part: &Recipient) -> Result<()> {
        let Recipient { user, kind, subject, .. } = part;
        *part.made() = None;
        let (event, now) = (event(cx.envelope())?, cx.now());
        // The event names users; whether they are still members is asked now.
        if !cx.member(*user).await?.is_some_and(|member| member.has_arrived()) {
            return Ok(());
        }
        let (state, stored) = store::state_and_preferences(cx.reader(), *user).await?;
        let wants = stored.map_or_else(Preferences::default, |said| said.preferences);
        let Channels { in_app, push, email } = wants.of(*kind);
        if !in_app {
            return Ok(());
        }
        let seq = state.seq.next();
        let notification = Notification {
            id: NotificationId::of(seq, now),
            kind: *kind,
            subject: subject.clone(),
            event,
            created_at: now,
            read_at: None,
            push: push && (kind.is_urgent() || wants.quiet_until(now).is_none()),
            pushed_at: None,
            email,
        };
        let due = match (kind.is_urgent(), state.digest.at) {
            // While a digest is being sent, its settling looks for what has come meanwhile.
            _ if state.digest.claim.is_some() => None,
            // Also where one is due already, which may wait for others.
            (true, _) => Some(now),
            (false, None) if email => wants.digest_after(*user, now),
            _ => None,
        };
        *part.made() = Some(notification.id);
        cx.touched("Notification", notification.id);
        store::deliver(cx.changes(), *user, &state, &notification, due);
        Ok(())
    }

    async fn after(cx: &mut Delivery<'_, Self>, part: &Recipient) -> Result<()> {
        let (event, now) = (event(cx.envelope())?, cx.now());
        // What the user does not want was not made.
        let Some(made) = *part.made() else { return Ok(()) };
        let Some(notification) = stored(cx, part.user, made, event).await? else { return Ok(()) };
        if !notification.push || notification.pushed_at.is_some() {
            return Ok(());
        }
        if notification.id != made && now < notification.created_at.plus(CLAIMED) {
            // Another run has stored it: it is sending, or was killed. The message comes again when that is certain.
            return Err(Error::Unavailable { service: "sockets", cause: Cause::code("another run is sending") });
        }
        let pushed = cx.sockets()?.push(part.user, &Told::from(&notification)).await?;
        cx.log("push.sent", pushed.sent);
        cx.log("push.gone", pushed.gone);
        cx.log("push.failed", pushed.failed);
        cx.log("push.closed", pushed.closed);
        store::pushed(cx.changes(), part.user, notification.seq(), now);
        Ok(())
    }
}

/// The notification that this event has become, be it in this run or in one that was killed after its commit.
async fn stored(
    cx: &Delivery<'_, DeliverNotification>,
    user: UserId,
    made: NotificationId,
    event: EventId,
) -> Result<Option<Notification>> {
    if let Some(found) = store::at(cx.reader(), user, made.seq()).await?
        && found.event == event
    {
        return Ok(Some(found));
    }
    for row in cx.reader().query(&store::list(user).limit(SEARCHED)).await? {
        if let Some(found) = store::notification(&row)?.filter(|found| found.event == event) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn event(envelope: Option<&Envelope>) -> Result<EventId> {
    envelope.map(|envelope| envelope.id).ok_or(Error::internal("no envelope"))
}

impl Consumer for DeliverNotification {
    const QUEUE: Queue = Queue::new("deliver-notification", Feed::Events);
    type Message = Heard;

    async fn parts(cx: &Incoming<'_, Self>, heard: Heard) -> Result<Vec<Recipient>> {
        let facts = Facts::of(heard, cx.tenant());
        cx.about(&facts.subject.kind, &facts.subject.id);
        let pulled = triggers::pulled(TRIGGERS, &facts);
        let members = if triggers::need_members(&pulled) { cx.members().await? } else { Vec::new() };
        // Who asked the carrier has not done what it tells.
        let actors: Vec<&str> = cx.envelope().map(|e| e.actor.as_str()).into_iter().collect();
        let told = triggers::recipients(&pulled, &facts, &members, &actors, cx.now());
        let part = |(user, kind)| Recipient { user, kind, subject: facts.subject.clone(), made: Mutex::default() };
        Ok(told.into_iter().map(part).collect())
    }
}
