//! The function that Cognito calls before it issues tokens. It restricts them to our API, so that they cannot be used at Cognito
//! itself.
//!
//! An access token with the scope `aws.cognito.signin.user.admin` lets its holder change passwords, attributes and factors at
//! Cognito directly, without our limits, our policies and our audit log. So no token has it. The function adds nothing:
//! permissions come from the membership record, which is read for each request.
//!
//! Source: AWS, "Pre token generation Lambda trigger", version 2 of the event.

use common::request::token_generation::{TokenGeneration, TokensRefused};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::fmt;

/// The scope of Cognito's self-service.
const SELF_SERVICE: &str = "aws.cognito.signin.user.admin";

/// `V2_0` in the pool's settings. Version 1 cannot restrict an access token, and version 3 is for machine clients, which we do
/// not have.
const VERSION: &str = "2";

/// The flows that the app client allows: a password, a first password chosen by the user, a refresh. There is no hosted page and
/// there are no remembered devices.
const SOURCES: [&str; 3] =
    ["TokenGeneration_Authentication", "TokenGeneration_NewPasswordChallenge", "TokenGeneration_RefreshTokens"];

/// Removes the self-service scope from access tokens.
#[derive(Clone, Copy, Debug)]
pub struct NarrowTokens;

/// Cognito's event, including members that are unknown here. The type in `aws_lambda_events` drops unknown members, and its
/// answer always contains an empty list of groups, which would remove the user's groups.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenEvent {
    version: String,
    trigger_source: String,
    #[serde(default)]
    response: Option<Map<String, Value>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// The other members contain a user's attributes.
impl fmt::Debug for TokenEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenEvent").finish_non_exhaustive()
    }
}

impl TokenGeneration for NarrowTokens {
    type Event = TokenEvent;

    fn answer(mut event: TokenEvent) -> Result<TokenEvent, TokensRefused> {
        if event.version != VERSION {
            return Err(TokensRefused("version"));
        }
        if !SOURCES.contains(&event.trigger_source.as_str()) {
            return Err(TokensRefused("trigger_source"));
        }
        let narrowed = json!({ "accessTokenGeneration": { "scopesToSuppress": [SELF_SERVICE] } });
        event.response.get_or_insert_default().insert("claimsAndScopeOverrideDetails".to_owned(), narrowed);
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Value {
        json!({
            "version": "2",
            "triggerSource": "TokenGeneration_Authentication",
            "region": "us-east-1",
            "userPoolId": "us-east-1_local",
            "userName": "usr_01890a5d-ac96-774b-bcce-b302099a8057",
            "callerContext": { "awsSdkVersion": "aws-sdk-rust", "clientId": "client" },
            "request": {
                "userAttributes": { "sub": "a", "email": "nobody@acme-health.example", "cognito:user_status": "CONFIRMED" },
                "groupConfiguration": { "groupsToOverride": ["marketer"], "iamRolesToOverride": [], "preferredRole": null },
                "scopes": [SELF_SERVICE],
            },
            "response": { "claimsAndScopeOverrideDetails": null },
        })
    }

    fn with(pointer: &str, value: Value) -> Value {
        let mut event = sample();
        *event.pointer_mut(pointer).unwrap() = value;
        event
    }

    fn answer(event: Value) -> Result<Value, TokensRefused> {
        NarrowTokens::answer(serde_json::from_value(event).unwrap()).map(|event| serde_json::to_value(event).unwrap())
    }

    #[test]
    fn every_allowed_flow_gets_a_token_without_self_service_scope() {
        for source in SOURCES {
            let answer = answer(with("/triggerSource", source.into())).unwrap();
            let narrowed = json!({ "accessTokenGeneration": { "scopesToSuppress": ["aws.cognito.signin.user.admin"] } });
            assert_eq!(answer["response"], json!({ "claimsAndScopeOverrideDetails": narrowed }), "{source}");
        }
    }

    #[test]
    fn preset_response_members_are_removed() {
        let claims =
            json!({ "accessTokenGeneration": { "scopesToAdd": ["all"], "claimsToAddOrOverride": { "role": "super_admin" } } });
        let answer = answer(with("/response/claimsAndScopeOverrideDetails", claims)).unwrap();
        assert!(!answer["response"].to_string().contains("ToAdd"), "{}", answer["response"]);
    }

    #[test]
    fn other_flow_or_event_version_gets_no_token() {
        let hosted = ["TokenGeneration_HostedAuth", "TokenGeneration_AuthenticateDevice", "TokenGeneration_ClientCredentials"];
        for source in hosted.into_iter().chain(["PreSignUp_SignUp", "tokengeneration_authentication", ""]) {
            assert_eq!(answer(with("/triggerSource", source.into())), Err(TokensRefused("trigger_source")), "{source}");
        }
        for version in ["1", "3", "2.0", ""] {
            assert_eq!(answer(with("/version", version.into())), Err(TokensRefused("version")), "{version}");
        }
    }

    #[test]
    fn malformed_event_is_refused() {
        for missing in ["version", "triggerSource"] {
            let mut event = sample();
            event.as_object_mut().unwrap().remove(missing);
            assert!(serde_json::from_value::<TokenEvent>(event).is_err(), "{missing}");
        }
        for (pointer, value) in [("/version", json!(2)), ("/triggerSource", json!(null)), ("/response", json!([]))] {
            assert!(serde_json::from_value::<TokenEvent>(with(pointer, value)).is_err(), "{pointer}");
        }
    }

    #[test]
    fn unknown_members_of_the_event_are_kept() {
        let mut event = sample();
        event["later"] = json!({ "a": [1, null] });
        event["request"]["clientMetadata"] = json!({ "k": "v" });
        event["response"]["other"] = json!(true);
        let mut answered = answer(event.clone()).unwrap();
        answered["response"].as_object_mut().unwrap().remove("claimsAndScopeOverrideDetails");
        event["response"].as_object_mut().unwrap().remove("claimsAndScopeOverrideDetails");
        assert_eq!(answered, event);
    }

    #[test]
    fn event_without_a_response_gets_one() {
        for response in [None, Some(Value::Null)] {
            let mut event = sample();
            event.as_object_mut().unwrap().remove("response");
            event.as_object_mut().unwrap().extend(response.map(|null| ("response".to_owned(), null)));
            assert!(answer(event).unwrap()["response"]["claimsAndScopeOverrideDetails"].is_object());
        }
    }

    #[test]
    fn debug_of_the_event_is_redacted() {
        let event: TokenEvent = serde_json::from_value(sample()).unwrap();
        assert_eq!(format!("{event:?}"), "TokenEvent { .. }");
    }
}
