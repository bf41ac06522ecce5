//! What the gateway answers by itself, here and on AWS: preflights, and refusals of requests that reach no function.

/// One of API Gateway's own answers.
///
/// Source: AWS, "API Gateway response types".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayResponse {
    /// API Gateway's name for it.
    pub response_type: &'static str,
    pub status: u16,
    /// `application/problem+json`, with [`REQUEST_ID`] where the request's id belongs.
    pub body: &'static str,
    /// Headers besides [`GATEWAY_HEADERS`].
    pub headers: &'static [(&'static str, &'static str)],
}

impl GatewayResponse {
    /// The answer of a type that [`GATEWAY_RESPONSES`] has.
    pub fn of(response_type: &str) -> Option<&'static Self> {
        GATEWAY_RESPONSES.iter().find(|response| response.response_type == response_type)
    }
    /// The body of one answer. `request_id` is the gateway's own and needs no escaping.
    pub fn body_for(&self, request_id: &str) -> String {
        self.body.replace(REQUEST_ID, request_id)
    }
}

/// What stands in a body for the request's id: the variable that API Gateway replaces.
pub const REQUEST_ID: &str = "$context.requestId";

macro_rules! problem {
    ($status:literal, $title:literal, $code:literal, $detail:literal) => {
        concat!(
            r#"{"type":"https://cloister.example/problems/"#,
            $code,
            r#"","title":""#,
            $title,
            r#"","status":"#,
            $status,
            r#","code":""#,
            $code,
            r#"","detail":""#,
            $detail,
            r#"","correlation_id":"$context.requestId"}"#
        )
    };
}

const RETRY: &[(&str, &str)] = &[("Retry-After", "1")];

/// Each of the gateway's answers that we word. Types not named here fall back to the two defaults.
pub const GATEWAY_RESPONSES: &[GatewayResponse] = &[
    GatewayResponse {
        response_type: "DEFAULT_4XX",
        status: 400,
        body: problem!(400, "Bad Request", "bad_request", "the request was refused by the gateway"),
        headers: &[],
    },
    GatewayResponse {
        response_type: "DEFAULT_5XX",
        status: 500,
        body: problem!(500, "Internal Server Error", "internal", "internal error"),
        headers: &[],
    },
    GatewayResponse {
        response_type: "UNAUTHORIZED",
        status: 401,
        body: problem!(401, "Unauthorized", "unauthenticated", "credentials are missing or not valid"),
        headers: &[("WWW-Authenticate", "Bearer")],
    },
    // The authorizer could not tell: its keys or its table are out of reach.
    GatewayResponse {
        response_type: "AUTHORIZER_FAILURE",
        status: 503,
        body: problem!(503, "Service Unavailable", "dependency_unavailable", "the credentials could not be checked"),
        headers: RETRY,
    },
    GatewayResponse {
        response_type: "ACCESS_DENIED",
        status: 403,
        body: problem!(403, "Forbidden", "forbidden", "this request is not allowed"),
        headers: &[],
    },
    // API Gateway's word for a route that does not exist.
    GatewayResponse {
        response_type: "MISSING_AUTHENTICATION_TOKEN",
        status: 404,
        body: problem!(404, "Not Found", "not_found", "not found"),
        headers: &[],
    },
    GatewayResponse {
        response_type: "THROTTLED",
        status: 429,
        body: problem!(429, "Too Many Requests", "rate_limited", "too many requests"),
        headers: RETRY,
    },
    GatewayResponse {
        response_type: "REQUEST_TOO_LARGE",
        status: 413,
        body: problem!(413, "Content Too Large", "payload_too_large", "the body is larger than 10485760 bytes"),
        headers: &[],
    },
    GatewayResponse {
        response_type: "WAF_FILTERED",
        status: 403,
        body: problem!(403, "Forbidden", "forbidden", "this request is not allowed"),
        headers: &[],
    },
];

/// Headers of every answer of the gateway's own. Beside them it sends `X-Correlation-Id` with the request's id, and CORS
/// headers.
pub const GATEWAY_HEADERS: &[(&str, &str)] = &[
    ("Content-Type", "application/problem+json"),
    ("Cache-Control", "no-store"),
    ("Strict-Transport-Security", "max-age=63072000; includeSubDomains"),
    ("X-Content-Type-Options", "nosniff"),
    ("Vary", "Origin"),
];

/// What a page of another origin may send: the answer to a preflight.
pub const CORS_ALLOWED_HEADERS: &str = "Authorization,Content-Type,Idempotency-Key,If-Match,X-Correlation-Id,X-Purpose-Of-Use";

/// How long a browser may keep the answer to a preflight.
pub const CORS_MAX_AGE_SECONDS: u32 = 600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_body_says_its_own_status_and_has_room_for_the_requests_id() {
        for response in GATEWAY_RESPONSES {
            assert!(response.body.contains(&format!("\"status\":{},", response.status)), "{response:?}");
            assert!(response.body_for("req-1").contains("\"correlation_id\":\"req-1\""), "{response:?}");
        }
    }

    #[test]
    fn body_too_large_for_the_gateway_is_refused_with_the_gateways_own_limit() {
        let refused = GatewayResponse::of("REQUEST_TOO_LARGE").unwrap();
        // API Gateway's quota for a payload, which no integration can raise.
        assert!(refused.body.contains(&(10 * 1024 * 1024).to_string()));
    }
}
