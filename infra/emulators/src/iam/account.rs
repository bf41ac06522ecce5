//! The account after the templates are deployed: its roles, and the resource policies.

use super::{Kind, Malformed, Principal, policy::Policy};
use crate::{
    ACCOUNT, Provisioned, REGION, Template, TemplateError,
    template::{Attributes, Overrides, Resolver, Resource},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// A template with the names of its resources.
#[derive(Clone, Debug)]
struct Stack {
    template: Template,
    made: Arc<BTreeMap<String, Attributes>>,
}

impl Stack {
    fn resolver(&self) -> Resolver<'_> {
        Resolver::with(&self.template, self.made.clone())
    }

    fn resource(&self, name: &str) -> Option<&Resource> {
        self.template.resources().get(name)
    }

    /// One property of a resource, evaluated.
    fn property(&self, name: &str, property: &str) -> Result<Value, Malformed> {
        let properties = self.resource(name).map(|resource| &resource.properties[property]).unwrap_or(&Value::Null);
        Ok(self.resolver().evaluate(&format!("{name}.{property}"), properties)?)
    }
}

impl From<TemplateError> for Malformed {
    fn from(error: TemplateError) -> Self {
        Self(error.to_string())
    }
}

/// The only AWS-managed policy of a role here. It is API Gateway's own role, which makes none of the evaluated calls.
const MANAGED: &str = ":policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs";

/// A resource of a stack, by the stack's place and its logical name.
type Place = (usize, String);

/// A role's policies.
#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) principal: Principal,
    /// The role's name without parts that differ between deployments.
    pub(crate) title: String,
    pub(crate) policy: Policy,
    /// The policy's statements, as deployed.
    pub(crate) document: Value,
    pub(crate) trust: Policy,
    pub(crate) trust_document: Value,
    pub(crate) most_seconds: u64,
}

/// A resource's policy.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) kind: Kind,
    pub(crate) policy: Policy,
    pub(crate) document: Value,
}

/// A table, in the form that calls refer to it.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) hash: String,
    pub(crate) indexes: BTreeMap<String, String>,
    pub(crate) key: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Account {
    stacks: Vec<Stack>,
    prefix: String,
    roles: BTreeMap<String, Place>,
    parsed: Mutex<BTreeMap<String, Arc<Role>>>,
    guards: BTreeMap<String, Place>,
    guarded: Mutex<BTreeMap<String, Arc<Guard>>>,
    tables: BTreeMap<String, Table>,
    functions: BTreeMap<String, Function>,
}

#[derive(Clone, Debug)]
struct Function {
    role: String,
    tenant_role: Option<String>,
}

impl Account {
    /// # Errors
    /// If a template cannot be read or resolved.
    pub(crate) fn new(template: &Template, provisioned: &Provisioned) -> Result<Self, Malformed> {
        let root = Stack { template: template.clone(), made: Arc::new(named(template, provisioned.made.clone())?) };
        let mut stacks = vec![root];
        let nested = template.resources().iter().filter(|(_, resource)| resource.kind == "AWS::CloudFormation::Stack");
        for (name, _) in nested {
            let url = stacks[0].property(name, "TemplateURL")?;
            let given = stacks[0].property(name, "Parameters")?;
            let texts = given.as_object().into_iter().flatten();
            let given: Overrides = texts.map(|(name, value)| (name.clone(), crate::template::text(value))).collect();
            let template = template.nested(url.as_str().unwrap_or_default(), &given)?;
            let made = Arc::new(named(&template, BTreeMap::new())?);
            stacks.push(Stack { template, made });
        }
        let prefix = template.parameter("Prefix").unwrap_or_default().to_owned();
        let mut account = Self {
            stacks,
            prefix,
            roles: BTreeMap::new(),
            parsed: Mutex::default(),
            guards: BTreeMap::new(),
            guarded: Mutex::default(),
            tables: BTreeMap::new(),
            functions: BTreeMap::new(),
        };
        account.list()?;
        Ok(account)
    }

