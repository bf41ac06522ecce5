//! Describes one endpoint in OpenAPI.

use super::problem;
use common::{
    base::Purpose,
    request::{AnyEndpoint, Data, IdempotencyKey, IfMatch, Kind, input::InputSchema},
};
use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const SCHEMAS: &str = "#/components/schemas/";

/// The API's types. Requests and answers are described separately: an optional field of a request may be absent, and one of an
/// answer is null. Where a type's two descriptions differ, the answer's is called `…Output`.
#[derive(Debug)]
pub(super) struct Schemas {
    input: SchemaGenerator,
    output: SchemaGenerator,
    read: Map<String, Value>,
    written: Map<String, Value>,
    operations: Vec<(&'static AnyEndpoint, Value)>,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings =
            || SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into());
        Self {
            input: settings().into_generator(),
            output: settings().for_serialize().into_generator(),
            read: Map::new(),
            written: Map::new(),
            operations: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, endpoint: &'static AnyEndpoint) {
        // An endpoint describes both sides at once; each generator is right about one of them.
        let (input, _) = endpoint.schemas(&mut self.input);
        let (_, output) = endpoint.schemas(&mut self.output);
        let read = input.path.iter().map(|(_, schema)| schema).chain(&input.query).chain(&input.body);
        let named = read.flat_map(|schema| references(schema.as_value())).collect();
        take(&mut self.read, self.input.definitions(), named);
        take(&mut self.written, self.output.definitions(), references(output.as_value()));
        self.operations.push((endpoint, describe(endpoint, &input, &output)));
    }

    /// The operations, and every schema to which they refer.
    pub(super) fn finish(self) -> (Vec<(&'static AnyEndpoint, Value)>, Map<String, Value>) {
        let Self { mut read, written, mut operations, .. } = self;
        let mut apart: BTreeSet<String> = written
            .iter()
            .filter(|(name, schema)| read.get(*name).is_some_and(|other| other != *schema))
            .map(|(name, _)| name.clone())
            .collect();
        // A type that contains such a type differs too, although its own two descriptions are equal.
        loop {
            let more: Vec<_> = written
                .iter()
                .filter(|(name, schema)| {
                    read.contains_key(*name)
                        && !apart.contains(*name)
                        && references(schema).iter().any(|part| apart.contains(part))
                })
                .map(|(name, _)| name.clone())
                .collect();
            if more.is_empty() {
                break;
            }
            apart.extend(more);
        }
        read.values_mut().for_each(say_what_text_is);
        let mut all = read;
        for (name, mut schema) in written {
            rename(&mut schema, &apart);
            all.insert(if apart.contains(&name) { output_name(&name) } else { name }, schema);
        }
        for (_, operation) in &mut operations {
            for part in ["parameters", "requestBody"] {
                if let Some(described) = operation.get_mut(part) {
                    say_what_text_is(described);
                }
            }
            rename(&mut operation["responses"], &apart);
        }
        (operations, all)
    }
}

/// A pattern of every text of a request: it excludes U+0000, U+FFFD and noncharacters (RFC 7493) that have four hex digits.
const TEXT: &str = r"^[^\u0000\ufdd0-\ufdef\ufffd-\uffff]*$";

/// Adds that pattern to each text of a request that has no other constraint.
fn say_what_text_is(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let types = members.get("type").map(|types| types.as_array().map_or_else(|| vec![types], |all| all.iter().collect()));
            let text = types.is_some_and(|types| types.iter().any(|one| *one == "string"));
            if text && !["pattern", "format", "enum", "const"].iter().any(|said| members.contains_key(*said)) {
                members.insert("pattern".to_owned(), json!(TEXT));
            }
            members.values_mut().for_each(say_what_text_is);
        }
        Value::Array(items) => items.iter_mut().for_each(say_what_text_is),
        _ => {}
    }
}

fn output_name(name: &str) -> String {
    format!("{name}Output")
}

fn rename(schema: &mut Value, apart: &BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            for (name, value) in members {
                let target = value.as_str().filter(|_| name == "$ref").and_then(|target| target.strip_prefix(SCHEMAS));
                match target.filter(|target| apart.contains(*target)).map(output_name) {
                    Some(renamed) => *value = Value::String(format!("{SCHEMAS}{renamed}")),
                    None => rename(value, apart),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, apart)),
        _ => {}
    }
}

