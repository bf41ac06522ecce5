//! The inputs of a proof: the policies, their schema and the properties.

use crate::Unanswered;
use cedar_policy::{Effect, Policy, PolicyId, PolicySet, RequestEnv, Schema, ValidationMode, Validator};
use serde::Deserialize;
use std::{
    collections::{HashMap, HashSet},
    str::FromStr,
};

/// Validated policies and properties.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Texts")]
pub struct Question {
    pub(crate) schema: Schema,
    pub(crate) policies: PolicySet,
    pub(crate) properties: Vec<Property>,
    /// The number of combinations of a type of principal, an action and a type of resource that are refused by their types.
    pub(crate) refused: usize,
    /// Whether to prove also that no policy fails, and that each action is possible for some request.
    pub(crate) whole: bool,
}

/// A `forbid` that should change nothing.
#[derive(Debug)]
pub(crate) struct Property {
    pub(crate) id: String,
    /// The property in words, its `@says`.
    pub(crate) says: String,
    pub(crate) forbid: Policy,
    /// Allows everything that it does not forbid.
    pub(crate) only: PolicySet,
}

/// The files' texts.
#[derive(Debug, Deserialize)]
struct Texts {
    /// Each file's name and contents.
    policies: Vec<(String, String)>,
    schema: String,
    properties: String,
    /// The lists by which a decision refuses types, each line in the form `action: Type Type`.
    principals: String,
    resources: String,
}

impl TryFrom<Texts> for Question {
    type Error = Unanswered;

    fn try_from(texts: Texts) -> Result<Self, Unanswered> {
        Self::new(&texts.policies, &texts.schema, &texts.properties, [&texts.principals, &texts.resources])
    }
}

impl Question {
    /// Each policy has its own `@id`, and so has each property, which also has a `@says`. `types` lists the types of principals,
    /// and of resources, for each action: a decision refuses all others before it evaluates a policy.
    ///
    /// # Errors
    /// If a text does not parse, or is invalid in strict mode; if `types` allows a combination that the schema does not declare,
    /// since nothing is proven about it, or refuses one that it declares.
    pub fn new(policies: &[(String, String)], schema: &str, properties: &str, types: [&str; 2]) -> Result<Self, Unanswered> {
        let schema = Schema::from_cedarschema_str(schema).map_err(|e| wrong(format!("schema: {e}")))?.0;
        let mut all = Vec::new();
        for (file, text) in policies {
            all.extend(parse(file, text)?);
        }
        let policies = set(all)?;
        let stated = parse("properties", properties)?;
        let validator = Validator::new(schema.clone());
        for (what, set) in [("policies", &policies), ("properties", &set(stated.clone())?)] {
            let verdict = validator.validate(set, ValidationMode::Strict);
            if !verdict.validation_passed() {
                return Err(wrong(format!("{what}: {verdict}")));
            }
        }
        let properties = stated.into_iter().map(Property::new).collect::<Result<_, _>>()?;
        let refused = refused(&schema, types)?;
        Ok(Self { schema, policies, properties, refused, whole: true })
    }

    /// The `@id`s of the policies.
    pub fn policies(&self) -> impl Iterator<Item = String> {
        self.policies.policies().map(|policy| policy.id().to_string())
    }

    /// The question without one of the policies.
    ///
    /// # Errors
    /// If there is no policy with this `@id`.
    pub fn without(mut self, id: &str) -> Result<Self, Unanswered> {
        self.policies.remove_static(PolicyId::new(id)).map_err(|e| wrong(e.to_string()))?;
        Ok(self)
    }

    /// The question about only one property.
    ///
    /// # Errors
    /// If there is no property with this `@id`.
    pub fn only(mut self, id: &str) -> Result<Self, Unanswered> {
        self.properties.retain(|property| property.id == id);
        self.whole = false;
        if self.properties.is_empty() { Err(wrong(format!("there is no property {id}"))) } else { Ok(self) }
    }

