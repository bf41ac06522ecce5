//! The errors that an endpoint can answer, and their common form.

use common::{
    base::Need,
    request::{AnyEndpoint, Data, IdempotencyKey, IfMatch, Kind, input::InputSchema},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The members of RFC 9457 and Cloister's own.
pub(super) fn schema() -> Value {
    json!({
        "type": "object",
        "description": "An error (RFC 9457). Clients branch on `code`; no member repeats values from the request.",
        "required": ["type", "title", "status", "code", "detail", "correlation_id"],
        "properties": {
            "type": { "type": "string", "format": "uri", "description": "A page about this kind of error" },
            "title": { "type": "string", "description": "The status in words" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "code": { "type": "string", "description": "A stable, machine-readable code" },
            "detail": { "type": "string", "description": "An explanation for people" },
            "correlation_id": { "type": "string", "description": "Identifies this request in logs and in the audit log" },
            "errors": {
                "type": "array",
                "description": "With 422: every invalid field",
                "items": {
                    "type": "object",
                    "required": ["field", "code", "message"],
                    "properties": {
                        "field": { "type": "string", "description": "Dotted path from the body's root; an array's item by its index, such as `networks.3`" },
                        "code": { "type": "string" },
                        "message": { "type": "string" },
                    },
                },
            },
        },
    })
}

/// Codes that only single endpoints answer.
const OWN: &[(&str, u16, &str)] = &[
    ("activate_totp", 403, "invalid_code"),
    ("activate_totp", 429, "second_factor_locked"),
    ("change_password", 401, "invalid_credentials"),
    ("list_shipments", 422, "filter_combination"),
    ("put_ip_allowlist", 422, "would_lock_out"),
    ("search_shipments", 422, "filter_combination"),
    ("ups_webhook", 400, "malformed_push"),
    ("ups_webhook_token", 400, "unsupported_grant_type"),
    ("verify_mfa", 403, "invalid_code"),
    ("verify_mfa", 429, "second_factor_locked"),
];

/// Codes by status. An empty code stands for the codes of the endpoint's domain, which conflicts have.
pub(super) fn codes(endpoint: &AnyEndpoint, input: &InputSchema) -> BTreeMap<u16, Vec<&'static str>> {
    let mut codes: BTreeMap<u16, Vec<&'static str>> = BTreeMap::new();
    let mut can = |status: u16, code: &'static str| codes.entry(status).or_default().push(code);
    let signed_in = endpoint.kind != Kind::Public;
    let writes = endpoint.needs.contains(&Need::Write);
    // A single-valued header was sent twice.
    can(400, "repeated_header");
    can(400, "invalid_idempotency_key");
    can(400, "invalid_if_match");
    can(401, "unauthenticated");
    can(500, "internal");
    can(503, "dependency_unavailable");
    // API Gateway answers this if a function exceeds the integration's timeout.
    can(504, "gateway_timeout");
    if signed_in || endpoint.audited {
        can(429, "rate_limited");
        can(429, "temporarily_blocked");
    }
    if signed_in {
        can(403, "forbidden");
        can(403, "tenant_inactive");
        // The values of `@code` that a guard policy can have.
        for code in ["enrolment_only", "mfa_required", "network_not_allowed", "step_up_required"] {
            can(403, code);
        }
        can(429, "tenant_rate_limited");
    }
    if input.query.is_some() {
        can(400, "repeated_parameter");
    }
    if !signed_in && endpoint.needs.contains(&Need::SignIn) {
        can(401, "invalid_credentials");
        can(403, "sign_in_refused");
        can(403, "tenant_inactive");
    }
    if endpoint.data == Data::Phi {
        can(400, "purpose_of_use_required");
        can(400, "invalid_purpose_of_use");
        can(403, "baa_required");
    }
    if signed_in && endpoint.idempotency != IdempotencyKey::Ignored {
        if endpoint.idempotency == IdempotencyKey::Required {
            can(400, "idempotency_key_required");
        }
        can(422, "idempotency_mismatch");
    }
    if endpoint.has_body {
        can(400, "malformed_json");
        can(413, "payload_too_large");
        can(415, "unsupported_media_type");
    }
    can(422, "validation_failed");
    if !endpoint.reads_body {
        can(422, "unexpected_body");
    }
    if registry::path_parameters(endpoint.route.path).next().is_some() || endpoint.view.is_some() {
        can(404, "not_found");
    }
    if signed_in && writes {
        can(409, "");
    }
    if endpoint.issued_again.is_some() {
        can(409, "already_issued");
    }
    if endpoint.if_match != IfMatch::Ignored {
        can(412, "precondition_failed");
    }
    if endpoint.if_match == IfMatch::Required {
        can(428, "precondition_required");
    }
    for (_, status, code) in OWN.iter().filter(|(name, ..)| *name == endpoint.name) {
        can(*status, code);
    }
    codes
}

/// The responses of an endpoint's errors.
pub(super) fn responses(endpoint: &AnyEndpoint, input: &InputSchema) -> BTreeMap<String, Value> {
    codes(endpoint, input)
        .into_iter()
        .map(|(status, codes)| {
            let problem = json!({ "$ref": "#/components/schemas/Problem" });
            let schema = if codes.contains(&"") {
                problem
            } else {
                json!({ "allOf": [problem, { "properties": { "code": { "enum": codes } } }] })
            };
            let mut headers = json!({ "X-Correlation-Id": { "$ref": "#/components/headers/X-Correlation-Id" } });
            if matches!(status, 429 | 503) {
                headers["Retry-After"] = json!({ "$ref": "#/components/headers/Retry-After" });
            }
            if status == 429 {
                for name in ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"] {
                    headers[name] = json!({ "$ref": format!("#/components/headers/{name}") });
                }
            }
            let response = json!({
                "description": if codes.contains(&"already_issued") { ISSUED } else { description(status) },
                "headers": headers,
                "content": { "application/problem+json": { "schema": schema } },
            });
            (status.to_string(), response)
        })
        .collect()
}

const ISSUED: &str = "Conflict with the current state of the item; or `already_issued`: the secret that this request created was shown once and is not kept";

const fn description(status: u16) -> &'static str {
    match status {
        400 => "The request is malformed",
        401 => "Credentials are missing or invalid",
        403 => "The caller may not do this",
        404 => "The item does not exist, or the caller may not see it",
        409 => "Conflict with the current state of the item",
        412 => "The item has changed since the version in `If-Match`",
        413 => "The body is too large",
        415 => "The body is not JSON",
        422 => "Fields are invalid, the endpoint takes no body, or the idempotency key belongs to another request",
        428 => "`If-Match` is missing",
        429 => "Too many requests",
        503 => "A dependency is unavailable; nothing was changed",
        504 => "Timeout: the change may have been made; repeat with the same idempotency key to find out",
        _ => "Internal error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::base::{Clock, SystemClock, telemetry::CorrelationId};

    #[test]
    fn described_problem_has_the_members_that_are_sent() {
        let error = common::base::Error::invalid("name", "required", "this field is required");
        let problem = serde_json::to_value(error.problem(&CorrelationId::from_header(None, SystemClock.now()))).unwrap();
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
        let schema = schema();
        assert_eq!(names(&problem), names(&schema["properties"]));
        assert_eq!(names(&problem["errors"][0]), names(&schema["properties"]["errors"]["items"]["properties"]));
    }
}
