//! Functions that are no endpoint: what they are called, what runs them, and what they may do.

use common::base::Need;

/// A function that the API's callers do not call.
#[derive(Clone, Copy, Debug)]
pub struct OtherFunction {
    pub domain: &'static str,
    /// The binary and the function in the template.
    pub name: &'static str,
    /// The type that its binary names, with its module, as `authorizer::CognitoAuthorizer`.
    pub type_name: &'static str,
    pub trigger: Trigger,
    /// What its role may do besides what its trigger implies.
    pub needs: &'static [Need],
}

/// What runs a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// API Gateway, with the headers of a request whose caller it does not know yet.
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
