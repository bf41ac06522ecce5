//! Sends the digests that are due: one mail with the number of unread notifications of each kind.
//!
//! A run reserves capacity for the mail, then claims the digest, sends it, and settles it. Without capacity the digest is not
//! claimed and is due in the next run. Urgent digests of all tenants come first. If a sender is killed before it settles, its
//! claim is due again ten minutes later, and the same digest is sent again under the same id.

use crate::{
    domain::{DigestId, Kind, Notification, Preferences},
    mail,
    store::{
        self, Claim, State,
        digest::{self, LIST, URGENT},
    },
};
use common::{
    background::{Background, Delivery, Part, Schedule, Tick},
    base::{Need, Result, TenantId, Timestamp, UserId, Uuid, random},
    capabilities::{Mail, MailKind, Place, Turn},
    identity::{MemberPii, Membership},
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The number of one tenant's inboxes that one run handles. The next run handles the rest.
const MOST: u32 = 1000;
/// The largest number of notifications that a digest counts. If there are more, it says "at least".
pub(crate) const COUNTED: u32 = 100;

#[derive(Debug)]
pub struct SendDigests;

/// A user whose digest is due.
#[derive(Debug)]
pub struct Subscriber {
    user: UserId,
    /// The claim of this run and its progress.
    work: Mutex<Option<Work>>,
    /// The mail capacity that this run has reserved.
    place: Mutex<Option<Place>>,
}

#[derive(Clone, Debug)]
struct Work {
    claim: Claim,
    /// The mail service has accepted the mail.
    is_mailed: bool,
    /// The number of times that a new notification arrived while the digest was being settled.
    contended: u32,
}

/// After this many conflicts, a mailed digest is settled without the condition on the inbox, and the inbox is read again later.
const SETTLED_BY_SIGHT: u32 = 5;

impl Part for Subscriber {
    fn name(&self) -> String {
        self.user.to_string()
    }
}

impl Background for SendDigests {
    const NAME: &'static str = "send_digests";
    const SUMMARY: &'static str = "Mail digests of unread notifications at each user's chosen hour";
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::Search, Need::Mail, Need::Tenants];
    const TIMEOUT_SECS: u16 = 240;
    type Part = Subscriber;

    async fn handle(cx: &mut Delivery<'_, Self>, part: &Subscriber) -> Result<()> {
        let (user, now) = (part.user, cx.now());
        let (state, wants) = read(cx, user).await?;
        if state.digest.at.is_none_or(|at| at > now) {
            return Ok(());
        }
        let mailed_up_to = state.digest.mailed_up_to;
        if let Some(until) = wants.quiet_until(now)
            && !state.digest.is_urgent_after(mailed_up_to)
        {
            digest::postpone(cx.changes(), user, &state, Some(until));
            return Ok(());
        }
        let turn = if state.digest.is_urgent_after(mailed_up_to) { Turn::First } else { Turn::Yields };
        let Some(place) = cx.mailer()?.place(turn).await? else {
            cx.log("mail", "waits");
            return Ok(());
        };
        *part.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
        let token = Uuid::from_bytes(random::bytes()).simple().to_string();
        let claim = match state.digest.claim.clone() {
            Some(abandoned) => Claim { token, ..abandoned },
            None => Claim { id: DigestId::new(now), up_to: state.seq, token },
        };
        digest::claim(cx.changes(), user, &state, &claim, now);
        *part.work() = Some(Work { claim, is_mailed: false, contended: 0 });
        Ok(())
    }

    async fn after(cx: &mut Delivery<'_, Self>, part: &Subscriber) -> Result<()> {
        let Some(Work { claim, is_mailed, contended }) = part.work().clone() else { return Ok(()) };
        if is_mailed {
            // A notification arrived while the digest was being settled.
            return settle(cx, part, &claim, contended).await;
        }
        let (user, now) = (part.user, cx.now());
        let (state, wants) = read(cx, user).await?;
        if state.digest.claim.as_ref() != Some(&claim) {
            // Another run was faster.
            return Ok(());
        }
        let counts = count(cx, user, &state, &claim).await?;
        let member = cx.member(user).await?.filter(Membership::has_arrived);
        let (Some(member), false) = (member, counts.is_empty()) else {
            // A delivery during a claim does not set the next due time; the owner of the claim does.
            let next = if state.seq > claim.up_to { next_look(user, &state, &wants, &claim, now) } else { None };
            digest::settle_nothing(cx.changes(), user, &state, &claim, next);
            return Ok(());
        };
        let MemberPii { email, .. } = cx.open(&Membership::place(user), &member.pii).await?;
        let (subject, text, html) = mail::digest(&counts);
        let is_urgent = counts.keys().any(|kind| kind.is_urgent());
        let kind = if is_urgent { MailKind::Security } else { MailKind::Notification };
        let turn = if is_urgent { Turn::First } else { Turn::Yields };
        let mail = Mail { to: &email, kind, turn, subject, text, html, id: claim.id.to_string() };
        let place = part.place.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mailed = match place {
            Some(place) => cx.mailer()?.send_in(place, &mail).await?,
            None => cx.mailer()?.send(&mail).await?,
        };
        cx.log("mail", mailed.as_str());
        *part.work() = Some(Work { claim: claim.clone(), is_mailed: true, contended: 0 });
        settle(cx, part, &claim, 0).await
    }
}

