//! Tests what the templates guarantee to operators: a first deployment works, can fail, and can be removed.

use super::super::{api, samconfig, tags, yaml::Node};
use super::*;
use emulators::{Overrides, Template, TemplateError};
use std::collections::BTreeSet;

/// Every template with its name.
fn templates() -> Vec<(String, Value)> {
    let nested = stacks().into_iter().map(|(path, stack)| (path.display().to_string(), stack));
    nested.chain([("template.yaml".to_owned(), root())]).collect()
}

fn resources(template: &Value) -> impl Iterator<Item = (&str, &Value)> {
    template["Resources"].as_mapping().unwrap().iter().map(|(name, resource)| (name.as_str().unwrap(), resource))
}

fn words(value: &Value) -> Vec<&str> {
    value.as_sequence().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

#[test]
fn retained_resource_is_deleted_when_its_creation_is_rolled_back() {
    // Neither has a name with which a second attempt would collide, and the account's setting outlives the stack.
    const KEPT: [&str; 2] = ["ApiAccount", "ApiLogRole"];
    let mut retained = 0;
    for (path, template) in templates() {
        for (name, resource) in resources(&template).filter(|(_, resource)| !resource["DeletionPolicy"].is_null()) {
            let expected = if KEPT.contains(&name) { "Retain" } else { "RetainExceptOnCreate" };
            assert_eq!(resource["DeletionPolicy"], expected, "{path}: {name}");
            assert_eq!(resource["UpdateReplacePolicy"], "Retain", "{path}: {name}");
            retained += 1;
        }
    }
    assert!(retained >= 20, "{retained}");
}

/// `RetainExceptOnCreate` leaves these when a stack is deleted, so a page has to say how to delete them.
#[test]
fn page_has_a_delete_command_for_every_retained_resource_type() {
    let page = fs::read_to_string(workspace::root().join("docs/first-deployment.md")).unwrap();
    for (path, template) in templates() {
        for (name, resource) in resources(&template).filter(|(_, resource)| !resource["DeletionPolicy"].is_null()) {
            let command = match resource["Type"].as_str().unwrap() {
                "AWS::ApiGateway::Account" => "aws apigateway update-account",
                "AWS::Cognito::UserPool" => "aws cognito-idp delete-user-pool",
                "AWS::DynamoDB::Table" => "aws dynamodb delete-table",
                "AWS::IAM::Role" => "aws iam delete-role",
                "AWS::KMS::Key" => "aws kms schedule-key-deletion",
                "AWS::Logs::LogGroup" => "aws logs delete-log-group",
                "AWS::S3::Bucket" => "aws s3api delete-bucket ",
                "AWS::S3::BucketPolicy" => "aws s3api delete-bucket-policy",
                "AWS::SecretsManager::Secret" => "aws secretsmanager delete-secret",
                other => panic!("{path}: {name}: how is a `{other}` deleted?"),
            };
            assert!(page.contains(command), "{name}: no `{command}`");
        }
    }
}

#[test]
fn trial_can_be_deleted_and_production_cannot() {
    assert_eq!(overrides("default")["DeletionProtection"], "false");
    assert_eq!(overrides("prod")["DeletionProtection"], "true");
    assert_eq!((overrides("default").get("Environment"), &*overrides("prod")["Environment"]), (None, "production"));
    assert_eq!((overrides("default").get("ExpireAuditLog"), &*overrides("prod")["ExpireAuditLog"]), (None, "true"));
    let kept: u32 = overrides("prod")["AuditRetentionDays"].parse().unwrap();
    assert!(kept > 90, "S3 refuses an expiry before the move to a colder class");
}

/// The commands of the README's deployment, in order.
fn readmes_path() -> Vec<String> {
    let readme = fs::read_to_string(workspace::root().join("README.md")).unwrap();
    let section = readme.split_once("\n## Deploying\n").unwrap().1.split("\n## ").next().unwrap();
    let block = section.split_once("```sh\n").unwrap().1.split("```").next().unwrap();
    let commands = block.lines().map(|line| line.split(" #").next().unwrap().trim().to_owned());
    commands.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// Each step is run by a test, or calls AWS. Everything that a step names exists: a task, a file, an output, an environment of
/// samconfig.toml.
#[test]
fn every_step_of_the_readmes_deployment_is_tested_or_calls_aws() {
    let path = readmes_path();
    let mut steps = Vec::new();
    for command in &path {
        let words: Vec<_> = command.split_whitespace().collect();
        let step = match words.as_slice() {
            // Parsed as the task's own command line. The tests of sync compare the files that `sync` writes. `build` is only
            // parsed, because a release build for arm64 takes minutes per function.
            ["cargo", "xtask", ..] => {
                let words: Vec<_> = ["xtask"].into_iter().chain(words[2..].iter().copied()).collect();
                assert!(<crate::Task as clap::Parser>::try_parse_from(&words).is_ok(), "{command}");
                words[1].to_owned()
            }
            // `infra/cli/tests/readme.rs` runs it as the operator role, with the output `OperatorEnvironment`.
            ["cargo", "run", "--release", "-p", "cloister", "--", "bootstrap", ..] => "bootstrap".to_owned(),
            ["sam", "deploy"] => "deploy".to_owned(),
            ["aws", service, call, ..] => format!("aws {service} {call}"),
            _ => panic!("no test covers `{command}`"),
        };
        steps.push(step);
    }
    assert_eq!(steps[2..5], ["sync", "build", "deploy"], "{steps:?}");
    assert_eq!(steps.last().unwrap(), "bootstrap", "{steps:?}");
    let page = fs::read_to_string(workspace::root().join("docs/first-deployment.md")).unwrap();
    for step in steps.iter().filter(|step| step.starts_with("aws ")) {
        assert!(page.contains(step.as_str()), "{step} is not in docs/first-deployment.md");
    }
    // The names in the text beside the commands.
    let readme = fs::read_to_string(workspace::root().join("README.md")).unwrap();
    for parameter in ["MailDomain", "AllowedOrigins", "OperatorNetworks", "AlarmEmail", "DeployingRole"] {
        assert!(readme.contains(&format!("`{parameter}`")) && !root()["Parameters"][parameter].is_null(), "{parameter}");
    }
    for output in ["OperatorRoleArn", "OperatorEnvironment", "ApiUrl"] {
        assert!(readme.contains(&format!("`{output}`")) && !root()["Outputs"][output].is_null(), "{output}");
    }
}

/// Parameters with which a production deployment succeeds; the origins are those that samconfig.toml would have.
fn true_values(origins: &str) -> Overrides {
    let mut values: Overrides = overrides("prod").into_iter().collect();
    for (name, value) in [
        ("MailDomain", "acme-health.com"),
        ("AllowedOrigins", origins),
        ("OperatorNetworks", "198.51.100.0/24,2001:db8::/48"),
        ("AlarmEmail", "on-call@acme-health.com"),
        ("DeployingRole", "arn:aws:iam::123456789012:role/deployer"),
    ] {
        values.insert(name.to_owned(), value.to_owned());
    }
    values
}

/// The root template that sync writes if samconfig.toml sets these origins for production.
fn template_for(origins: &str) -> tempfile::NamedTempFile {
    let text = fs::read_to_string(workspace::root().join("template.yaml")).unwrap();
    let rules = api::rules(&[("AllowedOrigins".to_owned(), origins.to_owned())]);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), regions::replace(&text, "rules", &rules).unwrap()).unwrap();
    file
}

