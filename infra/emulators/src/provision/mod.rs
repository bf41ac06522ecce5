//! Makes what the template declares.

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

/// Where the emulators listen.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// DynamoDB's URL.
    pub dynamodb: String,
    /// KMS's URL.
    pub kms: String,
    /// The URL of everything else; needed for [`Which::Everything`].
    pub other: Option<String>,
}

/// How much of the template to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Tables, KMS keys and their aliases: what the in-process emulators serve, in a few milliseconds.
    DataOnly,
    /// Every resource.
    Everything,
}

/// What exists now. The maps' keys are the resources' logical names.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Provisioned {
    /// Table names.
    pub tables: BTreeMap<String, String>,
    /// Key ARNs.
    pub keys: BTreeMap<String, String>,
    /// Queue URLs.
    pub queues: BTreeMap<String, String>,
    /// The same URLs by what the functions call the queues: `deliver-notification` of `cloister-deliver-notification`, and
    /// `seal-audit` of `cloister-seal-audit.fifo`.
    pub queues_by_name: BTreeMap<String, String>,
    /// Bucket names.
    pub buckets: BTreeMap<String, String>,
    /// Topic ARNs.
    pub topics: BTreeMap<String, String>,
    /// Secret ARNs.
    pub secrets: BTreeMap<String, String>,
    /// Names of event buses. The emulator moves what is put on one through its rules into queues.
    pub buses: BTreeMap<String, String>,
    /// The pipes, resolved. No emulator runs them: whoever reads the tables' streams does.
    pub pipes: Vec<Pipe>,
    /// The user pool's id.
    pub user_pool_id: Option<String>,
    /// The app client's id.
    pub user_pool_client_id: Option<String>,
    /// The app client's secret. Functions never get it by environment: they ask Cognito for it at start.
    pub user_pool_client_secret: Option<String>,
    /// `Globals.Function.Environment.Variables`, evaluated, without those that name a resource which was not made: one of a
    /// type that has no local counterpart, and with [`Which::DataOnly`] any but tables and keys.
    pub env: BTreeMap<String, String>,
    /// What each resource answers to `Ref` and `GetAtt`.
    pub(crate) made: BTreeMap<String, Attributes>,
}

/// Resource types that need no local counterpart, and why.
const NOT_EMULATED: &[(&str, &str)] = &[
    ("AWS::ApiGateway::Account", "nobody's account is set up here"),
    ("AWS::ApiGateway::BasePathMapping", "the local gateway has one address"),
    ("AWS::ApiGateway::Deployment", "the local gateway serves what is compiled in"),
    ("AWS::ApiGateway::DomainName", "the local gateway has one address"),
    ("AWS::ApiGateway::RestApi", "the local gateway serves the same routes"),
    ("AWS::ApiGateway::Stage", "the local gateway is the one stage"),
    ("AWS::ApiGatewayV2::Api", "the local gateway serves the sockets too"),
    ("AWS::ApiGatewayV2::Authorizer", "the local gateway asks the function itself"),
    ("AWS::ApiGatewayV2::Integration", "the local gateway calls the functions in its own process"),
    ("AWS::ApiGatewayV2::Route", "the local gateway serves what is compiled in"),
    ("AWS::ApiGatewayV2::RouteResponse", "the local gateway sends every answer back"),
    ("AWS::ApiGatewayV2::Stage", "the local gateway is the one stage"),
    ("AWS::CloudFormation::Stack", "its functions run in the local stack's own process"),
    ("AWS::CloudWatch::Alarm", "whoever runs the local stack sees its terminal"),
    ("AWS::IAM::Role", "no emulator here checks IAM; each call is judged on its way"),
    ("AWS::Logs::LogGroup", "functions log to the terminal"),
    ("AWS::Logs::MetricFilter", "functions log to the terminal"),
    ("AWS::S3::BucketPolicy", "the emulator enforces none; each call is judged on its way"),
    (
        "AWS::SES::ConfigurationSetEventDestination",
        "the emulator's mail never bounces; a test puts its own feedback on the topic",
    ),
    ("AWS::SNS::TopicPolicy", "the emulator enforces none; each call is judged on its way"),
    ("AWS::SQS::QueuePolicy", "the emulator enforces none; each call is judged on its way"),
    ("AWS::WAFv2::LoggingConfiguration", "there is no edge on one machine"),
    ("AWS::WAFv2::WebACL", "there is no edge on one machine"),
    ("AWS::WAFv2::WebACLAssociation", "there is no edge on one machine"),
];

/// Makes what the template declares, or finds it where it exists: a second run changes nothing.
///
/// A resource of a type, or with a property, that is neither made nor known to need no local counterpart is an error: the
/// template stays the only list of what exists.
///
/// # Errors
/// [`Error::Template`] if the template cannot be resolved or asks for something unknown; [`Error::Call`] if an emulator
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
    // A resource waits for those it refers to: rounds go on for as long as each makes one at least.
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
            return Err(unsupported(name, format!("`{kind}` is neither made locally nor known to need no counterpart")));
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
            other => return Err(unsupported(name, format!("`{other}` cannot be made"))),
        };
        self.resolver.made(name, attributes);
        Ok(())
    }

    fn other(&self, name: &str) -> Result<&str, Error> {
        self.endpoints.other.as_deref().ok_or_else(|| unsupported(name, "no endpoint is given that could make it"))
    }

    /// Whether what an expression named, `Api` or `Api.RootResourceId`, is a resource of a type that nobody makes here.
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

/// A resource's properties without its role, which could not be resolved: roles are not made.
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

/// Turns a refused call into the error that names the resource.
fn refused<'a>(resource: &'a str, call: &'a str) -> impl FnOnce(CallError) -> Error + use<'a> {
    move |error| Error::Call { call: call.to_owned(), resource: resource.to_owned(), message: error.to_string() }
}

/// A member of an answer that AWS documents to be there.
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
