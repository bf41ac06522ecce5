//! What the templates promise of data, keys and functions, read from the files as they are committed.

use super::*;
use serde_norway::Value;
use std::collections::BTreeMap;

fn yaml(path: impl AsRef<Path>) -> Value {
    serde_norway::from_str(&fs::read_to_string(workspace::root().join(path)).unwrap()).unwrap()
}

fn root() -> Value {
    yaml("template.yaml")
}

/// The templates of the domains, by path.
fn stacks() -> BTreeMap<PathBuf, Value> {
    let folder = fs::read_dir(workspace::root().join("infra/stacks")).unwrap();
    folder.map(|entry| entry.unwrap().path()).map(|path| (path.clone(), yaml(path))).collect()
}

/// A template's resources of one type, by name.
fn of_type<'a>(template: &'a Value, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let resources = template["Resources"].as_mapping().unwrap().iter();
    resources.filter(move |(_, r)| r["Type"] == kind).map(|(name, r)| (name.as_str().unwrap(), r))
}

#[test]
fn business_and_audit_can_be_restored_and_keys_and_sessions_cannot() {
    let root = root();
    let recovery = |table: &Value| table["Properties"]["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"].clone();
    let found: BTreeMap<_, _> = of_type(&root, "AWS::DynamoDB::Table").map(|(name, table)| (name, recovery(table))).collect();
    // A shredded key must not live on in a copy.
    let expected = [("EphemeraTable", false), ("KeysTable", false), ("LedgerTable", true), ("RecordsTable", true)];
    assert_eq!(found, expected.map(|(name, on)| (name, on.into())).into());
}

