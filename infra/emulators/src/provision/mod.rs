//! Creates the template's resources in the emulators.

mod api;
mod cognito;
mod dynamodb;
mod events;
mod kms;
mod mail;
mod pipe;
mod properties;
mod s3;
mod secret;
mod sns;
mod sqs;
#[cfg(test)]
mod tests;

pub use pipe::{Pipe, PipeTarget};

use std::collections::BTreeMap;

use serde_json::Value;

use crate::http_client::{CallError, Client};
use crate::template::{Attributes, Resolver, Resource};
use crate::{Error, Template, TemplateError};
use properties::Properties;

/// The emulators' addresses.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// DynamoDB's URL.
    pub dynamodb: String,
    /// KMS's URL.
    pub kms: String,
    /// The URL of MiniStack; needed for [`Which::Everything`].
    pub other: Option<String>,
}

/// How much of the template to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Tables, KMS keys and their aliases: the resources of the in-process emulators, within a few milliseconds.
    DataOnly,
    /// Every resource.
    Everything,
}

/// The created resources. The maps' keys are the resources' logical names.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Provisioned {
    /// Table names.
    pub tables: BTreeMap<String, String>,
    /// Key ARNs.
    pub keys: BTreeMap<String, String>,
    /// Queue URLs.
    pub queues: BTreeMap<String, String>,
    /// The same URLs by the names that functions use: `deliver-notification` of `cloister-deliver-notification`, and `seal-audit`
    /// of `cloister-seal-audit.fifo`.
    pub queues_by_name: BTreeMap<String, String>,
    /// Bucket names.
    pub buckets: BTreeMap<String, String>,
    /// Topic ARNs.
    pub topics: BTreeMap<String, String>,
    /// Secret ARNs.
    pub secrets: BTreeMap<String, String>,
    /// Names of event buses. MiniStack delivers their events by the rules into queues.
    pub buses: BTreeMap<String, String>,
    /// The resolved pipes. No emulator runs them; the reader of the tables' streams does.
    pub pipes: Vec<Pipe>,
    /// The user pool's id.
    pub user_pool_id: Option<String>,
    /// The app client's id.
    pub user_pool_client_id: Option<String>,
    /// The app client's secret. Functions do not get it from the environment; they fetch it from Cognito at start.
    pub user_pool_client_secret: Option<String>,
    /// `Globals.Function.Environment.Variables`, evaluated, without those that refer to a resource which was not created: of a
    /// type without a local counterpart, or with [`Which::DataOnly`] any other than tables and keys.
    pub env: BTreeMap<String, String>,
    /// The values of `Ref` and `GetAtt` of each resource.
    pub(crate) made: BTreeMap<String, Attributes>,
}

/// Resource types without a local counterpart, and the reason.
const NOT_EMULATED: &[(&str, &str)] = &[
    ("AWS::ApiGateway::Account", "there is no account to set up"),
    ("AWS::ApiGateway::BasePathMapping", "the local gateway has one address"),
    ("AWS::ApiGateway::Deployment", "the local gateway serves the compiled routes"),
    ("AWS::ApiGateway::DomainName", "the local gateway has one address"),
    ("AWS::ApiGateway::RestApi", "the local gateway serves the same routes"),
    ("AWS::ApiGateway::Stage", "the local gateway is the one stage"),
    ("AWS::ApiGatewayV2::Api", "the local gateway serves the sockets too"),
    ("AWS::ApiGatewayV2::Authorizer", "the local gateway calls the function itself"),
    ("AWS::ApiGatewayV2::Integration", "the local gateway calls the functions in its own process"),
    ("AWS::ApiGatewayV2::Route", "the local gateway serves the compiled routes"),
    ("AWS::ApiGatewayV2::RouteResponse", "the local gateway sends every answer back"),
    ("AWS::ApiGatewayV2::Stage", "the local gateway is the one stage"),
    ("AWS::CloudFormation::Stack", "its functions run in the local stack's own process"),
    ("AWS::CloudWatch::Alarm", "errors are shown in the terminal"),
    ("AWS::IAM::Role", "a proxy evaluates IAM for each call"),
    ("AWS::Logs::LogGroup", "functions log to the terminal"),
    ("AWS::Logs::MetricFilter", "functions log to the terminal"),
    ("AWS::S3::BucketPolicy", "a proxy evaluates the policy for each call"),
    (
        "AWS::SES::ConfigurationSetEventDestination",
        "the emulator's mail never bounces; a test puts its own feedback on the topic",
    ),
    ("AWS::SNS::TopicPolicy", "a proxy evaluates the policy for each call"),
    ("AWS::SQS::QueuePolicy", "a proxy evaluates the policy for each call"),
    ("AWS::WAFv2::LoggingConfiguration", "there is no edge on one machine"),
    ("AWS::WAFv2::WebACL", "there is no edge on one machine"),
    ("AWS::WAFv2::WebACLAssociation", "there is no edge on one machine"),
];

