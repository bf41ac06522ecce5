//! Polls the carrier for one shipment and stores its answer.

use crate::{
    carrier,
    domain::{
        Estimate, Facts, LastScan, NewsPhi, Report, Shipment, ShipmentId, ShipmentStatusChanged,
        cadence::{self, Jitter, Parcel, PollOutcome},
        destination,
    },
    store::{self, Poll, Stored, Watch},
};
use common::{
    background::{Background, Delivery, Part},
    base::{Error, Result, Timestamp},
    capabilities::CarrierReply,
    policy::Resource,
};
use jiff::tz::TimeZone;
use phi::{PhiText, Sealed, SearchToken};
use std::time::Duration;
use ups::{Number, Tracked, Tracking};

/// A shipment and the time at which its poll is due.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    pub(crate) id: ShipmentId,
    pub(crate) at: Timestamp,
}

impl Part for Due {
    fn name(&self) -> String {
        self.id.to_string()
    }
}

/// The largest number of scans that one transaction stores. A transaction holds a hundred items.
const MOST_SCANS: usize = 80;
/// The delay until the poll that stores the remaining scans.
const THE_REST_AFTER: Duration = Duration::from_secs(60);

/// The reason for a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The shipment is due, and in its tenant's share of the carrier's quota.
    Share,
    /// A user requested it. Such polls belong to no tenant's share, and leave capacity for the due ones.
    Requested,
}