    /// Adds each resource by name; its policies are read when they are needed.
    fn list(&mut self) -> Result<(), Malformed> {
        let stacks = self.stacks.clone();
        for (at, stack) in stacks.iter().enumerate() {
            for (name, resource) in stack.template.resources() {
                if let Some(condition) = &resource.condition
                    && !stack.resolver().condition(name, condition)?
                {
                    continue;
                }
                let place = || (at, name.clone());
                let texts =
                    |property: &str| -> Result<Vec<String>, Malformed> { super::policy::texts(&stack.property(name, property)?) };
                match resource.kind.as_str() {
                    "AWS::IAM::Role" => drop(self.roles.insert(stack.made[name].reference.clone(), place())),
                    "AWS::KMS::Key" => drop(self.guards.insert(stack.made[name].attributes["Arn"].clone(), place())),
                    "AWS::S3::BucketPolicy" => {
                        let bucket = texts("Bucket")?.remove(0);
                        self.guards.insert(format!("arn:aws:s3:::{bucket}"), place());
                    }
                    "AWS::SQS::QueuePolicy" => {
                        for url in texts("Queues")? {
                            let queue = url.rsplit('/').next().unwrap_or(&url);
                            self.guards.insert(format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"), place());
                        }
                    }
                    "AWS::SNS::TopicPolicy" => {
                        for topic in texts("Topics")? {
                            self.guards.insert(topic, place());
                        }
                    }
                    "AWS::DynamoDB::Table" => self.note_table(stack, name)?,
                    "AWS::Serverless::Function" => self.note_function(stack, name)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn note_table(&mut self, stack: &Stack, name: &str) -> Result<(), Malformed> {
        let hash = |schema: &Value| {
            let parts = schema.as_array().into_iter().flatten();
            let mut hashes = parts.filter(|part| part["KeyType"] == "HASH").filter_map(|part| part["AttributeName"].as_str());
            hashes.next().map(str::to_owned).ok_or_else(|| Malformed(format!("{name} has no partition key")))
        };
        let mut indexes = BTreeMap::new();
        for index in stack.property(name, "GlobalSecondaryIndexes")?.as_array().into_iter().flatten() {
            indexes.insert(crate::template::text(&index["IndexName"]), hash(&index["KeySchema"])?);
        }
        let key = stack.property(name, "SSESpecification")?["KMSMasterKeyId"].as_str().map(str::to_owned);
        let table = Table { hash: hash(&stack.property(name, "KeySchema")?)?, indexes, key };
        self.tables.insert(stack.made[name].reference.clone(), table);
        Ok(())
    }

    fn note_function(&mut self, stack: &Stack, name: &str) -> Result<(), Malformed> {
        if stack.resource(name).is_some_and(|function| !function.properties["Policies"].is_null()) {
            return Err(Malformed(format!("{name}: a function's policies belong into a role of its own")));
        }
        let text = |property: &str| Ok::<_, Malformed>(crate::template::text(&stack.property(name, property)?));
        let full = text("FunctionName")?;
        let function = full.strip_prefix(&format!("{}-", self.prefix)).unwrap_or(&full).to_owned();
        let last = |arn: &str| arn.rsplit('/').next().unwrap_or(arn).to_owned();
        let environment = stack.property(name, "Environment")?;
        let tenant_role = environment["Variables"]["CLOISTER_TENANT_ROLE_ARN"].as_str().filter(|arn| *arn != "none");
        self.functions.insert(function, Function { role: last(&text("Role")?), tenant_role: tenant_role.map(str::to_owned) });
        Ok(())
    }

    /// The name of a function's role.
    pub(crate) fn role_of(&self, function: &str) -> Option<&str> {
        self.functions.get(function).map(|function| function.role.as_str())
    }

    /// The ARN of the tenant role that a function assumes.
    pub(crate) fn tenant_role_of(&self, function: &str) -> Option<&str> {
        self.functions.get(function)?.tenant_role.as_deref()
    }

    /// The functions that assume a tenant role.
    pub(crate) fn functions_of(&self, tenant_role: &str) -> impl Iterator<Item = &str> {
        let end = format!("/{tenant_role}");
        let of = move |function: &Function| function.tenant_role.as_ref().is_some_and(|arn| arn.ends_with(&end));
        self.functions.iter().filter(move |(_, function)| of(function)).map(|(name, _)| name.as_str())
    }

    pub(crate) fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.keys().map(String::as_str)
    }

    pub(crate) fn guards(&self) -> impl Iterator<Item = &str> {
        self.guards.keys().map(String::as_str)
    }

    pub(crate) fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The value of `Ref` for a resource of the root template.
    pub(crate) fn reference(&self, name: &str) -> Option<&str> {
        self.stacks[0].made.get(name).map(|made| made.reference.as_str())
    }

    /// An output of the root template, evaluated.
    ///
    /// # Errors
    /// If there is no output of that name, or it cannot be evaluated.
    pub(crate) fn output(&self, name: &str) -> Result<String, Malformed> {
        let root = &self.stacks[0];
        let value = root.template.output(name).ok_or_else(|| Malformed(format!("the template has no output `{name}`")))?;
        Ok(crate::template::text(&root.resolver().evaluate(name, value)?))
    }

    /// A text property of a resource of the root template.
    pub(crate) fn property(&self, name: &str, property: &str) -> Option<String> {
        self.stacks[0].property(name, property).ok()?.as_str().map(str::to_owned)
    }

    /// One property of the root template's resource with that type and name.
    pub(crate) fn property_of(&self, kind: &str, reference: &str, property: &str) -> Option<Value> {
        let root = &self.stacks[0];
        let is = |(name, resource): &(&String, &Resource)| {
            resource.kind == kind && root.made.get(*name).is_some_and(|made| made.reference == reference)
        };
        root.property(root.template.resources().iter().find(is)?.0, property).ok()
    }

    /// A role by its name.
    ///
    /// # Errors
    /// If one of its policies is not supported.
    pub(crate) fn role(&self, name: &str) -> Result<Option<Arc<Role>>, Malformed> {
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(role) = parsed.get(name) {
            return Ok(Some(role.clone()));
        }
        let Some((at, logical)) = self.roles.get(name) else { return Ok(None) };
        let stack = &self.stacks[*at];
        let managed = stack.property(logical, "ManagedPolicyArns")?;
        let unknown =
            managed.as_array().into_iter().flatten().find(|arn| !arn.as_str().is_some_and(|arn| arn.ends_with(MANAGED)));
        if unknown.is_some() || !stack.property(logical, "PermissionsBoundary")?.is_null() {
            return Err(Malformed(format!("{logical} has policies that are not supported here")));
        }
        let mut statements = Vec::new();
        for policy in stack.property(logical, "Policies")?.as_array().into_iter().flatten() {
            match &policy["PolicyDocument"]["Statement"] {
                Value::Array(of) => statements.extend(of.iter().cloned()),
                one => statements.push(one.clone()),
            }
        }
        let document = json!({ "Version": "2012-10-17", "Statement": statements });
        let trust_document = stack.property(logical, "AssumeRolePolicyDocument")?;
        let tags = stack.property(logical, "Tags")?;
        let tag = |tag: &Value| (crate::template::text(&tag["Key"]), crate::template::text(&tag["Value"]));
        let role = Arc::new(Role {
            title: self.title(name),
            principal: Principal {
                name: name.to_owned(),
                role: format!("arn:aws:iam::{ACCOUNT}:role/{name}"),
                session: format!("arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{name}"),
                account: ACCOUNT.to_owned(),
                tags: tags.as_array().into_iter().flatten().map(tag).collect(),
                of: None,
            },
            policy: Policy::parse(&document)?,
            document,
            trust: Policy::parse(&trust_document)?,
            trust_document,
            most_seconds: stack.property(logical, "MaxSessionDuration")?.as_u64().unwrap_or(3600),
        });
        parsed.insert(name.to_owned(), role.clone());
        Ok(Some(role))
    }

    /// A role's name without parts that differ between deployments. A tenant role's name is a hash, so it is named after its
    /// first function.
    pub(crate) fn title(&self, role: &str) -> String {
        let own = role.strip_prefix(&self.prefix).and_then(|rest| rest.strip_prefix('-')).unwrap_or(role);
        if !own.starts_with("tenant-") {
            return own.to_owned();
        }
        format!("tenant role of {}", self.functions_of(role).next().unwrap_or("nobody"))
    }

    /// The policy of a resource by its ARN, if the templates define one.
    ///
    /// # Errors
    /// If it is not supported.
    pub(crate) fn guard(&self, arn: &str) -> Result<Option<Arc<Guard>>, Malformed> {
        let mut guarded = self.guarded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(guard) = guarded.get(arn) {
            return Ok(Some(guard.clone()));
        }
        let Some((at, logical)) = self.guards.get(arn) else { return Ok(None) };
        let key = arn.starts_with("arn:aws:kms:");
        let document = self.stacks[*at].property(logical, if key { "KeyPolicy" } else { "PolicyDocument" })?;
        let kind = if key { Kind::Needed } else { Kind::Enough };
        let guard = Arc::new(Guard { kind, policy: Policy::parse(&document)?, document });
        guarded.insert(arn.to_owned(), guard.clone());
        Ok(Some(guard))
    }
}

/// The policy of a KMS key that is created without one: the account's IAM policies decide.
pub(crate) fn default_key_policy() -> Value {
    json!({ "Version": "2012-10-17", "Statement": [{
        "Sid": "Enable IAM User Permissions", "Effect": "Allow",
        "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:root") }, "Action": "kms:*", "Resource": "*",
    }] })
}

/// The name of each resource: as created, or, for a resource that is not created here, as on AWS.
fn named(template: &Template, mut made: BTreeMap<String, Attributes>) -> Result<BTreeMap<String, Attributes>, Malformed> {
    for (logical, resource) in template.resources() {
        if let Some(made) = made.get_mut(logical) {
            // The DynamoDB emulator has its own account and Region.
            if resource.kind == "AWS::DynamoDB::Table" {
                let arn = format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{}", made.reference);
                made.attributes.insert("Arn", arn);
            }
            continue;
        }
        let name = |property: &str| -> Result<String, Malformed> {
            let value = Resolver::with(template, Arc::new(BTreeMap::new())).evaluate(logical, &resource.properties[property])?;
            Ok(value.as_str().map_or_else(|| logical.clone(), str::to_owned))
        };
        let arn = |service: &str, rest: String| format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}");
        let (reference, arn) = match resource.kind.as_str() {
            "AWS::IAM::Role" => {
                let name = name("RoleName")?;
                (name.clone(), format!("arn:aws:iam::{ACCOUNT}:role/{name}"))
            }
            "AWS::SQS::Queue" => {
                let name = name("QueueName")?;
                (format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"), arn("sqs", name))
            }
            "AWS::SES::EmailIdentity" => {
                let name = name("EmailIdentity")?;
                (name.clone(), arn("ses", format!("identity/{name}")))
            }
            "AWS::SES::ConfigurationSet" => {
                let name = name("Name")?;
                (name.clone(), arn("ses", format!("configuration-set/{name}")))
            }
            "AWS::S3::Bucket" => {
                let name = name("BucketName")?;
                (name.clone(), format!("arn:aws:s3:::{name}"))
            }
            "AWS::SNS::Topic" => {
                let arn = arn("sns", name("TopicName")?);
                (arn.clone(), arn)
            }
            "AWS::SecretsManager::Secret" => {
                let arn = arn("secretsmanager", format!("secret:{}-AbCdEf", name("Name")?));
                (arn.clone(), arn)
            }
            "AWS::Logs::LogGroup" => {
                let name = name("LogGroupName")?;
                (name.clone(), arn("logs", format!("log-group:{name}:*")))
            }
            "AWS::KMS::Key" => (logical.clone(), arn("kms", format!("key/{logical}"))),
            "AWS::Cognito::UserPool" => (format!("{REGION}_Local"), arn("cognito-idp", format!("userpool/{REGION}_Local"))),
            "AWS::DynamoDB::Table" => {
                let name = name("TableName")?;
                (name.clone(), arn("dynamodb", format!("table/{name}")))
            }
            _ => (logical.clone(), arn("local", logical.clone())),
        };
        let mut attributes: BTreeMap<&'static str, String> =
            ["Arn", "RootResourceId", "StreamArn", "TopicArn", "ApiId"].map(|attribute| (attribute, arn.clone())).into();
        attributes.insert("StreamArn", format!("{arn}/stream/2026-01-01T00:00:00.000"));
        made.insert(logical.clone(), Attributes { reference, attributes });
    }
    Ok(made)
}

impl Account {
    /// The key of a queue, by the queue's ARN.
    pub(crate) fn queue_key(&self, queue: &str) -> Option<String> {
        let root = &self.stacks[0];
        let is = |(name, resource): &(&String, &Resource)| {
            resource.kind == "AWS::SQS::Queue"
                && root.made.get(*name).and_then(|made| made.attributes.get("Arn")).is_some_and(|arn| arn == queue)
        };
        let (name, _) = root.template.resources().iter().find(is)?;
        root.property(name, "KmsMasterKeyId").ok()?.as_str().map(str::to_owned)
    }

    /// A resource of a policy in the form that all deployments share: generated names are replaced by logical names.
    pub(crate) fn general(&self, resource: &str) -> String {
        let root = &self.stacks[0];
        for (name, made) in root.made.iter() {
            let random = ["AWS::KMS::Key", "AWS::Cognito::UserPool", "AWS::SecretsManager::Secret"];
            let kind = root.resource(name).map(|resource| resource.kind.as_str()).unwrap_or_default();
            if random.contains(&kind) && made.attributes.get("Arn").is_some_and(|arn| arn == resource) {
                return name.clone();
            }
        }
        let own = [("-", "${Prefix}-"), ("/", "${Prefix}/")];
        let text =
            own.iter().fold(resource.to_owned(), |text, (end, general)| text.replace(&format!("{}{end}", self.prefix), general));
        text.replace("arn:aws:", "")
            .replace(&format!(":{REGION}:{ACCOUNT}:"), ":")
            .replace(&format!("::{ACCOUNT}:"), ":")
            .replace(&format!("-{ACCOUNT}-"), "-${AWS::AccountId}-")
    }
}
