//! The decision: Cedar, embedded. A function's own policies are parsed once, in init; their schema is checked by tests.

use super::{
    circumstances::Circumstances,
    policy_set::{IndexedPolicies, KnownAction},
    shape,
};
use crate::base::{Error, Principal, Result, Role, SessionKind, TenantId, UserId, error::Refusal};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression,
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    str::FromStr,
    sync::{PoisonError, RwLock},
};

/// Every file of `policies/`. A test compares this list with the folder.
pub const POLICIES: &[(&str, &str)] = &[
    ("api_keys.cedar", include_str!("../../../../policies/api_keys.cedar")),
    ("audit.cedar", include_str!("../../../../policies/audit.cedar")),
    ("fields.cedar", include_str!("../../../../policies/fields.cedar")),
    ("guards.cedar", include_str!("../../../../policies/guards.cedar")),
    ("identity.cedar", include_str!("../../../../policies/identity.cedar")),
    ("notifications.cedar", include_str!("../../../../policies/notifications.cedar")),
    ("organizations.cedar", include_str!("../../../../policies/organizations.cedar")),
    ("shipments.cedar", include_str!("../../../../policies/shipments.cedar")),
    ("system.cedar", include_str!("../../../../policies/system.cedar")),
    ("users.cedar", include_str!("../../../../policies/users.cedar")),
];

/// The schema's actions and the groups of each. `in Action::"phi"` needs them at run time; parsing the schema at start would cost
/// time. Written by `cargo xtask sync`.
pub const ACTIONS: &str = include_str!("../../../../policies/actions.txt");

/// The actions, or groups of them, in the scope of each policy; `*` if there are none. They determine the policies to parse for
/// an action. Also written by `cargo xtask sync`.
pub const INDEX: &str = include_str!("../../../../policies/index.txt");

/// The resource types of each action, from the schema too.
pub const RESOURCES: &str = include_str!("../../../../policies/resources.txt");

/// The types of principals that may do each action, from the schema too.
pub const PRINCIPALS: &str = include_str!("../../../../policies/principals.txt");

/// The name of a Cedar action, `createShipment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Action(pub &'static str);

/// The resource of an action.
pub trait Resource: Send + Sync {
    /// The action that shows it. A caller who may not do that either gets "not found".
    const VIEW: Option<Action> = None;

    /// Cedar's entity type, `Shipment`.
    const TYPE: &'static str;
    fn id(&self) -> String;
    /// The owning tenant; `None` only for the platform itself.
    fn tenant(&self) -> Option<TenantId>;
    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        Vec::new()
    }
    /// The resource of [`VIEW`](Self::VIEW): itself, or the resource that it is a part of.
    fn viewed(&self) -> Viewed {
        Viewed { kind: Self::TYPE, id: self.id(), attributes: self.attributes() }
    }
    /// Whether it is an item, and not the collection of items.
    fn is_item(&self) -> bool {
        Self::VIEW.is_some()
    }
}

