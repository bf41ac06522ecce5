//! The user pool's triggers, on both sides: the pool names the function in the root template, and a permission in the domain's
//! stack allows the pool to call it. The pool uses the function's name instead of a reference, because the function's stack
//! refers to the pool.

use super::{
    function::{self, Function, Serves},
    yaml::{Node, map, reference, sub},
};
use registry::Trigger;

/// The lines of the pool's properties. Cognito does not check that the function exists; until it does, every sign-in fails.
pub(crate) fn of_pool() -> String {
    let configured = function::all().into_iter().filter(asked_for_tokens).map(|function| {
        let arn = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${Prefix}-";
        let config = map! { "LambdaArn" => sub(format!("{arn}{}", function.name)), "LambdaVersion" => "V2_0" };
        ("PreTokenGenerationConfig".to_owned(), config)
    });
    map! { "LambdaConfig" => Node::Map(configured.collect()) }.write(6)
}

/// Allows this pool, and no other, to invoke the function.
pub(crate) fn permission(function: &Function) -> Option<(String, Node)> {
    let permission = || {
        map! {
            "Type" => "AWS::Lambda::Permission",
            "Properties" => map! {
                "Action" => "lambda:InvokeFunction",
                "FunctionName" => reference(&function.logical()),
                "Principal" => "cognito-idp.amazonaws.com",
                "SourceAccount" => reference("AWS::AccountId"),
                "SourceArn" => sub("arn:${AWS::Partition}:cognito-idp:${AWS::Region}:${AWS::AccountId}:userpool/${UserPool}"),
            },
        }
    };
    asked_for_tokens(function).then(|| (format!("{}Permission", function.logical()), permission()))
}

fn asked_for_tokens(function: &Function) -> bool {
    matches!(function.serves, Serves::Other(other) if other.trigger == Trigger::PreTokenGeneration)
}
