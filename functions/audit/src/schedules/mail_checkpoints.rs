//! Mails the newest checkpoint to each tenant's auditors, once a day. Their copies are evidence that we cannot alter.
//!
//! | Partition | Sort | Content |
//! |---|---|---|
//! | `CHECKPOINT_MAIL` | `LAST` | the time and size of the last mailed checkpoint, its recipients, and the number of failed mails
//! |
//!
//! A failed mail is retried each hour, for its recipient only. A run that is killed before it records its recipients sends the
//! mails again, under the same id.

use super::Log;
use crate::{
    TamperDetected,
    walk::{self, mailed_finding},
};
use common::{
    background::{Background, CONTENDED, Delivery, Schedule, Tick},
    base::{Error, Need, Result, Role, TenantId, Timestamp, UserId},
    capabilities::{FindingPlace, Mail, MailKind, StoredCheckpoint, Turn, escaped},
    identity::{MemberPii, Membership, Tenant, profile_key},
    store::{Condition, Edit, Key, Row},
};
use ledger::VerifierKey;
use std::time::Duration;

/// A run may start a little earlier than on the day before.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60 - 10 * 60);
/// The largest number of recorded recipients: 37 bytes each, in one item. A tenant with more auditors has enough copies.
const MOST_TOLD: usize = 5000;

#[derive(Debug)]
pub struct MailCheckpoints;

impl Background for MailCheckpoints {
    const NAME: &'static str = "mail_checkpoints";
    const SUMMARY: &'static str = "Mail auditors the newest checkpoint of their tenant's audit log";
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::Search, Need::Mail, Need::ReadLog, Need::Tenants];
    const TIMEOUT_SECS: u16 = 240;
    type Part = Log;

    async fn handle(_: &mut Delivery<'_, Self>, _: &Log) -> Result<()> {
        Ok(())
    }

    async fn after(cx: &mut Delivery<'_, Self>, _: &Log) -> Result<()> {
        let (now, log) = (cx.now(), cx.audit_log());
        let before = cx.reader().get(&key()).await?.map(|row| Last::from_row(&row)).transpose()?;
        let (mut mailing, goes_on) = match &before {
            Some(last) if now < last.at.plus(A_DAY) && last.left == 0 => return Ok(()),
            Some(last) if now < last.at.plus(A_DAY) => (last.clone(), true),
            _ => (Last { at: now, size: 0, told: Vec::new(), left: 0 }, false),
        };
        let Some(checkpoint) = log.last_checkpoint().await? else { return Ok(()) };
        mailing.size = i64::try_from(checkpoint.head.size()).unwrap_or(i64::MAX);
        let mailed = before.as_ref().map_or(0, |last| last.size);
        if mailing.size == mailed && !goes_on {
            return Ok(());
        }
        // Auditors use the mail as evidence, so only a signed checkpoint is mailed, and never one of a log that has become
        // shorter.
        let signed = walk::signed_head(&log, Some(&checkpoint)).await?;
        let shorter = (mailing.size < mailed).then(|| mailed_finding(checkpoint.head.size()));
        if let Some(finding) = signed.err().or(shorter) {
            return log.raise(finding, Self::NAME, TamperDetected::from(finding)).await;
        }
        for finding in log.open_findings().await?.iter().filter(|finding| finding.place == FindingPlace::Mailed) {
            log.resolve(finding, Self::NAME).await?;
        }
        let row = cx.reader().get(&profile_key()).await?.ok_or(Error::internal("no tenant"))?;
        let letter = letter(&Tenant::from_row(&row)?.name, &checkpoint, &log.verifier_key().await?);
        let audits = |member: &Membership| member.has_arrived() && member.roles(now).any(|role| role == Role::Auditor);
        let auditors = cx.members().await?.into_iter().filter(audits).filter(|member| !mailing.told.contains(&member.user));
        let (mut failed, told) = (None, mailing.told.len());
        mailing.left = 0;
        let place = MOST_TOLD.saturating_sub(mailing.told.len());
        for auditor in auditors.take(place).collect::<Vec<_>>() {
            match send(cx, &auditor, &letter, format!("{}-{}", log.tenant(), mailing.size)).await {
                Ok(()) => mailing.told.push(auditor.user),
                Err(error) => {
                    mailing.left += 1;
                    failed = Some(error);
                }
            }
        }
        cx.log("audit.checkpoint", checkpoint.head.size());
        cx.log("audit.auditors", mailing.told.len() - told);
        cx.log("audit.not_mailed", failed.as_ref().map(|_| mailing.left));
        match failed {
            Some(error) if mailing.told.len() == told => Err(error),
            _ => {
                cx.changes().edit(mailing.edit(before.as_ref()), CONTENDED);
                Ok(())
            }
        }
    }
}

