//! The settings that a tenant may choose, and their bounds.

use common::{
    base::{FieldError, Role, network::AllowList},
    identity::Settings,
    request::input::{self, FromJson, Integer},
    store::{RateLimit, TENANT_QUOTA},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};
use std::{borrow::Cow, collections::BTreeMap};

/// The time after which an unused session ends, in minutes. The default of the deployment is 15.
type IdleMinutes = Integer<5, 60>;
/// The longest life of a session, in hours, at most the default of the deployment.
type SessionHours = Integer<1, 12>;
/// The widest network that may be trusted, by its prefix in IPv4 and IPv6. Members on a trusted network need no second factor at
/// sign-in, so it should be an office and not a continent.
const WIDEST_TRUSTED: (u8, u8) = (16, 32);
/// The largest factor by which a tenant may raise a rate-limit profile.
const MOST_TIMES: u32 = 10;
/// Calls a minute of all of a tenant's callers together.
const TENANT_QUOTA_BOUNDS: (u32, u32) = (600, 60_000);

common::input! {
    /// All of a tenant's settings. An absent setting has the default of the deployment.
    pub struct SettingsInput {
        /// 5 to 60.
        optional session_idle_minutes: IdleMinutes,
        /// 1 to 12.
        optional session_hours: SessionHours,
        /// Roles that need a second factor, in addition to those that always do.
        optional mfa_roles: MfaRoles,
        /// Networks from which sign-in needs no second factor: none wider than /16, or /32 of IPv6.
        optional trusted_networks: TrustedNetworks,
        /// Numbers of calls that replace those of the rate-limit profiles, from 1 to ten times the profile's own; `tenant` is for
        /// all callers together, per minute, 600 to 60,000.
        optional rate_limits: Limits,
    }
}

/// Roles of people, each once. An API key has no second factor.
#[derive(Debug, Default)]
pub(super) struct MfaRoles(Vec<Role>);

impl MfaRoles {
    fn offered() -> Vec<Role> {
        Role::ALL.into_iter().filter(|role| *role != Role::ApiUser).collect()
    }
}

impl FromJson for MfaRoles {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        input::roles(value, at, &Self::offered(), errors).map(Self)
    }
}

impl JsonSchema for MfaRoles {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "MfaRoles".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        input::role_list(&Self::offered(), 0)
    }
}

/// Networks that are not wider than the widest that may be trusted.
#[derive(Debug, Default)]
pub(super) struct TrustedNetworks(AllowList);

impl FromJson for TrustedNetworks {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        let networks = AllowList::from_json(value, at, errors)?;
        let fits = networks.is_within(WIDEST_TRUSTED);
        if !fits {
            errors.push(FieldError::new(at, "too_wide", "expected networks no wider than /16, or /32 of IPv6"));
        }
        fits.then_some(Self(networks))
    }
}

impl JsonSchema for TrustedNetworks {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        AllowList::schema_name()
    }
    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        AllowList::json_schema(schemas)
    }
}

/// Calls a minute, by profile or `tenant`, each within its bounds.
#[derive(Debug, Default)]
pub(super) struct Limits(BTreeMap<String, u32>);

impl Limits {
    /// The names that may have a limit, and the bounds of each.
    fn bounds() -> impl Iterator<Item = (&'static str, (u32, u32))> {
        RateLimit::PROFILES
            .iter()
            .map(|profile| (profile.name, (1, profile.calls * MOST_TIMES)))
            .chain([(TENANT_QUOTA, TENANT_QUOTA_BOUNDS)])
    }
}

impl FromJson for Limits {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        let Value::Object(members) = value else {
            errors.push(input::mistyped(at, "an object", &value));
            return None;
        };
        let (before, mut read) = (errors.len(), BTreeMap::new());
        for (name, calls) in members.into_iter().collect::<BTreeMap<_, _>>() {
            let field = input::member(at, &name);
            match Self::bounds().find(|(known, _)| *known == name) {
                Some((_, bounds)) => read.extend(input::integer(&calls, &field, bounds, errors).map(|calls| (name, calls))),
                None => {
                    let expected = "no such field: expected the names of rate-limit profiles, or `tenant`";
                    errors.push(FieldError::new(field, "unknown_field", expected));
                }
            }
        }
        (errors.len() == before).then_some(Self(read))
    }
}