/// Settles a mailed digest. Sending takes time, so the inbox is read again. If a notification arrives between the read and the
/// commit, the pipeline calls this again.
async fn settle(cx: &mut Delivery<'_, SendDigests>, part: &Subscriber, claim: &Claim, contended: u32) -> Result<()> {
    let (user, now) = (part.user, cx.now());
    cx.touched("User", user);
    if contended >= SETTLED_BY_SIGHT {
        digest::settle_and_look(cx.changes(), user, claim, now);
        return Ok(());
    }
    *part.work() = Some(Work { claim: claim.clone(), is_mailed: true, contended: contended + 1 });
    let (state, wants) = read(cx, user).await?;
    if state.digest.claim.as_ref() == Some(claim) {
        digest::settle(cx.changes(), user, &state, claim, next_look(user, &state, &wants, claim, now));
    }
    Ok(())
}

impl Subscriber {
    fn work(&self) -> MutexGuard<'_, Option<Work>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(cx: &Delivery<'_, SendDigests>, user: UserId) -> Result<(State, Preferences)> {
    let (state, stored) = store::state_and_preferences(cx.reader(), user).await?;
    Ok((state, stored.map_or_else(Preferences::default, |said| said.preferences)))
}

/// The time at which notifications after the claim are due.
fn next_look(user: UserId, state: &State, wants: &Preferences, claim: &Claim, now: Timestamp) -> Option<Timestamp> {
    if state.digest.is_urgent_after(claim.up_to) { Some(now) } else { wants.digest_after(user, now) }
}

/// The claimed notifications to mail that are still unread, counted by kind, among the first [`COUNTED`] that include any.
async fn count(cx: &Delivery<'_, SendDigests>, user: UserId, state: &State, claim: &Claim) -> Result<BTreeMap<Kind, u32>> {
    let mut from = state.digest.mailed_up_to.max(state.read_up_to);
    let wanted = |n: &Notification| n.email && n.read_at.is_none() && n.seq() <= claim.up_to;
    let mut counts = BTreeMap::new();
    while counts.is_empty() && from < claim.up_to {
        let rows = cx.reader().query(&store::after(user, from).limit(COUNTED)).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            from = store::seq(&row)?;
            if let Some(notification) = store::notification(&row)?.filter(&wanted) {
                *counts.entry(notification.kind).or_default() += 1;
            }
        }
    }
    Ok(counts)
}

impl Schedule for SendDigests {
    const EVERY_MINUTES: u32 = 5;

    async fn due(cx: &Tick<'_, Self>) -> Result<Vec<(TenantId, Subscriber)>> {
        let mut due = Vec::new();
        for (list, most) in [(URGENT, MOST), (LIST, MOST)] {
            let mut listed = Vec::new();
            for (tenant, items) in cx.due(list, most).await? {
                listed.extend(items.iter().filter_map(|item| Some((item.at, tenant, store::owner(&item.key)?))));
            }
            // The digests that have been due longest come first, across tenants, so that one tenant's thousand digests do not
            // delay another's single one.
            listed.sort_by_key(|(at, ..)| *at);
            due.extend(listed);
        }
        let part = |user| Subscriber { user, work: Mutex::default(), place: Mutex::default() };
        Ok(due.into_iter().map(|(_, tenant, user)| (tenant, part(user))).collect())
    }
}