/// Copies the named schemas and all schemas to which they refer.
fn take(all: &mut Map<String, Value>, from: &Map<String, Value>, mut named: Vec<String>) {
    while let Some(name) = named.pop() {
        if let Some(schema) = from.get(&name).filter(|_| !all.contains_key(&name)) {
            named.extend(references(schema));
            all.insert(name, schema.clone());
        }
    }
}

/// The names of the schemas that a schema refers to.
fn references(schema: &Value) -> Vec<String> {
    match schema {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, value)| match value.as_str().and_then(|target| target.strip_prefix(SCHEMAS)) {
                Some(target) if name == "$ref" => vec![target.to_owned()],
                _ => references(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

fn describe(endpoint: &AnyEndpoint, input: &InputSchema, output: &Schema) -> Value {
    let mut operation = json!({
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "tags": [endpoint.domain],
        "parameters": parameters(endpoint, &input.path, input.query.as_ref()),
        "responses": responses(endpoint, input, output),
    });
    if endpoint.kind == Kind::Public {
        operation["security"] = json!([]);
    }
    if let Some(body) = &input.body {
        let mut content = json!({ "schema": body });
        if let Some(example) = endpoint.sample.body.and_then(|sample| serde_json::from_str::<Value>(sample).ok()) {
            content["example"] = example;
        }
        operation["requestBody"] = json!({ "required": true, "content": { "application/json": content } });
    }
    operation
}

fn parameters(endpoint: &AnyEndpoint, path: &[(&'static str, Schema)], query: Option<&Schema>) -> Vec<Value> {
    let mut parameters: Vec<_> =
        path.iter().map(|(name, schema)| json!({ "name": name, "in": "path", "required": true, "schema": schema })).collect();
    parameters.extend(query.into_iter().flat_map(|schema| query_parameters(endpoint, schema)));
    let named = |name: &str| json!({ "$ref": format!("#/components/parameters/{name}") });
    parameters.push(named("X-Correlation-Id"));
    if endpoint.data == Data::Phi {
        parameters.push(named("X-Purpose-Of-Use"));
    }
    if endpoint.kind != Kind::Public {
        match endpoint.idempotency {
            IdempotencyKey::Required => parameters.push(named("Idempotency-Key")),
            IdempotencyKey::Optional => parameters.push(named("Optional-Idempotency-Key")),
            IdempotencyKey::Ignored => {}
        }
    }
    match endpoint.if_match {
        IfMatch::Required => parameters.push(named("If-Match")),
        IfMatch::Optional => parameters.push(named("Optional-If-Match")),
        IfMatch::Ignored => {}
    }
    parameters
}

/// The members of the query's object, each as its own parameter.
fn query_parameters(endpoint: &AnyEndpoint, schema: &Schema) -> Vec<Value> {
    let schema = schema.as_value();
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let members = schema["properties"].as_object().into_iter().flatten();
    members
        .map(|(name, schema)| {
            let mut schema = without_null(schema);
            let mut parameter = json!({ "name": name, "in": "query", "required": required.contains(&name.as_str()) });
            if let Some(description) = schema.as_object_mut().and_then(|schema| schema.remove("description")) {
                parameter["description"] = description;
            }
            parameter["schema"] = schema;
            if let Some((_, example)) = endpoint.sample.query.iter().find(|(sampled, _)| sampled == name) {
                // A query's values are texts; the example has the parsed type.
                let number = example.parse::<i64>().ok().filter(|_| parameter["schema"]["type"] == "integer");
                parameter["example"] = number.map_or_else(|| json!(example), |number| json!(number));
            }
            parameter
        })
        .collect()
}

/// Removes null from a schema, because a parameter is absent rather than null.
fn without_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(any) = schema.get("anyOf").and_then(Value::as_array).cloned() {
        let some: Vec<_> = any.into_iter().filter(|one| one["type"] != "null").collect();
        if let ([one], Some(members)) = (some.as_slice(), schema.as_object_mut()) {
            members.remove("anyOf");
            for (name, value) in one.as_object().into_iter().flatten() {
                members.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }
    if let Some(types) = schema.get("type").and_then(Value::as_array).cloned()
        && let [one] = types.iter().filter(|one| *one != "null").collect::<Vec<_>>().as_slice()
    {
        schema["type"] = (*one).clone();
    }
    schema
}

fn responses(endpoint: &AnyEndpoint, input: &InputSchema, output: &Schema) -> Value {
    let header = |name: &str| (name.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }));
    let mut headers: Map<String, Value> = Map::from_iter([header("X-Correlation-Id")]);
    if endpoint.kind != Kind::Public || endpoint.audited {
        headers.extend(["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"].map(header));
    }
    if endpoint.status == 201 {
        headers.extend([header("Location")]);
    }
    if endpoint.status == 201 || endpoint.if_match != IfMatch::Ignored || endpoint.view.is_some() && endpoint.status == 200 {
        headers.extend([header("ETag")]);
    }
    if endpoint.kind != Kind::Public && endpoint.idempotency != IdempotencyKey::Ignored {
        headers.extend([header("Idempotency-Replayed")]);
    }
    let mut success = json!({ "description": "Done", "headers": headers });
    if endpoint.status != 204 {
        success["content"] = json!({ "application/json": { "schema": output } });
    }
    let mut all = Map::from_iter(problem::responses(endpoint, input));
    all.insert(endpoint.status.to_string(), success);
    Value::Object(all)
}

pub(super) fn header_parameters() -> Value {
    let key = |required: bool| {
        json!({
            "name": "Idempotency-Key", "in": "header", "required": required,
            "description": "Identifies this request. If it is repeated with the same key within 24 hours, for the same purpose and by a caller with the same permissions, the API returns the first answer and changes nothing again.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
        })
    };
    let if_match = |required: bool| {
        json!({
            "name": "If-Match", "in": "header", "required": required,
            "description": "The version to change, from its `ETag`, or `*` for any version. If the current version is another, the API answers 412.",
            "schema": { "type": "string", "pattern": "^(\\*|0|[1-9][0-9]{0,17}|\"(0|[1-9][0-9]{0,17})\")$" }, "example": "\"1\"",
        })
    };
    json!({
        "Idempotency-Key": key(true),
        "Optional-Idempotency-Key": key(false),
        "If-Match": if_match(true),
        "Optional-If-Match": if_match(false),
        "X-Purpose-Of-Use": {
            "name": "X-Purpose-Of-Use", "in": "header", "required": true,
            "description": "Why the caller needs this protected health information (HL7 v3 PurposeOfUse). ETREAT is refused, because break-glass grants do not exist yet.",
            "schema": { "type": "string", "enum": Purpose::USABLE },
        },
        "X-Correlation-Id": {
            "name": "X-Correlation-Id", "in": "header", "required": false,
            "description": "Links this request to the caller's own records: 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`. If it is absent or has another form, the API generates one.",
            "schema": { "type": "string" },
        },
    })
}

pub(super) fn response_headers() -> Value {
    let header = |description: &str, schema: Value| json!({ "description": description, "schema": schema });
    let count = || json!({ "type": "integer", "minimum": 0 });
    json!({
        "X-Correlation-Id": header("Identifies this request in logs and in the audit log", json!({ "type": "string" })),
        "RateLimit-Limit": header("Size of a full budget. With a token: requests of the caller. Before sign-in: failed requests of the caller's network (successes are free). With 429: the limit that was exceeded.", count()),
        "RateLimit-Remaining": header("Requests left in that budget", count()),
        "RateLimit-Reset": header("Seconds until that budget is full again; at least `Retry-After`", count()),
        "Retry-After": header("Seconds to wait", count()),
        "Location": header("URL of the created item", json!({ "type": "string" })),
        "ETag": header("The version in the answer, for `If-Match`", json!({ "type": "string" })),
        "Idempotency-Replayed": header("`true` if this is the answer of an earlier request with the same key", json!({ "type": "string", "enum": ["true"] })),
    })
}
