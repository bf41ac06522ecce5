//! The policies, and the schema's actions, as tables that people and programs read.

use super::{
    circumstances::Circumstances,
    decision::{Action, POLICIES, Policies, Thing},
};
use crate::base::{Principal, Role, TenantId};
use cedar_policy::{EntityUid, Schema};

impl Policies {
    /// The policies as a table for people: for each action the roles that may do it, `yes` for any resource of their tenant,
    /// `own` only for resources that belong or are assigned to them.
    ///
    /// # Errors
    /// If an action is not in the schema.
    pub fn matrix(&self, actions: impl IntoIterator<Item = (Action, &'static str)>) -> Result<String, String> {
        let cell = |role: Role, action: Action, kind: &'static str| -> Result<&'static str, String> {
            Ok(if self.may(role, action, kind, false)? {
                "yes"
            } else if self.may(role, action, kind, true)? {
                "own"
            } else {
                "-"
            })
        };
        let mut rows: Vec<_> = actions.into_iter().map(|(action, kind)| (action.0, kind)).collect();
        rows.sort_unstable();
        rows.dedup();
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let line = |name: &str, cells: Vec<&str>| {
            let cells = cells.iter().zip(Role::ALL).map(|(cell, role)| format!("{cell:<w$}", w = role.as_str().len()));
            format!("{name:<width$}  {}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_owned() + "\n"
        };
        let mut table = line("", Role::ALL.map(Role::as_str).to_vec());
        for (name, kind) in rows {
            let cells = Role::ALL.into_iter().map(|role| cell(role, Action(name), kind)).collect::<Result<Vec<_>, _>>()?;
            table += &line(name, cells);
        }
        Ok(table)
    }

    /// One decision of the table: whether a role may do this to a resource of its tenant, its own or another user's, with
    /// everything else in order.
    ///
    /// # Errors
    /// If the action is not in the schema.
    pub fn may(&self, role: Role, action: Action, kind: &'static str, own: bool) -> Result<bool, String> {
        let at = crate::base::Timestamp::from_millis(0);
        let (tenant, me, other) = (TenantId::new(at), crate::base::UserId::new(at), crate::base::UserId::new(at));
        let who = Principal::imagined(tenant, me, vec![role]);
        let on = Thing::imagined(kind, if own { me } else { other }, other, tenant);
        let decided = self.ask(&who, action.0, on, &Circumstances::best_for(&who));
        decided.map(|d| d.allowed).map_err(|e| format!("{}: {e}", action.0))
    }
}

/// The expected content of `policies/resources.txt`, from the schema: the resource types of each action.
///
/// # Errors
/// If the schema does not parse.
pub fn resources_of_schema(schema: &str) -> Result<String, String> {
    types_of_schema(schema, |schema, action| Some(schema.resources_for_action(action)?.map(ToString::to_string).collect()))
}

/// The expected content of `policies/principals.txt`, from the schema: the types of principals that may do each action.
///
/// # Errors
/// If the schema does not parse.
pub fn principals_of_schema(schema: &str) -> Result<String, String> {
    types_of_schema(schema, |schema, action| Some(schema.principals_for_action(action)?.map(ToString::to_string).collect()))
}

fn types_of_schema(schema: &str, types: impl Fn(&Schema, &EntityUid) -> Option<Vec<String>>) -> Result<String, String> {
    let (schema, _) = Schema::from_cedarschema_str(schema).map_err(|e| e.to_string())?;
    let mut lines: Vec<String> = schema
        .actions()
        .filter_map(|action| {
            let mut types = types(&schema, action)?;
            types.sort();
            (!types.is_empty()).then(|| format!("{}: {}", action.id().unescaped(), types.join(" ")))
        })
        .collect();
    lines.sort();
    Ok(lines.join("\n") + "\n")
}

/// The expected content of `policies/actions.txt`, from the schema.
///
/// # Errors
/// If the schema does not parse.
pub fn actions_of_schema(schema: &str) -> Result<String, String> {
    let (schema, _) = Schema::from_cedarschema_str(schema).map_err(|e| e.to_string())?;
    let entities = schema.action_entities().map_err(|e| e.to_string())?;
    let mut lines: Vec<String> = entities
        .iter()
        .map(|e| {
            let mut groups: Vec<_> =
                entities.ancestors(&e.uid()).into_iter().flatten().map(|g| g.id().unescaped().to_owned()).collect();
            groups.sort();
            format!("{}: {}", e.uid().id().unescaped(), groups.join(" ")).trim_end().to_owned()
        })
        .collect();
    lines.sort();
    Ok(lines.join("\n") + "\n")
}

/// The expected content of `policies/index.txt`: the actions in the scope of each policy.
///
/// # Errors
/// If a file does not parse, or a policy has no `@id`.
pub fn index_of_policies() -> Result<String, String> {
    use cedar_policy::{ActionConstraint, PolicySet};
    let mut lines = Vec::new();
    for (file, text) in POLICIES {
        let policies: PolicySet = text.parse().map_err(|e| format!("{file}: {e}"))?;
        for policy in policies.policies() {
            let id = policy.annotation("id").ok_or_else(|| format!("{file}: a policy has no @id"))?;
            let named = match policy.action_constraint() {
                ActionConstraint::Any => vec!["*".to_owned()],
                ActionConstraint::Eq(action) => vec![action.id().unescaped().to_owned()],
                ActionConstraint::In(actions) => actions.iter().map(|action| action.id().unescaped().to_owned()).collect(),
            };
            lines.push(format!("{id}: {}", named.join(" ")));
        }
    }
    lines.sort();
    Ok(lines.join("\n") + "\n")
}