/// Makes one Query, and one update if nothing changed or one transaction if something did. If the due time has changed in the
/// meantime, another poll was faster, and the carrier is not called.
pub(crate) async fn poll<B: Background>(cx: &mut Delivery<'_, B>, due: &Due, turn: Turn) -> Result<()> {
    cx.log("shipment.id", due.id);
    let Some(watch) = Watch::read(cx.reader(), due.id).await? else {
        cx.log("poll.outcome", "gone");
        return Ok(());
    };
    if watch.poll.due_at != Some(due.at) {
        cx.log("poll.outcome", "stale");
        return Ok(());
    }
    let Watch { shipment: stored, poll } = watch;
    let shipment = match open(cx, &stored).await {
        Ok(shipment) => shipment,
        // A retry would fail too, so the poll is postponed and does not block the shipments behind it.
        Err(Error::Internal { what, .. }) => {
            cx.log("poll.outcome", "broken");
            cx.log("poll.broken", what);
            put_off(cx, due, &parcel(&stored.facts, stored.eta, stored.last_event, None), poll);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let number = Number::parse(shipment.phi.tracking_number.as_str()).map_err(|_| Error::internal("tracking number"))?;
    let carrier = match turn {
        Turn::Share => cx.carrier()?,
        Turn::Requested => cx.carrier()?.yielding(),
    };
    let asked = carrier.track(&number).await?;
    let answered = Poll { failures: 0, last_polled_at: Some(cx.now()), ..poll.clone() };
    match asked {
        // The shipment stays due, and is polled when the circuit breaker closes again.
        CarrierReply::Shut(until) => {
            cx.log("poll.outcome", "shut");
            cx.log("carrier.shut_until", until);
        }
        CarrierReply::Failed(cause) => {
            cx.log("poll.outcome", "failed");
            cx.log("carrier.cause", cause);
            put_off(cx, due, &parcel_of(&shipment), poll);
        }
        CarrierReply::Answered(Tracked::NotFound) => {
            cx.log("poll.outcome", "not_found");
            let poll = Poll { due_at: next(&parcel_of(&shipment), PollOutcome::NotFound, cx.now()), ..answered };
            cx.changes().note(poll.edit(due.id, due.at));
        }
        CarrierReply::Answered(Tracked::Found(tracking)) => {
            found(cx, due, shipment, answered, stored.sealed_news.as_ref(), &tracking).await?;
        }
    }
    Ok(())
}

async fn found<B: Background>(
    cx: &mut Delivery<'_, B>,
    due: &Due,
    mut shipment: Shipment,
    mut poll: Poll,
    news: Option<&Sealed<NewsPhi>>,
    tracking: &Tracking,
) -> Result<()> {
    let now = cx.now();
    poll.progress.merge(tracking.progress());
    let zone = destination::zone(&shipment.phi.recipient.address);
    let report = carrier::report(tracking, &poll.progress, zone.as_ref());
    let answer = cx.search_token("shipment.answer", &said(&report)).await?.to_string();
    if poll.answer.as_ref() == Some(&answer) {
        cx.log("poll.outcome", "unchanged");
        poll.due_at = next(&parcel_of(&shipment), PollOutcome::Known, now);
        cx.changes().note(poll.edit(due.id, due.at));
        return Ok(());
    }
    let new = new_scans(cx, &poll, &report).await?;
    let whole = new.len() <= MOST_SCANS;
    let before = shipment.facts.clone();
    let mut changed = shipment.hear(&report, now);
    for (i, token) in new.iter().take(MOST_SCANS) {
        let scan = &report.scans[*i];
        let sealed = cx.seal(&store::event_place(due.id, scan, token), &scan.phi).await?;
        store::put_event(cx.changes(), due.id, scan, token, sealed);
        poll.learn(token);
    }
    // The next poll stores the scans that did not fit into this transaction.
    poll.answer = whole.then_some(answer);
    poll.due_at = if whole { next(&parcel_of(&shipment), PollOutcome::Known, now) } else { Some(now.plus(THE_REST_AFTER)) };
    let bookkeeping = poll.edit_with_answer(due.id, due.at);
    if changed.is_empty() && new.is_empty() {
        // The carrier reported the same facts in another form.
        cx.log("poll.outcome", "unchanged");
        cx.changes().note(bookkeeping);
        return Ok(());
    }
    cx.log("poll.outcome", "changed");
    cx.log("shipment.status", shipment.facts.status.as_str());
    cx.touched(Stored::TYPE, due.id);
    if !new.is_empty() {
        changed.push("events");
    }
    let place = store::key(due.id);
    let sealed = match news {
        Some(before) => cx.reseal(place.place(), &shipment.news.phi, before).await?,
        None => cx.seal(place.place(), &shipment.news.phi).await?,
    };
    let changes = cx.changes();
    store::report(changes, &shipment.facts, before.version, &shipment.news, sealed);
    changes.note(bookkeeping);
    changes.changed(changed);
    if shipment.facts.status != before.status {
        changes.emit(ShipmentStatusChanged::new(&shipment.facts, before.status).into());
    }
    Ok(())
}

/// The scans that are not stored yet, oldest first, each with its token.
async fn new_scans<B: Background>(cx: &Delivery<'_, B>, poll: &Poll, report: &Report) -> Result<Vec<(usize, SearchToken)>> {
    let mut new = Vec::new();
    for (i, scan) in report.scans.iter().enumerate() {
        let token = cx.search_token("shipment.event", &scan.identity).await?;
        if !poll.knows(&token) {
            new.push((i, token));
        }
    }
    Ok(new)
}

async fn open<B: Background>(cx: &Delivery<'_, B>, stored: &Stored) -> Result<Shipment> {
    let place = store::key(stored.facts.id);
    let phi = cx.open(place.place(), &stored.sealed).await?;
    let news = match &stored.sealed_news {
        Some(sealed) => Some(cx.open(place.place(), sealed).await?),
        None => None,
    };
    Ok(stored.opened(phi, news))
}

/// Postpones the next poll. The delay grows with the number of failures.
fn put_off<B: Background>(cx: &mut Delivery<'_, B>, due: &Due, parcel: &Parcel, poll: Poll) {
    let failures = poll.failures.saturating_add(1);
    let poll = Poll { failures, due_at: next(parcel, PollOutcome::Failed(failures), cx.now()), ..poll };
    cx.changes().note(poll.edit(due.id, due.at));
}

fn next(parcel: &Parcel, outcome: PollOutcome, now: Timestamp) -> Option<Timestamp> {
    cadence::next_poll(parcel, outcome, now, Jitter::of(common::base::random::bytes()))
}

fn parcel_of(Shipment { facts, phi, news }: &Shipment) -> Parcel {
    let zone = destination::zone(&phi.recipient.address);
    // An error of an hour or two does not matter for the polling interval.
    let about = |estimate: Estimate| estimate.end_in(zone.as_ref().unwrap_or(&TimeZone::UTC));
    parcel(facts, news.estimate.and_then(about).or(news.eta), news.last_event, zone)
}

fn parcel(facts: &Facts, eta: Option<Timestamp>, last_event: Option<LastScan>, zone: Option<TimeZone>) -> Parcel {
    let last_event_at = last_event.map(|event| event.occurred_at);
    Parcel { status: facts.status, registered_at: facts.id.created_at(), eta, last_event_at, zone }
}

/// All parts of an answer that are stored, as one text. Two answers with the same content give the same text.
fn said(report: &Report) -> String {
    let Report { status, description, eta, estimate, scans } = report;
    let words = description.as_ref().map_or("", PhiText::as_str);
    let eta = eta.map(|at| at.to_string()).unwrap_or_default();
    scans.iter().fold(format!("{status}\n{words}\n{eta}\n{estimate:?}"), |text, scan| text + "\n" + &scan.identity)
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod journeys;
#[cfg(test)]
mod tests;
