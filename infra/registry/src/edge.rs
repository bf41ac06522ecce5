//! The gateway's own answers, here and on AWS: preflights, and refusals of requests that reach no function.

/// One of API Gateway's own answers.
///
/// Source: AWS, "API Gateway response types".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayResponse {
    /// API Gateway's name for it.
    pub response_type: &'static str,
    /// `None` keeps API Gateway's status for the error. A status of a default applies to every type that falls back to it.
    pub status: Option<u16>,
    /// `application/problem+json`, with [`REQUEST_ID`] in place of the request's id. It repeats `status`, if there is one.
    pub body: &'static str,
    /// Headers besides [`GATEWAY_HEADERS`].
    pub headers: &'static [(&'static str, &'static str)],
}

impl GatewayResponse {
    /// The answer of a type in [`GATEWAY_RESPONSES`].
    pub fn of(response_type: &str) -> Option<&'static Self> {
        GATEWAY_RESPONSES.iter().find(|response| response.response_type == response_type)
    }
    /// The body of one answer. `request_id` is the gateway's own and needs no escaping.
    pub fn body_for(&self, request_id: &str) -> String {
        self.body.replace(REQUEST_ID, request_id)
    }
}

/// The placeholder of the request's id: a variable that API Gateway replaces.
pub const REQUEST_ID: &str = "$context.requestId";

