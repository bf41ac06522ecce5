//! Evaluates intrinsic functions.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html>

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Template, TemplateError};
use crate::{ACCOUNT, REGION};

/// The values of `Ref` and `GetAtt` of an existing resource.
#[derive(Debug, Clone)]
pub(crate) struct Attributes {
    pub(crate) reference: String,
    pub(crate) attributes: BTreeMap<&'static str, String>,
}

/// Evaluates expressions of one template with the resources that exist so far.
#[derive(Debug)]
pub(crate) struct Resolver<'a> {
    template: &'a Template,
    made: Arc<BTreeMap<String, Attributes>>,
}

/// An expression's value; `None` is `AWS::NoValue`, which removes the property.
type Evaluated = Result<Option<Value>, TemplateError>;

impl<'a> Resolver<'a> {
    pub(crate) fn new(template: &'a Template) -> Self {
        Self::with(template, Arc::default())
    }

    /// The same with existing resources.
    pub(crate) fn with(template: &'a Template, made: Arc<BTreeMap<String, Attributes>>) -> Self {
        Self { template, made }
    }

    /// The existing resources.
    pub(crate) fn existing_so_far(&self) -> &BTreeMap<String, Attributes> {
        &self.made
    }

    /// Adds a resource.
    pub(crate) fn made(&mut self, name: &str, attributes: Attributes) {
        Arc::make_mut(&mut self.made).insert(name.to_owned(), attributes);
    }

    /// The value of an expression at `at`; a removed one is null.
    pub(crate) fn evaluate(&self, at: &str, value: &Value) -> Result<Value, TemplateError> {
        Ok(self.value(at, value)?.unwrap_or_default())
    }

    /// Whether a named condition is true.
    pub(crate) fn condition(&self, at: &str, name: &str) -> Result<bool, TemplateError> {
        let condition = self
            .template
            .conditions
            .get(name)
            .ok_or_else(|| TemplateError::Unknown { at: at.to_owned(), name: name.to_owned() })?;
        self.holds(name, condition)
    }

    fn value(&self, at: &str, value: &Value) -> Evaluated {
        match value {
            Value::Array(items) => items
                .iter()
                .filter_map(|item| self.value(at, item).transpose())
                .collect::<Result<Vec<_>, _>>()
                .map(|items| Some(Value::Array(items))),
            Value::Object(map) => match function(map) {
                Some((name, argument)) => self.call(at, name, argument),
                None => map
                    .iter()
                    .filter_map(|(name, value)| {
                        let here = format!("{at}.{name}");
                        match self.value(&here, value) {
                            Ok(value) => value.map(|value| Ok((name.clone(), value))),
                            Err(error) => Some(Err(error)),
                        }
                    })
                    .collect::<Result<Map<_, _>, _>>()
                    .map(|map| Some(Value::Object(map))),
            },
            plain => Ok(Some(plain.clone())),
        }
    }

