//! The decision: Cedar, embedded. Policies are parsed once, in init; their schema is checked by tests.

use crate::{Error, Principal, Purpose, Result, Role, TenantId};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicyId, PolicySet, Request,
    RestrictedExpression,
};
use serde::Serialize;
use std::{
    collections::{HashMap, HashSet},
    fmt,
    str::FromStr,
};

/// Every file of `policies/`. A test compares this list with the folder.
pub const POLICIES: &[(&str, &str)] = &[
    ("audit.cedar", include_str!("../../../policies/audit.cedar")),
    ("guards.cedar", include_str!("../../../policies/guards.cedar")),
    ("identity.cedar", include_str!("../../../policies/identity.cedar")),
    ("notifications.cedar", include_str!("../../../policies/notifications.cedar")),
    ("shipments.cedar", include_str!("../../../policies/shipments.cedar")),
    ("system.cedar", include_str!("../../../policies/system.cedar")),
];

/// The schema's actions and the groups that each is in: what `in Action::"phi"` needs to know at run time, without the
/// cost of parsing the schema at start. Written by `cargo xtask sync`.
pub const ACTIONS: &str = include_str!("../../../policies/actions.txt");

/// The name of a Cedar action, `createShipment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Action(pub &'static str);

/// What an action is done to.
pub trait Resource: Send + Sync {
    /// The action that shows it. A caller who may not do that either is told that it is not there.
    const VIEW: Option<Action> = None;

    /// Cedar's entity type, `Shipment`.
    const TYPE: &'static str;
    fn id(&self) -> String;
    /// Whose it is; `None` only for the platform itself.
    fn tenant(&self) -> Option<TenantId>;
    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        Vec::new()
    }
    /// Whether it is an item of its own, rather than the list that items are in.
    fn is_item(&self) -> bool {
        Self::VIEW.is_some()
    }
}

/// The deployment itself. It belongs to no tenant.
#[derive(Clone, Debug)]
pub struct PlatformResource(pub String);

impl Resource for PlatformResource {
    const TYPE: &'static str = "Platform";
    fn id(&self) -> String {
        self.0.clone()
    }
    fn tenant(&self) -> Option<TenantId> {
        None
    }
}

/// An attribute of a resource.
#[derive(Clone, Debug)]
pub enum Attribute {
    Text(String),
    Entity(&'static str, String),
}

/// What was decided, and by which policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decided {
    pub allowed: bool,
    /// The `@id`s of the policies that decided, sorted. Empty where nothing permitted.
    pub policies: Vec<String>,
}

/// The policy set, ready to decide.
pub struct Policies {
    set: PolicySet,
    authorizer: Authorizer,
    ancestors: HashMap<String, HashSet<EntityUid>>,
    names: Names,
    hash: String,
}

/// Entity type names, parsed once.
struct Names {
    user: EntityTypeName,
    role: EntityTypeName,
    tenant: EntityTypeName,
    action: EntityTypeName,
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policies").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl Policies {
    /// # Errors
    /// Says which file does not parse. A test proves that the shipped ones do.
    pub fn load() -> Result<Self, String> {
        let names = Names {
            user: type_name("User")?,
            role: type_name("Role")?,
            tenant: type_name("Tenant")?,
            action: type_name("Action")?,
        };
        let mut set = PolicySet::new();
        let mut text = String::new();
        for (file, policies) in POLICIES {
            text.push_str(policies);
            let parsed = PolicySet::from_str(policies).map_err(|e| format!("{file}: {e}"))?;
            for policy in parsed.policies() {
                let id = policy.annotation("id").ok_or_else(|| format!("{file}: a policy has no @id"))?;
                set.add(policy.new_id(PolicyId::new(id))).map_err(|e| format!("{file}: {e}"))?;
            }
        }
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        let hash = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        Ok(Self { set, authorizer: Authorizer::new(), ancestors: ancestors(&names.action)?, names, hash })
    }

    /// SHA-256 of the policies' text: which law a decision was made under.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// # Errors
    /// Internal, where the question cannot be put: the caller is refused.
    pub(crate) fn decide<R: Resource>(
        &self,
        who: &Principal,
        action: Action,
        on: &R,
        purpose: Option<Purpose>,
    ) -> Result<Decided> {
        let on = Thing { kind: R::TYPE, id: on.id(), tenant: on.tenant(), attributes: on.attributes() };
        self.ask(who, action, on, purpose).map_err(|_| Error::internal("policy"))
    }

