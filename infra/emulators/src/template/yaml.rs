//! Converts YAML with CloudFormation's short tags into the JSON of the long forms.

use serde_json::{Map, Value};
use serde_norway::Value as Yaml;

pub(super) fn parse(text: &str) -> Result<Value, String> {
    let document: Yaml = serde_norway::from_str(text).map_err(|error| error.to_string())?;
    convert(document)
}

fn convert(yaml: Yaml) -> Result<Value, String> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => Value::Bool(value),
        Yaml::Number(value) => serde_json::to_value(value).map_err(|error| format!("a number: {error}"))?,
        Yaml::String(value) => Value::String(value),
        Yaml::Sequence(items) => items.into_iter().map(convert).collect::<Result<Vec<_>, _>>()?.into(),
        Yaml::Mapping(pairs) => pairs
            .into_iter()
            .map(|(name, value)| Ok((key(name)?, convert(value)?)))
            .collect::<Result<Map<_, _>, String>>()?
            .into(),
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let tag = tag.trim_start_matches('!');
            let value = convert(tagged.value)?;
            let (name, value) = match (tag, value) {
                ("Ref" | "Condition", value) => (tag.to_owned(), value),
                ("GetAtt", Value::String(path)) => {
                    let (resource, attribute) =
                        path.split_once('.').ok_or_else(|| format!("!GetAtt `{path}` names no attribute"))?;
                    ("Fn::GetAtt".to_owned(), [resource, attribute].into_iter().collect())
                }
                (_, value) => (format!("Fn::{tag}"), value),
            };
            Value::Object(Map::from_iter([(name, value)]))
        }
    })
}

/// JSON's keys are strings; OpenAPI's status codes are written as numbers in YAML.
fn key(yaml: Yaml) -> Result<String, String> {
    match yaml {
        Yaml::String(text) => Ok(text),
        Yaml::Number(number) => Ok(number.to_string()),
        Yaml::Bool(value) => Ok(value.to_string()),
        other => Err(format!("{other:?} cannot be a key")),
    }
}