fn refused(template: &Path, values: &Overrides) -> Vec<String> {
    match Template::load_with(template, values) {
        Ok(_) => vec![],
        Err(TemplateError::Rule { failed }) => failed,
        Err(other) => panic!("{other}"),
    }
}

const ORIGINS: &str = "https://app.acme-health.com,https://admin.acme-health.com";

#[test]
fn committed_production_is_refused_and_each_missing_value_is_named() {
    let root = workspace::root().join("template.yaml");
    let failed = refused(&root, &overrides("prod").into_iter().collect());
    for name in ["MailDomain", "AllowedOrigins", "OperatorNetworks", "AlarmEmail", "DeployingRole"] {
        assert!(failed.iter().any(|why| why.starts_with(name)), "{name}: {failed:?}");
    }
    assert_eq!(
        refused(&root, &overrides("default").into_iter().collect()),
        Vec::<String>::new(),
        "a trial accepts every default"
    );
    assert_eq!(refused(template_for(ORIGINS).path(), &true_values(ORIGINS)), Vec::<String>::new());
}

#[test]
fn production_refuses_each_placeholder_alone_and_among_real_values() {
    let template = template_for(ORIGINS);
    for (name, value) in [
        ("MailDomain", "cloister.example"),
        ("MailDomain", "example.com"),
        ("AllowedOrigins", "https://app.cloister.example"),
        ("AllowedOrigins", "https://app.acme-health.com,https://app.cloister.example"),
        ("AllowedOrigins", "https://other.acme-health.com"),
        ("OperatorNetworks", "127.0.0.0/8,::1/128"),
        ("OperatorNetworks", "198.51.100.0/24,::1/128"),
        ("OperatorNetworks", "127.0.0.1/32"),
        ("OperatorNetworks", "0.0.0.0/0"),
        ("OperatorNetworks", "198.51.100.0/24,::/0"),
        ("AlarmEmail", ""),
        ("AlarmEmail", "you@your-company.com"),
        ("DeployingRole", "*"),
        ("AuditRetentionMode", "GOVERNANCE"),
        ("TenantSessions", "off"),
    ] {
        let mut values = true_values(ORIGINS);
        values.insert(name.to_owned(), value.to_owned());
        let failed = refused(template.path(), &values);
        assert!(!failed.is_empty() && failed.iter().all(|why| why.starts_with(name)), "{name}={value}: {failed:?}");
        values.insert("Environment".to_owned(), "trial".to_owned());
        assert_eq!(refused(template.path(), &values), Vec::<String>::new(), "{name}={value} in a trial");
    }
}

