//! The error answers of each service for a refused call.

/// An answer in a service's own protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: String,
}

/// The answer to a refused call.
pub(crate) fn denied(service: &str, message: &str) -> Answer {
    says(service, "AccessDeniedException", "AccessDenied", message)
}

/// The answer to a call of an unknown signer.
pub(crate) fn unknown_signer(service: &str) -> Answer {
    says(service, "UnrecognizedClientException", "InvalidClientTokenId", "The security token included in the request is invalid.")
}

fn says(service: &str, json_code: &'static str, xml_code: &'static str, message: &str) -> Answer {
    let xml = || message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    match service {
        "s3" => Answer {
            status: 403,
            headers: vec![("content-type", "application/xml")],
            body: format!("<Error><Code>{xml_code}</Code><Message>{}</Message></Error>", xml()),
        },
        "sts" | "sns" => Answer {
            status: 403,
            headers: vec![("content-type", "text/xml")],
            body: format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{xml_code}</Code><Message>{}</Message></Error></ErrorResponse>",
                xml()
            ),
        },
        "ses" | "execute-api" => Answer {
            status: 403,
            headers: vec![("content-type", "application/json"), ("x-amzn-errortype", json_code)],
            body: serde_json::json!({ "message": message }).to_string(),
        },
        "sqs" => Answer {
            status: 403,
            headers: vec![("content-type", "application/x-amz-json-1.0"), ("x-amzn-query-error", "AccessDenied;Sender")],
            body: serde_json::json!({ "__type": format!("com.amazon.coral.service#{json_code}"), "message": message })
                .to_string(),
        },
        _ => Answer {
            status: 400,
            headers: vec![("content-type", "application/x-amz-json-1.1")],
            body: serde_json::json!({ "__type": json_code, "Message": message }).to_string(),
        },
    }
}
