//! A payload that fits its schema, with `{{name}}` where an id belongs.

use serde_json::{Map, Value, json};

/// The live value for ids with each prefix.
const IDS: [(&str, &str); 5] =
    [("ten_", "tenant_id"), ("usr_", "user_id"), ("ses_", "session_id"), ("shp_", "shipment_id"), ("evt_", "event_id")];

pub(super) fn of(schema: &Value) -> Value {
    value("", schema)
}

fn value(name: &str, schema: &Value) -> Value {
    if let Some(fixed) = schema.get("const").or_else(|| schema["enum"].get(0)) {
        return fixed.clone();
    }
    if let Some(choice) = schema["oneOf"].get(0).or_else(|| schema["anyOf"].get(0)) {
        return value(name, choice);
    }
    // For a type or null, the type.
    let kind = schema["type"].as_str().or_else(|| schema["type"].get(0)?.as_str()).unwrap_or_default();
    match kind {
        "object" => {
            let members = schema["properties"].as_object().into_iter().flatten();
            Value::Object(members.map(|(name, schema)| (name.clone(), value(name, schema))).collect::<Map<_, _>>())
        }
        "array" => json!([value(name, &schema["items"])]),
        "integer" | "number" => json!(schema["minimum"].as_i64().unwrap_or_default().max(1)),
        "boolean" => json!(false),
        "string" => text(name, schema).into(),
        _ => Value::Null,
    }
}

fn text(name: &str, schema: &Value) -> String {
    if schema["format"] == "date-time" {
        return "{{now}}".to_owned();
    }
    let begins = schema["pattern"].as_str().unwrap_or_default().trim_start_matches('^');
    match IDS.iter().find(|(prefix, live)| begins.starts_with(prefix) || name == *live) {
        Some((_, live)) => format!("{{{{{live}}}}}"),
        None => "synthetic".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_live_and_other_values_are_synthetic() {
        let schema = json!({
            "type": "object",
            "properties": {
                "shipment_id": { "type": "string", "pattern": "^shp_[0-9a-f]{32}$" },
                "by": { "type": ["string", "null"], "pattern": "^usr_[0-9a-f]{32}$" },
                "status": { "anyOf": [{ "oneOf": [{ "const": "A" }, { "const": "B" }] }, { "type": "null" }] },
                "at": { "type": "string", "format": "date-time" },
                "changed": { "type": "array", "items": { "type": "string" } },
                "version": { "type": "integer", "minimum": 0 },
            },
        });
        let expected = json!({
            "shipment_id": "{{shipment_id}}", "by": "{{user_id}}", "status": "A", "at": "{{now}}", "changed": ["synthetic"],
            "version": 1,
        });
        assert_eq!(of(&schema), expected);
    }
}
