//! The `main` functions: a function's binary names one type, and this module runs it.

use crate::{
    aws::resilience::within,
    background::{self, Consumer, Schedule, Socket, sockets},
    base::{
        Clock, Need, SystemClock, Timestamp,
        need::declares,
        telemetry::{self, Log, Stdout},
    },
    policy::Action,
    request::{
        BatchEndpoint, Deps, Endpoint, FUNCTION_TIMEOUT_SECS, Operation, PlatformEndpoint, PublicEndpoint,
        authorizer::{self, Authorizer},
        http::{self, Request, Response},
        pipeline, public,
        token_generation::{self, TokenGeneration, TokensRefused},
    },
    run::init::{Of, OfBackground, OfSocket},
};
use aws_lambda_events::{
    apigw::{ApiGatewayCustomAuthorizerRequestTypeRequest, ApiGatewayWebsocketProxyRequest},
    sqs::SqsEvent,
};
use lambda_http::request::LambdaRequest;
use lambda_runtime::{Context, Diagnostic, Error, LambdaEvent, service_fn};
use serde::de::IgnoredAny;
use std::{fmt::Display, future::Future, io::Write, pin::Pin, process::ExitCode, sync::Arc, time::Duration};

type Run = for<'a> fn(&'a Deps, Request) -> Pin<Box<dyn Future<Output = Response> + Send + 'a>>;

/// Runs an endpoint of the caller's tenant.
pub fn tenant<E: Endpoint>() -> ExitCode {
    serve::<E>(true, Some(E::ACTION), |deps, request| Box::pin(pipeline::run::<E>(deps, request)))
}
/// Runs an endpoint of the platform's operators.
pub fn platform<E: PlatformEndpoint>() -> ExitCode {
    serve::<E>(true, Some(E::ACTION), |deps, request| Box::pin(pipeline::run_platform::<E>(deps, request)))
}
/// Runs a public endpoint.
pub fn public<E: PublicEndpoint>() -> ExitCode {
    let decides = declares(E::NEEDS, Need::Sessions).then_some(public::OPEN_SESSION);
    serve::<E>(E::AUDITED, decides, |deps, request| Box::pin(pipeline::run_public::<E>(deps, request)))
}
/// Runs a batch endpoint.
pub fn batch<E: BatchEndpoint>() -> ExitCode {
    serve::<E>(true, Some(E::ACTION), |deps, request| Box::pin(pipeline::run_batch::<E>(deps, request)))
}

/// Some functions use no table and have no permission for one, and some make no decision.
fn serve<E: Operation>(touches_tables: bool, decides: Option<Action>, run: Run) -> ExitCode {
    start(async {
        let deps = &Deps::from_env::<Of<E>>()?;
        decides.map_or(Ok(()), |action| deps.policies.warm_up(action))?;
        if touches_tables {
            deps.warm_up().await;
        }
        let handle = async |event: LambdaEvent<LambdaRequest>| {
            let end = end(deps, &event.context, FUNCTION_TIMEOUT_SECS);
            http::through(event, Some(end), E::BODY_LIMIT, move |request| within(end, run(deps, request))).await
        };
        lambda_runtime::run(service_fn(handle)).await.map_err(|e| e.to_string())
    })
}

/// Handles a queue's messages.
pub fn consumer<C: Consumer>() -> ExitCode {
    start(async {
        let deps = &Deps::from_env::<OfBackground<C>>()?;
        deps.warm_up().await;
        let handle = async |event: LambdaEvent<SqsEvent>| {
            let end = end(deps, &event.context, C::TIMEOUT_SECS);
            Ok::<_, Error>(within(end, background::consume::<C>(deps, event.payload, Some(end))).await)
        };
        lambda_runtime::run(service_fn(handle)).await.map_err(|e| e.to_string())
    })
}

/// Runs a route of the socket API.
pub fn socket<S: Socket>() -> ExitCode {
    start(async {
        let deps = &Deps::from_env::<OfSocket<S>>()?;
        deps.warm_up().await;
        let handle = async |event: LambdaEvent<ApiGatewayWebsocketProxyRequest>| {
            let end = end(deps, &event.context, S::TIMEOUT_SECS);
            Ok::<_, Error>(within(end, sockets::serve::<S>(deps, event.payload, Some(end))).await)
        };
        lambda_runtime::run(service_fn(handle)).await.map_err(|e| e.to_string())
    })
}

