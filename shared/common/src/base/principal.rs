//! The caller, their roles, and their purpose of use.

use crate::base::{
    Error, Result, SessionId, Stored, TenantId, Timestamp, UserId,
    network::AllowList,
    stored::{self, Listed},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// The role of a person or program. Cognito's groups have the same names, but only the grant counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs the platform. Never sees PHI.
    SuperAdmin,
    TenantAdmin,
    Provider,
    Marketer,
    Analyst,
    Viewer,
    Auditor,
    /// A program with an API key.
    ApiUser,
}

impl Role {
    pub const ALL: [Self; 8] = [
        Self::SuperAdmin,
        Self::TenantAdmin,
        Self::Provider,
        Self::Marketer,
        Self::Analyst,
        Self::Viewer,
        Self::Auditor,
        Self::ApiUser,
    ];

    /// The roles from which it inherits: it has all their permissions.
    pub const fn inherits(self) -> &'static [Self] {
        match self {
            Self::TenantAdmin => &[Self::Marketer],
            Self::Marketer | Self::Provider => &[Self::Viewer],
            Self::SuperAdmin | Self::Analyst | Self::Viewer | Self::Auditor | Self::ApiUser => &[],
        }
    }

    /// The role and all roles from which it inherits, directly or indirectly.
    pub fn with_inherited(self) -> Vec<Self> {
        let further = self.inherits().iter().flat_map(|role| role.with_inherited());
        std::iter::once(self).chain(further).collect()
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SuperAdmin => "super_admin",
            Self::TenantAdmin => "tenant_admin",
            Self::Provider => "provider",
            Self::Marketer => "marketer",
            Self::Analyst => "analyst",
            Self::Viewer => "viewer",
            Self::Auditor => "auditor",
            Self::ApiUser => "api_user",
        }
    }
}

impl FromStr for Role {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|role| role.as_str() == s).ok_or(())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A granted role, with a term or permanent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Grant {
    pub role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
}

impl Grant {
    pub const fn always(role: Role) -> Self {
        Self { role, valid_from: None, valid_until: None }
    }
    /// Replaces a member's grants.
    pub(crate) fn replace(before: &Listed<Self>, with: Vec<Self>) -> Listed<Self> {
        before.with(with, |old, new| old.role == new.role)
    }
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.valid_from.is_none_or(|from| from <= now) && self.valid_until.is_none_or(|until| now < until)
    }
}

/// The purpose of a request for PHI: HL7 v3 PurposeOfUse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Purpose {
    #[serde(rename = "TREAT")]
    Treatment,
    #[serde(rename = "HPAYMT")]
    Payment,
    #[serde(rename = "HOPERAT")]
    Operations,
    /// Emergency treatment. It is refused: there are no break-glass grants yet.
    #[serde(rename = "ETREAT", skip_deserializing)]
    EmergencyTreatment,
}

impl Purpose {
    /// The purposes that a request may state. Emergency treatment is refused until there are grants for it.
    pub const USABLE: [&'static str; 3] = ["TREAT", "HPAYMT", "HOPERAT"];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Treatment => "TREAT",
            Self::Payment => "HPAYMT",
            Self::Operations => "HOPERAT",
            Self::EmergencyTreatment => "ETREAT",
        }
    }
}

impl FromStr for Purpose {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        [Self::Treatment, Self::Payment, Self::Operations, Self::EmergencyTreatment]
            .into_iter()
            .find(|p| p.as_str() == s)
            .ok_or(())
    }
}

/// The data that the authorizer guarantees: ids and the token's end. It contains nothing that could become stale while the
/// authorizer's answer is cached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub tenant: TenantId,
    pub user: UserId,
    pub session: SessionId,
    pub expires_at: Timestamp,
}

impl Identity {
    /// The authorizer's context. API Gateway passes strings.
    pub fn to_context(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("tenant_id", self.tenant.to_string()),
            ("user_id", self.user.to_string()),
            ("session_id", self.session.to_string()),
            ("exp", self.expires_at.as_secs().to_string()),
        ])
    }

    /// # Errors
    /// 401 if a member is missing or malformed: a request without the authorizer has none.
    pub(crate) fn from_context<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Self> {
        let read = || {
            Some(Self {
                tenant: get("tenant_id")?.parse().ok()?,
                user: get("user_id")?.parse().ok()?,
                session: get("session_id")?.parse().ok()?,
                expires_at: Timestamp::from_millis(get("exp")?.parse::<i64>().ok()?.checked_mul(1000)?),
            })
        };
        read().ok_or_else(Error::unauthenticated)
    }
}

