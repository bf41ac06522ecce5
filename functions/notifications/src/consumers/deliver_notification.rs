//! Turns domain events into notifications: stores each exactly once for each user, then pushes it to their open sockets.

use crate::{
    domain::{Channels, Kind, Notification, NotificationId, Preferences, Subject},
    events::TriggerEvent,
    frames::ServerFrame,
    store,
    triggers::{self, Facts, TRIGGERS},
};
use common::{
    background::{Background, Consumer, Delivery, Feed, Incoming, Part, Queue},
    base::{Cause, Error, EventId, Need, Result, UserId},
    store::Envelope,
};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The number of a user's newest notifications that are searched for the one of a redelivered message. An older one is no longer
/// pushed; its user gets it by a replay or from the list.
const SEARCHED: u32 = 100;
/// The time for which only the run that stored a notification sends it. It is longer than a run may take.
const CLAIMED: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct DeliverNotification;

/// A user who gets the notification.
#[derive(Debug)]
pub struct Recipient {
    user: UserId,
    kind: Kind,
    subject: Subject,
    /// The id that this run gave the notification. It is valid if this run's commit stored it.
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
    const SUMMARY: &'static str = "Turn domain events into notifications and push them to open sockets";
    const NEEDS: &'static [Need] = &[Need::Write, Need::Push];
    type Part = Recipient;

    async fn handle(cx: &mut Delivery<'_, Self>, part: &Recipient) -> Result<()> {
        let Recipient { user, kind, subject, .. } = part;
        *part.made() = None;
        let (event, now) = (event(cx.envelope())?, cx.now());
        // The event names users; their membership is checked now.
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
            // While a digest is being sent, settling it looks for newer notifications.
            _ if state.digest.claim.is_some() => None,
            // An urgent notification is due now, even if a digest is due already, because that one may be postponed.
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
        // No notification was stored, because the user has switched this kind off.
        let Some(made) = *part.made() else { return Ok(()) };
        let Some(notification) = stored(cx, part.user, made, event).await? else { return Ok(()) };
        if !notification.push || notification.pushed_at.is_some() {
            return Ok(());
        }
        if notification.id != made && now < notification.created_at.plus(CLAIMED) {
            // Another run has stored it and is sending it, or was killed. The message is redelivered after that run must have
            // ended.
            return Err(Error::Unavailable { service: "sockets", cause: Cause::code("another run is sending") });
        }
        let pushed = cx.sockets()?.push(part.user, &ServerFrame::from(&notification)).await?;
        cx.log("push.sent", pushed.sent);
        cx.log("push.gone", pushed.gone);
        cx.log("push.failed", pushed.failed);
        cx.log("push.closed", pushed.closed);
        store::pushed(cx.changes(), part.user, notification.seq(), now);
        Ok(())
    }
}

/// The notification of this event, stored by this run or by one that was killed after its commit.
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
    type Message = TriggerEvent;

    async fn parts(cx: &Incoming<'_, Self>, event: TriggerEvent) -> Result<Vec<Recipient>> {
        let facts = Facts::of(event, cx.tenant());
        cx.about(&facts.subject.kind, &facts.subject.id);
        let pulled = triggers::pulled(TRIGGERS, &facts);
        let members = if triggers::need_members(&pulled) { cx.members().await? } else { Vec::new() };
        // The actor of a status change only requested the poll, and so gets the notification too.
        let actors: Vec<&str> = cx.envelope().map(|e| e.actor.as_str()).into_iter().collect();
        let told = triggers::recipients(&pulled, &facts, &members, &actors, cx.now());
        let part = |(user, kind)| Recipient { user, kind, subject: facts.subject.clone(), made: Mutex::default() };
        Ok(told.into_iter().map(part).collect())
    }
}