#[test]
fn only_what_may_be_forgotten_expires_and_only_the_ledger_streams() {
    let root = root();
    let with = |property: &str| {
        let tables = of_type(&root, "AWS::DynamoDB::Table");
        tables.filter(|(_, table)| !table["Properties"][property].is_null()).map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(with("TimeToLiveSpecification"), ["EphemeraTable"]);
    assert_eq!(with("StreamSpecification"), ["LedgerTable"]);
}

#[test]
fn every_table_is_encrypted_under_our_key_kept_when_the_stack_goes_and_keyed_alike() {
    for (name, table) in of_type(&root(), "AWS::DynamoDB::Table") {
        let properties = &table["Properties"];
        assert_eq!((&table["DeletionPolicy"], &table["UpdateReplacePolicy"]), (&"Retain".into(), &"Retain".into()), "{name}");
        assert_eq!(properties["SSESpecification"]["SSEType"], "KMS", "{name}");
        assert!(!properties["SSESpecification"]["KMSMasterKeyId"].is_null(), "{name}");
        assert!(!properties["DeletionProtectionEnabled"].is_null(), "{name}");
        let keys: Vec<_> = properties["KeySchema"].as_sequence().unwrap().iter().map(|k| k["AttributeName"].clone()).collect();
        assert_eq!(keys, ["pk", "sk"], "{name}");
    }
}

#[test]
fn the_app_client_lets_nobody_past_the_login_endpoint() {
    let root = root();
    let client = &root["Resources"]["UserPoolClient"]["Properties"];
    let flows: Vec<_> = client["ExplicitAuthFlows"].as_sequence().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    assert_eq!(flows, ["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]);
    assert_eq!((&client["GenerateSecret"], &client["EnableTokenRevocation"]), (&true.into(), &true.into()));
    assert_eq!(client["PreventUserExistenceErrors"], "ENABLED");
    let pool = &root["Resources"]["UserPool"]["Properties"];
    assert_eq!((&pool["UserPoolTier"], &pool["MfaConfiguration"]), (&"ESSENTIALS".into(), &"OFF".into()));
    assert_eq!(pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"], true);
}

#[test]
fn every_function_runs_on_arm64_traced_with_an_encrypted_log_that_ends() {
    for (path, stack) in stacks() {
        let path = path.display();
        let globals = &stack["Globals"]["Function"];
        assert_eq!(globals["Runtime"], "provided.al2023", "{path}");
        assert_eq!(globals["Architectures"].as_sequence().unwrap(), &["arm64"], "{path}");
        assert_eq!(globals["Tracing"], "Active", "{path}");
        for (name, log) in of_type(&stack, "AWS::Logs::LogGroup") {
            assert!(
                !log["Properties"]["RetentionInDays"].is_null() && !log["Properties"]["KmsKeyId"].is_null(),
                "{path}: {name}"
            );
        }
        for (name, function) in of_type(&stack, "AWS::Serverless::Function") {
            let properties = &function["Properties"];
            let group = &properties["LoggingConfig"]["LogGroup"];
            assert!(matches!(group, Value::Tagged(tagged) if tagged.value == "Logs"), "{path}: {name} logs to {group:?}");
            for global in ["Runtime", "Architectures", "Tracing"] {
                assert!(properties[global].is_null(), "{path}: {name} has a {global} of its own");
            }
        }
    }
}

#[test]
fn the_api_is_traced_walled_and_tells_no_origin_by_a_star() {
    let root = root();
    assert_eq!(of_type(&root, "AWS::WAFv2::WebACL").count(), 1);
    assert_eq!(of_type(&root, "AWS::WAFv2::WebACLAssociation").count(), 1);
    for (name, stage) in of_type(&root, "AWS::ApiGateway::Stage") {
        assert_eq!(stage["Properties"]["TracingEnabled"], true, "{name}");
        let format = stage["Properties"]["AccessLogSetting"]["Format"].as_str().unwrap();
        // Paths hold ids only; a query string could hold a socket's ticket.
        assert!(!format.contains("querystring") && !format.contains("authorizer.claims"), "{format}");
    }
    let origins = root["Parameters"]["AllowedOrigins"]["Default"].as_str().unwrap();
    assert!(!origins.contains('*'), "{origins}");
}

#[test]
fn the_gateways_own_refusals_are_problems_with_the_requests_id() {
    let root = root();
    let body = &root["Resources"]["Api"]["Properties"]["Body"];
    let responses = body["x-amazon-apigateway-gateway-responses"].as_mapping().unwrap();
    for wanted in [
        "DEFAULT_4XX",
        "DEFAULT_5XX",
        "UNAUTHORIZED",
        "ACCESS_DENIED",
        "MISSING_AUTHENTICATION_TOKEN",
        "THROTTLED",
        "REQUEST_TOO_LARGE",
        "WAF_FILTERED",
    ] {
        let response = responses.get(wanted).unwrap_or_else(|| panic!("{wanted} has no answer of ours"));
        let text = serde_norway::to_string(response).unwrap();
        assert!(text.contains("application/problem+json") && text.contains("$context.requestId"), "{wanted}: {text}");
    }
    assert_eq!(responses["MISSING_AUTHENTICATION_TOKEN"]["statusCode"], "404", "what is not there is not told apart");
}

#[test]
fn nobody_deletes_an_audit_segment_or_its_lock() {
    let root = root();
    assert_eq!(root["Resources"]["AuditBucket"]["Properties"]["ObjectLockEnabled"], true);
    let statements = root["Resources"]["AuditBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"].as_sequence().unwrap();
    let denied = statements.iter().find(|s| s["Sid"] == "NobodyDeletesOrUnlocks").unwrap();
    assert_eq!((&denied["Effect"], &denied["Principal"]), (&"Deny".into(), &"*".into()));
    assert!(denied["Condition"].is_null(), "nobody is excepted");
    let actions: Vec<_> = denied["Action"].as_sequence().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
    for action in ["DeleteObject", "DeleteObjectVersion", "PutBucketVersioning", "PutBucketObjectLockConfiguration"] {
        assert!(actions.contains(&&*format!("s3:{action}")), "{action}");
    }
}

/// The parameters that `sam deploy --config-env <environment>` sets.
fn overrides(environment: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(workspace::root().join("samconfig.toml")).unwrap();
    let section = text.split_once(&format!("[{environment}.deploy.parameters]\n")).unwrap().1.split("\n[").next().unwrap();
    let line = section.lines().find_map(|line| line.strip_prefix("parameter_overrides = \"")).unwrap_or("\"");
    let pairs = line.strip_suffix('"').unwrap().split_whitespace();
    pairs.map(|pair| pair.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap()).collect()
}

#[test]
fn production_keeps_its_audit_log_for_seven_years_and_nobody_can_shorten_that() {
    let prod = overrides("prod");
    assert_eq!((&*prod["AuditRetentionMode"], &*prod["AuditRetentionDays"]), ("COMPLIANCE", "2557"));
    assert_eq!((&*prod["TenantKeyMode"], &*prod["DeletionProtection"]), ("own", "true"));
    assert_eq!(overrides("default").get("AuditRetentionMode"), None, "a trial can be cleared away again");
    let template = root();
    assert_eq!(template["Parameters"]["AuditRetentionMode"]["Default"], "GOVERNANCE");
    assert_eq!(template["Parameters"]["AuditRetentionDays"]["Default"], 1);
    for (name, value) in &prod {
        let parameter = &template["Parameters"][&**name];
        assert!(!parameter.is_null(), "`{name}` is no parameter of template.yaml");
        if let Some(allowed) = parameter["AllowedValues"].as_sequence() {
            let fits = |a: &Value| a.as_str() == Some(value) || a.as_u64().is_some_and(|n| n.to_string() == *value);
            assert!(allowed.iter().any(fits), "{name}={value}");
        }
    }
}