/// The kind of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionKind {
    /// For everything that its user may do.
    #[default]
    Full,
    /// Only for enrolling a second factor: its user has only given a password.
    Enrolment,
    /// For a program with an API key. No person uses it.
    ApiKey,
}

impl SessionKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Enrolment => "enrolment",
            Self::ApiKey => "api_key",
        }
    }
}

impl FromStr for SessionKind {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        [Self::Full, Self::Enrolment, Self::ApiKey].into_iter().find(|kind| kind.as_str() == s).ok_or(())
    }
}

/// The permissions of API keys. A key has some of them, and no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ApiScope {
    #[serde(rename = "shipments.read")]
    ReadShipments,
    #[serde(rename = "shipments.write")]
    WriteShipments,
    #[serde(rename = "audit.read")]
    ReadAudit,
}

impl ApiScope {
    pub const ALL: [Self; 3] = [Self::ReadShipments, Self::WriteShipments, Self::ReadAudit];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadShipments => "shipments.read",
            Self::WriteShipments => "shipments.write",
            Self::ReadAudit => "audit.read",
        }
    }
}

/// The data of an API key's session besides grants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeyBounds {
    pub scopes: Vec<ApiScope>,
    /// The purposes of use that its requests may state.
    pub purposes: Vec<Purpose>,
    /// The networks from which its requests may come; anywhere if empty.
    pub networks: AllowList,
}

impl Stored for KeyBounds {
    const LISTS: &'static [(&'static str, stored::Knows)] =
        &[("scopes", stored::is::<ApiScope>), ("purposes", stored::is::<Purpose>)];
}

/// An authenticated caller with a live session.
#[derive(Clone, Debug)]
pub struct Principal {
    pub(crate) identity: Identity,
    pub(crate) kind: SessionKind,
    pub(crate) roles: Vec<Role>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) membership_version: i64,
    pub(crate) department: Option<String>,
    /// Whether the user has a second factor.
    pub(crate) mfa_enrolled: bool,
    /// The time at which the user last gave it in this session.
    pub(crate) mfa_at: Option<Timestamp>,
    /// Only for API keys.
    pub(crate) bounds: KeyBounds,
    pub(crate) signed_in_at: Timestamp,
    pub(crate) session_ends_at: Timestamp,
}

impl KeyBounds {
    /// The widest bounds of a key.
    pub fn everything() -> Self {
        let purposes = vec![Purpose::Treatment, Purpose::Payment, Purpose::Operations];
        Self { scopes: ApiScope::ALL.to_vec(), purposes, networks: AllowList::default() }
    }
}

impl Principal {
    /// An artificial caller for an evaluation of the policy, without a request.
    pub(crate) fn imagined(tenant: TenantId, user: UserId, roles: Vec<Role>) -> Self {
        let at = Timestamp::from_millis(0);
        let machine = roles.contains(&Role::ApiUser);
        Self {
            identity: Identity { tenant, user, session: SessionId::from_uuid(*user.uuid()), expires_at: at },
            kind: if machine { SessionKind::ApiKey } else { SessionKind::Full },
            roles,
            grants: Vec::new(),
            membership_version: 0,
            department: None,
            mfa_enrolled: !machine,
            mfa_at: (!machine).then_some(at),
            bounds: if machine { KeyBounds::everything() } else { KeyBounds::default() },
            signed_in_at: at,
            session_ends_at: at,
        }
    }

    pub fn user(&self) -> UserId {
        self.identity.user
    }
    pub fn session(&self) -> SessionId {
        self.identity.session
    }
    pub fn kind(&self) -> SessionKind {
        self.kind
    }
    /// Whether the user has a second factor.
    pub fn mfa_enrolled(&self) -> bool {
        self.mfa_enrolled
    }
    /// The time at which the user last gave it in this session.
    pub fn mfa_at(&self) -> Option<Timestamp> {
        self.mfa_at
    }
    pub fn tenant(&self) -> TenantId {
        self.identity.tenant
    }
    /// The roles whose grants are valid now.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }
    /// Every grant, including those that are not valid now.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }
    pub fn signed_in_at(&self) -> Timestamp {
        self.signed_in_at
    }
    /// The time at which the session ends, even if it is used.
    pub fn session_ends_at(&self) -> Timestamp {
        self.session_ends_at
    }
}
