//! Two deployments in one account, where one's name begins with the other's: no pattern of one matches a resource of the other.
//!
//! The templates are resolved for each as CloudFormation would. A resource whose name the service assigns gets one that contains
//! its deployment.

use super::{
    tests::{Template, templates},
    yaml::Node,
};
use crate::workspace;
use std::{collections::BTreeMap, fs};

const ACCOUNT: &str = "000000000000";
const REGION: &str = "us-east-1";

/// Statements whose resource matches more than the deployment's, each with the condition that limits it.
const BOUNDED: &[(&str, &str)] = &[
    // Keys have no names.
    ("kms:Decrypt", "aws:ResourceTag/cloister:deployment"),
    ("kms:GenerateDataKeyWithoutPlaintext", "aws:ResourceTag/cloister:deployment"),
    ("kms:EnableKeyRotation", "aws:ResourceTag/cloister:deployment"),
    ("kms:TagResource", "aws:ResourceTag/cloister:deployment"),
    ("kms:DescribeKey", "kms:RequestAlias"),
    // The alias must be the deployment's too; and wrapping with another deployment's key needs that key's tag.
    ("kms:CreateAlias", "kms:CallerAccount"),
    // The identity of a mail domain may be that of a parent domain.
    ("ses:SendEmail", "ses:FromAddress"),
];

/// One deployment's resources and policies.
#[derive(Debug, Default)]
struct Deployment {
    /// By template and logical name: the ARN.
    arns: BTreeMap<String, String>,
    /// One per statement: its place, actions, resources and condition keys; and each ARN that a condition names.
    statements: Vec<Statement>,
}

#[derive(Debug)]
struct Statement {
    place: String,
    actions: Vec<String>,
    resources: Vec<String>,
    conditions: Vec<(String, String)>,
}

struct Resolver<'a> {
    prefix: &'a str,
    parameters: BTreeMap<String, Node>,
    conditions: BTreeMap<String, Node>,
    resources: &'a [(String, Node)],
}

