//! Evaluates the IAM statements of the templates. It panics at an element that it does not support, so that a test cannot pass by
//! misreading a statement.
//!
//! It follows the reference of IAM's policy elements: an operator on an absent key fails, except `Null`, and `ForAllValues`,
//! which holds for no values.

use super::yaml::Node;
use std::collections::BTreeMap;

/// A request's context: each condition key's values.
pub(super) type Context<'a> = BTreeMap<&'a str, Vec<String>>;

/// Whether one of the statements allows the action. The templates have no Deny here.
pub(super) fn allows(statements: &Node, action: &str, resource: &str, context: &Context<'_>) -> bool {
    let Node::List(statements) = statements else { panic!("statements are a list") };
    statements.iter().any(|statement| {
        assert_eq!(statement.get("Effect"), Some(&"Allow".into()), "{statement:?}");
        let texts = |name: &str| statement.get(name).map(super::tests::texts).unwrap_or_default();
        // A trust policy has no resource, because it is part of the role.
        let resources = texts("Resource");
        texts("Action").contains(&action)
            && (resources.is_empty()
                || resources.iter().any(|pattern| filled(pattern, context).is_some_and(|pattern| like(&pattern, resource))))
            && statement.get("Condition").is_none_or(|condition| holds(condition, context))
    })
}

fn holds(condition: &Node, context: &Context<'_>) -> bool {
    condition.members().iter().all(|(operator, keys)| {
        keys.members().iter().all(|(key, wanted)| {
            let wanted: Vec<_> = super::tests::texts(wanted).into_iter().map(|text| filled(text, context)).collect();
            let matches = |value: &String, by: fn(&str, &str) -> bool| wanted.iter().flatten().any(|pattern| by(pattern, value));
            let values = context.get(key.as_str());
            let one = |by| values.is_some_and(|values| values.len() == 1 && matches(&values[0], by));
            let every = |by: fn(&str, &str) -> bool| values.is_none_or(|values| values.iter().all(|value| matches(value, by)));
            match operator.as_str() {
                "StringEquals" => one(|pattern, value| pattern == value),
                "StringLike" | "ArnLike" => one(like),
                "ForAllValues:StringEquals" => every(|pattern, value| pattern == value),
                "ForAllValues:StringLike" => every(like),
                "Null" => wanted.iter().flatten().any(|null| (null == "true") == values.is_none()),
                other => panic!("unsupported operator: {other}"),
            }
        })
    })
}

/// Replaces the policy variable by its value; `None` if the variable has no value, because then the pattern matches nothing. In
/// `!Sub`, `${!aws:…}` marks a variable of IAM's.
fn filled(text: &str, context: &Context<'_>) -> Option<String> {
    let text = &text.replace("${!aws:", "${aws:");
    let Some((before, rest)) = text.split_once("${aws:") else { return Some(text.clone()) };
    let (name, after) = rest.split_once('}').unwrap();
    let value = context.get(format!("aws:{name}").as_str())?.first()?;
    Some(format!("{before}{value}{after}"))
}

/// `*` matches any text.
fn like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => {
            let Some(text) = text.strip_prefix(start) else { return false };
            (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| like(rest, &text[at..]))
        }
    }
}
