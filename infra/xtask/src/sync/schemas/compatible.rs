//! Checks that two JSON Schemas of one event are compatible: an old and a new one, or a publisher's and a consumer's view.
//!
//! It compares shapes, without titles and descriptions. It understands only the constructs of our own types' schemas; any other
//! must be equal.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Keywords that do not constrain a value.
const WORDS: [&str; 7] = ["$schema", "$comment", "title", "description", "examples", "default", "deprecated"];

/// The schema without descriptions. A choice of constants is an enumeration. A choice of one thing or null is that thing with
/// null among its types.
pub(crate) fn shape(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let mut kept: Map<String, Value> = members
                .iter()
                .filter(|(name, _)| !WORDS.contains(&name.as_str()))
                .map(|(name, value)| {
                    let value = match (name.as_str(), value) {
                        // The keys of `properties` are names, not keywords.
                        ("properties", Value::Object(properties)) => {
                            properties.iter().map(|(name, schema)| (name.clone(), shape(schema))).collect()
                        }
                        ("required" | "enum", Value::Array(items)) => sorted(items.clone()),
                        _ => shape(value),
                    };
                    (name.clone(), value)
                })
                .collect();
            constants_as_enumeration(&mut kept);
            null_among_types(&mut kept);
            Value::Object(kept)
        }
        Value::Array(items) => items.iter().map(shape).collect(),
        other => other.clone(),
    }
}

fn sorted(mut items: Vec<Value>) -> Value {
    items.sort_by_key(Value::to_string);
    Value::Array(items)
}

fn constants_as_enumeration(schema: &mut Map<String, Value>) {
    let constants = schema.get("oneOf").and_then(Value::as_array).and_then(|choices| {
        choices
            .iter()
            .map(|choice| choice.get("const").or_else(|| only(choice.get("enum")?)).cloned())
            .collect::<Option<Vec<_>>>()
    });
    if let Some(constants) = constants {
        schema.remove("oneOf");
        schema.insert("enum".to_owned(), sorted(constants));
        schema.entry("type").or_insert_with(|| json!("string"));
    }
}

fn only(list: &Value) -> Option<&Value> {
    match list.as_array()?.as_slice() {
        [one] => Some(one),
        _ => None,
    }
}

fn null_among_types(schema: &mut Map<String, Value>) {
    let null = json!({ "type": "null" });
    let choices = schema.get("anyOf").and_then(Value::as_array).cloned().unwrap_or_default();
    if let [Value::Object(thing), other] = choices.as_slice()
        && *other == null
        && schema.len() == 1
    {
        *schema = thing.clone();
        let types = types(schema.get("type")).into_iter().chain(["null".to_owned()]);
        schema.insert("type".to_owned(), types.map(Value::String).collect());
        if let Some(Value::Array(values)) = schema.get_mut("enum") {
            values.push(Value::Null);
        }
    }
    if let Some(kind) = schema.get("type") {
        let types: Vec<Value> = types(Some(kind)).into_iter().map(Value::String).collect();
        let kind = if let [one] = types.as_slice() { one.clone() } else { Value::Array(types) };
        schema.insert("type".to_owned(), kind);
    }
    if let Some(Value::Array(values)) = schema.get("enum").cloned() {
        schema.insert("enum".to_owned(), sorted(values));
    }
}

fn types(kind: Option<&Value>) -> BTreeSet<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match kind {
        Some(Value::Array(items)) => items.iter().filter_map(text).collect(),
        Some(one) => text(one).into_iter().collect(),
        None => BTreeSet::new(),
    }
}

fn properties(shape: &Value) -> Map<String, Value> {
    shape["properties"].as_object().cloned().unwrap_or_default()
}

