//! Writes the API's description: OpenAPI 3.1, derived from the types that parse requests and build answers.

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
                "bearer": { "type": "http", "scheme": "bearer", "description": "An access token, as `POST /v1/auth/login` returns it." },
            },
            "parameters": operation::header_parameters(),
            "headers": operation::response_headers(),
        },
    }))
}

const INTRODUCTION: &str = "\
Bodies are JSON in snake_case, and times are RFC 3339 in UTC. Sign in with `POST /v1/auth/login`. Every endpoint that needs a \
token works inside the caller's own tenant and answers 404 for the items of another tenant.\n\n\
Requests for protected health information state their purpose of use. Requests that create an item take an `Idempotency-Key`: a \
request that is sent twice with one key is done once. Updates take `If-Match` with the version that the client has read.\n\n\
Errors are `application/problem+json` (RFC 9457) with a stable `code`. The gateway's own 401 has `WWW-Authenticate: Bearer`. An \
endpoint's 401 has none, because the gateway would rename it to `x-amzn-Remapped-WWW-Authenticate`: branch on status and `code`. \
The gateway refuses requests that are too large (413 from 6 MB, 414, and request line and headers of more than 10,240 bytes) with \
`application/json` and a `message` of its own.";

/// JSON as it is committed: indented, with members sorted by name, independent of the features of linked crates.
pub(crate) fn json_text(value: &Value) -> String {
    format!("{:#}\n", sorted(value))
}

/// Sorts members by name, at every depth.
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
