//! API Gateway's REQUEST authorizer. Its answer is cached for each token, so it allows every route and contains only ids and the
//! token's end, which cannot become stale. The permissions are checked afterwards, for each request.

pub use crate::base::error::TokenRefused;
use crate::{
    audit::{
        activity::Activity,
        event::{Record, Who},
        trace::Trace,
    },
    aws::{Aws, acting::as_function},
    base::{
        Config, Error, EventId, SessionId, TenantId, Timestamp, UserId,
        error::AuthFailure,
        network::network,
        principal::Identity,
        telemetry::{self, CorrelationId},
    },
    identity::{api_key, membership, ticket},
    request::{
        Deps, SocketRoute,
        headers::{Header, Headers},
        public,
        scheme::credentials,
    },
};
use aws_lambda_events::apigw::{
    ApiGatewayCustomAuthorizerPolicy, ApiGatewayCustomAuthorizerRequestTypeRequest, ApiGatewayCustomAuthorizerResponse,
};
use aws_lambda_events::iam::{IamPolicyEffect, IamPolicyStatement};
use serde_json::{Map, Value};
use std::{fmt, future::Future};

const FUNCTION: &str = "authorizer";

/// Verifies a bearer token of any kind.
pub trait Authorizer: Sized + Send + Sync + 'static {
    fn new(config: &Config, aws: &Aws) -> Self;
    fn verify(&self, token: &str, now: Timestamp) -> impl Future<Output = Result<VerifiedToken, TokenRefused>> + Send;
}

/// The content of a valid token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    pub user: UserId,
    pub session: SessionId,
    pub expires_at: Timestamp,
}

/// The error for API Gateway instead of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Unauthorized,
    Unavailable,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unauthorized => "Unauthorized",
            Self::Unavailable => "Unavailable",
        })
    }
}

/// # Errors
/// [`Refused::Unauthorized`] for everything except a valid token of a member; [`Refused::Unavailable`] if that cannot be
/// verified, or if a refusal cannot be audited.
pub async fn authorize<A: Authorizer>(
    deps: &Deps,
    authorizer: &A,
    event: ApiGatewayCustomAuthorizerRequestTypeRequest,
) -> Result<ApiGatewayCustomAuthorizerResponse, Refused> {
    let own = deps.of_function(FUNCTION);
    let deps = own.as_deref().unwrap_or(deps);
    as_function(FUNCTION, deps.log.writes_line(answer(deps, authorizer, event))).await
}

async fn answer<A: Authorizer>(
    deps: &Deps,
    authorizer: &A,
    event: ApiGatewayCustomAuthorizerRequestTypeRequest,
) -> Result<ApiGatewayCustomAuthorizerResponse, Refused> {
    let now = deps.clock.now();
    let headers = Headers::of(&event.headers, event.multi_value_headers.clone());
    let correlation_id = CorrelationId::from_header(headers.text(Header::CorrelationId), now);

    // A socket needs a ticket, everything else a token, and neither is accepted in place of the other.
    let outcome = if headers.one_credential().is_err() {
        Err(TokenRefused::Because(AuthFailure::RepeatedCredentials.code()))
    } else if opens_socket(&event) {
        match ticket_of(&event) {
            Ok(text) => ticket::take(&deps.db, text, source_ip(&event), now).await,
            Err(refused) => Err(refused),
        }
    } else {
        identify(deps, authorizer, headers.text(Header::Authorization), now).await
    };
    let answer = match &outcome {
        Ok(identity) => allow(identity, event.method_arn.as_deref().unwrap_or_default()).ok_or(Refused::Unavailable),
        Err(TokenRefused::Unavailable) => Err(Refused::Unavailable),
        Err(TokenRefused::Because(reason)) => {
            let ip = source_ip(&event).to_owned();
            let who = Who {
                ip: ip.clone(),
                user_agent: headers.text(Header::UserAgent).unwrap_or_default().to_owned(),
                ..Who::default()
            };
            let activity = Activity {
                tenant: TenantId::PLATFORM,
                now,
                // It commits nothing.
                deadline: now,
                correlation_id: correlation_id.clone(),
                audit_id: EventId::new(now),
                policies: &deps.policies,
                trace: &Trace::default(),
            };
            let record = Record { status: 401, reason: Some(reason), ..Record::of(&activity, FUNCTION, who) };
            match record.count(&deps.db, &format!("{}|authorizer|{reason}", network(&ip))).await {
                Ok(()) => Err(Refused::Unauthorized),
                Err(_) => Err(Refused::Unavailable),
            }
        }
    };
    let identity = outcome.as_ref().ok();
    let refused = match &outcome {
        Err(TokenRefused::Because(reason)) => Some(*reason),
        _ => None,
    };
    telemetry::end! {
        "function" = FUNCTION,
        "correlation_id" = correlation_id,
        "timestamp" = now,
        "tenant.id" = identity.map(|i| i.tenant),
        "user.id" = identity.map(|i| i.user),
        "session.id" = identity.map(|i| i.session),
        "code" = refused,
        "authorized" = answer.is_ok(),
    };
    answer
}

