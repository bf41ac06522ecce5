//! What a tenant may choose for itself, and within which bounds.

use common::{
    CEILING, Entries, FieldError, RateLimit, Role, Settings,
    input::{self, FromJson},
    network::AllowList,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;
use std::{borrow::Cow, ops::RangeInclusive};

/// How long a session may lie unused. The deployment's own answer is 15 minutes.
const IDLE_MINUTES: RangeInclusive<u16> = 5..=60;
/// How long a session may live: no longer than the deployment lets it.
const SESSION_HOURS: RangeInclusive<u16> = 1..=12;
/// The widest network that may be trusted, by its prefix in IPv4 and IPv6. Who is trusted does without a second factor: that
/// is for an office, never for a continent.
const WIDEST_TRUSTED: (u8, u8) = (16, 32);
/// How much more than its own a profile may be given.
const MOST_TIMES: u32 = 10;
/// Calls a minute of all of a tenant's callers together.
const CEILINGS: RangeInclusive<u32> = 600..=60_000;

common::input! {
    /// A tenant's settings as a whole. What is left out is the deployment's choice.
    pub struct SettingsInput {
        /// 5 to 60.
        #[schemars(range(min = 5, max = 60))]
        optional session_idle_minutes: u16,
        /// 1 to 12.
        #[schemars(range(min = 1, max = 12))]
        optional session_hours: u16,
        /// Roles that sign in with a second factor, besides those that always do.
        #[schemars(extend("uniqueItems" = true))]
        optional mfa_roles: Vec<Role>,
        /// Where the second factor that a role needs is not asked for: no network wider than /16, or /32 of IPv6.
        optional trusted_networks: AllowList,
        /// Other numbers of calls than the rate-limit profiles' own, from one to ten times as many; `tenant` is all callers'
        /// together, a minute, 600 to 60,000.
        #[schemars(extend("propertyNames" = { "enum": limits() }, "additionalProperties" = { "type": "integer", "minimum": 1, "maximum": CEILINGS.end() }))]
        optional rate_limits: Entries<String, u32>,
    }
}

/// What may have a limit.
fn limits() -> Vec<&'static str> {
    RateLimit::PROFILES.iter().map(|profile| profile.name).chain([CEILING]).collect()
}

/// Settings within their bounds.
#[derive(Debug)]
pub struct NewSettings(pub Settings);

impl FromJson for NewSettings {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        let before = errors.len();
        let input = SettingsInput::from_json(value, at, errors)?;
        let settings = Settings {
            session_idle_minutes: input.session_idle_minutes,
            session_hours: input.session_hours,
            mfa_roles: input.mfa_roles.unwrap_or_default(),
            trusted_networks: input.trusted_networks.unwrap_or_default(),
            rate_limits: input.rate_limits.unwrap_or_default().0,
        };
        check(&settings, |field, code, message| errors.push(FieldError::new(field, code, message)));
        (errors.len() == before).then_some(Self(settings))
    }
}

fn check(settings: &Settings, mut wrong: impl FnMut(&str, &'static str, &'static str)) {
    let outside = |value: Option<u16>, bounds: RangeInclusive<u16>| value.is_some_and(|value| !bounds.contains(&value));
    if outside(settings.session_idle_minutes, IDLE_MINUTES) {
        wrong("session_idle_minutes", "out_of_range", "expected 5 to 60");
    }
    if outside(settings.session_hours, SESSION_HOURS) {
        wrong("session_hours", "out_of_range", "expected 1 to 12");
    }
    let roles = &settings.mfa_roles;
    if roles.iter().enumerate().any(|(i, role)| roles[..i].contains(role)) {
        wrong("mfa_roles", "repeated", "a role stands twice");
    }
    if roles.contains(&Role::ApiUser) {
        wrong("mfa_roles", "not_for_people", "a program has no second factor");
    }
    if !settings.trusted_networks.is_within(WIDEST_TRUSTED) {
        wrong("trusted_networks", "too_wide", "expected networks no wider than /16, or /32 of IPv6");
    }
    for (name, calls) in &settings.rate_limits {
        let field = input::member("rate_limits", name);
        let bounds = match RateLimit::PROFILES.iter().find(|profile| profile.name == name) {
            Some(profile) => 1..=profile.calls * MOST_TIMES,
            None if name == CEILING => CEILINGS,
            None => {
                wrong(&field, "unknown_profile", "expected the names of rate-limit profiles, or `tenant`");
                continue;
            }
        };
        if !bounds.contains(calls) {
            wrong(&field, "out_of_range", "expected one call to ten times the profile's own, or 600 to 60,000 of `tenant`");
        }
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
    fn settings_within_their_bounds_are_taken() {
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
    fn everything_that_is_out_of_bounds_is_said_by_its_field() {
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
                "mfa_roles:repeated",
                "mfa_roles:not_for_people",
                "trusted_networks:too_wide",
                "rate_limits.api_default:out_of_range",
                "rate_limits.export:out_of_range",
                "rate_limits.made_up:unknown_profile",
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
