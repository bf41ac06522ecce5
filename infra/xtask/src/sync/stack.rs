//! A domain's nested stack: a function and a role for each of its functions, and one log group.

use super::{
    background,
    function::{Function, Serves, pascal},
    iam, queues, tenant_credentials, triggers, watch,
    yaml::{Node, attribute, list, map, reference, sub},
};
use common::base::Need;
use std::collections::BTreeSet;

/// The parts of the root template that the nested ones repeat.
#[derive(Debug)]
pub(crate) struct Root {
    /// `Globals.Function`, without its environment.
    globals: Vec<(String, Node)>,
    /// The functions' environment: variable, the nested stack's parameter, and the value that the root passes for it.
    environment: Vec<(String, String, Node)>,
    /// The tables' logical names, each with its indexes'.
    pub(crate) tables: Vec<(String, Vec<String>)>,
}

/// Parameters besides the environment's: the nested stack's parameter, and the value that the root passes for it.
fn besides(functions: &[Function]) -> Vec<(&'static str, Node)> {
    let mut parameters = vec![("DataKeyArn", attribute("DataKey.Arn")), ("LogRetentionDays", reference("LogRetentionDays"))];
    parameters.push(tenant_credentials::parameter());
    parameters.push(("AlarmTopic", reference("AlarmTopic")));
    parameters.extend(watch::kept(functions).into_iter().map(|kept| (kept.parameter(), reference(kept.parameter()))));
    if functions.iter().any(|function| function.needs(Need::Push)) {
        parameters.push(("SocketApi", reference("SocketApi")));
    }
    parameters
}

impl Root {
    /// # Errors
    /// If the root template is not YAML or has no environment for functions.
    pub(crate) fn read(template: &str) -> Result<Self, String> {
        let template: serde_norway::Value = serde_norway::from_str(template).map_err(|e| format!("template.yaml: {e}"))?;
        let globals = Node::from_yaml(&template["Globals"]["Function"])?;
        let variables =
            globals.get("Environment").and_then(|e| e.get("Variables")).ok_or("template.yaml has no functions' environment")?;
        let environment =
            variables.members().iter().map(|(name, value)| (name.clone(), parameter(name, value), value.clone())).collect();
        let globals = globals.members().iter().filter(|(name, _)| name != "Environment").cloned().collect();
        Ok(Self { globals, environment, tables: tables(&template) })
    }

    /// The environment of `cloister`, a variable a line: the functions' settings, and their Region.
    pub(crate) fn operators_environment(&self) -> Node {
        let lines = self.environment.iter().map(|(variable, parameter, _)| format!("{variable}=${{{parameter}}}"));
        let lines: Vec<_> = lines.chain(["AWS_REGION=${AWS::Region}".to_owned()]).collect();
        let values = self.environment.iter().map(|(_, parameter, value)| (parameter.clone(), value.clone()));
        Node::Tag("Sub", Box::new(list![lines.join("\n"), Node::Map(values.collect())]))
    }

    /// The resource of the root template that is the domain's stack.
    pub(crate) fn nested(&self, domain: &str, functions: &[Function]) -> (String, Node) {
        let mut parameters: Vec<_> =
            self.environment.iter().map(|(_, parameter, value)| (parameter.clone(), value.clone())).collect();
        parameters.extend(besides(functions).into_iter().map(|(name, value)| (name.to_owned(), value)));
        let mut stack = vec![("Type".to_owned(), "AWS::CloudFormation::Stack".into())];
        // The stack refers to queues and tenant roles by name, so CloudFormation does not see the dependency.
        let roles: BTreeSet<_> = functions.iter().filter_map(tenant_credentials::logical).collect();
        let named: Vec<_> = named_queues(functions).into_iter().chain(roles).collect();
        if !named.is_empty() {
            stack.push(("DependsOn".to_owned(), named.into_iter().collect()));
        }
        let properties = map! { "TemplateURL" => format!("infra/stacks/{domain}.yaml"), "Parameters" => Node::Map(parameters) };
        stack.push(("Properties".to_owned(), properties));
        (logical(domain), Node::Map(stack))
    }

