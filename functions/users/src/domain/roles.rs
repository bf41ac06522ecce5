//! The roles that a person can have within a tenant.

use super::Term;
use common::{
    base::{FieldError, Grant, Role},
    request::{
        PathId,
        input::{self, FromJson},
    },
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;
use std::{borrow::Cow, str::FromStr};

/// Whether a tenant can grant this role to people. Operators are created elsewhere, and `api_user` is the role of API keys.
pub const fn for_people(role: Role) -> bool {
    !matches!(role, Role::SuperAdmin | Role::ApiUser)
}

/// The roles of an invitation: at least one, each only once, all of them [`for_people`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InvitedRoles(Vec<Role>);

fn offered() -> Vec<Role> {
    Role::ALL.into_iter().filter(|role| for_people(*role)).collect()
}

impl InvitedRoles {
    pub fn into_grants(self) -> Vec<Grant> {
        self.0.into_iter().map(Grant::always).collect()
    }
}

impl FromJson for InvitedRoles {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        let roles = input::roles(value, at, &offered(), errors)?;
        if roles.is_empty() {
            errors.push(FieldError::new(at, "invalid", "expected at least one role"));
        }
        (!roles.is_empty()).then_some(Self(roles))
    }
}

impl JsonSchema for InvitedRoles {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "InvitedRoles".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        input::role_list(&offered(), 1)
    }
}

/// A role in a path. Roles that a tenant cannot grant are not in the schema, and are refused with the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedRole(pub Role);

impl FromStr for NamedRole {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse().map(Self)
    }
}

impl PathId for NamedRole {
    const NAME: &'static str = Role::NAME;
}

impl JsonSchema for NamedRole {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "NamedRole".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "enum": offered()})
    }
}

/// `grants` with this role and term, replacing an earlier term; `None` if nothing changes.
pub fn granted(grants: &[Grant], role: Role, term: Term) -> Option<Vec<Grant>> {
    let new = Grant { role, valid_from: term.from, valid_until: term.until };
    let others: Vec<_> = grants.iter().filter(|grant| grant.role != role).cloned().collect();
    let unchanged = others.len() + 1 == grants.len() && grants.contains(&new);
    (!unchanged).then(|| others.into_iter().chain([new]).collect())
}

/// `grants` without this role; `None` if it is not among them.
pub fn revoked(grants: &[Grant], role: Role) -> Option<Vec<Grant>> {
    let others: Vec<_> = grants.iter().filter(|grant| grant.role != role).cloned().collect();
    (others.len() < grants.len()).then_some(others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::base::Timestamp;
    use serde_json::json;

    #[test]
    fn invitation_needs_distinct_roles_for_people() {
        let read = |roles: &[Role]| {
            let mut errors = Vec::new();
            let read = InvitedRoles::from_json(json!(roles), "roles", &mut errors);
            assert_eq!(read.is_none(), !errors.is_empty());
            errors.into_iter().map(|error| (error.field, error.code)).collect::<Vec<_>>()
        };
        assert_eq!(read(&[Role::Marketer, Role::Auditor]), []);
        for (wrong, field, code) in [
            (vec![], "roles", "invalid"),
            (vec![Role::Viewer, Role::Viewer], "roles.1", "repeated"),
            (vec![Role::SuperAdmin], "roles.0", "not_for_people"),
            (vec![Role::Viewer, Role::ApiUser], "roles.1", "not_for_people"),
        ] {
            assert_eq!(read(&wrong), [(field.to_owned(), code)], "{wrong:?}");
        }
    }

    #[test]
    fn granted_role_replaces_its_earlier_term() {
        let (from, until) = (Timestamp::from_millis(1_000), Timestamp::from_millis(2_000));
        let has = vec![Grant::always(Role::Viewer), Grant::always(Role::Marketer)];
        let term = Term { from: Some(from), until: Some(until) };
        let now = granted(&has, Role::Viewer, term).unwrap();
        let timed = Grant { role: Role::Viewer, valid_from: Some(from), valid_until: Some(until) };
        assert_eq!(now, [Grant::always(Role::Marketer), timed]);
        assert_eq!(granted(&now, Role::Viewer, term), None);
        assert_eq!(revoked(&now, Role::Viewer).unwrap(), [Grant::always(Role::Marketer)]);
        assert_eq!(revoked(&now, Role::Auditor), None);
    }
}
