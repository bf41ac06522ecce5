//! A domain's nested stack: a function and a role for each of its functions, and one log group.

use super::{
    function::{Function, pascal},
    iam,
    yaml::{Node, attribute, list, map, reference, sub},
};

/// What the root template says that the nested ones repeat.
#[derive(Debug)]
pub(crate) struct Root {
    /// `Globals.Function`, without its environment.
    globals: Vec<(String, Node)>,
    /// The functions' environment: variable, the nested stack's parameter, and what the root passes for it.
    environment: Vec<(String, String, Node)>,
}

/// Passed besides what the environment needs.
const PARAMETERS: [&str; 2] = ["DataKeyArn", "LogRetentionDays"];

impl Root {
    /// # Errors
    /// Where the root template is not YAML or has no functions' environment.
    pub(crate) fn read(template: &str) -> Result<Self, String> {
        let template: serde_norway::Value = serde_norway::from_str(template).map_err(|e| format!("template.yaml: {e}"))?;
        let globals = Node::from_yaml(&template["Globals"]["Function"])?;
        let variables =
            globals.get("Environment").and_then(|e| e.get("Variables")).ok_or("template.yaml has no functions' environment")?;
        let environment =
            variables.members().iter().map(|(name, value)| (name.clone(), parameter(name, value), value.clone())).collect();
        let globals = globals.members().iter().filter(|(name, _)| name != "Environment").cloned().collect();
        Ok(Self { globals, environment })
    }

    /// The resource of the root template that is the domain's stack.
    pub(crate) fn nested(&self, domain: &str) -> (String, Node) {
        let mut parameters: Vec<_> =
            self.environment.iter().map(|(_, parameter, value)| (parameter.clone(), value.clone())).collect();
        parameters.push(("DataKeyArn".to_owned(), attribute("DataKey.Arn")));
        parameters.push(("LogRetentionDays".to_owned(), reference("LogRetentionDays")));
        let stack = map! {
            "Type" => "AWS::CloudFormation::Stack",
            "Properties" => map! {
                "TemplateURL" => format!("infra/stacks/{domain}.yaml"),
                "Parameters" => Node::Map(parameters),
            },
        };
        (format!("{}Stack", pascal(domain)), stack)
    }

    /// The domain's template.
    pub(crate) fn stack(&self, domain: &str, functions: &[Function]) -> String {
        let parameters = self.environment.iter().map(|(_, parameter, _)| parameter.as_str()).chain(PARAMETERS);
        let parameters = parameters.map(|name| {
            let kind = if name == "LogRetentionDays" { "Number" } else { "String" };
            (name.to_owned(), map! { "Type" => kind })
        });
        let variables = self.environment.iter().map(|(variable, parameter, _)| (variable.clone(), reference(parameter)));
        let mut globals = self.globals.clone();
        globals.push(("Environment".to_owned(), map! { "Variables" => Node::Map(variables.collect()) }));
        let mut resources = vec![(
            "Logs".to_owned(),
            map! {
                "Type" => "AWS::Logs::LogGroup",
                "DeletionPolicy" => "Retain",
                "UpdateReplacePolicy" => "Retain",
                "Properties" => map! {
                    "LogGroupName" => sub(format!("/${{Prefix}}/{domain}")),
                    "RetentionInDays" => reference("LogRetentionDays"),
                    "KmsKeyId" => reference("DataKeyArn"),
                },
            },
        )];
        for function in functions {
            resources.push((function.logical(), resource(function)));
            resources.push((format!("{}Role", function.logical()), role(function)));
        }
        let template = map! {
            "AWSTemplateFormatVersion" => "2010-09-09",
            "Transform" => "AWS::Serverless-2016-10-31",
            "Description" => format!("Cloister - the functions of {domain}"),
            "Parameters" => Node::Map(parameters.collect()),
            "Globals" => map! { "Function" => Node::Map(globals) },
            "Resources" => Node::Map(resources),
        };
        format!("{}{}", super::GENERATED, template.write(0))
    }
}

/// A plain reference passes under its own name; anything else under the variable's.
fn parameter(variable: &str, value: &Node) -> String {
    match value {
        Node::Tag("Ref", target) if matches!(**target, Node::Text(_)) => match &**target {
            Node::Text(name) => name.clone(),
            _ => String::new(),
        },
        _ => pascal(variable.trim_start_matches("CLOISTER_")),
    }
}

fn resource(function: &Function) -> Node {
    map! {
        "Type" => "AWS::Serverless::Function",
        "Properties" => map! {
            "FunctionName" => sub(format!("${{Prefix}}-{}", function.name)),
            "CodeUri" => format!("../../target/lambda/{}/", function.name),
            "Role" => attribute(&format!("{}Role.Arn", function.logical())),
            "LoggingConfig" => map! { "LogGroup" => reference("Logs"), "LogFormat" => "JSON" },
        },
    }
}

fn role(function: &Function) -> Node {
    map! {
        "Type" => "AWS::IAM::Role",
        "Properties" => map! {
            "RoleName" => sub(format!("${{Prefix}}-{}", function.name)),
            "AssumeRolePolicyDocument" => map! {
                "Version" => "2012-10-17",
                "Statement" => list![map! {
                    "Effect" => "Allow", "Principal" => map! { "Service" => "lambda.amazonaws.com" }, "Action" => "sts:AssumeRole",
                }],
            },
            "Policies" => list![map! {
                "PolicyName" => "needs",
                "PolicyDocument" => map! { "Version" => "2012-10-17", "Statement" => iam::statements(function) },
            }],
        },
    }
}
