//! The context of a decision, besides caller, action and resource. It contains only facts; the policies draw the conclusions.

use super::decision::{type_name, uid};
use crate::{
    base::{Principal, Purpose, Role, SessionKind, Timestamp, network::AllowList},
    identity::tenant::Tenant,
};
use cedar_policy::RestrictedExpression;

/// The decision's context, `Request` in the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Circumstances {
    pub(crate) tenant_status: &'static str,
    pub(crate) session_kind: SessionKind,
    pub(crate) purpose: Option<Purpose>,
    /// Whether the tenant's business associate agreement is in force now.
    pub(crate) baa_in_force: bool,
    /// Whether the caller's address is in the networks that the tenant, and the key, allow.
    pub(crate) on_allowed_network: bool,
    /// Whether the caller's address is in the tenant's trusted networks.
    pub(crate) on_trusted_network: bool,
    /// Whether the caller's address is in the platform's operator networks.
    pub(crate) on_operator_network: bool,
    /// The roles for which the tenant requires a second factor.
    pub(crate) mfa_roles: Vec<Role>,
    pub(crate) mfa_enrolled: bool,
    /// The age of the second factor in this session, in seconds.
    pub(crate) mfa_age: Option<i64>,
}

impl Circumstances {
    pub(crate) fn of(
        who: &Principal,
        tenant: &Tenant,
        operators: &AllowList,
        source_ip: &str,
        purpose: Option<Purpose>,
        now: Timestamp,
    ) -> Self {
        let unless_empty = |list: &AllowList| list.is_empty() || list.allows(source_ip);
        Self {
            tenant_status: tenant.status.as_str(),
            session_kind: who.kind,
            purpose,
            baa_in_force: tenant.baa.is_some_and(|baa| baa.in_force_at(now)),
            on_allowed_network: unless_empty(&tenant.allowed_networks) && unless_empty(&who.bounds.networks),
            on_trusted_network: tenant.settings.trusted_networks.allows(source_ip),
            on_operator_network: operators.allows(source_ip),
            mfa_roles: tenant.settings.mfa_roles.clone(),
            mfa_enrolled: who.mfa_enrolled,
            // If the clock went back, the factor counts as not given, so that its age is never too low.
            mfa_age: who.mfa_at.filter(|at| *at <= now).map(|at| now.as_secs() - at.as_secs()),
        }
    }

    /// The best circumstances for a caller.
    pub(crate) fn best_for(who: &Principal) -> Self {
        let session_kind = if who.kind == SessionKind::ApiKey { SessionKind::ApiKey } else { SessionKind::Full };
        Self { session_kind, ..Self::best() }
    }

    /// The best circumstances, so that the decision depends only on roles.
    pub(crate) fn best() -> Self {
        Self {
            tenant_status: "active",
            session_kind: SessionKind::Full,
            purpose: Some(Purpose::Treatment),
            baa_in_force: true,
            on_allowed_network: true,
            on_trusted_network: false,
            on_operator_network: true,
            mfa_roles: Vec::new(),
            mfa_enrolled: true,
            mfa_age: Some(0),
        }
    }

    pub(super) fn pairs(&self) -> Result<Vec<(String, RestrictedExpression)>, Box<dyn std::error::Error>> {
        let role = type_name("Role")?;
        let role = |r: &Role| RestrictedExpression::new_entity_uid(uid(&role, r.as_str()));
        let (text, flag) = (|t: &str| RestrictedExpression::new_string(t.to_owned()), RestrictedExpression::new_bool);
        let mut pairs = vec![
            ("tenant_status", text(self.tenant_status)),
            ("session_kind", text(self.session_kind.as_str())),
            ("baa_in_force", flag(self.baa_in_force)),
            ("on_allowed_network", flag(self.on_allowed_network)),
            ("on_trusted_network", flag(self.on_trusted_network)),
            ("on_operator_network", flag(self.on_operator_network)),
            ("mfa_roles", RestrictedExpression::new_set(self.mfa_roles.iter().map(role))),
            ("mfa_enrolled", flag(self.mfa_enrolled)),
        ];
        pairs.extend(self.purpose.map(|purpose| ("purpose", text(purpose.as_str()))));
        pairs.extend(self.mfa_age.map(|age| ("mfa_age", RestrictedExpression::new_long(age))));
        Ok(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}