/// Creates the template's resources that do not exist yet: a second run changes nothing.
///
/// A resource type or property that is neither supported nor listed as without a local counterpart is an error, so that the
/// template stays the only list of resources.
///
/// # Errors
/// [`Error::Template`] if the template cannot be resolved or contains something unsupported; [`Error::Call`] if an emulator
/// refuses.
pub async fn provision(template: &Template, endpoints: &Endpoints, which: Which) -> Result<Provisioned, Error> {
    let mut run =
        Run { template, endpoints, client: Client::new(), resolver: Resolver::new(template), done: Provisioned::default() };
    let mut waiting = Vec::new();
    for (name, resource) in template.resources() {
        if run.wanted(name, resource, which)? {
            waiting.push((name.as_str(), resource));
        }
    }
    // A resource waits for those to which it refers. Each round must create at least one.
    while !waiting.is_empty() {
        let before = waiting.len();
        let mut postponed = Vec::new();
        let mut reason = None;
        for (name, resource) in waiting {
            match run.resolver.evaluate(name, &read_of(resource)) {
                Ok(properties) => run.make(name, &resource.kind, properties).await?,
                Err(error @ TemplateError::Unresolved { .. }) => {
                    postponed.push((name, resource));
                    reason = Some(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(reason) = reason.filter(|_| postponed.len() == before) {
            return Err(reason.into());
        }
        waiting = postponed;
    }
    run.environment(which)?;
    run.done.made = run.resolver.existing_so_far().clone();
    Ok(run.done)
}

struct Run<'a> {
    template: &'a Template,
    endpoints: &'a Endpoints,
    client: Client,
    resolver: Resolver<'a>,
    done: Provisioned,
}

impl Run<'_> {
    fn wanted(&self, name: &str, resource: &Resource, which: Which) -> Result<bool, Error> {
        if let Some(condition) = &resource.condition
            && !self.resolver.condition(name, condition)?
        {
            return Ok(false);
        }
        let kind = resource.kind.as_str();
        let data = matches!(kind, "AWS::DynamoDB::Table" | "AWS::KMS::Key" | "AWS::KMS::Alias");
        let other = matches!(
            kind,
            "AWS::Cognito::UserPool"
                | "AWS::Cognito::UserPoolClient"
                | "AWS::Cognito::UserPoolGroup"
                | "AWS::Events::EventBus"
                | "AWS::Events::Rule"
                | "AWS::Pipes::Pipe"
                | "AWS::S3::Bucket"
                | "AWS::SES::ConfigurationSet"
                | "AWS::SES::EmailIdentity"
                | "AWS::SNS::Subscription"
                | "AWS::SNS::Topic"
                | "AWS::SQS::Queue"
                | "AWS::SecretsManager::Secret"
        );
        if !data && !other && !is_not_emulated(kind) {
            return Err(unsupported(name, format!("`{kind}` is neither created locally nor listed as without a counterpart")));
        }
        if kind == "AWS::ApiGateway::RestApi" {
            api::import(name, &resource.properties)?;
        }
        Ok(data || other && which == Which::Everything)
    }

    async fn make(&mut self, name: &str, kind: &str, properties: Value) -> Result<(), Error> {
        let properties = Properties::new(name, properties)?;
        let attributes = match kind {
            "AWS::DynamoDB::Table" => self.table(name, properties).await?,
            "AWS::KMS::Key" => self.key(name, properties).await?,
            "AWS::KMS::Alias" => self.alias(name, properties).await?,
            "AWS::Cognito::UserPool" => self.user_pool(name, properties).await?,
            "AWS::Cognito::UserPoolClient" => self.user_pool_client(name, properties).await?,
            "AWS::Cognito::UserPoolGroup" => self.user_pool_group(name, properties).await?,
            "AWS::Events::EventBus" => self.event_bus(name, properties).await?,
            "AWS::Events::Rule" => self.rule(name, properties).await?,
            "AWS::Pipes::Pipe" => self.pipe(name, properties)?,
            "AWS::S3::Bucket" => self.bucket(name, properties).await?,
            "AWS::SES::ConfigurationSet" => self.configuration_set(name, properties).await?,
            "AWS::SES::EmailIdentity" => self.email_identity(name, properties).await?,
            "AWS::SNS::Subscription" => self.subscription(name, properties).await?,
            "AWS::SNS::Topic" => self.topic(name, properties).await?,
            "AWS::SQS::Queue" => self.queue(name, properties).await?,
            "AWS::SecretsManager::Secret" => self.secret(name, properties).await?,
            other => return Err(unsupported(name, format!("`{other}` cannot be created"))),
        };
        self.resolver.made(name, attributes);
        Ok(())
    }

    fn other(&self, name: &str) -> Result<&str, Error> {
        self.endpoints.other.as_deref().ok_or_else(|| unsupported(name, "no endpoint is given that could create it"))
    }

    /// Whether an expression refers to a resource that is not created here: `Api` or `Api.RootResourceId`.
    fn has_no_counterpart(&self, path: &str) -> bool {
        let name = path.split('.').next().unwrap_or(path);
        self.template.resources().get(name).is_some_and(|resource| is_not_emulated(&resource.kind))
    }

    fn environment(&mut self, which: Which) -> Result<(), Error> {
        for (name, expression) in self.template.environment() {
            match self.resolver.evaluate(name, expression) {
                Ok(Value::String(value)) => {
                    self.done.env.insert(name.clone(), value);
                }
                Ok(other) => {
                    self.done.env.insert(name.clone(), other.to_string());
                }
                Err(TemplateError::Unresolved { .. }) if which == Which::DataOnly => {}
                Err(TemplateError::Unresolved { name, .. }) if self.has_no_counterpart(&name) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn is_not_emulated(kind: &str) -> bool {
    NOT_EMULATED.iter().any(|(known, _)| *known == kind)
}

/// A resource's properties without its role: roles are not created, so the reference could not be resolved.
fn read_of(resource: &Resource) -> Value {
    let mut properties = resource.properties.clone();
    if let Some(properties) = properties.as_object_mut() {
        properties.remove("RoleArn");
    }
    properties
}

fn unsupported(resource: &str, message: impl Into<String>) -> Error {
    Error::Template(TemplateError::Unsupported { resource: resource.to_owned(), message: message.into() })
}

/// Converts a refused call into an error that names the resource.
fn refused<'a>(resource: &'a str, call: &'a str) -> impl FnOnce(CallError) -> Error + use<'a> {
    move |error| Error::Call { call: call.to_owned(), resource: resource.to_owned(), message: error.to_string() }
}

/// A member of an answer that AWS documents as always present.
fn member(resource: &str, call: &str, answer: &Value, pointer: &str) -> Result<String, Error> {
    answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| Error::Call {
        call: call.to_owned(),
        resource: resource.to_owned(),
        message: format!("the answer has no `{pointer}`"),
    })
}

fn attributes<const N: usize>(reference: impl Into<String>, attributes: [(&'static str, String); N]) -> Attributes {
    Attributes { reference: reference.into(), attributes: BTreeMap::from(attributes) }
}
