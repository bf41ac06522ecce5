//! Calls the authorizer, and caches its answer as API Gateway does.

use super::event;
use aws_lambda_events::apigw::{
    ApiGatewayCustomAuthorizerPolicy, ApiGatewayCustomAuthorizerRequestTypeRequest, ApiGatewayCustomAuthorizerResponse,
};
use aws_lambda_events::iam::IamPolicyEffect;
use common::request::{
    Deps,
    authorizer::{Authorizer, Refused, authorize},
};
use emulators::apigateway::GatewayRequest;
use serde_json::{Map, Value};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// `AuthorizerResultTtlInSeconds`.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);
const MOST: usize = 1000;

#[derive(Debug)]
pub(crate) struct Guard<A> {
    authorizer: Arc<A>,
    /// By the value of `Authorization`, the only identity source.
    answers: Mutex<HashMap<String, (Instant, Policy)>>,
}

/// An answer of the authorizer.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    document: ApiGatewayCustomAuthorizerPolicy,
    context: Map<String, Value>,
}

#[derive(Debug)]
pub(crate) enum Access {
    Granted(Map<String, Value>),
    Unauthorized,
    Denied,
    /// It failed with an error other than `Unauthorized`.
    Unavailable,
}

impl<A: Authorizer> Guard<A> {
    pub(crate) fn new(authorizer: Arc<A>) -> Self {
        Self { authorizer, answers: Mutex::default() }
    }

    pub(crate) async fn ask(&self, deps: &Deps, request: &GatewayRequest) -> Access {
        let mut tokens = request.headers.iter().filter(|(name, _)| name == "authorization").map(|(_, value)| value.as_str());
        // API Gateway itself answers 401 if the identity source is missing or empty.
        let Some(token) = tokens.next().filter(|token| !token.is_empty()) else { return Access::Unauthorized };
        // An answer for two tokens is not cached: AWS does not document which of them would be the key.
        let key = Some(token).filter(|_| tokens.next().is_none());
        let event = request.authorizer_event();
        let method = event["methodArn"].as_str().unwrap_or_default();
        if let Some(policy) = key.and_then(|key| self.remembered(key)) {
            return policy.into_access(method);
        }
        let Some(parsed) = event::parsed::<ApiGatewayCustomAuthorizerRequestTypeRequest>(&event) else {
            return Access::Unavailable;
        };
        match authorize(deps, &*self.authorizer, parsed).await {
            Err(Refused::Unauthorized) => Access::Unauthorized,
            Err(Refused::Unavailable) => Access::Unavailable,
            Ok(answer) => {
                let Some(policy) = Policy::of(answer) else { return Access::Unavailable };
                if let Some(key) = key {
                    self.remember(key, policy.clone());
                }
                policy.into_access(method)
            }
        }
    }

    fn remembered(&self, token: &str) -> Option<Policy> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(token).filter(|(at, _)| at.elapsed() < REMEMBERED_FOR).map(|(_, policy)| policy.clone())
    }

    fn remember(&self, token: &str, policy: Policy) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MOST {
            answers.clear();
        }
        answers.insert(token.to_owned(), (Instant::now(), policy));
    }
}

impl Policy {
    /// `None` if API Gateway would reject the answer as malformed.
    pub(crate) fn of(answer: ApiGatewayCustomAuthorizerResponse) -> Option<Self> {
        match answer.context {
            Value::Object(context) => Some(Self { document: answer.policy_document, context }),
            _ => None,
        }
    }

    fn into_access(self, method: &str) -> Access {
        self.context_for(method).map_or(Access::Denied, Access::Granted)
    }

    /// The context, if the policy allows the method. Any deny wins, and without an allow the method is denied.
    pub(crate) fn context_for(self, method: &str) -> Option<Map<String, Value>> {
        let applies = |effect: IamPolicyEffect| {
            let statements = self.document.statement.iter().filter(move |s| s.effect == effect);
            statements.flat_map(|s| &s.resource).any(|pattern| matches(pattern, method))
        };
        (applies(IamPolicyEffect::Allow) && !applies(IamPolicyEffect::Deny)).then_some(self.context)
    }
}

/// IAM's `*`: any number of characters, slashes included.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, mut rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    while let Some((part, after)) = rest.split_once('*') {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
        rest = after;
    }
    text.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_matches_any_number_of_characters() {
        for (pattern, text, expected) in [
            ("arn:api/v1/*", "arn:api/v1/GET/v1/shipments", true),
            ("arn:api/v1/*", "arn:other/v1/GET", false),
            ("arn:api/*/GET/*", "arn:api/v1/GET/v1/x", true),
            ("arn:api/*/GET/*", "arn:api/v1/POST/v1/x", false),
            ("arn:api/v1/GET/x", "arn:api/v1/GET/x", true),
            ("arn:api/v1/GET/x", "arn:api/v1/GET/x/y", false),
            ("*/x", "a/b/x", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