    /// Every environment of the schema, sorted by name.
    pub(crate) fn environments(&self) -> Vec<(String, RequestEnv)> {
        let name = |env: &RequestEnv| format!("{} by {} on {}", env.action().id().unescaped(), env.principal(), env.resource());
        let mut all: Vec<_> = self.schema.request_envs().map(|env| (name(&env), env)).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

impl Property {
    fn new(forbid: Policy) -> Result<Self, Unanswered> {
        let id = forbid.id().to_string();
        let says = forbid.annotation("says").ok_or_else(|| wrong(format!("property {id}: no @says")))?.to_owned();
        if forbid.effect() != Effect::Forbid {
            return Err(wrong(format!("property {id}: not a forbid")));
        }
        let everything = parse("everything", "@id(\"everything\") permit (principal, action, resource);")?;
        let only = set(everything.into_iter().chain([forbid.clone()]))?;
        Ok(Self { id, says, forbid, only })
    }
}

/// Checks every combination of a type of principal, an action (groups included) and a type of resource: either the schema
/// declares it, and it is an environment, or the decision refuses it. Returns the number of refused ones.
fn refused(schema: &Schema, [principals, resources]: [&str; 2]) -> Result<usize, Unanswered> {
    let (principals, resources) = (lists(principals), lists(resources));
    let env =
        |env: RequestEnv| (env.principal().to_string(), env.action().id().unescaped().to_owned(), env.resource().to_string());
    let declared: HashSet<_> = schema.request_envs().map(env).collect();
    let types: Vec<_> = schema.entity_types().map(ToString::to_string).collect();
    let actions: Vec<_> = schema.actions().map(|action| action.id().unescaped().to_owned()).collect();
    let none = HashSet::new();
    let mut refused = 0;
    for action in &actions {
        let of = |lists: &HashMap<String, HashSet<String>>| lists.get(action).unwrap_or(&none).clone();
        let (by, on) = (of(&principals), of(&resources));
        for (principal, resource) in types.iter().flat_map(|principal| types.iter().map(move |resource| (principal, resource))) {
            let decided = by.contains(principal) && on.contains(resource);
            match (decided, declared.contains(&(principal.clone(), action.clone(), resource.clone()))) {
                (true, true) => {}
                (false, false) => refused += 1,
                (true, false) => return Err(wrong(format!("{action} by {principal} on {resource} is decided and not declared"))),
                (false, true) => return Err(wrong(format!("{action} by {principal} on {resource} is declared and not decided"))),
            }
        }
    }
    Ok(refused)
}

/// Parses lines of the form `name: one other`.
fn lists(lines: &str) -> HashMap<String, HashSet<String>> {
    let line = |(name, list): (&str, &str)| (name.to_owned(), list.split_whitespace().map(str::to_owned).collect());
    lines.lines().filter_map(|line| line.split_once(':')).map(line).collect()
}

/// A file's policies by `@id`, in the order of the file.
fn parse(file: &str, text: &str) -> Result<Vec<Policy>, Unanswered> {
    let parsed = PolicySet::from_str(text).map_err(|e| wrong(format!("{file}: {e}")))?;
    // Cedar numbers them `policy0`, `policy1` and so on; the set itself is not ordered.
    let number = |policy: &&Policy| policy.id().to_string().trim_start_matches("policy").parse().unwrap_or(usize::MAX);
    let mut policies: Vec<_> = parsed.policies().collect();
    policies.sort_by_key(number);
    let named = policies.into_iter().map(|policy| {
        let id = policy.annotation("id").ok_or_else(|| wrong(format!("{file}: a policy has no @id")))?;
        Ok(policy.new_id(PolicyId::new(id)))
    });
    named.collect()
}

fn set(policies: impl IntoIterator<Item = Policy>) -> Result<PolicySet, Unanswered> {
    PolicySet::from_policies(policies).map_err(|e| wrong(e.to_string()))
}

fn wrong(why: String) -> Unanswered {
    Unanswered::Question(why)
}
