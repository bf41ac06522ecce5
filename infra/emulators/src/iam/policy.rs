//! A policy document. An unsupported element is an error.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>

use super::{Ask, Malformed, Principal, condition::Condition, pattern::Pattern};
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

/// A list, or everything but a list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Choice<T> {
    Of(Vec<T>),
    Not(Vec<T>),
}

/// The principal of a resource's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    Everybody,
    /// An account, by its number: its principals whose own policies allow the call.
    Account(String),
    /// A role or a session of one, by its ARN.
    Arn(String),
    /// An AWS service. Calls of services are not evaluated here.
    Service,
}

/// How a resource's policy matches a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Meant {
    /// By its account only, which delegates to the principal's own policies.
    ByAccount,
    Himself,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(super) sid: String,
    pub(super) effect: Effect,
    principals: Option<Choice<Named>>,
    actions: Choice<String>,
    /// `None` in a trust policy, whose resource is the role.
    resources: Option<Choice<String>>,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Whether `${…}` is a variable, which it is since version 2012-10-17.
    variables: bool,
    pub(super) statements: Vec<Statement>,
}

/// A text, or a list of texts; numbers and booleans are converted.
pub(super) fn texts(value: &Value) -> Result<Vec<String>, Malformed> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        other => Err(Malformed(format!("a policy has {other} instead of a text"))),
    };
    match value {
        Value::Array(items) => items.iter().map(one).collect(),
        other => Ok(vec![one(other)?]),
    }
}

impl Policy {
    pub(super) fn parse(document: &Value) -> Result<Self, Malformed> {
        let wrong = |what: &str| Malformed(format!("a policy {what}: {document}"));
        let members = document.as_object().ok_or_else(|| wrong("is not a map"))?;
        if let Some(name) = members.keys().find(|name| !["Version", "Id", "Statement"].contains(&name.as_str())) {
            return Err(wrong(&format!("has an unsupported element `{name}`")));
        }
        let variables = match document["Version"].as_str() {
            Some("2012-10-17") => true,
            Some("2008-10-17") | None => false,
            Some(_) => return Err(wrong("has a version that does not exist")),
        };
        let statements = match &document["Statement"] {
            Value::Array(statements) => statements.iter().map(Statement::parse).collect::<Result<_, _>>()?,
            one @ Value::Object(_) => vec![Statement::parse(one)?],
            _ => return Err(wrong("has no statements")),
        };
        Ok(Self { variables, statements })
    }

    /// The statements that match the request, by index, and how they match the principal.
    pub(super) fn speaking(&self, ask: &Ask, who: &Principal) -> Result<Vec<(usize, &Statement, Meant)>, Malformed> {
        let mut speaking = Vec::new();
        for (place, statement) in self.statements.iter().enumerate() {
            if let Some(meant) = statement.speaks(self.variables, ask, who)? {
                speaking.push((place, statement, meant));
            }
        }
        Ok(speaking)
    }
}