    /// The domain's template.
    pub(crate) fn stack(&self, domain: &str, functions: &[Function]) -> String {
        let besides = besides(functions).into_iter().map(|(name, _)| name);
        let parameters = self.environment.iter().map(|(_, parameter, _)| parameter.as_str()).chain(besides);
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
                "DeletionPolicy" => "RetainExceptOnCreate",
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
            resources.extend(background::resources(function));
            resources.extend(triggers::permission(function));
            resources.extend(watch::of_function(function));
        }
        resources.extend(watch::of_log());
        resources.extend(background::clock_role(domain, functions));
        let mut conditions = tenant_credentials::conditions().members().to_vec();
        conditions.extend(watch::kept(functions).into_iter().map(watch::Kept::conditions));
        let template = map! {
            "AWSTemplateFormatVersion" => "2010-09-09",
            "Transform" => "AWS::Serverless-2016-10-31",
            "Description" => format!("Cloister - the functions of {domain}"),
            "Parameters" => Node::Map(parameters.collect()),
            "Conditions" => Node::Map(conditions),
            "Globals" => map! { "Function" => Node::Map(globals) },
            "Resources" => Node::Map(resources),
        };
        format!("{}{}", super::GENERATED, template.write(0))
    }
}

fn tables(template: &serde_norway::Value) -> Vec<(String, Vec<String>)> {
    let resources = template["Resources"].as_mapping().into_iter().flatten();
    let tables = resources.filter(|(_, resource)| resource["Type"] == "AWS::DynamoDB::Table");
    let indexes = |table: &serde_norway::Value| {
        let indexes = table["Properties"]["GlobalSecondaryIndexes"].as_sequence().into_iter().flatten();
        indexes.filter_map(|index| index["IndexName"].as_str().map(str::to_owned)).collect()
    };
    tables.filter_map(|(name, table)| Some((name.as_str()?.to_owned(), indexes(table)))).collect()
}

/// The logical name of a domain's stack in the root template.
pub(crate) fn logical(domain: &str) -> String {
    format!("{}Stack", pascal(domain))
}

/// A plain reference keeps its own name; any other value gets the variable's.
fn parameter(variable: &str, value: &Node) -> String {
    match value {
        Node::Tag("Ref", target) if matches!(**target, Node::Text(_)) => match &**target {
            Node::Text(name) => name.clone(),
            _ => String::new(),
        },
        _ => pascal(variable.trim_start_matches("CLOISTER_")),
    }
}

/// The queues of the root template that the functions' mappings and schedules name.
fn named_queues(functions: &[Function]) -> Vec<String> {
    let consumed = functions.iter().filter_map(|function| match function.serves {
        Serves::Consumer(consumer) => Some(queues::logical(&consumer.queue)),
        _ => None,
    });
    let scheduled = functions.iter().any(|function| matches!(function.serves, Serves::Schedule(_)));
    consumed.chain(scheduled.then(|| "SchedulesDeadQueue".to_owned())).collect()
}

fn resource(function: &Function) -> Node {
    let mut properties = vec![
        ("FunctionName".to_owned(), sub(format!("${{Prefix}}-{}", function.name))),
        ("CodeUri".to_owned(), format!("../../target/lambda/{}/", function.name).into()),
        ("Role".to_owned(), attribute(&format!("{}Role.Arn", function.logical()))),
    ];
    properties.extend(function.timeout().map(|secs| ("Timeout".to_owned(), u32::from(secs).into())));
    properties.extend(watch::reserved(function));
    properties.extend(tenant_credentials::environment(function).map(|environment| ("Environment".to_owned(), environment)));
    properties.push(("LoggingConfig".to_owned(), map! { "LogGroup" => reference("Logs"), "LogFormat" => "JSON" }));
    map! { "Type" => "AWS::Serverless::Function", "Properties" => Node::Map(properties) }
}

fn role(function: &Function) -> Node {
    let mut properties = vec![("RoleName".to_owned(), sub(format!("${{Prefix}}-{}", function.name)))];
    properties.extend(tenant_credentials::tags(function).map(|tags| ("Tags".to_owned(), tags)));
    let trust = map! {
        "Version" => "2012-10-17",
        "Statement" => list![map! {
            "Effect" => "Allow", "Principal" => map! { "Service" => "lambda.amazonaws.com" }, "Action" => "sts:AssumeRole",
        }],
    };
    properties.push(("AssumeRolePolicyDocument".to_owned(), trust));
    let needs = map! {
        "PolicyName" => "needs",
        "PolicyDocument" => map! { "Version" => "2012-10-17", "Statement" => iam::statements(function) },
    };
    properties.push(("Policies".to_owned(), list![needs]));
    map! { "Type" => "AWS::IAM::Role", "Properties" => Node::Map(properties) }
}
