use serde_json::Value;

use super::unsupported;
use crate::Error;

/// The methods that a path of an OpenAPI document may have.
const METHODS: [&str; 8] = ["delete", "get", "head", "options", "patch", "post", "put", "x-amazon-apigateway-any-method"];

/// Refuses a body that API Gateway would import with a warning if the template sets `FailOnWarnings`: the whole stack would be
/// rolled back.
///
/// Source: AWS, "Errors and warnings from importing your API into API Gateway"; `PutMethodResponse`, whose status code is `[1-5]\d\d`.
pub(super) fn import(name: &str, properties: &Value) -> Result<(), Error> {
    let body = &properties["Body"];
    let schemes = &body["components"]["securitySchemes"];
    for (path, operations) in body["paths"].as_object().into_iter().flatten() {
        for (method, operation) in
            operations.as_object().into_iter().flatten().filter(|(name, _)| METHODS.contains(&name.as_str()))
        {
            let warns = |why: &str| unsupported(name, format!("{method} {path}: {why}"));
            let responses = operation["responses"].as_object().ok_or_else(|| warns("it has no responses"))?;
            if let Some(status) = responses.keys().find(|status| !is_status(status)) {
                return Err(warns(&format!("API Gateway has no response `{status}`")));
            }
            if operation["x-amazon-apigateway-integration"].is_null() {
                return Err(warns("it has no integration"));
            }
            let required = operation["security"].as_array().into_iter().flatten().filter_map(Value::as_object);
            if let Some(scheme) = required.flat_map(|scheme| scheme.keys()).find(|scheme| schemes[scheme.as_str()].is_null()) {
                return Err(warns(&format!("there is no security scheme `{scheme}`")));
            }
        }
    }
    Ok(())
}

fn is_status(text: &str) -> bool {
    text.len() == 3 && text.starts_with(|first| matches!(first, '1'..='5')) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn imported(operation: &Value) -> Result<(), String> {
        let body = json!({
            "paths": { "/v1/x": { "parameters": [], "get": operation } },
            "components": { "securitySchemes": { "authorizer": {} } },
        });
        import("Api", &json!({ "FailOnWarnings": true, "Body": body })).map_err(|error| error.to_string())
    }

    #[test]
    fn body_with_an_import_warning_is_refused() {
        let integration = json!({ "type": "aws_proxy" });
        let good = json!({ "responses": { "200": {} }, "security": [{ "authorizer": [] }], "x-amazon-apigateway-integration": integration });
        assert_eq!(imported(&good), Ok(()));
        for response in ["default", "2XX", "20", "2000", "600", "099", ""] {
            let mut operation = good.clone();
            operation["responses"] = json!({ "200": {}, response: {} });
            let error = imported(&operation).unwrap_err();
            assert!(error.contains(&format!("get /v1/x: API Gateway has no response `{response}`")), "{error}");
        }
        for (member, value) in [
            ("responses", Value::Null),
            ("x-amazon-apigateway-integration", Value::Null),
            ("security", json!([{ "somebody": [] }])),
        ] {
            let mut operation = good.clone();
            operation[member] = value;
            assert!(imported(&operation).is_err(), "{member}");
        }
    }
}
