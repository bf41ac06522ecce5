//! Makes what the template declares.

mod cognito;
mod dynamodb;
mod kms;
mod properties;
mod s3;
mod sqs;

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
    /// Bucket names.
    pub buckets: BTreeMap<String, String>,
    /// The user pool's id.
    pub user_pool_id: Option<String>,
    /// The app client's id.
    pub user_pool_client_id: Option<String>,
    /// The app client's secret. Functions never get it by environment: they ask Cognito for it at start.
    pub user_pool_client_secret: Option<String>,
    /// `Globals.Function.Environment.Variables`, evaluated. With [`Which::DataOnly`], without the variables that name a
    /// resource which was not made.
    pub env: BTreeMap<String, String>,
}

/// Resource types that need no local counterpart, and why.
const NOT_EMULATED: &[(&str, &str)] = &[
    ("AWS::ApiGateway::Account", "nobody's account is set up here"),
    ("AWS::ApiGateway::Deployment", "the local gateway serves what is compiled in"),
    ("AWS::ApiGateway::RestApi", "the local gateway serves the same routes"),
    ("AWS::ApiGateway::Stage", "the local gateway is the one stage"),
    ("AWS::CloudFormation::Stack", "its functions run in the local stack's own process"),
    ("AWS::IAM::Role", "no emulator here checks IAM; the suite checks the policies as text"),
    ("AWS::Logs::LogGroup", "functions log to the terminal"),
    ("AWS::S3::BucketPolicy", "the emulator enforces none; the suite checks the policy as text"),
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
            match run.resolver.evaluate(name, &resource.properties) {
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
                | "AWS::S3::Bucket"
                | "AWS::SQS::Queue"
        );
        if !data && !other && !NOT_EMULATED.iter().any(|(known, _)| *known == kind) {
            return Err(unsupported(name, format!("`{kind}` is neither made locally nor known to need no counterpart")));
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
            "AWS::S3::Bucket" => self.bucket(name, properties).await?,
            "AWS::SQS::Queue" => self.queue(name, properties).await?,
            other => return Err(unsupported(name, format!("`{other}` cannot be made"))),
        };
        self.resolver.made(name, attributes);
        Ok(())
    }

    fn other(&self, name: &str) -> Result<&str, Error> {
        self.endpoints.other.as_deref().ok_or_else(|| unsupported(name, "no endpoint is given that could make it"))
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
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
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
