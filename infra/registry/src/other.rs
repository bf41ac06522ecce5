//! Functions that are not endpoints: their names, triggers and needs.

use common::base::Need;

/// A function that the API's callers cannot call.
#[derive(Clone, Copy, Debug)]
pub struct OtherFunction {
    pub domain: &'static str,
    /// The binary and the function in the template.
    pub name: &'static str,
    /// The type that its binary names, with its module, as `authorizer::CognitoAuthorizer`.
    pub type_name: &'static str,
    pub trigger: Trigger,
    /// Its needs besides those of its trigger.
    pub needs: &'static [Need],
}

/// The trigger of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// API Gateway, with the headers of a request that is not authenticated yet.
    Authorizer,
    /// The user pool, before it issues tokens.
    PreTokenGeneration,
}

impl Trigger {
    /// The function of `common::lambda` that its binary starts with.
    pub const fn runner(self) -> &'static str {
        match self {
            Self::Authorizer => "authorizer",
            Self::PreTokenGeneration => "pre_token_generation",
        }
    }
}

pub const OTHERS: &[OtherFunction] = &[
    OtherFunction {
        domain: "identity",
        name: "authorizer",
        type_name: "authorizer::CognitoAuthorizer",
        trigger: Trigger::Authorizer,
        needs: &[],
    },
    OtherFunction {
        domain: "identity",
        name: "pre_token_generation",
        type_name: "pre_token_generation::NarrowTokens",
        trigger: Trigger::PreTokenGeneration,
        needs: &[],
    },
];
