//! The API's description: OpenAPI 3.1, from the types that parse requests and make answers.

mod operation;
mod problem;

use crate::Outcome;
use operation::Schemas;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// Print the API's description, as docs/openapi.json should be
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: Args) -> Outcome {
    print!("{}", document());
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn document() -> String {
    let mut schemas = Schemas::new();
    registry::all().for_each(|endpoint| schemas.add(endpoint));
    let (operations, mut components) = schemas.finish();
    let mut paths: Map<String, Value> = Map::new();
    for (endpoint, operation) in operations {
        let path = paths.entry(endpoint.route.path).or_insert_with(|| json!({}));
        path[endpoint.route.method.as_str().to_lowercase()] = operation;
    }
    components.insert("Problem".to_owned(), problem::schema());
    let tags: Vec<_> =
        registry::DOMAINS.iter().map(|domain| json!({ "name": domain.name, "description": domain.summary })).collect();
    json_text(&json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Cloister",
            "summary": "A multi-tenant telehealth backend",
            "description": INTRODUCTION,
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The host that serves this description" }],
        "security": [{ "bearer": [] }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "An access token, as `POST /v1/auth/login` hands it out." },
            },
            "parameters": operation::header_parameters(),
            "headers": operation::response_headers(),
        },
    }))
}

const INTRODUCTION: &str = "\
Bodies are JSON in snake_case, and times are RFC 3339 in UTC. Sign in with `POST /v1/auth/login`; everything behind it works \
inside the caller's own tenant, and what belongs to another is not found.\n\n\
What touches protected health information takes its purpose of use. What creates takes an `Idempotency-Key`: a request sent \
twice under one key is done once. Updates take `If-Match` with the version that was read.\n\n\
Errors are `application/problem+json` (RFC 9457) with a stable `code`. The gateway's own 401 has `WWW-Authenticate: Bearer`; an \
endpoint's 401 has none, since the gateway would hand it on as `x-amzn-Remapped-WWW-Authenticate`: branch on status and `code`. \
What the gateway refuses by its size (413 from 6 MB, 414, and request line and headers of more than 10,240 bytes) is \
`application/json` with a `message` of the gateway's own.";

/// JSON as it is committed: indented, with members in the order of their names, whatever else is linked in.
pub(crate) fn json_text(value: &Value) -> String {
    format!("{:#}\n", sorted(value))
}

/// Members in the order of their names, all the way down.
pub(crate) fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut names: Vec<_> = members.keys().collect();
            names.sort();
            names.into_iter().map(|name| (name.clone(), sorted(&members[name]))).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
