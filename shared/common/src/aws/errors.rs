//! The errors of failed calls to services.

use crate::{
    aws::resilience::Refused,
    base::{Error, error::Cause},
};
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};

/// Converts a failed call to a service: to its error code, never its message.
pub(crate) fn unavailable<E: ProvideErrorMetadata, R>(service: &'static str) -> impl Fn(SdkError<E, R>) -> Error {
    move |e| Error::Unavailable { service, cause: cause(&e) }
}

pub(crate) fn cause<E: ProvideErrorMetadata, R>(e: &SdkError<E, R>) -> Cause {
    match e {
        SdkError::ServiceError(e) => Cause::code(e.err().code().unwrap_or("service error")),
        SdkError::TimeoutError(_) => Cause::code("timeout"),
        SdkError::DispatchFailure(e) => Cause::code(e.as_connector_error().map_or("no connection", unconnected)),
        SdkError::ResponseError(_) => Cause::code("unreadable answer"),
        _ => Cause::code("request not built"),
    }
}

/// Whether our own guard refused the call.
pub(crate) fn unconnected(e: &ConnectorError) -> &'static str {
    match std::error::Error::source(e).and_then(|source| source.downcast_ref::<Refused>()) {
        Some(refused) => refused.as_str(),
        None if e.is_timeout() => "timeout",
        None => "no connection",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_types::error::{ErrorMetadata, metadata::Builder};

    #[test]
    fn failed_call_gives_a_fixed_text_or_the_services_code() {
        let not_sent = |error| SdkError::dispatch_failure(error);
        let said = |metadata: Builder| SdkError::service_error(metadata.message("Ada Sample").build(), ());
        let failures: [(SdkError<ErrorMetadata, ()>, &str); 10] = [
            (said(ErrorMetadata::builder().code("ThrottlingException")), "ThrottlingException"),
            (said(ErrorMetadata::builder()), "service error"),
            (SdkError::timeout_error("Ada Sample"), "timeout"),
            (SdkError::response_error("Ada Sample", ()), "unreadable answer"),
            (SdkError::construction_failure("Ada Sample"), "request not built"),
            (not_sent(ConnectorError::timeout("Ada Sample".into())), "timeout"),
            (not_sent(ConnectorError::io("Ada Sample".into())), "no connection"),
            (not_sent(ConnectorError::io(Refused::Open.into())), "circuit open"),
            (not_sent(ConnectorError::timeout(Refused::Late.into())), "deadline passed"),
            (not_sent(ConnectorError::other(Refused::Spent.into(), None)), "retry budget spent"),
        ];
        for (failure, word) in failures {
            assert_eq!(cause(&failure).as_str(), word, "{failure:?}");
            let expected = Error::Unavailable { service: "dynamodb", cause: Cause::code(word) };
            assert_eq!(format!("{:?}", unavailable("dynamodb")(failure)), format!("{expected:?}"));
        }
    }
}