impl JsonSchema for Limits {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Limits".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let of = |(least, most)| json_schema!({"type": "integer", "minimum": least, "maximum": most});
        let members: Map<_, _> = Self::bounds().map(|(name, bounds)| (name.to_owned(), of(bounds).into())).collect();
        json_schema!({"type": "object", "properties": members, "additionalProperties": false})
    }
}

/// Settings within their bounds.
#[derive(Debug)]
pub struct NewSettings(pub Settings);

impl FromJson for NewSettings {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        let before = errors.len();
        let input = SettingsInput::from_json(value, at, errors)?;
        let settings = Settings {
            session_idle_minutes: input.session_idle_minutes.and_then(|minutes| u16::try_from(minutes.get()).ok()),
            session_hours: input.session_hours.and_then(|hours| u16::try_from(hours.get()).ok()),
            mfa_roles: input.mfa_roles.unwrap_or_default().0,
            trusted_networks: input.trusted_networks.unwrap_or_default().0,
            rate_limits: input.rate_limits.unwrap_or_default().0,
        };
        (errors.len() == before).then_some(Self(settings))
    }
}

impl JsonSchema for NewSettings {
    fn schema_name() -> Cow<'static, str> {
        SettingsInput::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        SettingsInput::schema_id()
    }
    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        SettingsInput::json_schema(schemas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn codes(body: Value) -> Vec<(String, &'static str)> {
        let mut errors = Vec::new();
        let settings = NewSettings::from_json(body, "", &mut errors);
        assert_eq!(settings.is_none(), !errors.is_empty());
        errors.into_iter().map(|error| (error.field, error.code)).collect()
    }

    #[test]
    fn settings_within_their_bounds_are_accepted() {
        for body in [
            json!({}),
            json!({"session_idle_minutes": 5, "session_hours": 12}),
            json!({"session_idle_minutes": 60, "session_hours": 1, "mfa_roles": ["viewer", "provider"]}),
            json!({"trusted_networks": ["192.0.2.0/24", "2001:db8::/32"]}),
            json!({"rate_limits": {"api_default": 600, "api_strict": 1, "tenant": 60_000}}),
        ] {
            assert_eq!(codes(body), []);
        }
    }

    #[test]
    fn every_setting_out_of_bounds_is_reported_by_its_field() {
        let body = json!({
            "session_idle_minutes": 61, "session_hours": 13, "mfa_roles": ["viewer", "viewer", "api_user"],
            "trusted_networks": ["0.0.0.0/0"], "rate_limits": {"api_default": 601, "made_up": 1, "export": 0, "tenant": 599},
        });
        let wrong = codes(body);
        let fields: Vec<_> = wrong.iter().map(|(field, code)| format!("{field}:{code}")).collect();
        assert_eq!(
            fields,
            [
                "session_idle_minutes:out_of_range",
                "session_hours:out_of_range",
                "mfa_roles.1:repeated",
                "mfa_roles.2:not_for_people",
                "trusted_networks:too_wide",
                "rate_limits.api_default:out_of_range",
                "rate_limits.export:out_of_range",
                "rate_limits.made_up:unknown_field",
                "rate_limits.tenant:out_of_range",
            ]
        );
        for (body, field) in [
            (json!({"session_idle_minutes": -1}), "session_idle_minutes"),
            (json!({"mfa_roles": ["viewer", "emperor"]}), "mfa_roles.1"),
            (json!({"trusted_networks": ["10.0.0.1/8"]}), "trusted_networks.0"),
            (json!({"trusted_networks": ["10.0.0.0/8", 7]}), "trusted_networks.1"),
            (json!({"rate_limits": {"tenant": 7.5}}), "rate_limits.tenant"),
            (json!({"no_such": 1}), "no_such"),
        ] {
            assert_eq!(codes(body)[0].0, field);
        }
    }
}