impl Resolver<'_> {
    fn resolved(&self, node: &Node) -> Option<Node> {
        Some(match node {
            Node::Text(_) | Node::Block(_) | Node::Plain(_) => node.clone(),
            Node::List(items) => Node::List(items.iter().filter_map(|item| self.resolved(item)).collect()),
            Node::Map(members) => {
                Node::Map(members.iter().filter_map(|(name, value)| Some((name.clone(), self.resolved(value)?))).collect())
            }
            Node::Tag(name, argument) => return self.called(name, argument),
        })
    }

    fn text(&self, node: &Node) -> String {
        match self.resolved(node) {
            Some(Node::Text(text) | Node::Plain(text) | Node::Block(text)) => text,
            Some(Node::List(items)) => items.iter().map(|item| self.text(item)).collect::<Vec<_>>().join(","),
            other => panic!("no text: {other:?}"),
        }
    }

    fn called(&self, name: &str, argument: &Node) -> Option<Node> {
        let list = || match argument {
            Node::List(items) => items.as_slice(),
            other => panic!("!{name} of {other:?}"),
        };
        Some(match (name, argument) {
            ("Ref", Node::Text(target)) => return self.referred(target),
            ("GetAtt", Node::Text(path)) => {
                let (resource, attribute) = path.split_once('.').unwrap();
                self.attribute(resource, attribute).into()
            }
            ("Sub", Node::List(parts)) => {
                let names = parts[1].members().iter().map(|(name, value)| (name.as_str(), self.text(value))).collect();
                self.substituted(&self.text(&parts[0]), &names).into()
            }
            ("Sub", Node::Text(text)) => self.substituted(text, &BTreeMap::new()).into(),
            ("Join", _) => {
                let Some(Node::List(items)) = self.resolved(&list()[1]) else { panic!("!Join of no list") };
                items.iter().map(|item| self.text(item)).collect::<Vec<_>>().join(&self.text(&list()[0])).into()
            }
            ("Select", _) => {
                let Some(Node::List(items)) = self.resolved(&list()[1]) else { panic!("!Select of no list") };
                items[self.text(&list()[0]).parse::<usize>().unwrap()].clone()
            }
            ("Split", _) => self.text(&list()[1]).split(&self.text(&list()[0])).collect(),
            ("If", _) => return self.resolved(&list()[if self.holds(&self.conditions[&self.text(&list()[0])]) { 1 } else { 2 }]),
            other => panic!("unsupported function: {other:?}"),
        })
    }

    fn holds(&self, condition: &Node) -> bool {
        match condition {
            Node::Tag("Equals", sides) => match &**sides {
                Node::List(sides) => self.text(&sides[0]) == self.text(&sides[1]),
                other => panic!("{other:?}"),
            },
            Node::Tag("Not", of) => match &**of {
                Node::List(of) => !self.holds(&of[0]),
                other => panic!("{other:?}"),
            },
            other => panic!("unsupported condition: {other:?}"),
        }
    }

    fn referred(&self, target: &str) -> Option<Node> {
        Some(match target {
            "AWS::NoValue" => return None,
            "AWS::AccountId" => ACCOUNT.into(),
            "AWS::Region" => REGION.into(),
            "AWS::Partition" => "aws".into(),
            "AWS::URLSuffix" => "amazonaws.com".into(),
            _ => match self.parameters.get(target) {
                Some(value) => value.clone(),
                None => self.physical(target).into(),
            },
        })
    }

    fn substituted(&self, text: &str, names: &BTreeMap<&str, String>) -> String {
        let (mut out, mut rest) = (String::new(), text);
        while let Some((before, (name, after))) = rest.split_once("${").and_then(|(b, a)| Some((b, a.split_once('}')?))) {
            out.push_str(before);
            match (name.strip_prefix('!'), names.get(name), name.split_once('.')) {
                (Some(literal), ..) => out.push_str(&format!("${{{literal}}}")),
                (_, Some(value), _) => out.push_str(value),
                (_, _, Some((resource, attribute))) => out.push_str(&self.attribute(resource, attribute)),
                _ => out.push_str(&self.text(&self.referred(name).unwrap())),
            }
            rest = after;
        }
        out + rest
    }

    fn resource(&self, logical: &str) -> (&str, &Node) {
        let (_, resource) = self
            .resources
            .iter()
            .find(|(name, _)| name == logical)
            .unwrap_or_else(|| panic!("`{logical}` is not in the template"));
        let Some(Node::Text(kind)) = resource.get("Type") else { panic!("{logical} has no type") };
        (kind, resource)
    }

    /// Its physical name: from the template, or assigned by the service without the deployment's name.
    fn physical(&self, logical: &str) -> String {
        let (_, resource) = self.resource(logical);
        const NAMES: [&str; 13] = [
            "TableName",
            "QueueName",
            "FunctionName",
            "RoleName",
            "TopicName",
            "BucketName",
            "LogGroupName",
            "AliasName",
            "AlarmName",
            "Name",
            "EmailIdentity",
            "StageName",
            "UserPoolName",
        ];
        let properties = resource.get("Properties");
        let named = NAMES.iter().find_map(|name| properties.and_then(|p| p.get(name)));
        named.map_or_else(|| format!("of-{}-{logical}", self.prefix.len()), |name| self.text(name))
    }

    fn attribute(&self, logical: &str, attribute: &str) -> String {
        match attribute {
            "Arn" => self.arn(logical),
            "StreamArn" => format!("{}/stream/1", self.arn(logical)),
            _ => self.physical(logical),
        }
    }

    fn arn(&self, logical: &str) -> String {
        let (kind, resource) = self.resource(logical);
        let name = self.physical(logical);
        let own = |service: &str, what: &str| format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{what}{name}");
        match kind {
            "AWS::DynamoDB::Table" => own("dynamodb", "table/"),
            "AWS::SQS::Queue" => own("sqs", ""),
            "AWS::SNS::Topic" => own("sns", ""),
            "AWS::Serverless::Function" => own("lambda", "function:"),
            "AWS::KMS::Key" => own("kms", "key/"),
            "AWS::KMS::Alias" => own("kms", ""),
            "AWS::Logs::LogGroup" => own("logs", "log-group:"),
            "AWS::Events::EventBus" => own("events", "event-bus/"),
            "AWS::Events::Rule" => match resource.get("Properties").and_then(|p| p.get("EventBusName")) {
                Some(bus) => format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/{}/{name}", self.text(bus)),
                None => own("events", "rule/"),
            },
            "AWS::Pipes::Pipe" => own("pipes", "pipe/"),
            "AWS::Scheduler::Schedule" => own("scheduler", "schedule/default/"),
            "AWS::SecretsManager::Secret" => own("secretsmanager", "secret:"),
            "AWS::SES::ConfigurationSet" => own("ses", "configuration-set/"),
            "AWS::SES::EmailIdentity" => own("ses", "identity/"),
            "AWS::Cognito::UserPool" => format!("arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/of-{}", self.prefix.len()),
            "AWS::CloudWatch::Alarm" => own("cloudwatch", "alarm:"),
            "AWS::IAM::Role" => format!("arn:aws:iam::{ACCOUNT}:role/{name}"),
            "AWS::S3::Bucket" => format!("arn:aws:s3:::{name}"),
            "AWS::ApiGateway::RestApi" | "AWS::ApiGatewayV2::Api" => own("execute-api", ""),
            _ => format!("arn:aws:other:{REGION}:{ACCOUNT}:{kind}/{name}"),
        }
    }
}