fn required(shape: &Value) -> BTreeSet<String> {
    shape["required"].as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// Whether a reader of one schema understands messages of the other, within one version. An optional property may be added;
/// nothing else may change.
///
/// # Errors
/// Names the incompatible change.
pub(crate) fn with(old: &Value, new: &Value) -> Result<(), String> {
    let (old, new) = (shape(old), shape(new));
    let (was, is) = (properties(&old), properties(&new));
    for (name, before) in &was {
        match is.get(name) {
            None => return Err(format!("`{name}` is gone")),
            Some(after) if after != before => return Err(format!("`{name}` has changed")),
            Some(_) => {}
        }
    }
    let (needed, needs) = (required(&old), required(&new));
    if let Some(name) = needed.difference(&needs).next() {
        return Err(format!("`{name}` is no longer required"));
    }
    if let Some(name) = needs.difference(&needed).next() {
        return Err(format!("`{name}` is now required"));
    }
    let rest = |shape: &Value| {
        let mut rest = shape.as_object().cloned().unwrap_or_default();
        rest.remove("properties");
        rest.remove("required");
        rest
    };
    if rest(&old) != rest(&new) {
        return Err("a rule of the whole object has changed".to_owned());
    }
    // Readers of the old schema must ignore unknown properties.
    if was.len() < is.len() && old["additionalProperties"] == false {
        return Err("it allows no additional properties".to_owned());
    }
    Ok(())
}

/// Whether a consumer with this view of an event understands every message of the published schema.
///
/// # Errors
/// Names the part that it could not read.
pub(crate) fn reads(view: &Value, published: &Value) -> Result<(), String> {
    accepts(&shape(view), &shape(published), "it")
}

fn accepts(view: &Value, published: &Value, at: &str) -> Result<(), String> {
    let (told, always) = (properties(published), required(published));
    for name in required(view) {
        if !always.contains(&name) {
            return Err(format!("`{name}` of {at} is optional"));
        }
    }
    for (name, wanted) in properties(view) {
        if let Some(given) = told.get(&name) {
            accepts(&wanted, given, &format!("`{name}`"))?;
        }
    }
    for (rule, wanted) in view.as_object().into_iter().flatten() {
        let given = &published[rule];
        let fits = match rule.as_str() {
            "properties" | "required" => true,
            "type" => {
                let (wanted, given) = (types(Some(wanted)), types(Some(given)));
                !given.is_empty() && given.is_subset(&wanted)
            }
            "enum" => {
                given.as_array().zip(wanted.as_array()).is_some_and(|(given, wanted)| given.iter().all(|v| wanted.contains(v)))
            }
            "items" => {
                accepts(wanted, given, &format!("the items of {at}"))?;
                true
            }
            "additionalProperties" if *wanted == false => told.keys().all(|name| properties(view).contains_key(name)),
            _ => given == wanted,
        };
        if !fits {
            return Err(format!("{rule} of {at} does not fit"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(properties: Value, required: &[&str]) -> Value {
        json!({ "title": "made up", "type": "object", "properties": properties, "required": required })
    }

    fn committed() -> Value {
        event(
            json!({
                "id": { "type": "string", "pattern": "^shp_" },
                "status": { "type": "string", "enum": ["NEW", "OLD"] },
                "by": { "type": ["string", "null"] },
            }),
            &["id", "status"],
        )
    }

    /// The committed schema, with a change.
    fn changed(change: impl FnOnce(&mut Value)) -> Result<(), String> {
        let mut new = committed();
        change(&mut new);
        with(&committed(), &new)
    }

    #[test]
    fn descriptions_and_optional_properties_may_be_added() {
        assert_eq!(changed(|_| ()), Ok(()));
        assert_eq!(changed(|new| new["properties"]["id"]["description"] = json!("which one")), Ok(()));
        assert_eq!(changed(|new| new["properties"]["note"] = json!({ "type": "string" })), Ok(()));
    }

    #[test]
    fn incompatible_change_is_named() {
        let refused = |change: fn(&mut Value), why: &str| assert_eq!(changed(change), Err(why.to_owned()));
        refused(|new| drop(new["properties"].as_object_mut().unwrap().remove("by")), "`by` is gone");
        refused(|new| new["properties"]["id"] = json!({ "type": "integer" }), "`id` has changed");
        refused(|new| new["properties"]["status"]["enum"] = json!(["NEW", "OLD", "LOST"]), "`status` has changed");
        refused(|new| new["properties"]["status"]["enum"] = json!(["NEW"]), "`status` has changed");
        refused(|new| new["properties"]["by"]["type"] = json!("string"), "`by` has changed");
        refused(|new| new["required"] = json!(["id"]), "`status` is no longer required");
        refused(|new| new["required"] = json!(["id", "status", "by"]), "`by` is now required");
        refused(|new| new["additionalProperties"] = json!(false), "a rule of the whole object has changed");
        refused(
            |new| {
                new["properties"]["note"] = json!({ "type": "string" });
                new["required"] = json!(["id", "status", "note"]);
            },
            "`note` is now required",
        );
    }

    #[test]
    fn schema_without_additional_properties_cannot_change() {
        let mut old = committed();
        old["additionalProperties"] = json!(false);
        let mut new = old.clone();
        new["properties"]["note"] = json!({ "type": "string" });
        assert_eq!(with(&old, &new), Err("it allows no additional properties".to_owned()));
    }

    #[test]
    fn view_may_leave_properties_out_and_allow_more_values() {
        let views = [
            event(json!({ "id": { "type": "string" } }), &["id"]),
            event(json!({ "status": { "type": "string", "enum": ["NEW", "OLD", "LOST"] } }), &["status"]),
            event(json!({ "status": { "type": ["string", "null"] }, "unheard_of": { "type": "string" } }), &[]),
            event(json!({ "status": { "oneOf": [{ "const": "OLD", "description": "old" }, { "const": "NEW" }] } }), &["status"]),
        ];
        for view in views {
            assert_eq!(reads(&view, &committed()), Ok(()), "{view}");
        }
    }

    #[test]
    fn view_that_requires_more_than_is_published_is_named() {
        let cases = [
            (event(json!({ "by": { "type": ["string", "null"] } }), &["by"]), "`by` of it is optional"),
            (event(json!({ "note": { "type": "string" } }), &["note"]), "`note` of it is optional"),
            (event(json!({ "id": { "type": "integer" } }), &["id"]), "type of `id` does not fit"),
            (event(json!({ "by": { "type": "string" } }), &[]), "type of `by` does not fit"),
            (event(json!({ "id": { "type": "string", "pattern": "^usr_" } }), &["id"]), "pattern of `id` does not fit"),
            (event(json!({ "status": { "type": "string", "enum": ["NEW"] } }), &["status"]), "enum of `status` does not fit"),
        ];
        for (view, why) in cases {
            assert_eq!(reads(&view, &committed()), Err(why.to_owned()), "{view}");
        }
    }

    #[test]
    fn choice_of_a_type_or_null_equals_a_nullable_type() {
        let either = json!({ "anyOf": [{ "type": "string", "enum": ["B", "A"] }, { "type": "null" }] });
        assert_eq!(shape(&either), shape(&json!({ "type": ["null", "string"], "enum": ["A", "B", null] })));
    }
}