async fn send(cx: &Delivery<'_, MailCheckpoints>, auditor: &Membership, letter: &Letter, id: String) -> Result<()> {
    let MemberPii { email, .. } = cx.open(&Membership::place(auditor.user), &auditor.pii).await?;
    let Letter { subject, text, html } = letter.clone();
    cx.mailer()?.send(&Mail { to: &email, kind: MailKind::Security, turn: Turn::Yields, subject, text, html, id }).await?;
    cx.touched("User", auditor.user);
    Ok(())
}

impl Schedule for MailCheckpoints {
    const EVERY_MINUTES: u32 = 60;

    async fn due(cx: &Tick<'_, Self>) -> Result<Vec<(TenantId, Log)>> {
        Ok(cx.tenants().await?.into_iter().map(|tenant| (tenant, Log)).collect())
    }
}

/// The last mailing.
#[derive(Clone)]
struct Last {
    at: Timestamp,
    size: i64,
    told: Vec<UserId>,
    /// The number of failed mails.
    left: i64,
}

impl Last {
    fn from_row(row: &Row) -> Result<Self> {
        let told = row.text("told")?.split_whitespace().map(str::parse).collect::<Result<_, _>>();
        let told = told.map_err(|_| Error::internal("told"))?;
        Ok(Self { at: row.parse("mailed_at")?, size: row.number("size")?, told, left: row.number("left")? })
    }

    fn told(&self) -> String {
        self.told.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    /// The edit that stores this, if the item still equals `before`.
    fn edit(&self, before: Option<&Self>) -> Edit {
        let unmoved = Condition::All(vec![
            Condition::as_read("mailed_at", before.map(|last| last.at)),
            Condition::as_read("told", before.map(Self::told)),
        ]);
        let edit = Edit::of(key()).text("mailed_at", self.at).number("size", self.size);
        edit.text("told", self.told()).number("left", self.left).when(unmoved)
    }
}

fn key() -> Key {
    Key::new("CHECKPOINT_MAIL", "LAST")
}

#[derive(Clone)]
struct Letter {
    subject: String,
    text: String,
    html: String,
}

fn letter(tenant: &str, checkpoint: &StoredCheckpoint, key: &VerifierKey) -> Letter {
    let StoredCheckpoint { note, head, signed_at, .. } = checkpoint;
    let origin = note.lines().next().unwrap_or_default();
    // The tenant's name is filled in last: the tenant chooses it, and its text must not be used as a template.
    let fill = |template: &str, as_shown: fn(&str) -> String| {
        [
            ("{{signed_at}}", signed_at.to_string()),
            ("{{size}}", head.size().to_string()),
            ("{{note}}", as_shown(note)),
            ("{{origin}}", as_shown(origin)),
            ("{{key}}", as_shown(&key.to_string())),
            ("{{tenant}}", as_shown(tenant)),
        ]
        .into_iter()
        .fold(template.to_owned(), |text, (name, value)| text.replace(name, &value))
    };
    Letter {
        subject: format!("Checkpoint of the audit log at {} events", head.size()),
        text: fill(include_str!("../templates/checkpoint.txt"), str::to_owned),
        html: fill(include_str!("../templates/checkpoint.html"), escaped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_of_the_largest_mailing_is_below_half_of_an_item() {
        let at = Timestamp::from_millis(1_767_268_800_000);
        let told = (0..MOST_TOLD).map(|_| UserId::new(at)).collect();
        let last = Last { at, size: i64::MAX, told, left: i64::MAX };
        assert!(last.told().len() + 200 < 200 * 1024, "{}", last.told().len());
    }
}
