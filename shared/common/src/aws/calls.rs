//! A span for each call of an SDK, from its first attempt to its last.

use crate::{
    aws::{errors::unconnected, resilience::Service},
    base::{error::Cause, telemetry::CallSpan},
};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{
            Intercept,
            context::{BeforeSerializationInterceptorContextRef, FinalizerInterceptorContextRef},
            dyn_dispatch_hint,
        },
        orchestrator::{HttpResponse, Metadata},
        retries::RequestAttempts,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use serde::Deserialize;

/// The header in which REST services send an error's code: `ValidationException:http://...`.
const ERROR_TYPE: &str = "x-amzn-errortype";

/// Opens and ends the spans of one service's client.
#[derive(Debug)]
pub(crate) struct Calls(&'static str);

impl Calls {
    pub(crate) const fn of(service: Service) -> Self {
        Self(service.policy().name)
    }
}

/// The span of the running call. The SDK drops it with the call.
#[derive(Debug)]
struct Running(CallSpan);

impl Storable for Running {
    type Storer = StoreReplace<Self>;
}

#[dyn_dispatch_hint]
impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "Calls"
    }

    fn read_before_serialization(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = cfg.load::<Metadata>().map(|metadata| Cause::code(metadata.name())).unwrap_or_default();
        cfg.interceptor_state().store_put(Running(CallSpan::begin(self.0, &operation)));
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(Running(span)) = cfg.load::<Running>() {
            span.ended(cfg.load::<RequestAttempts>().map_or(0, RequestAttempts::attempts), &outcome(context));
        }
        Ok(())
    }
}

/// `ok`, the service's error code, or a fixed text: the words of [`cause`](crate::aws::errors::cause).
fn outcome(context: &FinalizerInterceptorContextRef<'_>) -> Cause {
    match context.output_or_error() {
        Some(Ok(_)) => Cause::code("ok"),
        Some(Err(e)) if e.is_operation_error() => context.response().map_or_else(Cause::default, refusal),
        Some(Err(e)) if e.is_timeout_error() => Cause::code("timeout"),
        Some(Err(e)) if e.is_response_error() => Cause::code("unreadable answer"),
        Some(Err(e)) => Cause::code(e.as_connector_error().map_or("request not built", unconnected)),
        None => Cause::code("request not built"),
    }
}

/// The code in a service's refusal, never its message; the status if there is no code.
fn refusal(response: &HttpResponse) -> Cause {
    #[derive(Deserialize)]
    struct Body {
        #[serde(alias = "__type")]
        code: Option<String>,
    }
    let body = response.body().bytes().unwrap_or_default();
    let in_xml = || {
        let (_, rest) = std::str::from_utf8(body).ok()?.split_once("<Code>")?;
        Some(rest.split_once("</Code>")?.0.to_owned())
    };
    let header = response.headers().get(ERROR_TYPE).map(str::to_owned);
    let code = header.or_else(|| serde_json::from_slice::<Body>(body).ok()?.code).or_else(in_xml);
    // `com.amazonaws.kms#NotFoundException:http://...`
    let code = code.as_deref().and_then(|code| code.split(':').next()).and_then(|code| code.rsplit('#').next());
    match code.map(Cause::code) {
        Some(code) if !code.as_str().is_empty() => code,
        _ => Cause::code(&response.status().as_u16().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;

    fn response(header: Option<&str>, body: &str) -> HttpResponse {
        let mut response = HttpResponse::new(StatusCode::try_from(400).unwrap(), SdkBody::from(body));
        if let Some(header) = header {
            response.headers_mut().insert("X-Amzn-Errortype", header.to_owned());
        }
        response
    }

    #[test]
    fn refusal_is_named_by_its_code_and_never_by_its_message() {
        for (header, body, code) in [
            (None, r#"{"__type":"com.amazonaws.dynamodb.v20120810#ValidationException","message":"Ada"}"#, "ValidationException"),
            (None, r#"{"message":"Ada","__type":"NotAuthorizedException"}"#, "NotAuthorizedException"),
            (None, r#"{"code":"BadRequestException","message":"Ada"}"#, "BadRequestException"),
            (Some("GoneException"), "{}", "GoneException"),
            (Some("GoneException:http://internal.amazon.com/x"), r#"{"message":"Ada"}"#, "GoneException"),
            (None, "<Error><Code>NoSuchKey</Code><Message>Ada</Message></Error>", "NoSuchKey"),
            (None, "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>", "AccessDenied"),
            (None, r#"{"message":"Ada"}"#, "400"),
            (None, r#"{"__type":""}"#, "400"),
            (None, r#"{"__type":7}"#, "400"),
            (None, "Ada Sample", "400"),
            (None, "<Code>Ada", "400"),
            (None, "", "400"),
            (Some("\u{e9}"), "", "400"),
        ] {
            assert_eq!(refusal(&response(header, body)).as_str(), code, "{header:?} {body}");
        }
    }
}
