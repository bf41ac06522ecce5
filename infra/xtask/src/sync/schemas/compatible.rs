//! Whether two JSON Schemas of one event get along: an old and a new one, or a publisher's and a hearer's own view.
//!
//! They are compared by their shapes, without titles and descriptions. Only what our own types' schemas have is understood;
//! of anything else, equal is the only thing that gets along.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What says nothing of a value.
const WORDS: [&str; 7] = ["$schema", "$comment", "title", "description", "examples", "default", "deprecated"];

/// The schema without words. A choice of constants is an enumeration, and a choice of one thing or null is that thing with
/// null among its types.
pub(crate) fn shape(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let mut kept: Map<String, Value> = members
                .iter()
                .filter(|(name, _)| !WORDS.contains(&name.as_str()))
                .map(|(name, value)| {
                    let value = match (name.as_str(), value) {
                        // Names of properties are names, whatever they are.
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

/// Whether messages by either schema can be read by the other, of the same version. A property that need not be there may
/// come along; nothing else may change.
///
/// # Errors
/// What somebody would notice.
pub(crate) fn with(old: &Value, new: &Value) -> Result<(), String> {
    let (old, new) = (shape(old), shape(new));
    let (was, is) = (properties(&old), properties(&new));
    for (name, before) in &was {
        match is.get(name) {
            None => return Err(format!("`{name}` is gone")),
            Some(after) if after != before => return Err(format!("`{name}` is not what it was")),
            Some(_) => {}
        }
    }
    let (needed, needs) = (required(&old), required(&new));
    if let Some(name) = needed.difference(&needs).next() {
        return Err(format!("`{name}` need not be there any more"));
    }
    if let Some(name) = needs.difference(&needed).next() {
        return Err(format!("`{name}` must be there now"));
    }
    let rest = |shape: &Value| {
        let mut rest = shape.as_object().cloned().unwrap_or_default();
        rest.remove("properties");
        rest.remove("required");
        rest
    };
    if rest(&old) != rest(&new) {
        return Err("what holds of it as a whole is not what it was".to_owned());
    }
    // Who reads by the old schema must not mind what has come along.
    if was.len() < is.len() && old["additionalProperties"] == false {
        return Err("it takes no properties that it does not know".to_owned());
    }
    Ok(())
}

/// Whether who has the one schema for its view of an event can read everything by the other.
///
/// # Errors
/// What it could not read.
pub(crate) fn reads(view: &Value, published: &Value) -> Result<(), String> {
    accepts(&shape(view), &shape(published), "it")
}

fn accepts(view: &Value, published: &Value, at: &str) -> Result<(), String> {
    let (told, always) = (properties(published), required(published));
    for name in required(view) {
        if !always.contains(&name) {
            return Err(format!("`{name}` of {at} need not be there"));
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

    /// The committed schema, changed.
    fn changed(change: impl FnOnce(&mut Value)) -> Result<(), String> {
        let mut new = committed();
        change(&mut new);
        with(&committed(), &new)
    }

    #[test]
    fn words_and_what_need_not_be_there_may_come_along() {
        assert_eq!(changed(|_| ()), Ok(()));
        assert_eq!(changed(|new| new["properties"]["id"]["description"] = json!("which one")), Ok(()));
        assert_eq!(changed(|new| new["properties"]["note"] = json!({ "type": "string" })), Ok(()));
    }

    #[test]
    fn what_somebody_would_notice_is_named() {
        let refused = |change: fn(&mut Value), why: &str| assert_eq!(changed(change), Err(why.to_owned()));
        refused(|new| drop(new["properties"].as_object_mut().unwrap().remove("by")), "`by` is gone");
        refused(|new| new["properties"]["id"] = json!({ "type": "integer" }), "`id` is not what it was");
        refused(|new| new["properties"]["status"]["enum"] = json!(["NEW", "OLD", "LOST"]), "`status` is not what it was");
        refused(|new| new["properties"]["status"]["enum"] = json!(["NEW"]), "`status` is not what it was");
        refused(|new| new["properties"]["by"]["type"] = json!("string"), "`by` is not what it was");
        refused(|new| new["required"] = json!(["id"]), "`status` need not be there any more");
        refused(|new| new["required"] = json!(["id", "status", "by"]), "`by` must be there now");
        refused(|new| new["additionalProperties"] = json!(false), "what holds of it as a whole is not what it was");
        refused(
            |new| {
                new["properties"]["note"] = json!({ "type": "string" });
                new["required"] = json!(["id", "status", "note"]);
            },
            "`note` must be there now",
        );
    }

    #[test]
    fn a_schema_that_takes_nothing_else_stays_as_it_is() {
        let mut old = committed();
        old["additionalProperties"] = json!(false);
        let mut new = old.clone();
        new["properties"]["note"] = json!({ "type": "string" });
        assert_eq!(with(&old, &new), Err("it takes no properties that it does not know".to_owned()));
    }

    #[test]
    fn a_view_may_leave_out_and_allow_more() {
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
    fn a_view_that_wants_what_is_not_promised_is_named() {
        let cases = [
            (event(json!({ "by": { "type": ["string", "null"] } }), &["by"]), "`by` of it need not be there"),
            (event(json!({ "note": { "type": "string" } }), &["note"]), "`note` of it need not be there"),
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
    fn one_thing_or_null_is_that_thing_with_null_among_its_types() {
        let either = json!({ "anyOf": [{ "type": "string", "enum": ["B", "A"] }, { "type": "null" }] });
        assert_eq!(shape(&either), shape(&json!({ "type": ["null", "string"], "enum": ["A", "B", null] })));
    }
}