/// Runs a schedule. Lambda retries a failed run, and an alarm reports it.
pub fn schedule<S: Schedule>() -> ExitCode {
    start(async {
        let deps = &Deps::from_env::<OfBackground<S>>()?;
        deps.warm_up().await;
        let handle = async |event: LambdaEvent<IgnoredAny>| {
            let failed =
                |e: crate::base::Error| Diagnostic { error_type: "Failed".to_owned(), error_message: e.reason().to_owned() };
            let end = end(deps, &event.context, S::TIMEOUT_SECS);
            let parts = within(end, background::tick::<S>(deps, Some(end))).await.map_err(failed)?;
            Ok::<_, Diagnostic>(serde_json::json!({ "parts": parts }))
        };
        lambda_runtime::run(service_fn(handle)).await.map_err(|e| e.to_string())
    })
}

/// Runs API Gateway's authorizer.
pub fn authorizer<A: Authorizer>() -> ExitCode {
    start(async {
        let (deps, aws) = &Deps::and_aws_from_env()?;
        let authorizer = &A::new(deps.config(), aws);
        deps.warm_up().await;
        let handle = async |event: LambdaEvent<ApiGatewayCustomAuthorizerRequestTypeRequest>| {
            // API Gateway answers 401 for exactly this text, and 500 for any other.
            let refused = |e: authorizer::Refused| Diagnostic { error_type: "Refused".to_owned(), error_message: e.to_string() };
            let answer = authorizer::authorize(deps, authorizer, event.payload);
            within(end(deps, &event.context, FUNCTION_TIMEOUT_SECS), answer).await.map_err(refused)
        };
        lambda_runtime::run(service_fn(handle)).await.map_err(|e| e.to_string())
    })
}

/// Answers Cognito before it issues tokens. After any error here, Cognito issues none.
pub fn pre_token_generation<T: TokenGeneration>() -> ExitCode {
    start(async {
        let log = &Log::new(Arc::new(Stdout)).of_process();
        let handle = async |event: LambdaEvent<T::Event>| {
            let refused = |TokensRefused(code)| Diagnostic { error_type: "Refused".to_owned(), error_message: code.to_owned() };
            token_generation::answer::<T>(log, SystemClock.now(), event.payload).map_err(refused)
        };
        lambda_runtime::run(service_fn(handle)).await.map_err(|e| e.to_string())
    })
}

/// A function does one thing at a time, so one thread runs the request and its calls.
fn start(work: impl Future<Output = Result<(), String>>) -> ExitCode {
    telemetry::redact_panics();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return fail(e),
    };
    match runtime.block_on(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => fail(e),
    }
}

fn fail(why: impl Display) -> ExitCode {
    let line = serde_json::json!({"level": "error", "event": "start", "detail": why.to_string()});
    let _ = writeln!(std::io::stderr().lock(), "{line}");
    ExitCode::FAILURE
}

/// The deadline of the invocation that has just arrived.
fn end(deps: &Deps, context: &Context, timeout_secs: u16) -> Timestamp {
    end_by(context.deadline, deps.clock.now(), Duration::from_secs(timeout_secs.into()))
}

/// Lambda's deadline, if it is plausible. On arrival it is in the future, and no further ahead than the function's own time
/// limit. Any other number comes from a tool or a differing clock: `cargo lambda` sends 600,000 ms since 1970 with every
/// invocation, other tools send 0 or the time of the invocation. In these cases the function's own limit applies. Lambda stops a
/// function whose real deadline has passed in any case, so nothing is lost.
fn end_by(deadline_ms: u64, now: Timestamp, limit: Duration) -> Timestamp {
    let latest = now.plus(limit);
    let deadline = i64::try_from(deadline_ms).ok().map(Timestamp::from_millis);
    deadline.filter(|deadline| *deadline > now).map_or(latest, |deadline| deadline.min(latest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn implausible_deadline_is_replaced_by_the_functions_own_limit() {
        let now = Timestamp::from_millis(1_767_268_800_000);
        let limit = Duration::from_secs(30);
        let after = |ms: u64| now.plus(Duration::from_millis(ms));
        for (deadline_ms, expected) in [
            // A missing one; `cargo lambda` 1.9; the time of the invocation; a clock that is behind.
            (0, after(30_000)),
            (600_000, after(30_000)),
            (1_767_268_800_000, after(30_000)),
            (1_767_268_799_999, after(30_000)),
            (1_767_268_795_000, after(30_000)),
            // Lambda's.
            (1_767_268_800_001, after(1)),
            (1_767_268_829_900, after(29_900)),
            (1_767_268_830_000, after(30_000)),
            // A clock that is ahead; seconds and nanoseconds instead of milliseconds; a number that is not a valid time.
            (1_767_268_830_001, after(30_000)),
            (1_767_268_810, after(30_000)),
            (1_767_268_810_000_000_000, after(30_000)),
            (u64::MAX, after(30_000)),
        ] {
            assert_eq!(end_by(deadline_ms, now, limit), expected, "{deadline_ms}");
        }
    }
}
