//! Addresses that get no mail, or only the mail that security requires.
//!
//! | Partition | Sort | What |
//! |---|---|---|
//! | *platform* `SUPPRESSED#<token>` | `MAIL` | `because` (`bounced` or `complained`), `since` |
//!
//! Addresses are stored sealed like PHI. Here an address is a search token under the platform's key, because an address belongs
//! to one user in the whole deployment, and the mail service's reports name no tenant.

use crate::{
    background::{Background, CONTENDED, Delivery},
    base::{Error, Result, TenantId, Timestamp, config::EMAIL_FIELD, need::needs},
    identity::{Membership, membership},
    request::{Deps, Endpoint, Permit},
    store::{
        changes::{Condition, Edit, Op},
        item::{Key, Row, Table},
    },
};
use phi::{Email, SearchToken};
use schemars::JsonSchema;
use serde::Serialize;
use std::str::FromStr;

/// The kinds of mails that a suppression may hold back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailKind {
    /// Mail that a user can do without: digests.
    Notification,
    /// Mail that an account or the audit log needs: invitations, resets, alarms, checkpoints.
    Security,
}

/// The reason why an address is suppressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SuppressedBecause {
    /// The address does not exist, or accepts nothing from us: no mail is sent.
    Bounced,
    /// The reader complained: no notifications are sent.
    Complained,
}

/// The suppression of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suppression {
    pub because: SuppressedBecause,
    pub since: Timestamp,
}

impl SuppressedBecause {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bounced => "bounced",
            Self::Complained => "complained",
        }
    }

    const fn holds_back(self, kind: MailKind) -> bool {
        matches!((self, kind), (Self::Bounced, _) | (Self::Complained, MailKind::Notification))
    }
}

impl FromStr for SuppressedBecause {
    type Err = ();
    fn from_str(word: &str) -> Result<Self, ()> {
        [Self::Bounced, Self::Complained].into_iter().find(|because| because.as_str() == word).ok_or(())
    }
}

impl Suppression {
    fn from_row(row: &Row) -> Result<Self> {
        // A reason that this version does not know holds back only notifications.
        let because = row.word("because")?.unwrap_or(SuppressedBecause::Complained);
        Ok(Self { because, since: row.parse("since")? })
    }
}

fn key(token: &SearchToken) -> Key {
    Key::new(format!("SUPPRESSED#{token}"), "MAIL")
}

async fn token(deps: &Deps, address: &Email) -> Result<SearchToken> {
    deps.keyring.of(TenantId::PLATFORM).search_token(EMAIL_FIELD, &address.normalised()).await
}

/// Whether mails of this kind to an address are held back.
///
/// # Errors
/// 503 if DynamoDB or, for the address's token, KMS does not answer.
pub(crate) async fn holds_back(deps: &Deps, address: &Email, kind: MailKind) -> Result<bool> {
    let row = deps.db.get(TenantId::PLATFORM, Table::Records, &key(&token(deps, address).await?)).await?;
    Ok(row.as_ref().map(Suppression::from_row).transpose()?.is_some_and(|found| found.because.holds_back(kind)))
}

impl<B: Background> Delivery<'_, B> {
    /// Suppresses an address. An address that has bounced keeps that reason, even after a complaint.
    ///
    /// # Errors
    /// Internal outside the platform's own scope, which contains the suppressions; 503 if DynamoDB or KMS does not answer.
    pub async fn suppress(&mut self, address: &Email, because: SuppressedBecause, at: Timestamp) -> Result<()> {
        needs!(B, Search);
        if self.tenant() != TenantId::PLATFORM {
            return Err(Error::internal("suppression in a tenant"));
        }
        let key = key(&token(self.job.deps, address).await?);
        let row = self.job.deps.db.get(TenantId::PLATFORM, Table::Records, &key).await?;
        let before = row.as_ref().and_then(|row| row.maybe_text("because"));
        if before == Some(SuppressedBecause::Bounced.as_str()) {
            return Ok(());
        }
        let as_read = Condition::as_read("because", before);
        let edit = Edit::of(key).text("because", because.as_str()).text("since", at).when(as_read);
        self.changes().edit(edit, CONTENDED);
        self.changes().changed(["suppressed"]);
        Ok(())
    }
}

impl<E: Endpoint> Permit<'_, E> {
    /// Whether a member's address is suppressed. If the address belongs to another user, the answer is always no, so that an
    /// invitation reveals nothing about the address.
    ///
    /// # Errors
    /// 503 if DynamoDB or KMS does not answer.
    pub async fn mail_suppression(&self, member: &Membership, address: &Email) -> Result<Option<Suppression>> {
        Ok(self.suppressed(member, address).await?.map(|(_, suppression, _)| suppression))
    }

    /// Lifts the suppression of a member's address, and returns it if there was one. The commit is 409 `changed` if it has just
    /// been changed.
    ///
    /// # Errors
    /// As [`mail_suppression`](Self::mail_suppression).
    pub async fn lift_mail_suppression(&mut self, member: &Membership, address: &Email) -> Result<Option<Suppression>> {
        needs!(E, Write);
        const CHANGED: Error = Error::conflict("changed", "the suppression has just been changed");
        let Some((token, suppression, because)) = self.suppressed(member, address).await? else { return Ok(None) };
        let elsewhere = self.effects.elsewhere(TenantId::PLATFORM);
        elsewhere.delete(key(&token), Condition::Is("because", because), CHANGED);
        let own = Condition::Is("user_id", member.user.to_string());
        elsewhere.ops.push((Op::Check { table: Table::Records, key: membership::email_key(token), condition: own }, CHANGED));
        Ok(Some(suppression))
    }

    async fn suppressed(&self, member: &Membership, address: &Email) -> Result<Option<(SearchToken, Suppression, String)>> {
        needs!(E, Search);
        needs!(E, Read);
        let deps = self.context.deps;
        let token = token(deps, address).await?;
        let get = async |key: &Key| deps.db.get(TenantId::PLATFORM, Table::Records, key).await;
        let claim = get(&membership::email_key(token)).await?;
        if claim.is_none_or(|claim| claim.maybe_text("user_id") != Some(&member.user.to_string())) {
            return Ok(None);
        }
        let Some(row) = get(&key(&token)).await? else { return Ok(None) };
        Ok(Some((token, Suppression::from_row(&row)?, row.text("because")?.to_owned())))
    }
}
