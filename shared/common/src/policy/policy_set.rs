//! The policies, parsed on demand. Each is parsed at the first decision about an action in its scope: a function decides about
//! few actions, and its start should not pay for the others.

use super::decision::{ACTIONS, INDEX, POLICIES, PRINCIPALS, RESOURCES, uid};
use crate::base::error::Refusal;
use cedar_policy::{EntityTypeName, EntityUid, Policy, PolicyId, PolicySet};
use std::{
    collections::{HashMap, HashSet},
    sync::OnceLock,
};

/// The text with which every policy in a file begins.
const BEGINS: &str = "@id(\"";

/// All policies, and the actions of the schema.
pub(super) struct IndexedPolicies {
    policies: Vec<IndexedPolicy>,
    actions: HashMap<&'static str, Declared>,
    action: EntityTypeName,
}

/// One policy.
struct IndexedPolicy {
    file: &'static str,
    id: &'static str,
    text: &'static str,
    speaks_of: SpeaksOf,
    parsed: OnceLock<Policy>,
}

/// The actions in a policy's scope.
enum SpeaksOf {
    Every,
    /// These actions, and those in these groups.
    Named(Vec<&'static str>),
}

/// An action of the schema.
struct Declared {
    /// The groups that contain it, directly or through other groups.
    groups: Vec<&'static str>,
    applies_to: AppliesTo,
    known: OnceLock<KnownAction>,
}

/// The types of principals and of resources for which the schema declares an action. A group of actions has none.
#[derive(Clone, Debug, Default)]
struct AppliesTo {
    principals: Vec<&'static str>,
    resources: Vec<&'static str>,
}

/// An action with its parsed policies.
pub(super) struct KnownAction {
    pub(super) uid: EntityUid,
    pub(super) groups: HashSet<EntityUid>,
    /// The policies that can match a decision about it. The scopes of the others name other actions, so they neither permit nor
    /// forbid this one, and cannot fail to evaluate for it, for any caller and resource.
    pub(super) policies: PolicySet,
    applies_to: AppliesTo,
}

impl KnownAction {
    /// Whether the schema lets a principal of this type do it to a resource of that type. The policies are validated and proven
    /// for these types only; for others their result was never checked.
    pub(super) fn applies_to(&self, principal: &str, resource: &str) -> bool {
        self.applies_to.principals.contains(&principal) && self.applies_to.resources.contains(&resource)
    }

    /// A resource type of the action, if it has any.
    pub(super) fn a_resource(&self) -> Option<&'static str> {
        self.applies_to.resources.first().copied()
    }
}

impl IndexedPolicies {
    /// # Errors
    /// Names the policy that is missing in the index.
    pub(super) fn load(action: EntityTypeName) -> Result<Self, String> {
        let index: HashMap<_, _> = lists(INDEX).collect();
        let policy = |(file, id, text)| {
            let named = index.get(id).ok_or_else(|| format!("{file}: index.txt does not name `{id}`: run `cargo xtask sync`"))?;
            let speaks_of = if *named == ["*"] { SpeaksOf::Every } else { SpeaksOf::Named(named.clone()) };
            Ok::<_, String>(IndexedPolicy { file, id, text, speaks_of, parsed: OnceLock::new() })
        };
        let policies = POLICIES.iter().flat_map(|(file, text)| policies_of(file, text)).map(policy).collect::<Result<_, _>>()?;
        let (principals, resources): (HashMap<_, _>, HashMap<_, _>) = (lists(PRINCIPALS).collect(), lists(RESOURCES).collect());
        let types = |of: &HashMap<_, Vec<_>>, name| of.get(name).cloned().unwrap_or_default();
        let declared = |(name, groups)| {
            let applies_to = AppliesTo { principals: types(&principals, name), resources: types(&resources, name) };
            (name, Declared { groups, applies_to, known: OnceLock::new() })
        };
        let actions = lists(ACTIONS).map(declared).collect();
        Ok(Self { policies, actions, action })
    }

    /// The action with its policies, ready for decisions.
    ///
    /// # Errors
    /// If it is not in the schema, or one of its policies does not parse.
    pub(super) fn of(&self, action: &str) -> Result<&KnownAction, String> {
        let (name, declared) = self.actions.get_key_value(action).ok_or_else(|| format!("`{action}` is not in the schema"))?;
        if let Some(known) = declared.known.get() {
            return Ok(known);
        }
        let own: Vec<_> = self.policies.iter().filter(|policy| policy.speaks_of(name, &declared.groups)).collect();
        let known = KnownAction {
            uid: uid(&self.action, name),
            groups: declared.groups.iter().map(|group| uid(&self.action, group)).collect(),
            policies: set_of(&own)?,
            applies_to: declared.applies_to.clone(),
        };
        Ok(declared.known.get_or_init(|| known))
    }