#[test]
fn domain_and_certificate_are_required_together_in_any_environment() {
    let root = workspace::root().join("template.yaml");
    let certificate = "arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d-0000-0000-0000-000000000000";
    for (domain, certificate, fits) in
        [("", "", true), ("api.acme-health.com", certificate, true), ("api.acme-health.com", "", false), ("", certificate, false)]
    {
        let values = [("DomainName", domain), ("CertificateArn", certificate)];
        let values: Overrides = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(refused(&root, &values).is_empty(), fits, "{domain} {certificate}");
    }
}

fn names(resources: &str) -> BTreeSet<String> {
    let read: Value = serde_norway::from_str(resources).unwrap();
    read.as_mapping().unwrap().keys().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[test]
fn changed_parameter_in_samconfig_makes_a_new_api_snapshot() {
    let samconfig = fs::read_to_string(workspace::root().join("samconfig.toml")).unwrap();
    let other = samconfig.replace("Environment=production", "Environment=production AllowedOrigins=https://app.acme-health.com");
    assert_ne!(samconfig, other);
    let difference: Vec<_> =
        names(&api::resources(&samconfig)).symmetric_difference(&names(&api::resources(&other))).cloned().collect();
    assert!(difference.len() == 2 && difference.iter().all(|name| name.starts_with("ApiDeployment")), "{difference:?}");
    // Production allows only the values for which the snapshot was made.
    let production = samconfig::parameters(&other, "prod").unwrap();
    assert!(api::rules(&production).contains("[https://app.acme-health.com]"), "{}", api::rules(&production));
}

#[test]
fn api_and_sockets_are_deployed_after_their_functions() {
    let root = root();
    let stacks: BTreeSet<_> = of_type(&root, "AWS::CloudFormation::Stack").map(|(name, _)| name).collect();
    let (_, deployment) = of_type(&root, "AWS::ApiGateway::Deployment").next().unwrap();
    assert_eq!(words(&deployment["DependsOn"]).into_iter().collect::<BTreeSet<_>>(), stacks);
    let socket_stage = words(&root["Resources"]["SocketStage"]["DependsOn"]);
    let domains = registry::sockets().map(|socket| socket.domain).chain(["identity"]);
    for domain in domains {
        assert!(socket_stage.contains(&&*format!("{}Stack", function::pascal(domain))), "{domain}: {socket_stage:?}");
    }
}

#[test]
fn every_method_response_is_supported_by_api_gateway() {
    let root = root();
    let paths = root["Resources"]["Api"]["Properties"]["Body"]["paths"].as_mapping().unwrap();
    let mut seen = 0;
    for (path, operations) in paths {
        for (method, operation) in operations.as_mapping().unwrap() {
            for status in operation["responses"].as_mapping().unwrap().keys() {
                let status = status.as_str().unwrap();
                assert!(status.len() == 3 && status.parse::<u16>().is_ok(), "{method:?} {path:?}: {status}");
                seen += 1;
            }
        }
    }
    assert!(seen >= registry::all().count());
}

#[test]
fn default_gateway_responses_have_no_status_and_others_no_wildcard() {
    let root = root();
    let responses = root["Resources"]["Api"]["Properties"]["Body"]["x-amazon-apigateway-gateway-responses"].as_mapping().unwrap();
    for (name, response) in responses {
        let is_default = name.as_str().unwrap().starts_with("DEFAULT_");
        assert_eq!(response["statusCode"].is_null(), is_default, "{name:?}");
    }
    assert_eq!(responses["INTEGRATION_TIMEOUT"]["statusCode"], "504");
    assert_eq!(responses["INTEGRATION_FAILURE"]["statusCode"], "504");
}

#[test]
fn api_requires_tls_1_2_at_every_address_and_logs_the_version() {
    let root = root();
    let endpoints: Vec<_> =
        of_type(&root, "AWS::ApiGateway::RestApi").chain(of_type(&root, "AWS::ApiGateway::DomainName")).collect();
    assert_eq!(endpoints.len(), 2);
    for (name, endpoint) in endpoints {
        let policy = endpoint["Properties"]["SecurityPolicy"].as_str().unwrap();
        assert!(
            policy.starts_with("SecurityPolicy_TLS13_1_2_PFS") || policy.starts_with("SecurityPolicy_TLS13_1_3"),
            "{name}: {policy}"
        );
        assert_eq!(endpoint["Properties"]["EndpointAccessMode"], "STRICT", "{name}");
    }
    let api = &root["Resources"]["Api"]["Properties"]["DisableExecuteApiEndpoint"];
    assert!(!api.is_null(), "a custom domain would leave the other address open");
    let format = root["Resources"]["ApiStage"]["Properties"]["AccessLogSetting"]["Format"].as_str().unwrap();
    assert!(format.contains("$context.tlsVersion") && format.contains("$context.cipherSuite"), "{format}");
}

#[test]
fn web_acl_logs_blocked_and_counted_requests_without_credentials() {
    let root = root();
    let logging = &root["Resources"]["WebAclLogging"]["Properties"];
    let group = &root["Resources"]["WebAclLog"]["Properties"];
    assert!(tagged(&group["LogGroupName"]).starts_with("aws-waf-logs-"), "WAF requires this prefix");
    assert!(!group["KmsKeyId"].is_null() && !group["RetentionInDays"].is_null());
    let redacted = logging["RedactedFields"].as_sequence().unwrap();
    let headers: Vec<_> = redacted.iter().filter_map(|field| field["SingleHeader"]["Name"].as_str()).collect();
    for header in ["authorization", "cookie", "idempotency-key", "x-correlation-id"] {
        assert!(headers.contains(&header), "{header}: {headers:?}");
    }
    assert!(redacted.iter().any(|field| !field["QueryString"].is_null()), "a tracking number is in a query");
    assert_eq!(logging["LoggingFilter"]["DefaultBehavior"], "DROP");
}

#[test]
fn every_topic_is_encrypted_and_requires_tls() {
    let root = root();
    for (name, _) in of_type(&root, "AWS::SNS::Topic") {
        let own =
            |policy: &Value| policy["Properties"]["Topics"].as_sequence().unwrap().iter().any(|topic| tagged(topic) == name);
        let policies: Vec<_> = of_type(&root, "AWS::SNS::TopicPolicy").filter(|(_, policy)| own(policy)).collect();
        assert_eq!(policies.len(), 1, "{name}");
        let statements = policies[0].1["Properties"]["PolicyDocument"]["Statement"].as_sequence().unwrap();
        let denied = statements.iter().find(|statement| statement["Sid"] == "TlsOnly").unwrap();
        let expected: Value = serde_norway::from_str("{Bool: {aws:SecureTransport: false}}").unwrap();
        assert_eq!((&denied["Effect"], &denied["Principal"]), (&"Deny".into(), &"*".into()), "{name}");
        assert_eq!(
            (&denied["Action"], tagged(&denied["Resource"]), &denied["Condition"]),
            (&"sns:Publish".into(), name, &expected)
        );
    }
}

/// No principal deletes an object, and only the deploying role changes the bucket's settings. Object Lock protects locked objects
/// besides.
#[test]
fn audit_bucket_is_configured_by_the_deploying_role_and_emptied_by_nobody() {
    let root = root();
    let statements = root["Resources"]["AuditBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"].as_sequence().unwrap();
    let denied = |sid: &str| statements.iter().find(|statement| statement["Sid"] == sid).unwrap();
    let one_role = denied("OnlyTheDeployingRoleConfigures");
    assert_eq!((&one_role["Effect"], &one_role["Principal"]), (&"Deny".into(), &"*".into()));
    let condition = &one_role["Condition"]["StringNotLike"]["aws:PrincipalArn"];
    assert_eq!(tagged(condition), "DeployingRole", "{:?}", one_role["Condition"]);
    assert_eq!(one_role["Condition"].as_mapping().unwrap().len(), 1);
    let (configures, nobody) = (words(&one_role["Action"]), words(&denied("NobodyDeletesOrUnlocks")["Action"]));
    for action in ["PutBucketPolicy", "DeleteBucketPolicy", "PutBucketObjectLockConfiguration", "PutLifecycleConfiguration"] {
        let action = format!("s3:{action}");
        assert!(configures.contains(&&*action), "{action}");
        assert!(!nobody.contains(&&*action), "{action}: CloudFormation is locked out");
    }
    // CloudFormation creates the policy after the bucket, and the deploying role is known only by this parameter.
    assert_eq!(root["Parameters"]["DeployingRole"]["Default"], "*");
}

#[test]
fn audit_lifecycle_expires_only_segments_after_their_retention() {
    let root = root();
    let bucket = &root["Resources"]["AuditBucket"]["Properties"];
    let rules = bucket["LifecycleConfiguration"]["Rules"].as_sequence().unwrap();
    assert_eq!(rules.len(), 1);
    assert_eq!((&rules[0]["Prefix"], &rules[0]["Status"]), (&"segments/".into(), &"Enabled".into()));
    let expiration = serde_norway::to_string(&rules[0]["ExpirationInDays"]).unwrap();
    assert!(expiration.contains("AuditLogExpires") && expiration.contains("AuditRetentionDays"), "{expiration}");
    // A class with immediate access, because the log is verified each hour.
    assert_eq!(rules[0]["Transitions"][0]["StorageClass"], "GLACIER_IR");
    let log = &root["Resources"][tagged(&bucket["LoggingConfiguration"]["DestinationBucketName"])]["Properties"];
    assert!(log["ObjectLockEnabled"].is_null() && log["ObjectLockConfiguration"].is_null(), "S3 delivers into no locked bucket");
    let encryption = &log["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]["ServerSideEncryptionByDefault"];
    assert_eq!(encryption["SSEAlgorithm"], "AES256", "nor under a KMS key");
}

/// Types of the root template that take no tags, by CloudFormation's schemas.
const WITHOUT_TAGS: [&str; 19] = [
    "AWS::ApiGateway::Account",
    "AWS::ApiGateway::BasePathMapping",
    "AWS::ApiGateway::Deployment",
    "AWS::ApiGatewayV2::Authorizer",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Route",
    "AWS::Cognito::UserPoolClient",
    "AWS::Cognito::UserPoolGroup",
    "AWS::KMS::Alias",
    "AWS::Lambda::Permission",
    "AWS::Logs::MetricFilter",
    "AWS::S3::BucketPolicy",
    "AWS::SES::ConfigurationSetEventDestination",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::Scheduler::Schedule",
    "AWS::WAFv2::LoggingConfiguration",
    "AWS::WAFv2::WebACLAssociation",
];

#[test]
fn every_taggable_resource_has_its_deployments_tag() {
    let root = root();
    for (name, resource) in resources(&root).filter(|(_, resource)| !WITHOUT_TAGS.contains(&resource["Type"].as_str().unwrap())) {
        let properties = &resource["Properties"];
        let tags = if properties["UserPoolTags"].is_null() { &properties["Tags"] } else { &properties["UserPoolTags"] };
        let value = match tags {
            Value::Sequence(tags) => tags.iter().find(|tag| tag["Key"] == tags::DEPLOYMENT).map(|tag| &tag["Value"]),
            tags => Some(&tags[tags::DEPLOYMENT]),
        };
        assert_eq!(value.map(tagged), Some("Prefix"), "{name}");
    }
}

/// The indexes, one a line, in the form of the last release's list.
fn indexes(template: &Value) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for (_, table) in of_type(template, "AWS::DynamoDB::Table") {
        let name = tagged(&table["Properties"]["TableName"]).strip_prefix("${Prefix}-").unwrap();
        for index in table["Properties"]["GlobalSecondaryIndexes"].as_sequence().into_iter().flatten() {
            let keys: Vec<_> =
                index["KeySchema"].as_sequence().unwrap().iter().map(|key| key["AttributeName"].as_str().unwrap()).collect();
            let projection = index["Projection"]["ProjectionType"].as_str().unwrap();
            lines.insert(format!("{name} {} {} {projection}", index["IndexName"].as_str().unwrap(), keys.join("/")));
        }
    }
    lines
}

/// The tables on which an update would create or delete more than one index.
fn too_many_changes(released: &BTreeSet<String>, now: &BTreeSet<String>) -> Vec<String> {
    let table = |line: &String| line.split(' ').next().unwrap_or_default().to_owned();
    let mut changes: BTreeMap<String, u32> = BTreeMap::new();
    for line in released.symmetric_difference(now) {
        *changes.entry(table(line)).or_default() += 1;
    }
    // A new table is created with all its indexes.
    let known: BTreeSet<_> = released.iter().map(table).collect();
    changes.into_iter().filter(|(table, count)| *count > 1 && known.contains(table)).map(|(table, _)| table).collect()
}

#[test]
fn update_since_last_release_changes_at_most_one_index_per_table() {
    let released = fs::read_to_string(workspace::root().join("infra/released-indexes.txt")).unwrap();
    let released: BTreeSet<_> = released.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    assert!(released.len() >= 8, "{released:?}");
    let too_many = too_many_changes(&released, &indexes(&root()));
    assert_eq!(too_many, Vec::<String>::new(), "DynamoDB refuses the update, and CloudFormation rolls it back");
}

#[test]
fn two_index_changes_of_one_table_are_refused_and_one_of_each_is_not() {
    let set = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<BTreeSet<_>>();
    let released = set(&["records all a/b ALL", "records due c/d KEYS_ONLY", "ephemera due c/d KEYS_ONLY"]);
    let check = |now: &[&str]| too_many_changes(&released, &set(now));
    assert!(check(&["records all a/b ALL", "records due c/d KEYS_ONLY", "ephemera due c/d KEYS_ONLY"]).is_empty());
    assert!(
        check(&["records all a/b ALL", "ephemera due c/d KEYS_ONLY", "ephemera new e/f ALL"]).is_empty(),
        "one of each table"
    );
    assert!(
        check(&["records all a/b ALL", "records due c/d KEYS_ONLY", "ephemera due c/d KEYS_ONLY", "t a a/b ALL", "t b a/b ALL"])
            .is_empty()
    );
    let two = [
        &[
            "records all a/b ALL",
            "records due c/d KEYS_ONLY",
            "records x a/b ALL",
            "records y a/b ALL",
            "ephemera due c/d KEYS_ONLY",
        ][..],
        &["ephemera due c/d KEYS_ONLY"],
        // A different key or projection makes a different index.
        &["records all a/b KEYS_ONLY", "records due c/d KEYS_ONLY", "ephemera due c/d KEYS_ONLY"],
        &["records all a/c ALL", "records due c/d KEYS_ONLY", "ephemera due c/d KEYS_ONLY"],
        &["records all a/b ALL", "records later c/d KEYS_ONLY", "ephemera due c/d KEYS_ONLY"],
    ];
    for now in two {
        assert_eq!(check(now), ["records"], "{now:?}");
    }
}

#[test]
fn tag_is_added_to_taggable_resources_besides_existing_tags() {
    let role = |tags: Option<Node>| {
        let mut properties = vec![("RoleName".to_owned(), Node::from("a"))];
        properties.extend(tags.map(|tags| ("Tags".to_owned(), tags)));
        let members = vec![("Type".to_owned(), "AWS::IAM::Role".into()), ("Properties".to_owned(), Node::Map(properties))];
        tags::write(vec![("Role".to_owned(), Node::Map(members))])
    };
    assert!(role(None).contains("cloister:deployment"));
    let own = Node::List(vec![Node::Map(vec![("Key".to_owned(), "own".into()), ("Value".to_owned(), "x".into())])]);
    let both = role(Some(own));
    assert!(both.contains("own") && both.contains("cloister:deployment") && both.matches("Tags").count() == 1, "{both}");
}
