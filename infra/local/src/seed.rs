//! Creates two tenants and a user for every role in each, as an operator does.

use crate::{Error, handover::write_private};
use common::{
    base::{Role, TenantId, Timestamp, random},
    request::Deps,
    run::operator::{NewUser, Operator},
};
use identity::domain::totp::{Authenticator, TotpSecret};
use phi::{Email, PhiText};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

/// The seeded tenants.
pub const TENANTS: [&str; 2] = ["acme-health", "birch-clinic"];

/// The name of the platform's own tenant.
pub const PLATFORM: &str = "platform";

/// A user who can sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub tenant: String,
    pub role: Role,
    pub email: String,
    pub user_id: String,
    /// The secret of the user's authenticator in base32, if the role requires one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticator: Option<String>,
}

impl User {
    /// The authenticator's code at some time, if there is one.
    pub fn code_at(&self, now: Timestamp) -> Option<String> {
        let secret: TotpSecret = serde_json::from_value(self.authenticator.clone()?.into()).ok()?;
        Some(secret.code_at(now))
    }
}

/// The result of the seed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Seeded {
    pub(crate) tenants: BTreeMap<String, String>,
    pub(crate) users: Vec<User>,
    pub(crate) password: String,
    /// The users' pool. In another pool the users do not exist.
    pool: String,
}

const FILE: &str = "seed.json";

impl Seeded {
    /// The result of an earlier run in `dir`, if it belongs to `pool`.
    fn kept(dir: &Path, pool: &str) -> Option<Self> {
        let text = std::fs::read_to_string(dir.join(FILE)).ok()?;
        serde_json::from_str(&text).ok().filter(|kept: &Self| kept.pool == pool)
    }
}

/// Creates the missing parts. `dir` stores the result.
pub(crate) async fn seed(deps: &Deps, dir: &Path, wanted: Option<&str>, progress: fn(&str)) -> Result<Seeded, Error> {
    let pool = &deps.config().user_pool_id;
    if let Some(kept) = Seeded::kept(dir, pool) {
        return match wanted {
            Some(wanted) if wanted != kept.password => Err(Error::OtherPassword(dir.to_owned())),
            _ => Ok(kept),
        };
    }
    progress("creating the tenants acme-health and birch-clinic, with a user for every role");
    let mut seeded =
        Seeded { pool: pool.clone(), password: wanted.map_or_else(generated_password, str::to_owned), ..Seeded::default() };
    let operator = Operator::new(deps, "local-stack");
    match operator.create_platform().await {
        Ok(()) | Err(common::base::Error::Conflict { .. }) => {}
        Err(source) => return Err(Error::Seed { what: PLATFORM.to_owned(), source }),
    }
    seeded.tenants.insert(PLATFORM.to_owned(), TenantId::PLATFORM.to_string());
    for name in TENANTS {
        let failed = |source| Error::Seed { what: format!("tenant `{name}`"), source };
        let tenant = match operator.tenant_named(name).await.map_err(failed)? {
            Some(tenant) => tenant,
            None => operator.create_tenant(name).await.map_err(failed)?,
        };
        seeded.tenants.insert(name.to_owned(), tenant.to_string());
        for role in Role::ALL {
            seeded.users.push(user(&operator, tenant, name, role, &seeded.password).await?);
        }
    }
    let text = serde_json::to_string_pretty(&seeded).map_err(|e| Error::Config(e.to_string()))?;
    write_private(&dir.join(FILE), &text)?;
    Ok(seeded)
}

async fn user(operator: &Operator<'_>, tenant: TenantId, name: &str, role: Role, password: &str) -> Result<User, Error> {
    // Operators belong to the platform's tenant.
    let (home, home_name) = if role == Role::SuperAdmin { (TenantId::PLATFORM, PLATFORM) } else { (tenant, name) };
    join(operator, (home_name, home), role, &format!("{role}@{name}.example"), password).await
}

/// Creates a user of a tenant, with an authenticator if the role requires one.
///
/// # Errors
/// [`Error::Seed`].
pub async fn join(
    operator: &Operator<'_>,
    (tenant, id): (&str, TenantId),
    role: Role,
    email: &str,
    password: &str,
) -> Result<User, Error> {
    let address = Email::parse(email).map_err(|e| Error::Config(format!("`{email}`: {e}")))?;
    let new = NewUser { email: &address, password, permanent: true, roles: &[role] };
    let failed = |source| Error::Seed { what: format!("user `{email}`"), source };
    let user = operator.create_user(id, &new).await.map_err(failed)?;
    let mut authenticator = None;
    if matches!(role, Role::SuperAdmin | Role::TenantAdmin | Role::Auditor) {
        let secret = TotpSecret::generate();
        authenticator = Some(secret.to_base32());
        operator.hand_out_authenticator(id, user, &Authenticator { secret }).await.map_err(failed)?;
    }
    let (tenant, email) = (tenant.to_owned(), email.to_owned());
    Ok(User { tenant, role, email, user_id: user.to_string(), authenticator })
}

/// A random password that the pool's policy accepts and that is easy to paste.
fn generated_password() -> String {
    let letters: String =
        random::bytes::<12>().iter().map(|b| char::from(b"abcdefghjkmnpqrstuvwxyz23456789"[usize::from(*b) % 31])).collect();
    format!("Demo-{}-{}-{}-7", &letters[..4], &letters[4..8], &letters[8..])
}
