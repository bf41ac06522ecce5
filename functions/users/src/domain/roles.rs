//! Which roles a person can be given within a tenant.

use super::Term;
use common::{Grant, Role};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;

/// Whether a tenant gives this role to people: operators are made elsewhere, and a program has its key.
pub const fn for_people(role: Role) -> bool {
    !matches!(role, Role::SuperAdmin | Role::ApiUser)
}

/// The roles that somebody is invited with: one at least, none twice, each of them [`for_people`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InvitedRoles(Vec<Role>);

impl InvitedRoles {
    fn parse(roles: Vec<Role>) -> Result<Self, &'static str> {
        let twice = roles.iter().enumerate().any(|(i, role)| roles[..i].contains(role));
        match () {
            () if roles.is_empty() => Err("expected one role at least"),
            () if twice => Err("a role stands twice"),
            () if !roles.iter().copied().all(for_people) => Err("expected roles that a tenant gives to people"),
            () => Ok(Self(roles)),
        }
    }

    pub fn into_grants(self) -> Vec<Grant> {
        self.0.into_iter().map(Grant::always).collect()
    }
}

impl<'de> Deserialize<'de> for InvitedRoles {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(Vec::deserialize(d)?).map_err(serde::de::Error::custom)
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
        let roles: Vec<_> = Role::ALL.into_iter().filter(|role| for_people(*role)).collect();
        json_schema!({
            "type": "array", "minItems": 1, "maxItems": roles.len(), "uniqueItems": true,
            "items": {"type": "string", "enum": roles},
        })
    }
}

/// `grants` with this role for that time, in place of when it was given before; nothing where it is so already.
pub fn granted(grants: &[Grant], role: Role, term: Term) -> Option<Vec<Grant>> {
    let new = Grant { role, valid_from: term.from, valid_until: term.until };
    let others: Vec<_> = grants.iter().filter(|grant| grant.role != role).cloned().collect();
    let as_it_is = others.len() + 1 == grants.len() && grants.contains(&new);
    (!as_it_is).then(|| others.into_iter().chain([new]).collect())
}

/// `grants` without this role; nothing where it is not among them.
pub fn revoked(grants: &[Grant], role: Role) -> Option<Vec<Grant>> {
    let others: Vec<_> = grants.iter().filter(|grant| grant.role != role).cloned().collect();
    (others.len() < grants.len()).then_some(others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::Timestamp;

    #[test]
    fn somebody_is_invited_with_roles_for_people_each_once() {
        assert!(InvitedRoles::parse(vec![Role::Marketer, Role::Auditor]).is_ok());
        for wrong in [vec![], vec![Role::Viewer, Role::Viewer], vec![Role::SuperAdmin], vec![Role::Viewer, Role::ApiUser]] {
            assert!(InvitedRoles::parse(wrong.clone()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_role_is_held_once() {
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
