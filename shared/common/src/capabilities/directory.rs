//! The data outside a tenant for each of its users: the platform's directory, the claim to their e-mail, and Cognito. All of it
//! is derived from the current membership and brought in line with it, repeatedly and in any order. So no transaction spans two
//! tenants, and no answer waits for Cognito.

use crate::{
    aws::cognito::Cognito,
    background::{Background, CONTENDED, Delivery},
    base::{Error, Result, Role, TenantId, Timestamp, UserId, config::EMAIL_FIELD, need::needs},
    identity::{Membership, membership},
    request::Deps,
    store::{
        changes::{Condition, Op},
        item::Table,
        transaction::{NotCommitted, Unit},
    },
};
use phi::Email;

/// The number of tries of a claim while others claim the same.
const TRIES: u32 = 5;

/// Access to a user's data outside their tenant.
#[derive(Clone, Copy, Debug)]
pub struct Directory<'a> {
    deps: &'a Deps,
    pool: &'a Cognito,
    tenant: TenantId,
    deadline: Timestamp,
}

/// A password for a single sign-in. It is mailed and stored nowhere.
pub struct TemporaryPassword(String);

impl std::fmt::Debug for TemporaryPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// The letters and digits of a temporary password, without those that are easily confused.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

impl TemporaryPassword {
    /// 100 random bits in groups for typing, with the characters that the pool's rules require.
    pub fn new(random: [u8; 20]) -> Self {
        let letters: Vec<u8> = random.iter().map(|byte| LETTERS[usize::from(byte & 31)]).collect();
        let groups: Vec<_> = letters.chunks(5).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
        Self(format!("Ta7-{}", groups.join("-")))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<'a, B: Background> Delivery<'a, B> {
    /// A user's data outside the tenant. Changes there take effect immediately, so make them in [`Background::after`].
    ///
    /// # Errors
    /// Internal if the function was not given Cognito.
    pub fn directory(&self) -> Result<Directory<'a>> {
        needs!(B, Directory, Write, Search);
        let job = self.job;
        let pool = job.deps.cognito.as_deref().ok_or(Error::internal("no cognito"))?;
        Ok(Directory { deps: job.deps, pool, tenant: job.tenant, deadline: job.deadline })
    }
}

impl Directory<'_> {
    /// Claims an e-mail for a member, unless another user has it. A deleted user does not have it any more.
    ///
    /// Returns whether it is theirs.
    ///
    /// # Errors
    /// 503 if DynamoDB or, for the e-mail's token, KMS does not answer.
    pub async fn claim(&self, user: UserId, email: &Email) -> Result<bool> {
        let (db, platform) = (&self.deps.db, TenantId::PLATFORM);
        let token = self.deps.keyring.of(platform).search_token(EMAIL_FIELD, &email.normalised()).await?;
        for _ in 0..TRIES {
            if db.get(platform, Table::Records, &membership::directory_key(user)).await?.is_some() {
                return Ok(true);
            }
            let condition = match db.get(platform, Table::Records, &membership::email_key(token)).await? {
                None => Condition::Absent,
                Some(claimed) => {
                    let (home, owner) = (claimed.parse("tenant_id")?, claimed.parse::<UserId>("user_id")?);
                    if membership::of(db, home, owner).await?.is_some() {
                        return Ok(false);
                    }
                    Condition::Is("user_id", owner.to_string())
                }
            };
            let (entry, claim) = membership::in_directory(user, self.tenant, &token);
            let mut unit = Unit::default();
            for (item, condition) in [(claim, condition), (entry, Condition::Absent)] {
                unit.push(platform, Op::Put { table: Table::Records, item, condition: Some(condition) }, CONTENDED);
            }
            match unit.commit(&self.deps.db, self.deadline).await {
                Ok(()) => return Ok(true),
                // Another claim was faster, or this same claim in another process.
                Err(NotCommitted::Condition { .. }) => {}
                Err(NotCommitted::Failed(error)) => return Err(error),
            }
        }
        Err(CONTENDED)
    }

    /// Removes all data of a deleted user: the e-mail, the entry, the user in the pool.
    ///
    /// # Errors
    /// 503.
    pub async fn forget(&self, user: UserId) -> Result<()> {
        let (db, platform) = (&self.deps.db, TenantId::PLATFORM);
        let entry = membership::directory_key(user);
        if let Some(row) = db.get(platform, Table::Records, &entry).await? {
            let token: String = row.parse("email_token").map_err(|_| Error::internal("directory"))?;
            let own = Condition::Is("user_id", user.to_string());
            // A user who has claimed it since keeps it.
            let _ = db.take(platform, Table::Records, &membership::email_key(token), &own).await?;
        }
        self.pool.admin_delete(user).await?;
        // Last, because the entry shows that an interrupted run has work left.
        db.delete(platform, Table::Records, &entry).await
    }

    /// Brings the pool's user in line with the membership: existence, enabled or not, and the groups of the roles that are valid
    /// now. Returns the temporary password of a user who was created.
    ///
    /// # Errors
    /// 503, also while the pool has another user with this e-mail, who is to be deleted.
    pub async fn bring_in_line(&self, member: &Membership, email: &Email, now: Timestamp) -> Result<Option<TemporaryPassword>> {
        let user = member.user;
        let (enabled, made) = match self.pool.admin_get(user).await? {
            Some(known) => (known.enabled, None),
            None => {
                let password = TemporaryPassword::new(crate::base::random::bytes());
                self.pool.admin_create(user, &email.normalised(), password.expose()).await?;
                (true, Some(password))
            }
        };
        if enabled != member.active {
            self.pool.admin_enable(user, member.active).await?;
        }
        let roles: Vec<Role> = member.roles(now).collect();
        self.pool.admin_set_groups(user, &roles).await?;
        Ok(made)
    }

    /// Gives the user another password, for a single sign-in.
    ///
    /// # Errors
    /// 503.
    pub async fn reset_password(&self, user: UserId) -> Result<TemporaryPassword> {
        let password = TemporaryPassword::new(crate::base::random::bytes());
        self.pool.admin_set_temporary_password(user, password.expose()).await?;
        Ok(password)
    }

    /// Revokes the pool's own tokens of a user.
    ///
    /// # Errors
    /// 503.
    pub async fn sign_out(&self, user: UserId) -> Result<()> {
        self.pool.admin_sign_out(user).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_password_meets_the_pools_rules_and_is_redacted() {
        for byte in 0..=255 {
            let password = TemporaryPassword::new([byte; 20]);
            let text = password.expose();
            assert!(text.len() >= 12, "{text}");
            for rule in [u8::is_ascii_uppercase, u8::is_ascii_lowercase, u8::is_ascii_digit, u8::is_ascii_punctuation] {
                assert!(text.bytes().any(|b| rule(&b)), "{text}");
            }
            assert_eq!(format!("{password:?}"), "[secret]");
        }
    }

    #[test]
    fn two_temporary_passwords_differ() {
        let made = || TemporaryPassword::new(crate::base::random::bytes()).expose().to_owned();
        assert_ne!(made(), made());
    }
}
