//! Walks the schemas of an endpoint's input and output.

use common::request::AnyEndpoint;
use emulators::apigateway::GatewayRequest;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// A value of each of JSON Schema's types.
pub const OF_EACH_TYPE: [(&str, &str); 7] = [
    ("null", "null"),
    ("boolean", "true"),
    ("integer", "7"),
    ("number", "7.5"),
    ("string", "\"text\""),
    ("array", "[]"),
    ("object", "{}"),
];

/// The schemas of one endpoint, and the definitions that they refer to.
#[derive(Debug)]
pub struct Schemas {
    pub path: Vec<(&'static str, Value)>,
    pub query: Option<Value>,
    pub body: Option<Value>,
    pub output: Value,
    defs: Map<String, Value>,
}

/// A value in a body: its dotted path, its schema, and whether its object lists it as required.
#[derive(Clone, Debug)]
pub struct Place {
    pub path: String,
    pub schema: Value,
    pub required: bool,
}

impl Schemas {
    pub fn of(endpoint: &AnyEndpoint) -> Self {
        let mut read = SchemaGenerator::default();
        let (input, _) = endpoint.schemas(&mut read);
        let mut written = SchemaSettings::draft2020_12().for_serialize().into_generator();
        let (_, output) = endpoint.schemas(&mut written);
        let mut defs = read.take_definitions(true);
        // If a type's definitions differ, the input's is used. For outputs the tests look at marks only, which do not differ.
        for (name, schema) in written.take_definitions(true) {
            defs.entry(name).or_insert(schema);
        }
        Self {
            path: input.path.into_iter().map(|(name, schema)| (name, json!(schema))).collect(),
            query: input.query.map(|schema| json!(schema)),
            body: input.body.map(|schema| json!(schema)),
            output: json!(output),
            defs,
        }
    }

    /// Follows a schema's references.
    pub fn resolved<'a>(&'a self, mut schema: &'a Value) -> &'a Value {
        while let Some(name) = schema["$ref"].as_str() {
            schema = &self.defs[name.rsplit('/').next().unwrap_or_default()];
        }
        schema
    }

    /// The alternatives that a schema is made of.
    pub fn alternatives<'a>(&'a self, schema: &'a Value) -> Vec<&'a Value> {
        let schema = self.resolved(schema);
        match schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
            Some(any) => any.iter().flat_map(|one| self.alternatives(one)).collect(),
            None => vec![schema],
        }
    }

    /// The types that a schema allows.
    pub fn types(&self, schema: &Value) -> BTreeSet<String> {
        let of = |schema: &Value| match &schema["type"] {
            Value::String(one) => vec![one.clone()],
            Value::Array(types) => types.iter().filter_map(|t| t.as_str().map(str::to_owned)).collect(),
            // A constant, or an enum: all of ours are strings.
            _ if schema.get("const").is_some() || schema.get("enum").is_some() => vec!["string".to_owned()],
            _ => OF_EACH_TYPE.iter().map(|(name, _)| (*name).to_owned()).collect(),
        };
        let mut types: BTreeSet<_> = self.alternatives(schema).into_iter().flat_map(of).collect();
        if types.contains("number") {
            types.insert("integer".to_owned());
        }
        types
    }

    /// Every value that a schema describes, outer ones first.
    pub fn places(&self, schema: &Value) -> Vec<Place> {
        let mut found = Vec::new();
        self.walk(schema, "", &mut found);
        found
    }

    fn walk(&self, schema: &Value, at: &str, found: &mut Vec<Place>) {
        let join = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
        let mut put = |path: String, schema: &Value, required: bool| {
            found.push(Place { path: path.clone(), schema: schema.clone(), required });
            self.walk(schema, &path, found);
        };
        for one in self.alternatives(schema) {
            let required: Vec<_> = one["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            for (name, member) in one["properties"].as_object().into_iter().flatten() {
                put(join(name), member, required.contains(&name.as_str()));
            }
            if one["items"].is_object() {
                put(join("0"), &one["items"], false);
            }
            if one["additionalProperties"].is_object() {
                let names = self.resolved(&one["propertyNames"]);
                put(join(names["enum"][0].as_str().unwrap_or("name")), &one["additionalProperties"], false);
            }
        }
    }
}

/// `body` with `value` at a dotted path.
pub fn with(mut body: Value, path: &str, value: Value) -> Value {
    let mut at = &mut body;
    for part in path.split('.') {
        at = match part.parse::<usize>() {
            Ok(index) => {
                if !at.is_array() {
                    *at = json!([]);
                }
                let items = at.as_array_mut().expect("an array");
                items.resize(items.len().max(index + 1), Value::Null);
                &mut items[index]
            }
            Err(_) => {
                if !at.is_object() {
                    *at = json!({});
                }
                &mut at[part]
            }
        };
    }
    *at = value;
    body
}

/// Reads a body and a query as the endpoint's input, with a valid path.
pub fn read(endpoint: &AnyEndpoint, schemas: &Schemas, body: Option<&[u8]>, query: &[(&str, &str)]) -> common::base::Result<()> {
    let name = |schema: &Value| match (schema["pattern"].as_str(), schemas.alternatives(schema)[0]) {
        (Some(pattern), _) if pattern.contains("_[") => {
            format!("{}_019b76da100070008000000000000001", &pattern[1..pattern.find("_[").unwrap_or(1)])
        }
        (_, one) => one["const"].as_str().or(one["enum"][0].as_str()).unwrap_or("0").to_owned(),
    };
    let request = GatewayRequest {
        method: endpoint.route.method.as_str().to_owned(),
        resource: endpoint.route.path.to_owned(),
        path_parameters: schemas.path.iter().map(|(of, schema)| ((*of).to_owned(), name(schema))).collect(),
        query: query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
        body: body.map(<[u8]>::to_vec),
        ..GatewayRequest::default()
    };
    endpoint.read(serde_json::from_value(request.proxy_event()).expect("a proxy event"))
}