/// A resource that a caller may or may not see, of the tenant that owns the part in question.
#[derive(Clone, Debug)]
pub struct Viewed {
    /// Cedar's entity type.
    pub kind: &'static str,
    pub id: String,
    pub attributes: Vec<(&'static str, Attribute)>,
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

/// A tenant's profile, as the policy sees it: the resource of operators and of the tenant's administrators.
#[derive(Clone, Copy, Debug)]
pub struct Organization(pub TenantId);

impl Resource for Organization {
    const TYPE: &'static str = "Organization";
    const VIEW: Option<Action> = Some(Action("viewOrganization"));
    fn id(&self) -> String {
        self.0.to_string()
    }
    fn tenant(&self) -> Option<TenantId> {
        Some(self.0)
    }
}

/// An attribute of a resource.
#[derive(Clone, Debug)]
pub enum Attribute {
    Text(String),
    Texts(Vec<String>),
    Flag(bool),
    Entity(&'static str, String),
    Entities(&'static str, Vec<String>),
}

impl Attribute {
    fn expression(self) -> Result<RestrictedExpression, Box<dyn std::error::Error>> {
        let entity = |kind: &EntityTypeName, id: &str| RestrictedExpression::new_entity_uid(uid(kind, id));
        Ok(match self {
            Self::Text(text) => RestrictedExpression::new_string(text),
            Self::Texts(texts) => RestrictedExpression::new_set(texts.into_iter().map(RestrictedExpression::new_string)),
            Self::Flag(flag) => RestrictedExpression::new_bool(flag),
            Self::Entity(kind, id) => entity(&type_name(kind)?, &id),
            Self::Entities(kind, ids) => {
                let kind = type_name(kind)?;
                RestrictedExpression::new_set(ids.iter().map(|id| entity(&kind, id)))
            }
        })
    }
}

/// The decision and the policies that determined it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decided {
    pub allowed: bool,
    /// The `@id`s of the determining policies, sorted. Empty if nothing permitted the action.
    pub policies: Vec<String>,
    /// The error for the caller, if the refusing policy has an `@code`.
    #[serde(skip)]
    pub(crate) refusal: Option<Refusal>,
}

/// The policies, ready for decisions.
pub struct Policies {
    pub(super) indexed: IndexedPolicies,
    authorizer: Authorizer,
    hash: String,
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policies").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl Policies {
    /// # Errors
    /// Names the policy that is missing in the index. A test proves that the index has all shipped policies.
    pub fn load() -> Result<Self, String> {
        let mut text = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        for (_, policies) in POLICIES {
            text.update(policies.as_bytes());
        }
        let hash = text.finish().as_ref().iter().map(|b| format!("{b:02x}")).collect();
        Ok(Self { indexed: IndexedPolicies::load(type_name("Action")?)?, authorizer: Authorizer::new(), hash })
    }

    /// SHA-256 of the policies' text, which identifies the policy set of a decision.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// # Errors
    /// Internal, if the request cannot be expressed: the caller is refused.
    pub(crate) fn decide<R: Resource>(
        &self,
        who: &Principal,
        action: Action,
        on: &R,
        circumstances: &Circumstances,
    ) -> Result<Decided> {
        let on = Thing { kind: R::TYPE, id: on.id(), tenant: on.tenant(), attributes: on.attributes() };
        self.ask(who, action.0, on, circumstances).map_err(|_| Error::internal("policy"))
    }

    /// Whether the caller may see a resource.
    ///
    /// # Errors
    /// As [`decide`](Self::decide).
    pub(crate) fn decide_view<R: Resource>(
        &self,
        who: &Principal,
        view: Action,
        on: &R,
        circumstances: &Circumstances,
    ) -> Result<Decided> {
        let Viewed { kind, id, attributes } = on.viewed();
        let on = Thing { kind, id, tenant: on.tenant(), attributes };
        self.ask(who, view.0, on, circumstances).map_err(|_| Error::internal("policy"))
    }

    pub(super) fn ask(
        &self,
        who: &Principal,
        action: &str,
        on: Thing,
        circumstances: &Circumstances,
    ) -> Result<Decided, Box<dyn std::error::Error>> {
        let known = self.indexed.of(action)?;
        if !known.applies_to(kind_of(who), on.kind) {
            // Nothing permits it: policies are never evaluated for types for which the action is not declared.
            return Ok(Decided { allowed: false, policies: Vec::new(), refusal: None });
        }
        let (request, entities) = self.question(who, known, on, circumstances)?;
        let answer = self.authorizer.is_authorized(&request, &known.policies, &entities);
        // A policy that fails to evaluate might have been a forbid.
        if let Some(error) = answer.diagnostics().errors().next() {
            return Err(error.to_string().into());
        }
        let mut reasons: Vec<_> = answer.diagnostics().reason().collect();
        reasons.sort();
        let allowed = answer.decision() == Decision::Allow;
        // If several policies refuse, the caller gets the first one's error. After correcting it they get the next one's.
        let code = |id| known.policies.policy(id).and_then(|policy| policy.annotation("code"));
        let refusal = reasons.iter().copied().find_map(code).and_then(Refusal::of_policy).filter(|_| !allowed);
        Ok(Decided { allowed, policies: reasons.into_iter().map(ToString::to_string).collect(), refusal })
    }

    /// The request in Cedar's form: principal, action, resource, and their attributes.
    fn question(
        &self,
        who: &Principal,
        action: &KnownAction,
        on: Thing,
        circumstances: &Circumstances,
    ) -> Result<(Request, Entities), Box<dyn std::error::Error>> {
        let principal = principal(who)?;
        let resource = uid(&type_name(on.kind)?, &on.id);
        let mut entities = vec![describe(who, principal.clone())?];
        if resource != principal {
            let mut attributes = HashMap::new();
            if let Some(owner) = on.tenant {
                let owner = RestrictedExpression::new_entity_uid(uid(&type_name("Tenant")?, &owner.to_string()));
                attributes.insert("tenant".to_owned(), owner);
            }
            for (name, value) in on.attributes {
                attributes.insert(name.to_owned(), value.expression()?);
            }
            entities.push(Entity::new(resource.clone(), attributes, HashSet::new())?);
        }
        let context = Context::from_pairs(circumstances.pairs()?)?;
        if cfg!(debug_assertions) {
            shape::check(&principal, &action.uid, &resource, &context, &entities)?;
        }
        entities.push(Entity::new_no_attrs(action.uid.clone(), action.groups.clone()));
        let request = Request::new(principal, action.uid.clone(), resource, context, None)?;
        Ok((request, Entities::from_entities(entities, None)?))
    }

    /// Parses the policies for `action` and evaluates an artificial request, so that the first real request does not pay for it.
    ///
    /// # Errors
    /// Names the policy that does not parse. A test proves that the shipped ones parse.
    pub(crate) fn warm_up(&self, action: Action) -> Result<(), String> {
        let Some(kind) = self.indexed.of(action.0)?.a_resource() else { return Ok(()) };
        let user = crate::base::UserId::first_at(crate::base::Timestamp::from_millis(0));
        let nobody = Principal::imagined(TenantId::PLATFORM, user, Vec::new());
        let on = Thing::imagined(kind, user, user, TenantId::PLATFORM);
        let _ = self.ask(&nobody, action.0, on, &Circumstances::best());
        Ok(())
    }
}

/// A resource with its type erased.
pub(super) struct Thing {
    pub(super) kind: &'static str,
    pub(super) id: String,
    pub(super) tenant: Option<TenantId>,
    pub(super) attributes: Vec<(&'static str, Attribute)>,
}

impl Thing {
    /// An artificial resource of a type, created by `other` and otherwise belonging to `owner`: assigned to them, about them,
    /// held by them.
    pub(super) fn imagined(kind: &'static str, owner: UserId, other: UserId, tenant: TenantId) -> Self {
        let person = || Attribute::Entity("User", owner.to_string());
        let role = || Attribute::Entity("Role", Role::Viewer.as_str().to_owned());
        Self {
            kind,
            id: if kind == "User" { owner.to_string() } else { "any".to_owned() },
            tenant: (kind != "Platform").then_some(tenant),
            attributes: match kind {
                "Shipment" => vec![("created_by", Attribute::Entity("User", other.to_string())), ("assigned_to", person())],
                "Session" | "Inbox" => vec![("user", person())],
                "ApiKey" => vec![("user", person()), ("purposes", Attribute::Texts(Vec::new()))],
                "RoleGrant" => vec![("user", person()), ("role", role())],
                _ => Vec::new(),
            },
        }
    }
}

fn principal(who: &Principal) -> Result<EntityUid, String> {
    Ok(uid(&type_name(kind_of(who))?, &who.user().to_string()))
}

/// The caller as an entity: its tenant, with its roles as parents and, for an API key, its scopes.
fn describe(who: &Principal, principal: EntityUid) -> Result<Entity, Box<dyn std::error::Error>> {
    let (role, tenant) = (type_name("Role")?, type_name("Tenant")?);
    let roles = who.roles().iter().flat_map(|role| role.with_inherited());
    let mut parents: HashSet<_> = roles.map(|name| uid(&role, name.as_str())).collect();
    let tenant = RestrictedExpression::new_entity_uid(uid(&tenant, &who.tenant().to_string()));
    let mut attributes = HashMap::from([("tenant".to_owned(), tenant)]);
    if let Some(department) = &who.department {
        attributes.insert("department".to_owned(), RestrictedExpression::new_string(department.clone()));
    }
    if who.kind == SessionKind::ApiKey {
        let scope = type_name("ApiScope")?;
        parents.extend(who.bounds.scopes.iter().map(|name| uid(&scope, name.as_str())));
        let purposes = who.bounds.purposes.iter().map(|p| RestrictedExpression::new_string(p.as_str().to_owned()));
        attributes.insert("purposes".to_owned(), RestrictedExpression::new_set(purposes));
        let user = RestrictedExpression::new_entity_uid(uid(&type_name(USER)?, &who.user().to_string()));
        attributes.insert("user".to_owned(), user);
    }
    Ok(Entity::new(principal, attributes, parents)?)
}

const USER: &str = "User";
const API_KEY: &str = "ApiKey";

/// The caller's type in the schema.
const fn kind_of(who: &Principal) -> &'static str {
    match who.kind {
        SessionKind::Full | SessionKind::Enrolment => USER,
        SessionKind::ApiKey => API_KEY,
    }
}

/// An entity type's name. Each is parsed once in a process, because Cedar's parser takes longer than the rest of a decision.
pub(super) fn type_name(name: &'static str) -> Result<EntityTypeName, String> {
    static NAMES: RwLock<BTreeMap<&'static str, EntityTypeName>> = RwLock::new(BTreeMap::new());
    if let Some(known) = NAMES.read().unwrap_or_else(PoisonError::into_inner).get(name) {
        return Ok(known.clone());
    }
    let parsed = EntityTypeName::from_str(name).map_err(|e| e.to_string())?;
    Ok(NAMES.write().unwrap_or_else(PoisonError::into_inner).entry(name).or_insert(parsed).clone())
}

pub(super) fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cedar_policy::{Schema, ValidationMode, Validator};

    use crate::policy::{actions_of_schema, index_of_policies, principals_of_schema, resources_of_schema, shape::SCHEMA};

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
        let answer = Validator::new(schema).validate(&Policies::load().unwrap().indexed.all().unwrap(), ValidationMode::Strict);
        assert!(answer.validation_passed_without_warnings(), "{answer}");
    }

    #[test]
    fn generated_lists_match_schema_and_policies() {
        assert_eq!(ACTIONS, actions_of_schema(SCHEMA).unwrap(), "policies/actions.txt is stale: run `cargo xtask sync`");
        assert_eq!(INDEX, index_of_policies().unwrap(), "policies/index.txt is stale: run `cargo xtask sync`");
        assert_eq!(RESOURCES, resources_of_schema(SCHEMA).unwrap(), "policies/resources.txt is stale: run `cargo xtask sync`");
        assert_eq!(PRINCIPALS, principals_of_schema(SCHEMA).unwrap(), "policies/principals.txt is stale: run `cargo xtask sync`");
    }

    /// Any caller, about their own or another's resource, of their tenant or of none, in any circumstances.
    #[test]
    fn policies_of_an_action_decide_like_all_policies() {
        let policies = Policies::load().unwrap();
        let every = policies.indexed.all().unwrap();
        let at = crate::base::Timestamp::from_millis(0);
        let (tenant, me) = (TenantId::new(at), UserId::new(at));
        let worst = Circumstances {
            tenant_status: "suspended",
            session_kind: SessionKind::Enrolment,
            purpose: None,
            baa_in_force: false,
            on_allowed_network: false,
            on_operator_network: false,
            mfa_age: None,
            ..Circumstances::best()
        };
        let (mut asked, mut left_out) = (0, 0);
        for (action, kinds) in RESOURCES.lines().map(|line| line.split_once(": ").unwrap()) {
            let known = policies.indexed.of(action).unwrap();
            left_out += every.policies().count() - known.policies.policies().count();
            for (kind, role) in kinds.split(' ').flat_map(|kind| Role::ALL.map(|role| (kind, role))) {
                let who = Principal::imagined(tenant, me, vec![role]);
                if !known.applies_to(kind_of(&who), kind) {
                    continue;
                }
                for (owner, of) in [(me, tenant), (UserId::new(at), tenant), (me, TenantId::new(at))] {
                    for circumstances in [&Circumstances::best_for(&who), &worst] {
                        let on = Thing::imagined(kind, owner, me, of);
                        let (request, entities) = policies.question(&who, known, on, circumstances).unwrap();
                        let [all, few] = [&every, &known.policies].map(|set| {
                            let answer = policies.authorizer.is_authorized(&request, set, &entities);
                            let reasons: HashSet<_> = answer.diagnostics().reason().cloned().collect();
                            let errors = answer.diagnostics().errors().count();
                            (answer.decision(), reasons, errors)
                        });
                        assert_eq!(few, all, "{action} on {kind} as {role:?}");
                        asked += 1;
                    }
                }
            }
        }
        assert!(asked > 1000 && left_out > 0, "{asked} questions, {left_out} left out");
    }

    /// A caller of a type who has every role, and every scope if it is a key, in the best circumstances.
    fn almighty(kind: SessionKind, tenant: TenantId, user: UserId) -> Principal {
        let bounds = crate::base::KeyBounds::everything();
        Principal { kind, bounds, ..Principal::imagined(tenant, user, Role::ALL.to_vec()) }
    }

    #[test]
    fn action_is_refused_for_types_the_schema_does_not_declare() {
        let policies = Policies::load().unwrap();
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA).unwrap();
        let types: Vec<&'static str> = schema.entity_types().map(|name| &*name.to_string().leak()).collect();
        let declared: HashSet<_> = schema
            .request_envs()
            .map(|env| (env.principal().to_string(), env.action().id().unescaped().to_owned(), env.resource().to_string()))
            .collect();
        let at = crate::base::Timestamp::from_millis(0);
        let (tenant, me) = (TenantId::new(at), UserId::new(at));
        let (mut inside, mut outside) = (0, 0);
        for action in ACTIONS.lines().filter_map(|line| line.split(':').next()) {
            for kind in types.iter().copied().chain(["Carpet", "", "user", "Cloister::User"]) {
                for session in [SessionKind::Full, SessionKind::Enrolment, SessionKind::ApiKey] {
                    let who = almighty(session, tenant, me);
                    let circumstances = Circumstances { session_kind: session, ..Circumstances::best() };
                    let asked = (kind_of(&who).to_owned(), action.to_owned(), kind.to_owned());
                    let decided = policies.ask(&who, action, Thing::imagined(kind, me, me, tenant), &circumstances);
                    if declared.contains(&asked) {
                        inside += usize::from(decided.unwrap().allowed);
                    } else {
                        let refused = Decided { allowed: false, policies: Vec::new(), refusal: None };
                        assert_eq!(decided.unwrap(), refused, "{asked:?}");
                        outside += 1;
                    }
                }
            }
        }
        assert!(inside > 50 && outside > 1000, "{inside} allowed inside, {outside} refused outside");
    }

    #[test]
    fn any_circumstances_match_the_schema() {
        let policies = Policies::load().unwrap();
        let at = crate::base::Timestamp::from_millis(0);
        let (tenant, me) = (TenantId::new(at), UserId::new(at));
        let (purpose, mfa_age) = ([None, Some(crate::base::Purpose::Operations)], [None, Some(0), Some(i64::MAX)]);
        for (action, kinds) in RESOURCES.lines().map(|line| line.split_once(": ").unwrap()) {
            for (kind, session) in kinds.split(' ').flat_map(|kind| [(kind, SessionKind::Full), (kind, SessionKind::ApiKey)]) {
                for (purpose, mfa_age) in purpose.iter().flat_map(|p| mfa_age.map(|age| (*p, age))) {
                    for mfa_roles in [Vec::new(), Role::ALL.to_vec()] {
                        let circumstances = Circumstances { purpose, mfa_age, mfa_roles, ..Circumstances::best() };
                        let on = Thing::imagined(kind, me, me, tenant);
                        policies.ask(&almighty(session, tenant, me), action, on, &circumstances).unwrap();
                    }
                }
            }
        }
    }
}