/// The root's nested stacks get the parameters that it passes.
fn deployment(prefix: &str, domain: &str, templates: &[Template]) -> Deployment {
    let root = templates.iter().find(|template| template.name == "template.yaml").unwrap();
    let text = fs::read_to_string(workspace::root().join("template.yaml")).unwrap();
    let yaml: serde_norway::Value = serde_norway::from_str(&text).unwrap();
    let of_yaml = |name: &str| Node::from_yaml(&yaml[name]).unwrap();
    let mut parameters: BTreeMap<String, Node> =
        of_yaml("Parameters").members().iter().filter_map(|(name, p)| Some((name.clone(), p.get("Default")?.clone()))).collect();
    parameters.insert("Prefix".to_owned(), prefix.into());
    parameters.insert("MailDomain".to_owned(), domain.into());
    for list in ["AllowedOrigins", "OperatorNetworks"] {
        parameters.entry(list.to_owned()).and_modify(|value| {
            if let Node::Text(text) = value {
                *value = text.split(',').collect();
            }
        });
    }
    let conditions = of_yaml("Conditions").members().iter().cloned().collect();
    let resolver = Resolver { prefix, parameters, conditions, resources: &root.resources };
    let mut deployment = Deployment::default();
    deployment.add(&resolver, &root.name);
    for (logical, stack) in &root.resources {
        let Some(Node::Text(file)) = stack.get("Properties").and_then(|p| p.get("TemplateURL")) else { continue };
        let nested = templates.iter().find(|template| template.name == *file).unwrap_or_else(|| panic!("{logical}: {file}"));
        let passed = stack.get("Properties").unwrap().get("Parameters").unwrap().members();
        let parameters = passed.iter().filter_map(|(name, value)| Some((name.clone(), resolver.resolved(value)?))).collect();
        let text = fs::read_to_string(workspace::root().join(file)).unwrap();
        let yaml: serde_norway::Value = serde_norway::from_str(&text).unwrap();
        let conditions = Node::from_yaml(&yaml["Conditions"]).unwrap().members().iter().cloned().collect();
        let of_nested = Resolver { prefix, parameters, conditions, resources: &nested.resources };
        deployment.add(&of_nested, file);
    }
    // Resources that functions create, and contents of the template's resources.
    let bucket = deployment.arns["template.yaml AuditBucket"].clone();
    let table = deployment.arns["template.yaml RecordsTable"].clone();
    for (name, arn) in [
        ("a tenant's key", format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/of-{}-tenant", prefix.len())),
        ("a tenant's alias", format!("arn:aws:kms:{REGION}:{ACCOUNT}:alias/{prefix}-ten_0190a8f6b2c07d3e8f4a5b6c7d8e9f00")),
        ("a segment", format!("{bucket}/segments/ten_0190a8f6b2c07d3e8f4a5b6c7d8e9f00/0.jsonl")),
        ("an index", format!("{table}/index/all")),
        ("an operator", format!("arn:aws:iam::{ACCOUNT}:role/{prefix}-operator")),
    ] {
        deployment.arns.insert(name.to_owned(), arn);
    }
    deployment
}

impl Deployment {
    fn add(&mut self, resolver: &Resolver<'_>, file: &str) {
        for (logical, resource) in resolver.resources {
            self.arns.insert(format!("{file} {logical}"), resolver.arn(logical));
            // The API's description is not a policy, and is large.
            let properties = resource
                .get("Properties")
                .map(|p| Node::Map(p.members().iter().filter(|(name, _)| name != "Body").cloned().collect()));
            if let Some(properties) = properties.and_then(|p| resolver.resolved(&p)) {
                self.collect(&format!("{file} {logical}"), &properties);
            }
        }
    }

    fn collect(&mut self, place: &str, node: &Node) {
        let texts = |node: Option<&Node>| {
            node.map(super::tests::texts).unwrap_or_default().into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        if node.get("Effect") == Some(&"Allow".into()) {
            let mut conditions = Vec::new();
            for (_, keys) in node.get("Condition").map(Node::members).unwrap_or_default() {
                for (key, values) in keys.members() {
                    let values = texts(Some(values));
                    conditions.extend(values.into_iter().map(|value| (key.clone(), value)));
                    conditions.push((key.clone(), String::new()));
                }
            }
            // In a resource's own policy, `*` is that resource.
            let resources = if node.get("Principal").is_some() { Vec::new() } else { texts(node.get("Resource")) };
            self.statements.push(Statement {
                place: place.to_owned(),
                actions: texts(node.get("Action")),
                resources,
                conditions,
            });
        }
        match node {
            Node::List(items) => items.iter().for_each(|item| self.collect(place, item)),
            Node::Map(members) => members.iter().for_each(|(_, value)| self.collect(place, value)),
            _ => {}
        }
    }
}

/// Whether IAM's pattern matches the text: `*` is any characters, `?` one.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| fits(&pattern[1..], &text[at..])),
        Some(first) => match text.chars().next() {
            Some(other) if first == '?' || first == other => fits(&pattern[first.len_utf8()..], &text[other.len_utf8()..]),
            _ => false,
        },
    }
}