macro_rules! problem {
    (@ $title:literal, $code:literal, $detail:literal, $($status:literal),*) => {
        concat!(
            r#"{"type":"https://cloister.example/problems/"#,
            $code,
            r#"","title":""#,
            $title,
            r#"""#,
            $($status,)*
            r#","code":""#,
            $code,
            r#"","detail":""#,
            $detail,
            r#"","correlation_id":"$context.requestId"}"#
        )
    };
    ($status:literal, $title:literal, $code:literal, $detail:literal) => {
        problem!(@ $title, $code, $detail, r#","status":"#, $status)
    };
    // Without `status`: a default applies to several statuses, and API Gateway has no variable for the status in a body.
    ($title:literal, $code:literal, $detail:literal) => {
        problem!(@ $title, $code, $detail,)
    };
}

const RETRY: &[(&str, &str)] = &[("Retry-After", "1")];

/// The gateway's answers: an entry for every type, so that each body contains its own status.
pub const GATEWAY_RESPONSES: &[GatewayResponse] = &[
    GatewayResponse {
        response_type: "DEFAULT_4XX",
        status: None,
        body: problem!("Client Error", "bad_request", "the request was refused by the gateway"),
        headers: &[],
    },
    // This makes a failed function, or an invalid answer of one, a 502.
    GatewayResponse {
        response_type: "DEFAULT_5XX",
        status: None,
        body: problem!("Server Error", "internal", "internal error"),
        headers: &[],
    },
    GatewayResponse {
        response_type: "UNAUTHORIZED",
        status: Some(401),
        body: problem!(401, "Unauthorized", "unauthenticated", "credentials are missing or not valid"),
        headers: &[("WWW-Authenticate", "Bearer")],
    },
    // The authorizer could not decide, because its keys or its table are unavailable.
    GatewayResponse {
        response_type: "AUTHORIZER_FAILURE",
        status: Some(503),
        body: problem!(503, "Service Unavailable", "dependency_unavailable", "the credentials could not be checked"),
        headers: RETRY,
    },
    GatewayResponse {
        response_type: "AUTHORIZER_CONFIGURATION_ERROR",
        status: Some(500),
        body: problem!(500, "Internal Server Error", "internal", "internal error"),
        headers: &[],
    },
    GatewayResponse {
        response_type: "API_CONFIGURATION_ERROR",
        status: Some(500),
        body: problem!(500, "Internal Server Error", "internal", "internal error"),
        headers: &[],
    },
    GatewayResponse {
        response_type: "INTEGRATION_FAILURE",
        status: Some(504),
        body: problem!(504, "Gateway Timeout", "gateway_timeout", "the function gave no answer: it may have done what was asked"),
        headers: &[],
    },
    GatewayResponse {
        response_type: "INTEGRATION_TIMEOUT",
        status: Some(504),
        body: problem!(
            504,
            "Gateway Timeout",
            "gateway_timeout",
            "the function gave no answer in time: it may have done what was asked"
        ),
        headers: &[],
    },
    GatewayResponse {
        response_type: "ACCESS_DENIED",
        status: Some(403),
        body: problem!(403, "Forbidden", "forbidden", "this request is not allowed"),
        headers: &[],
    },
    GatewayResponse {
        response_type: "EXPIRED_TOKEN",
        status: Some(403),
        body: problem!(403, "Forbidden", "forbidden", "this request is not allowed"),
        headers: &[],
    },
    GatewayResponse {
        response_type: "INVALID_API_KEY",
        status: Some(403),
        body: problem!(403, "Forbidden", "forbidden", "this request is not allowed"),
        headers: &[],
    },
    GatewayResponse {
        response_type: "INVALID_SIGNATURE",
        status: Some(403),
        body: problem!(403, "Forbidden", "forbidden", "this request is not allowed"),
        headers: &[],
    },
    // API Gateway's type for a route that does not exist.
    GatewayResponse {
        response_type: "MISSING_AUTHENTICATION_TOKEN",
        status: Some(404),
        body: problem!(404, "Not Found", "not_found", "not found"),
        headers: &[],
    },
    GatewayResponse {
        response_type: "RESOURCE_NOT_FOUND",
        status: Some(404),
        body: problem!(404, "Not Found", "not_found", "not found"),
        headers: &[],
    },
    GatewayResponse {
        response_type: "BAD_REQUEST_BODY",
        status: Some(400),
        body: problem!(400, "Bad Request", "bad_request", "the request was refused by the gateway"),
        headers: &[],
    },
    GatewayResponse {
        response_type: "BAD_REQUEST_PARAMETERS",
        status: Some(400),
        body: problem!(400, "Bad Request", "bad_request", "the request was refused by the gateway"),
        headers: &[],
    },
    GatewayResponse {
        response_type: "UNSUPPORTED_MEDIA_TYPE",
        status: Some(415),
        body: problem!(415, "Unsupported Media Type", "unsupported_media_type", "the body must be `application/json`"),
        headers: &[],
    },
    GatewayResponse {
        response_type: "THROTTLED",
        status: Some(429),
        body: problem!(429, "Too Many Requests", "rate_limited", "too many requests"),
        headers: RETRY,
    },
    GatewayResponse {
        response_type: "QUOTA_EXCEEDED",
        status: Some(429),
        body: problem!(429, "Too Many Requests", "rate_limited", "too many requests"),
        headers: RETRY,
    },
    GatewayResponse {
        response_type: "REQUEST_TOO_LARGE",
        status: Some(413),
        body: problem!(413, "Content Too Large", "payload_too_large", "the body is larger than 10485760 bytes"),
        headers: &[],
    },
    GatewayResponse {
        response_type: "WAF_FILTERED",
        status: Some(403),
        body: problem!(403, "Forbidden", "forbidden", "this request is not allowed"),
        headers: &[],
    },
];

/// Headers of all the gateway's own answers. The gateway also sends `X-Correlation-Id` with the request's id, and CORS headers.
pub const GATEWAY_HEADERS: &[(&str, &str)] = &[
    ("Content-Type", "application/problem+json"),
    ("Cache-Control", "no-store"),
    ("Strict-Transport-Security", "max-age=63072000; includeSubDomains"),
    ("X-Content-Type-Options", "nosniff"),
    ("Vary", "Origin"),
];

/// The methods and headers that a page of another origin may send, as a preflight answers.
pub const CORS_ALLOWED_HEADERS: &str = "Authorization,Content-Type,Idempotency-Key,If-Match,X-Correlation-Id,X-Purpose-Of-Use";

/// How long a browser may cache the answer to a preflight.
pub const CORS_MAX_AGE_SECONDS: u32 = 600;

#[cfg(test)]
mod tests {
    use super::*;

    /// AWS, "Gateway response types for API Gateway": each type and its default status code; null for the two defaults.
    const OF_AWS: &[(&str, Option<u16>)] = &[
        ("ACCESS_DENIED", Some(403)),
        ("API_CONFIGURATION_ERROR", Some(500)),
        ("AUTHORIZER_CONFIGURATION_ERROR", Some(500)),
        ("AUTHORIZER_FAILURE", Some(500)),
        ("BAD_REQUEST_BODY", Some(400)),
        ("BAD_REQUEST_PARAMETERS", Some(400)),
        ("DEFAULT_4XX", None),
        ("DEFAULT_5XX", None),
        ("EXPIRED_TOKEN", Some(403)),
        ("INTEGRATION_FAILURE", Some(504)),
        ("INTEGRATION_TIMEOUT", Some(504)),
        ("INVALID_API_KEY", Some(403)),
        ("INVALID_SIGNATURE", Some(403)),
        ("MISSING_AUTHENTICATION_TOKEN", Some(403)),
        ("QUOTA_EXCEEDED", Some(429)),
        ("REQUEST_TOO_LARGE", Some(413)),
        ("RESOURCE_NOT_FOUND", Some(404)),
        ("THROTTLED", Some(429)),
        ("UNAUTHORIZED", Some(401)),
        ("UNSUPPORTED_MEDIA_TYPE", Some(415)),
        ("WAF_FILTERED", Some(403)),
    ];

    /// A route that does not exist is 404, and an authorizer that cannot decide is 503, so that clients retry.
    const OURS: [(&str, Option<u16>); 2] = [("AUTHORIZER_FAILURE", Some(503)), ("MISSING_AUTHENTICATION_TOKEN", Some(404))];

    #[test]
    fn all_but_two_gateway_responses_keep_awss_status() {
        let mut found: Vec<_> = GATEWAY_RESPONSES.iter().map(|r| (r.response_type, r.status)).collect();
        found.sort_unstable();
        let ours = |&(name, status): &(&'static str, Option<u16>)| {
            OURS.iter().find(|(own, _)| *own == name).copied().unwrap_or((name, status))
        };
        assert_eq!(found, OF_AWS.iter().map(ours).collect::<Vec<_>>());
    }

    #[test]
    fn every_body_has_its_own_status_and_the_requests_id() {
        for response in GATEWAY_RESPONSES {
            let stated = response.status.map(|status| format!("\"status\":{status},"));
            match stated {
                Some(stated) => assert!(response.body.contains(&stated), "{response:?}"),
                None => assert!(!response.body.contains("\"status\""), "{response:?}"),
            }
            assert!(response.body_for("req-1").contains("\"correlation_id\":\"req-1\""), "{response:?}");
        }
    }

    #[test]
    fn refusal_of_a_large_body_names_the_gateways_limit() {
        let refused = GatewayResponse::of("REQUEST_TOO_LARGE").unwrap();
        // API Gateway's quota for a payload, which no integration can raise.
        assert!(refused.body.contains(&(10 * 1024 * 1024).to_string()));
    }
}