    fn call(&self, at: &str, name: &str, argument: &Value) -> Evaluated {
        let wrong = || TemplateError::Expression { at: at.to_owned(), message: format!("{name} of {argument}") };
        match (name, argument) {
            ("Ref", Value::String(target)) => self.reference(at, target),
            ("Fn::GetAtt", Value::Array(path)) => {
                let [Value::String(resource), Value::String(attribute)] = path.as_slice() else {
                    return Err(wrong());
                };
                self.attribute(at, resource, attribute).map(Some)
            }
            ("Fn::Sub", Value::String(text)) => self.substitute(at, text, &Map::new()).map(Some),
            ("Fn::Sub", Value::Array(parts)) => {
                let [Value::String(text), Value::Object(names)] = parts.as_slice() else {
                    return Err(wrong());
                };
                self.substitute(at, text, names).map(Some)
            }
            ("Fn::Join", Value::Array(parts)) => {
                let [Value::String(separator), list] = parts.as_slice() else {
                    return Err(wrong());
                };
                let list = self.evaluate(at, list)?;
                let items: Vec<String> = list.as_array().ok_or_else(wrong)?.iter().map(text).collect();
                Ok(Some(Value::String(items.join(separator))))
            }
            ("Fn::Split", Value::Array(parts)) => {
                let [Value::String(separator), whole] = parts.as_slice() else {
                    return Err(wrong());
                };
                let whole = text(&self.evaluate(at, whole)?);
                Ok(Some(whole.split(separator.as_str()).collect()))
            }
            ("Fn::Select", Value::Array(parts)) => {
                let [index, list] = parts.as_slice() else {
                    return Err(wrong());
                };
                let index: usize = text(&self.evaluate(at, index)?).parse().map_err(|_| wrong())?;
                let list = self.evaluate(at, list)?;
                list.get(index).cloned().map(Some).ok_or_else(wrong)
            }
            ("Fn::If", Value::Array(parts)) => {
                let [Value::String(condition), then, otherwise] = parts.as_slice() else {
                    return Err(wrong());
                };
                let chosen = if self.condition(at, condition)? { then } else { otherwise };
                self.value(at, chosen)
            }
            ("Fn::FindInMap", Value::Array(path)) => {
                let path =
                    path.iter().map(|part| self.evaluate(at, part).map(|part| text(&part))).collect::<Result<Vec<_>, _>>()?;
                path.iter().try_fold(&self.template.mappings, |map, part| map.get(part)).cloned().map(Some).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }

    fn reference(&self, at: &str, name: &str) -> Evaluated {
        if name == "AWS::NoValue" {
            return Ok(None);
        }
        let value = match name {
            "AWS::Region" => REGION,
            "AWS::AccountId" => ACCOUNT,
            "AWS::Partition" => "aws",
            "AWS::URLSuffix" => "amazonaws.com",
            "AWS::StackName" => "local",
            _ => {
                if let Some(value) = self.template.parameters.get(name) {
                    return Ok(Some(value.clone()));
                }
                let made = self.existing(at, name, name)?;
                return Ok(Some(Value::String(made.reference.clone())));
            }
        };
        Ok(Some(Value::String(value.to_owned())))
    }

    fn attribute(&self, at: &str, resource: &str, attribute: &str) -> Result<Value, TemplateError> {
        let path = format!("{resource}.{attribute}");
        let made = self.existing(at, resource, &path)?;
        made.attributes
            .get(attribute)
            .cloned()
            .map(Value::String)
            .ok_or_else(|| TemplateError::Unknown { at: at.to_owned(), name: path })
    }

    fn existing(&self, at: &str, resource: &str, path: &str) -> Result<&Attributes, TemplateError> {
        if !self.template.resources.contains_key(resource) {
            return Err(TemplateError::Unknown { at: at.to_owned(), name: path.to_owned() });
        }
        self.made.get(resource).ok_or_else(|| TemplateError::Unresolved { at: at.to_owned(), name: path.to_owned() })
    }

    fn substitute(&self, at: &str, template: &str, names: &Map<String, Value>) -> Result<Value, TemplateError> {
        let mut output = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("${") {
            output.push_str(before);
            let (name, after) = after.split_once('}').ok_or_else(|| TemplateError::Expression {
                at: at.to_owned(),
                message: format!("Fn::Sub of `{template}`: a brace is not closed"),
            })?;
            rest = after;
            if let Some(literal) = name.strip_prefix('!') {
                output.push_str("${");
                output.push_str(literal);
                output.push('}');
                continue;
            }
            let value = match (names.get(name), name.split_once('.')) {
                (Some(value), _) => self.evaluate(at, value)?,
                (None, Some((resource, attribute))) => self.attribute(at, resource, attribute)?,
                (None, None) => self.reference(at, name)?.unwrap_or_default(),
            };
            output.push_str(&text(&value));
        }
        output.push_str(rest);
        Ok(Value::String(output))
    }

    fn holds(&self, at: &str, condition: &Value) -> Result<bool, TemplateError> {
        let wrong = || TemplateError::Expression { at: at.to_owned(), message: format!("the condition {condition}") };
        let (name, argument) = condition.as_object().and_then(function).ok_or_else(wrong)?;
        match (name, argument) {
            ("Condition", Value::String(other)) => self.condition(at, other),
            ("Fn::Equals", Value::Array(sides)) => {
                let [left, right] = sides.as_slice() else {
                    return Err(wrong());
                };
                Ok(text(&self.evaluate(at, left)?) == text(&self.evaluate(at, right)?))
            }
            ("Fn::Not", Value::Array(of)) => match of.as_slice() {
                [condition] => self.holds(at, condition).map(|holds| !holds),
                _ => Err(wrong()),
            },
            ("Fn::And", Value::Array(of)) => of.iter().try_fold(true, |all, one| Ok(all && self.holds(at, one)?)),
            ("Fn::Or", Value::Array(of)) => of.iter().try_fold(false, |any, one| Ok(any || self.holds(at, one)?)),
            _ => Err(wrong()),
        }
    }
}

/// The function of a map with a single key.
pub(super) fn function(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut pairs = map.iter();
    let (name, argument) = pairs.next()?;
    let is_function = name == "Ref" || name == "Condition" && argument.is_string() || name.starts_with("Fn::");
    (is_function && pairs.next().is_none()).then_some((name.as_str(), argument))
}

/// A scalar's text, as CloudFormation converts it.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::super::yaml;
    use super::*;
    use crate::Overrides;

    const TEMPLATE: &str = r#"
Parameters:
  Stage: { Type: String, Default: test }
  Names: { Type: CommaDelimitedList, Default: "a, b" }
Conditions:
  IsTest: !Equals [!Ref Stage, test]
  IsNot: !Not [!Condition IsTest]
  Both: !And [!Condition IsTest, !Condition IsNot]
  Either: !Or [!Condition IsTest, !Condition IsNot]
Mappings:
  Sizes: { test: { memory: 128 } }
Resources:
  Table: { Type: AWS::DynamoDB::Table }
"#;

    fn evaluated(expression: &str) -> Result<Value, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("template.yaml");
        std::fs::write(&file, TEMPLATE).unwrap();
        let template = Template::load_with(Path::new(&file), &Overrides::new()).unwrap();
        let mut resolver = Resolver::new(&template);
        let attributes = BTreeMap::from([("Arn", "arn:table".to_owned())]);
        resolver.made("Table", Attributes { reference: "table".to_owned(), attributes });
        resolver.evaluate("here", &yaml::parse(expression).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_intrinsic_function_evaluates_as_in_cloudformation() {
        let cases = [
            ("!Ref Stage", json!("test")),
            ("!Ref Names", json!(["a", "b"])),
            ("!Ref Table", json!("table")),
            ("!Ref AWS::Region", json!("us-east-1")),
            ("!GetAtt Table.Arn", json!("arn:table")),
            ("{ 'Fn::GetAtt': [Table, Arn] }", json!("arn:table")),
            ("!Sub '${Stage}/${Table}/${Table.Arn}/${!literal}'", json!("test/table/arn:table/${literal}")),
            ("!Sub ['${own}-${Stage}', { own: !Ref Table }]", json!("table-test")),
            ("!Join ['+', !Ref Names]", json!("a+b")),
            ("!Select [1, !Split ['-', 'x-y']]", json!("y")),
            ("!FindInMap [Sizes, !Ref Stage, memory]", json!(128)),
            ("!If [Either, yes, no]", json!("yes")),
            ("!If [Both, yes, no]", json!("no")),
            ("{ kept: 1, gone: !Ref AWS::NoValue, also: !If [IsNot, 1, !Ref AWS::NoValue] }", json!({ "kept": 1 })),
            ("[1, !Ref AWS::NoValue]", json!([1])),
        ];
        for (expression, expected) in cases {
            assert_eq!(evaluated(expression), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn expression_that_cannot_be_evaluated_is_named() {
        let cases = [
            ("!Ref Nobody", "here: `Nobody` is not in the template"),
            ("!GetAtt Table.Odd", "here: `Table.Odd` is not in the template"),
            ("!If [Odd, 1, 2]", "here: `Odd` is not in the template"),
            ("!Cidr [x, 1, 2]", "here: cannot evaluate Fn::Cidr of [\"x\",1,2]"),
            ("!Sub '${Stage'", "here: cannot evaluate Fn::Sub of `${Stage`: a brace is not closed"),
        ];
        for (expression, expected) in cases {
            assert_eq!(evaluated(expression), Err(expected.to_owned()), "{expression}");
        }
    }
}
