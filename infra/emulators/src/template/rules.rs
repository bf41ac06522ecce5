//! `Rules`: assertions of a template about its parameters, which are checked before any resource is created.
//!
//! Source: AWS, "Rule functions". An unsupported function is an error, so that no assertion passes unevaluated.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::TemplateError;
use super::resolve::{function, text};
use crate::{ACCOUNT, REGION};

/// The most conditions in one `Fn::And` or `Fn::Or`.
const MOST: usize = 10;

/// Refuses parameters that a rule does not allow, and names every failed assertion.
pub(super) fn check(rules: &Map<String, Value>, parameters: &BTreeMap<String, Value>) -> Result<(), TemplateError> {
    let mut failed = Vec::new();
    for (name, rule) in rules {
        let parameters = Parameters { rule: name, values: parameters };
        if let Some(condition) = rule.get("RuleCondition")
            && !parameters.holds(condition)?
        {
            continue;
        }
        let assertions = rule["Assertions"].as_array().ok_or_else(|| parameters.wrong("a rule without assertions"))?;
        for assertion in assertions {
            if !parameters.holds(&assertion["Assert"])? {
                failed.push(assertion["AssertDescription"].as_str().unwrap_or(name).to_owned());
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(TemplateError::Rule { failed }) }
}

struct Parameters<'a> {
    rule: &'a str,
    values: &'a BTreeMap<String, Value>,
}

impl Parameters<'_> {
    fn holds(&self, condition: &Value) -> Result<bool, TemplateError> {
        let wrong = || self.wrong(&condition.to_string());
        let (name, argument) = condition.as_object().and_then(function).ok_or_else(wrong)?;
        let arguments = argument.as_array().ok_or_else(wrong)?;
        match (name, arguments.as_slice()) {
            ("Fn::Not", [of]) => self.holds(of).map(|holds| !holds),
            // Evaluates each, so that an unsupported one cannot hide behind one that decides.
            ("Fn::And", of) if (2..=MOST).contains(&of.len()) => self.each(of).map(|each| each.into_iter().all(|holds| holds)),
            ("Fn::Or", of) if (2..=MOST).contains(&of.len()) => self.each(of).map(|each| each.into_iter().any(|holds| holds)),
            ("Fn::Equals", [left, right]) => Ok(self.string(left)? == self.string(right)?),
            ("Fn::Contains", [list, string]) => Ok(self.strings(list)?.contains(&self.string(string)?)),
            ("Fn::EachMemberEquals", [list, string]) => {
                let string = self.string(string)?;
                Ok(self.strings(list)?.iter().all(|member| *member == string))
            }
            ("Fn::EachMemberIn", [list, within]) => {
                let within = self.strings(within)?;
                Ok(self.strings(list)?.iter().all(|member| within.contains(member)))
            }
            _ => Err(wrong()),
        }
    }

    fn each(&self, conditions: &[Value]) -> Result<Vec<bool>, TemplateError> {
        conditions.iter().map(|condition| self.holds(condition)).collect()
    }

    fn string(&self, value: &Value) -> Result<String, TemplateError> {
        match self.value(value)? {
            Value::Array(_) | Value::Object(_) => Err(self.wrong(&format!("{value}, which is not a string"))),
            scalar => Ok(text(&scalar)),
        }
    }

    fn strings(&self, value: &Value) -> Result<Vec<String>, TemplateError> {
        match self.value(value)? {
            Value::Array(items) => items.iter().map(|item| self.string(item)).collect(),
            _ => Err(self.wrong(&format!("{value}, which is not a list"))),
        }
    }

    /// The value itself, or that of the referenced parameter: no resources exist yet.
    fn value(&self, value: &Value) -> Result<Value, TemplateError> {
        match value.as_object().and_then(function) {
            None => Ok(value.clone()),
            Some(("Ref", Value::String(name))) => match name.as_str() {
                "AWS::Region" => Ok(REGION.into()),
                "AWS::AccountId" => Ok(ACCOUNT.into()),
                name => self.values.get(name).cloned().ok_or_else(|| self.wrong(&format!("a reference to `{name}`"))),
            },
            Some(_) => Err(self.wrong(&value.to_string())),
        }
    }

    fn wrong(&self, message: &str) -> TemplateError {
        TemplateError::Expression { at: format!("rule `{}`", self.rule), message: message.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::yaml;
    use super::*;

    fn checked(rule: &str) -> Result<(), String> {
        let values = BTreeMap::from([
            ("Stage".to_owned(), json!("production")),
            ("Empty".to_owned(), json!("")),
            ("Names".to_owned(), json!(["a", "b"])),
        ]);
        let rules = yaml::parse(rule).unwrap();
        check(rules.as_object().unwrap(), &values).map_err(|error| error.to_string())
    }

    fn holds(condition: &str) -> bool {
        let rule = format!("R: {{ Assertions: [{{ Assert: {condition}, AssertDescription: no }}] }}");
        match checked(&rule) {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error, "the template's rules refuse the parameters: no", "{condition}");
                false
            }
        }
    }

    #[test]
    fn every_rule_function_evaluates_as_documented() {
        for (condition, expected) in [
            ("!Equals [!Ref Stage, production]", true),
            ("!Equals [!Ref Stage, trial]", false),
            ("!Equals [!Ref Empty, '']", true),
            ("!Not [!Equals [!Ref Stage, trial]]", true),
            ("{ 'Fn::Contains': [[trial, production], !Ref Stage] }", true),
            ("{ 'Fn::Contains': [!Ref Names, b] }", true),
            ("{ 'Fn::Contains': [!Ref Names, c] }", false),
            ("{ 'Fn::EachMemberIn': [!Ref Names, [a, b, c]] }", true),
            ("{ 'Fn::EachMemberIn': [!Ref Names, [a]] }", false),
            ("{ 'Fn::EachMemberEquals': [!Ref Names, a] }", false),
            ("{ 'Fn::EachMemberEquals': [[a, a], a] }", true),
            ("!And [!Equals [x, x], !Equals [y, y]]", true),
            ("!And [!Equals [x, x], !Equals [x, y]]", false),
            ("!Or [!Equals [x, y], !Equals [y, y]]", true),
            ("!Or [!Equals [x, y], !Equals [y, z]]", false),
        ] {
            assert_eq!(holds(condition), expected, "{condition}");
        }
    }

    #[test]
    fn rule_with_a_false_condition_is_skipped_and_failed_assertions_are_named() {
        let rule = |stage: &str| {
            let assertions = "[{ Assert: !Equals [a, b], AssertDescription: one }, { Assert: !Equals [a, a], AssertDescription: two }, \
                              { Assert: !Equals [b, c], AssertDescription: three }]";
            format!("R: {{ RuleCondition: !Equals [!Ref Stage, {stage}], Assertions: {assertions} }}")
        };
        assert_eq!(checked(&rule("trial")), Ok(()));
        assert_eq!(checked(&rule("production")), Err("the template's rules refuse the parameters: one; three".to_owned()));
    }

    #[test]
    fn unsupported_rule_element_is_an_error() {
        for condition in [
            "!Equals [!Ref Nobody, x]",
            "!Equals [!GetAtt Table.Arn, x]",
            "!Equals [!Ref Names, a]",
            "{ 'Fn::Contains': [!Ref Stage, x] }",
            "{ 'Fn::Matches': [x, x] }",
            "!And [!Equals [x, x]]",
            "!Or [!Equals [x, x], { 'Fn::Matches': [x, x] }]",
            "true",
        ] {
            let rule = format!("R: {{ Assertions: [{{ Assert: {condition} }}] }}");
            let error = checked(&rule).unwrap_err();
            assert!(error.starts_with("rule `R`: cannot evaluate"), "{condition}: {error}");
        }
        assert!(checked("R: { RuleCondition: !Equals [a, a] }").is_err());
    }
}