    /// All policies, for any action.
    #[cfg(test)]
    pub(super) fn all(&self) -> Result<PolicySet, String> {
        set_of(&self.policies.iter().collect::<Vec<_>>())
    }
}

impl IndexedPolicy {
    fn speaks_of(&self, action: &str, groups: &[&str]) -> bool {
        match &self.speaks_of {
            SpeaksOf::Every => true,
            SpeaksOf::Named(named) => named.iter().any(|name| *name == action || groups.contains(name)),
        }
    }
}

/// Parses these policies. One call parses all that are not parsed yet, because Cedar's parser has a setup cost for each call.
fn set_of(policies: &[&IndexedPolicy]) -> Result<PolicySet, String> {
    let text: String = policies.iter().filter(|policy| policy.parsed.get().is_none()).map(|policy| policy.text).collect();
    let parsed: PolicySet = text.parse().map_err(|e| format!("{}: {e}", files(policies)))?;
    for policy in parsed.policies() {
        let id = policy.annotation("id").ok_or_else(|| format!("{}: a policy has no @id", files(policies)))?;
        let indexed = policies.iter().find(|indexed| indexed.id == id);
        let indexed = indexed.ok_or_else(|| format!("{}: `{id}` is not looked for", files(policies)))?;
        if let Some(code) = policy.annotation("code")
            && Refusal::of_policy(code).is_none()
        {
            return Err(format!("{}: `{code}` is no refusal", indexed.file));
        }
        indexed.parsed.get_or_init(|| policy.new_id(PolicyId::new(id)));
    }
    let each = |policy: &&IndexedPolicy| {
        policy.parsed.get().cloned().ok_or_else(|| format!("{}: `{}` is no policy", policy.file, policy.id))
    };
    PolicySet::from_policies(policies.iter().map(each).collect::<Result<Vec<_>, _>>()?).map_err(|e| e.to_string())
}

fn files(policies: &[&IndexedPolicy]) -> String {
    let mut files: Vec<_> = policies.iter().map(|policy| policy.file).collect();
    files.dedup();
    files.join(", ")
}

/// Each policy of a file: the file's name, the policy's `@id`, and its text up to the beginning of the next one.
fn policies_of<'a>(file: &'a str, text: &'a str) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
    let begins = |at: &usize| *at == 0 || text.as_bytes().get(at - 1) == Some(&b'\n');
    let mut starts = text.match_indices(BEGINS).map(|(at, _)| at).filter(begins).peekable();
    std::iter::from_fn(move || {
        let start = starts.next()?;
        let policy = text.get(start..starts.peek().copied().unwrap_or(text.len()))?;
        let (id, _) = policy.get(BEGINS.len()..)?.split_once('"')?;
        Some((file, id, policy))
    })
}

/// Lines as `name: one other`.
fn lists(lines: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    lines.lines().filter_map(|line| line.split_once(':')).map(|(name, list)| (name, list.split_whitespace().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    /// Compares with Cedar's parse of the whole file.
    #[test]
    fn each_policy_is_split_out_of_its_file_unchanged() {
        let mut found = 0;
        for (file, text) in POLICIES {
            let whole = PolicySet::from_str(text).unwrap();
            let mut theirs: Vec<_> =
                whole.policies().map(|p| p.new_id(PolicyId::new(p.annotation("id").unwrap())).to_json().unwrap()).collect();
            let mut ours: Vec<_> = policies_of(file, text)
                .map(|(_, id, text)| Policy::parse(Some(PolicyId::new(id)), text).unwrap().to_json().unwrap())
                .collect();
            for policies in [&mut theirs, &mut ours] {
                policies.sort_by_key(|policy| policy["annotations"]["id"].to_string());
            }
            assert_eq!(ours, theirs, "{file}");
            found += ours.len();
        }
        let ids: HashSet<_> = POLICIES.iter().flat_map(|(file, text)| policies_of(file, text)).map(|(_, id, _)| id).collect();
        assert_eq!(ids.len(), found, "an @id is given twice");
    }

    #[test]
    fn policy_begins_only_at_the_start_of_a_line() {
        let text = "// not @id(\"this\")\n@id(\"one\")\npermit (principal, action, resource);\n// of two\n@id(\"two\") forbid (principal, action, resource);";
        let ids: Vec<_> = policies_of("", text).map(|(_, id, _)| id).collect();
        assert_eq!(ids, ["one", "two"]);
        assert_eq!(policies_of("", "// none\n").count(), 0);
        assert_eq!(policies_of("", "@id(\"unended").count(), 0);
    }

    #[test]
    fn action_outside_the_schema_is_an_error() {
        let policies = IndexedPolicies::load("Action".parse().unwrap()).unwrap();
        assert!(policies.of("doEverything").is_err_and(|e| e.contains("doEverything")));
        assert!(policies.of("").is_err());
    }
}