    fn ask(
        &self,
        who: &Principal,
        action: Action,
        on: Thing,
        purpose: Option<Purpose>,
    ) -> Result<Decided, Box<dyn std::error::Error>> {
        let names = &self.names;
        let tenant = |id: TenantId| RestrictedExpression::new_entity_uid(uid(&names.tenant, &id.to_string()));
        let roles = who.roles().iter().map(|r| uid(&names.role, r.as_str())).collect();
        let principal = uid(&names.user, &who.user().to_string());
        let resource = uid(&EntityTypeName::from_str(on.kind)?, &on.id);
        let action_uid = uid(&names.action, action.0);

        let groups = self.ancestors.get(action.0).ok_or("action is not in the schema")?;
        let mut entities = vec![
            Entity::new(principal.clone(), HashMap::from([("tenant".to_owned(), tenant(who.tenant()))]), roles)?,
            Entity::new_no_attrs(action_uid.clone(), groups.clone()),
        ];
        if resource != principal {
            let mut attributes = HashMap::new();
            if let Some(owner) = on.tenant {
                attributes.insert("tenant".to_owned(), tenant(owner));
            }
            for (name, value) in on.attributes {
                let value = match value {
                    Attribute::Text(text) => RestrictedExpression::new_string(text),
                    Attribute::Entity(kind, id) => {
                        RestrictedExpression::new_entity_uid(uid(&EntityTypeName::from_str(kind)?, &id))
                    }
                };
                attributes.insert(name.to_owned(), value);
            }
            entities.push(Entity::new(resource.clone(), attributes, HashSet::new())?);
        }
        // The gate has let the tenant in: any other status never comes this far.
        let mut context = vec![("tenant_status".to_owned(), RestrictedExpression::new_string("active".to_owned()))];
        if let Some(purpose) = purpose {
            context.push(("purpose".to_owned(), RestrictedExpression::new_string(purpose.as_str().to_owned())));
        }
        let request = Request::new(principal, action_uid, resource, Context::from_pairs(context)?, None)?;
        let answer = self.authorizer.is_authorized(&request, &self.set, &Entities::from_entities(entities, None)?);
        // A policy that fails to evaluate might have been a forbid.
        if let Some(error) = answer.diagnostics().errors().next() {
            return Err(error.to_string().into());
        }
        let mut policies: Vec<_> = answer.diagnostics().reason().map(ToString::to_string).collect();
        policies.sort();
        Ok(Decided { allowed: answer.decision() == Decision::Allow, policies })
    }

    /// Decides something that nobody asked, so that the first request does not pay for what the first decision sets up.
    pub(crate) fn warm_up(&self) {
        let user = crate::UserId::first_at(crate::Timestamp::from_millis(0));
        let nobody = Principal::imagined(TenantId::PLATFORM, user, Vec::new());
        let _ = self.decide(&nobody, Action("logout"), &PlatformResource(String::new()), None);
    }

    /// The policies as a table that people can read: for each action the roles that may do it, `yes` to anything of their
    /// tenant, `own` only to what is theirs or assigned to them.
    ///
    /// # Errors
    /// Where an action is not in the schema.
    pub fn matrix(&self, actions: impl IntoIterator<Item = (Action, &'static str)>) -> Result<String, String> {
        let at = crate::Timestamp::from_millis(0);
        let tenant = TenantId::new(at);
        let (me, other) = (crate::UserId::new(at), crate::UserId::new(at));
        let cell = |role: Role, action: Action, kind: &'static str| -> Result<&'static str, String> {
            let who = Principal::imagined(tenant, me, vec![role]);
            let may = |owner: crate::UserId| {
                let person = || Attribute::Entity("User", owner.to_string());
                let on = Thing {
                    kind,
                    id: if kind == "User" { owner.to_string() } else { "any".to_owned() },
                    tenant: (kind != "Platform").then_some(tenant),
                    attributes: vec![
                        ("created_by", Attribute::Entity("User", other.to_string())),
                        ("assigned_to", person()),
                        ("user", person()),
                    ],
                };
                self.ask(&who, action, on, Some(Purpose::Treatment)).map(|d| d.allowed).map_err(|e| format!("{}: {e}", action.0))
            };
            Ok(if may(other)? {
                "yes"
            } else if may(me)? {
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
}

/// What is asked about, with its type forgotten.
struct Thing {
    kind: &'static str,
    id: String,
    tenant: Option<TenantId>,
    attributes: Vec<(&'static str, Attribute)>,
}

fn type_name(name: &str) -> Result<EntityTypeName, String> {
    EntityTypeName::from_str(name).map_err(|e| e.to_string())
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

/// Each action's groups, and the groups that those are in.
fn ancestors(action: &EntityTypeName) -> Result<HashMap<String, HashSet<EntityUid>>, String> {
    let direct: HashMap<&str, Vec<&str>> = ACTIONS
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, groups)| (name, groups.split_whitespace().collect()))
        .collect();
    let mut all = HashMap::new();
    for name in direct.keys() {
        let mut found = HashSet::new();
        let mut todo = vec![*name];
        while let Some(next) = todo.pop() {
            for group in direct.get(next).ok_or_else(|| format!("actions.txt: `{next}` is not declared"))? {
                if found.insert(uid(action, group)) {
                    todo.push(group);
                }
            }
        }
        all.insert((*name).to_owned(), found);
    }
    Ok(all)
}

/// What `policies/actions.txt` should say, from the schema.
///
/// # Errors
/// Where the schema does not parse.
pub fn actions_of_schema(schema: &str) -> Result<String, String> {
    use cedar_policy::Schema;
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

#[cfg(test)]
mod tests {
    use super::*;
    use cedar_policy::{Schema, ValidationMode, Validator};

    const SCHEMA: &str = include_str!("../../../policies/schema.cedarschema");

    #[test]
    fn every_policy_file_is_loaded_and_valid_in_strict_mode() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
        let mut files: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        files.retain(|f| f.ends_with(".cedar"));
        files.sort();
        assert_eq!(files, POLICIES.iter().map(|(f, _)| *f).collect::<Vec<_>>());

        let (schema, warnings) = Schema::from_cedarschema_str(SCHEMA).unwrap();
        assert_eq!(warnings.count(), 0);
        let answer = Validator::new(schema).validate(&Policies::load().unwrap().set, ValidationMode::Strict);
        assert!(answer.validation_passed_without_warnings(), "{answer}");
    }

    #[test]
    fn the_list_of_actions_is_the_schemas() {
        assert_eq!(ACTIONS, actions_of_schema(SCHEMA).unwrap(), "policies/actions.txt is stale: run `cargo xtask sync`");
    }
}