#[test]
fn no_pattern_of_one_deployment_matches_anothers_resources() {
    let templates = templates();
    let one = deployment("cloister", "cloister.example", templates);
    let other = deployment("cloister-prod", "prod.cloister.example", templates);
    let mut bounded = 0;
    for (own, foreign) in [(&one, &other), (&other, &one)] {
        assert!(own.statements.len() > 500 && foreign.arns.len() > 300, "the walk found them");
        for statement in &own.statements {
            let is_bounded = statement.actions.iter().all(|action| {
                BOUNDED.iter().any(|(known, key)| known == action && statement.conditions.iter().any(|(name, _)| name == key))
            });
            // X-Ray has no resources, and a key has no name before it is created.
            let nameless = statement.actions.iter().all(|action| action.starts_with("xray:") || action == "kms:CreateKey");
            for pattern in statement.resources.iter().filter(|_| !nameless) {
                for (name, arn) in &foreign.arns {
                    if fits(pattern, arn) {
                        assert!(
                            is_bounded,
                            "{}: {:?} on {pattern} matches the other's {name}, {arn}",
                            statement.place, statement.actions
                        );
                        bounded += 1;
                    }
                }
            }
            for (key, value) in
                statement.conditions.iter().filter(|(_, value)| value.starts_with("arn:") || value.starts_with("alias/"))
            {
                for (name, arn) in &foreign.arns {
                    let alias = arn.rsplit(':').next().unwrap_or_default();
                    let fitting = fits(value, arn) || (value.starts_with("alias/") && fits(value, alias));
                    assert!(!fitting, "{}: {key} {value} matches the other's {name}, {arn}", statement.place);
                }
            }
            for (key, value) in statement.conditions.iter().filter(|(key, _)| key.ends_with("Tag/cloister:deployment")) {
                let prefix = if std::ptr::eq(own, &one) { "cloister" } else { "cloister-prod" };
                assert!(["", "true", prefix].contains(&value.as_str()), "{}: {key} {value}", statement.place);
            }
        }
    }
    assert!(bounded > 100, "{bounded} were checked");
}

#[test]
fn no_two_deployments_share_a_name() {
    let templates = templates();
    let one = deployment("cloister", "cloister.example", templates);
    let other = deployment("cloister-prod", "prod.cloister.example", templates);
    // Leaves out resources of which an account has one, and names that CloudFormation assigns.
    let named = |arn: &&String| !arn.contains(":of-") && !arn.contains("/of-") && !arn.contains(":other:");
    for arn in one.arns.values().filter(named) {
        assert!(!other.arns.values().any(|known| known == arn), "{arn}");
    }
}

/// IAM allows 10,240 characters of a role's inline policies without white space, and KMS 32,768 of a key's.
#[test]
fn lists_of_names_stay_within_what_iam_and_kms_take() {
    let templates = templates();
    // The longest prefix.
    let longest = deployment("abcdefghijklmnopqrst", "cloister.example", templates);
    let mut lengths: BTreeMap<&str, usize> = BTreeMap::new();
    for statement in &longest.statements {
        let conditions = statement.conditions.iter().map(|(_, value)| value.len() + 3).sum::<usize>();
        let length =
            100 + conditions + statement.resources.iter().chain(&statement.actions).map(|text| text.len() + 3).sum::<usize>();
        *lengths.entry(&statement.place).or_default() += length;
    }
    for (place, length) in lengths {
        let most = if place.ends_with("Key") { 32_768 } else { 10_240 };
        assert!(length < most, "{place}: {length} of {most}");
    }
}
