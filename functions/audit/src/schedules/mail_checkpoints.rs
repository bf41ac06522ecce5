//! Mails each tenant's auditors, once a day, where its log has come to. What they keep is a witness that we cannot alter.
//!
//! | Partition | Sort | What |
//! |---|---|---|
//! | `CHECKPOINT_MAIL` | `LAST` | when checkpoints were last mailed, and of what size the log was |
//!
//! A run that fails, or is killed, before it notes that is repeated within the hour: the same mails go out once more, under the
//! same id.

use super::Log;
use common::{
    Background, Condition, Delivery, Edit, Key, Mail, MemberPii, Membership, Need, Result, Role, Row, Schedule, StoredCheckpoint,
    Tenant, TenantId, Tick, Timestamp, escaped, profile_key,
};
use ledger::VerifierKey;
use std::time::Duration;

/// A run may come a little earlier than the day before's.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60 - 10 * 60);

#[derive(Debug)]
pub struct MailCheckpoints;

impl Background for MailCheckpoints {
    const NAME: &'static str = "mail_checkpoints";
    const SUMMARY: &'static str = "Mail auditors where their tenant's audit log has come to";
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::Search, Need::Mail, Need::ReadLog, Need::Tenants];
    const TIMEOUT_SECS: u16 = 240;
    type Part = Log;

    async fn handle(_: &mut Delivery<'_, Self>, _: &Log) -> Result<()> {
        Ok(())
    }

    async fn after(cx: &mut Delivery<'_, Self>, _: &Log) -> Result<()> {
        let now = cx.now();
        let last = cx.reader().get(&key()).await?.map(|row| Last::from_row(&row)).transpose()?;
        if last.as_ref().is_some_and(|last| now < last.at.plus(A_DAY)) {
            return Ok(());
        }
        let log = cx.audit_log();
        let Some(checkpoint) = log.last_checkpoint().await? else { return Ok(()) };
        let size = i64::try_from(checkpoint.head.size()).unwrap_or(i64::MAX);
        if last.as_ref().is_some_and(|last| last.size == size) {
            return Ok(());
        }
        let row = cx.reader().get(&profile_key()).await?.ok_or(common::Error::internal("no tenant"))?;
        let (tenant, verifier) = (Tenant::from_row(&row)?.name, log.verifier_key().await?);
        let audits = |member: &Membership| {
            member.has_arrived() && member.grants.iter().any(|grant| grant.role == Role::Auditor && grant.holds_at(now))
        };
        let (subject, text, html) = letter(&tenant, &checkpoint, &verifier);
        let id = format!("{}-{size}", log.tenant());
        let mut mailed = 0_usize;
        for auditor in cx.members().await?.into_iter().filter(audits) {
            let MemberPii { email, .. } = cx.open(&Membership::place(auditor.user), &auditor.pii).await?;
            let (subject, text, html, id) = (subject.clone(), text.clone(), html.clone(), id.clone());
            cx.mailer()?.send(&Mail { to: &email, subject, text, html, id }).await?;
            cx.touched("User", auditor.user);
            mailed += 1;
        }
        cx.log("audit.checkpoint", checkpoint.head.size());
        cx.log("audit.auditors", mailed);
        let unmoved = last.map_or(Condition::Missing("mailed_at"), |last| Condition::Is("mailed_at", last.at.to_string()));
        cx.changes().note(Edit::of(key()).text("mailed_at", now).number("size", size).when(unmoved));
        Ok(())
    }
}

impl Schedule for MailCheckpoints {
    const EVERY_MINUTES: u32 = 60;

    async fn due(cx: &Tick<'_, Self>) -> Result<Vec<(TenantId, Log)>> {
        Ok(cx.tenants().await?.into_iter().map(|tenant| (tenant, Log)).collect())
    }
}

/// What was mailed last.
struct Last {
    at: Timestamp,
    size: i64,
}

impl Last {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { at: row.parse("mailed_at")?, size: row.number("size")? })
    }
}

fn key() -> Key {
    Key::new("CHECKPOINT_MAIL", "LAST")
}

/// Subject, text and HTML.
fn letter(tenant: &str, checkpoint: &StoredCheckpoint, key: &VerifierKey) -> (String, String, String) {
    let StoredCheckpoint { note, head, signed_at, .. } = checkpoint;
    let origin = note.lines().next().unwrap_or_default();
    // The tenant's name last: it is a tenant's choice, and shall not be filled in again.
    let fill = |template: &str, tenant: &str| {
        [
            ("{{signed_at}}", signed_at.to_string()),
            ("{{size}}", head.size().to_string()),
            ("{{note}}", note.clone()),
            ("{{origin}}", origin.to_owned()),
            ("{{key}}", key.to_string()),
            ("{{tenant}}", tenant.to_owned()),
        ]
        .into_iter()
        .fold(template.to_owned(), |text, (name, value)| text.replace(name, &value))
    };
    let text = fill(include_str!("../templates/checkpoint.txt"), tenant);
    let html = fill(include_str!("../templates/checkpoint.html"), &escaped(tenant));
    (format!("Checkpoint of the audit log at {} events", head.size()), text, html)
}
