//! The error answers of each service for a refused call.

/// An answer in a service's own protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceAnswer {
    pub status: u16,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: String,
}

/// The answer to a refused call.
pub(crate) fn denied(service: &str, message: &str) -> ServiceAnswer {
    says(service, "AccessDeniedException", "AccessDenied", message)
}

/// The answer to a call of an unknown signer.
pub(crate) fn unknown_signer(service: &str) -> ServiceAnswer {
    says(service, "UnrecognizedClientException", "InvalidClientTokenId", "The security token included in the request is invalid.")
}

fn says(service: &str, json_code: &'static str, xml_code: &'static str, message: &str) -> ServiceAnswer {
    let xml = || message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    match service {
        "s3" => ServiceAnswer {
            status: 403,
            headers: vec![("content-type", "application/xml")],
            body: format!("<Error><Code>{xml_code}</Code><Message>{}</Message></Error>", xml()),
        },
        "sts" | "sns" => ServiceAnswer {
            status: 403,
            headers: vec![("content-type", "text/xml")],
            body: format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{xml_code}</Code><Message>{}</Message></Error></ErrorResponse>",
                xml()
            ),
        },
        "ses" | "execute-api" => ServiceAnswer {
            status: 403,
            headers: vec![("content-type", "application/json"), ("x-amzn-errortype", json_code)],
            body: serde_json::json!({ "message": message }).to_string(),
        },
        "sqs" => ServiceAnswer {
            status: 403,
            headers: vec![("content-type", "application/x-amz-json-1.0"), ("x-amzn-query-error", "AccessDenied;Sender")],
            body: serde_json::json!({ "__type": format!("com.amazon.coral.service#{json_code}"), "message": message })
                .to_string(),
        },
        _ => ServiceAnswer {
            status: 400,
            headers: vec![("content-type", "application/x-amz-json-1.1")],
            body: serde_json::json!({ "__type": json_code, "Message": message }).to_string(),
        },
    }
}
