//! The templates in `events/`: a function's event with `{{name}}` in place of live values.

use serde_json::{Map, Value};
use std::collections::HashMap;

/// A fault in a template or in its values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    #[error("the template is not JSON")]
    NotJson,
    #[error("there is no value for `{0}`")]
    NoValue(String),
}

/// Replaces every `{{name}}` of a template. `value` is called once for each name, so that a header has the same value in
/// `headers` and `multiValueHeaders`. A body is JSON inside a string, and is filled as JSON.
///
/// # Errors
/// [`FillError`]: the first name without a value.
pub fn fill(template: &str, mut value: impl FnMut(&str) -> Option<String>) -> Result<Value, FillError> {
    let template = serde_json::from_str(template).map_err(|_| FillError::NotJson)?;
    let mut known = HashMap::new();
    let mut once = |name: &str| match known.get(name) {
        Some(value) => Option::clone(value),
        None => known.entry(name.to_owned()).or_insert(value(name)).clone(),
    };
    filled(&template, &mut once)
}

fn filled(template: &Value, value: &mut impl FnMut(&str) -> Option<String>) -> Result<Value, FillError> {
    Ok(match template {
        Value::String(text) => Value::String(text_filled(text, value)?),
        Value::Array(items) => items.iter().map(|item| filled(item, value)).collect::<Result<Vec<_>, _>>()?.into(),
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| {
                let inner = member.as_str().filter(|_| name == "body").and_then(|body| serde_json::from_str::<Value>(body).ok());
                let member = match inner {
                    Some(body) => Value::String(filled(&body, value)?.to_string()),
                    None => filled(member, value)?,
                };
                Ok((name.clone(), member))
            })
            .collect::<Result<Map<_, _>, _>>()?
            .into(),
        other => other.clone(),
    })
}

fn text_filled(text: &str, value: &mut impl FnMut(&str) -> Option<String>) -> Result<String, FillError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, (name, after))) =
        rest.split_once("{{").and_then(|(before, after)| Some((before, after.split_once("}}")?)))
    {
        out.push_str(before);
        out.push_str(&value(name).ok_or_else(|| FillError::NoValue(name.to_owned()))?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_name_gets_one_value_in_the_event_and_its_body() {
        let template = json!({ "path": "/v1/{{id}}/{{id}}", "body": r#"{"password":"{{password}}"}"#, "null": null }).to_string();
        let mut asked = 0;
        let filled = fill(&template, |name| {
            asked += 1;
            Some(if name == "id" { format!("shp_{asked}") } else { "a\"b".to_owned() })
        })
        .unwrap();
        assert_eq!(filled["body"], r#"{"password":"a\"b"}"#);
        assert_eq!(filled["path"], "/v1/shp_1/shp_1");
        assert_eq!(asked, 2);
    }

    #[test]
    fn name_without_a_value_is_reported() {
        assert_eq!(fill(r#"["{{tenant_id}}"]"#, |_| None), Err(FillError::NoValue("tenant_id".into())));
        assert_eq!(fill("{", |_| None), Err(FillError::NotJson));
    }
}