impl Statement {
    fn parse(value: &Value) -> Result<Self, Malformed> {
        let wrong = |what: &str| Malformed(format!("a statement {what}: {value}"));
        let members = value.as_object().ok_or_else(|| wrong("is not a map"))?;
        let known = ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];
        if let Some(name) = members.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(wrong(&format!("has an unsupported element `{name}`")));
        }
        let choice = |name: &str| -> Result<Option<Choice<String>>, Malformed> {
            match (members.get(name), members.get(&format!("Not{name}"))) {
                (None, None) => Ok(None),
                (Some(of), None) => Ok(Some(Choice::Of(texts(of)?))),
                (None, Some(not)) => Ok(Some(Choice::Not(texts(not)?))),
                (Some(_), Some(_)) => Err(wrong(&format!("has both {name} and Not{name}"))),
            }
        };
        let effect = match value["Effect"].as_str() {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            _ => return Err(wrong("neither allows nor denies")),
        };
        let actions = choice("Action")?.ok_or_else(|| wrong("names no action"))?;
        let (Choice::Of(names) | Choice::Not(names)) = &actions;
        if let Some(action) = names.iter().find(|action| *action != "*" && !action.contains(':')) {
            return Err(wrong(&format!("names `{action}`, which is not an action")));
        }
        let resources = choice("Resource")?;
        if let Some(Choice::Of(names) | Choice::Not(names)) = &resources
            && let Some(resource) = names.iter().find(|resource| *resource != "*" && resource.splitn(6, ':').count() < 6)
        {
            return Err(wrong(&format!("names `{resource}`, which is not a resource")));
        }
        let principals = match (members.get("Principal"), members.get("NotPrincipal")) {
            (None, None) => None,
            (Some(of), None) => Some(Choice::Of(named(of)?)),
            (None, Some(not)) => Some(Choice::Not(named(not)?)),
            (Some(_), Some(_)) => return Err(wrong("has both Principal and NotPrincipal")),
        };
        let conditions = members.get("Condition").map(Condition::parse).transpose()?.unwrap_or_default();
        let sid = value["Sid"].as_str().unwrap_or_default().to_owned();
        Ok(Self { sid, effect, principals, actions, resources, conditions })
    }

    /// Whether the statement matches the request, and how it matches the principal.
    fn speaks(&self, variables: bool, ask: &Ask, who: &Principal) -> Result<Option<Meant>, Malformed> {
        if !self.is_about(&ask.action) {
            return Ok(None);
        }
        let Some(meant) = self.means(who) else { return Ok(None) };
        if !self.covers(variables, ask)? {
            return Ok(None);
        }
        for condition in &self.conditions {
            if !condition.holds(variables, &ask.context)? {
                return Ok(None);
            }
        }
        Ok(Some(meant))
    }

    fn is_about(&self, action: &str) -> bool {
        match &self.actions {
            Choice::Of(names) => names.iter().any(|name| is_action(name, action)),
            Choice::Not(names) => !names.iter().any(|name| is_action(name, action)),
        }
    }

    fn covers(&self, variables: bool, ask: &Ask) -> Result<bool, Malformed> {
        let any = |names: &[String]| {
            names.iter().try_fold(false, |any, name| {
                let matches = |pattern: Pattern| pattern.like_arn(&ask.resource);
                Ok::<_, Malformed>(any || Pattern::of(name, variables, &ask.context)?.is_some_and(matches))
            })
        };
        match &self.resources {
            None => Ok(true),
            Some(Choice::Of(names)) => any(names),
            Some(Choice::Not(names)) => Ok(!any(names)?),
        }
    }

    /// An identity's policy always matches its own identity.
    fn means(&self, who: &Principal) -> Option<Meant> {
        let best = |named: &[Named]| named.iter().filter_map(|named| named.means(who)).max();
        match &self.principals {
            None => Some(Meant::Himself),
            Some(Choice::Of(named)) => best(named),
            Some(Choice::Not(named)) => best(named).is_none().then_some(Meant::Himself),
        }
    }

    /// The action and the resource, as written in the statement, that matched a request. It records that the grant is used.
    pub(super) fn used(&self, variables: bool, ask: &Ask) -> Vec<(String, String)> {
        let (Choice::Of(actions), Some(Choice::Of(resources))) = (&self.actions, &self.resources) else { return Vec::new() };
        let covers = |name: &&String| {
            Pattern::of(name, variables, &ask.context).ok().flatten().is_some_and(|pattern| pattern.like_arn(&ask.resource))
        };
        let actions = actions.iter().filter(|name| is_action(name, &ask.action));
        actions.flat_map(|action| resources.iter().filter(covers).map(|r| (action.clone(), r.clone()))).collect()
    }

    /// Every action that the statement grants, with every resource.
    pub(super) fn grants(&self) -> Vec<(String, String)> {
        let (Effect::Allow, Choice::Of(actions), Some(Choice::Of(resources))) = (self.effect, &self.actions, &self.resources)
        else {
            return Vec::new();
        };
        actions.iter().flat_map(|action| resources.iter().map(|resource| (action.clone(), resource.clone()))).collect()
    }
}

/// Whether an action's name with wildcards matches the requested action; case is ignored.
fn is_action(name: &str, action: &str) -> bool {
    if !name.contains(['*', '?']) {
        return name.eq_ignore_ascii_case(action);
    }
    let pattern = Pattern::of(&name.to_ascii_lowercase(), false, &super::Context::new());
    pattern.ok().flatten().is_some_and(|pattern| pattern.like(&action.to_ascii_lowercase()))
}

fn named(value: &Value) -> Result<Vec<Named>, Malformed> {
    let wrong = |what: &Value| Malformed(format!("unsupported principal {what}"));
    if value == "*" {
        return Ok(vec![Named::Everybody]);
    }
    let mut all = Vec::new();
    for (kind, names) in value.as_object().ok_or_else(|| wrong(value))? {
        for name in texts(names)? {
            all.push(match (kind.as_str(), name.as_str()) {
                ("AWS", "*") => Named::Everybody,
                ("AWS", number) if number.len() == 12 && number.bytes().all(|b| b.is_ascii_digit()) => Named::Account(name),
                ("AWS", arn) => match arn.splitn(6, ':').collect::<Vec<_>>().as_slice() {
                    ["arn", _, "iam", "", account, "root"] => Named::Account((*account).to_owned()),
                    ["arn", _, "iam" | "sts", "", _, _] if !arn.contains('*') => Named::Arn(name),
                    _ => return Err(wrong(value)),
                },
                ("Service", _) => Named::Service,
                _ => return Err(wrong(value)),
            });
        }
    }
    Ok(all)
}

impl Named {
    fn means(&self, who: &Principal) -> Option<Meant> {
        match self {
            Self::Everybody => Some(Meant::Himself),
            Self::Account(account) => (*account == who.account).then_some(Meant::ByAccount),
            Self::Arn(arn) => (*arn == who.role || *arn == who.session).then_some(Meant::Himself),
            Self::Service => None,
        }
    }
}

impl Policy {
    pub(super) const fn has_variables(&self) -> bool {
        self.variables
    }
}