/// Whether the request opens a socket: `arn:aws:execute-api:<region>:<account>:<api>/<stage>/$connect`.
fn opens_socket(event: &ApiGatewayCustomAuthorizerRequestTypeRequest) -> bool {
    event.method_arn.as_deref().is_some_and(|arn| arn.splitn(3, '/').nth(2) == Some(SocketRoute::Connect.key()))
}

/// The one ticket of the request.
fn ticket_of(event: &ApiGatewayCustomAuthorizerRequestTypeRequest) -> Result<&str, TokenRefused> {
    let last = event.query_string_parameters.first("ticket");
    let mut all = event.multi_value_query_string_parameters.all("ticket").unwrap_or_default();
    all.extend(last.filter(|last| !all.contains(last)));
    match all[..] {
        [ticket] => Ok(ticket),
        [] => Err(TokenRefused::Because("no_ticket")),
        _ => Err(TokenRefused::Because(AuthFailure::RepeatedCredentials.code())),
    }
}

fn source_ip(event: &ApiGatewayCustomAuthorizerRequestTypeRequest) -> &str {
    event.request_context.identity.as_ref().and_then(|i| i.source_ip.as_deref()).unwrap_or_default()
}

async fn identify<A: Authorizer>(
    deps: &Deps,
    authorizer: &A,
    header: Option<&str>,
    now: Timestamp,
) -> Result<Identity, TokenRefused> {
    let token = header.and_then(|header| credentials(header, "Bearer")).ok_or(TokenRefused::Because("no_token"))?;
    let refused = |e| match e {
        Error::Unauthenticated(failure) => TokenRefused::Because(failure.code()),
        _ => TokenRefused::Unavailable,
    };
    if let Some(identity) = public::enrolling(&deps.db, token, now).await.map_err(refused)? {
        return Ok(identity);
    }
    if let Some(identity) = api_key::identify(&deps.db, token).await.map_err(refused)? {
        return Ok(identity);
    }
    let VerifiedToken { user, session, expires_at } = authorizer.verify(token, now).await?;
    // The directory determines the tenant; a token's claims about it are not read.
    let tenant = membership::tenant_of(&deps.db, user).await.map_err(refused)?;
    Ok(Identity { tenant, user, session, expires_at })
}

/// `arn:aws:execute-api:<region>:<account>:<api>/<stage>/GET/v1/…` becomes `…/<stage>/*`: every route of the stage.
fn allow(identity: &Identity, method_arn: &str) -> Option<ApiGatewayCustomAuthorizerResponse> {
    let mut parts = method_arn.splitn(3, '/');
    let (api, stage) = (parts.next()?, parts.next()?);
    let mut statement = IamPolicyStatement::default();
    statement.action = vec!["execute-api:Invoke".to_owned()];
    statement.effect = IamPolicyEffect::Allow;
    statement.resource = vec![format!("{api}/{stage}/*")];
    let mut policy = ApiGatewayCustomAuthorizerPolicy::default();
    policy.version = Some("2012-10-17".to_owned());
    policy.statement = vec![statement];
    let context: Map<String, Value> = identity.to_context().into_iter().map(|(k, v)| (k.to_owned(), Value::String(v))).collect();
    let mut response = ApiGatewayCustomAuthorizerResponse::default();
    response.principal_id = Some(identity.user.to_string());
    response.policy_document = policy;
    response.context = Value::Object(context);
    Some(response)
}
