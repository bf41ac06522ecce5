//! Tests what the committed templates guarantee for data, keys and functions.

mod deployment;
mod sign_in;

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
fn only_business_audit_and_tenants_keys_can_be_restored() {
    let root = root();
    let recovery = |table: &Value| table["Properties"]["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"].clone();
    let found: BTreeMap<_, _> = of_type(&root, "AWS::DynamoDB::Table").map(|(name, table)| (name, recovery(table))).collect();
    let of_own_keys: Value = serde_norway::from_str("!If [TenantsHaveKeys, true, false]").unwrap();
    // A backup must not keep branch keys that the pool's key wrapped.
    let expected = [
        ("EphemeraTable", false.into()),
        ("KeysTable", of_own_keys),
        ("LedgerTable", true.into()),
        ("RecordsTable", true.into()),
    ];
    assert_eq!(found, expected.into());
    let own: Value = serde_norway::from_str("!Equals [!Ref TenantKeyMode, own]").unwrap();
    assert_eq!(root["Conditions"]["TenantsHaveKeys"], own);
}

#[test]
fn only_ephemera_expire_and_only_the_ledger_streams() {
    let root = root();
    let with = |property: &str| {
        let tables = of_type(&root, "AWS::DynamoDB::Table");
        tables.filter(|(_, table)| !table["Properties"][property].is_null()).map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(with("TimeToLiveSpecification"), ["EphemeraTable"]);
    assert_eq!(with("StreamSpecification"), ["LedgerTable"]);
}

#[test]
fn every_table_is_encrypted_retained_and_has_the_same_keys() {
    for (name, table) in of_type(&root(), "AWS::DynamoDB::Table") {
        let properties = &table["Properties"];
        assert_eq!(
            (&table["DeletionPolicy"], &table["UpdateReplacePolicy"]),
            (&"RetainExceptOnCreate".into(), &"Retain".into()),
            "{name}"
        );
        assert_eq!(properties["SSESpecification"]["SSEType"], "KMS", "{name}");
        assert!(!properties["SSESpecification"]["KMSMasterKeyId"].is_null(), "{name}");
        assert!(!properties["DeletionProtectionEnabled"].is_null(), "{name}");
        let keys: Vec<_> = properties["KeySchema"].as_sequence().unwrap().iter().map(|k| k["AttributeName"].clone()).collect();
        assert_eq!(keys, ["pk", "sk"], "{name}");
    }
}

#[test]
fn every_function_runs_on_arm64_traced_with_an_encrypted_expiring_log() {
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
fn api_is_traced_behind_a_web_acl_and_allows_no_wildcard_origin() {
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
fn gateways_own_refusals_are_problems_with_the_requests_id() {
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
        let response = responses.get(wanted).unwrap_or_else(|| panic!("{wanted} has no response in the template"));
        let text = serde_norway::to_string(response).unwrap();
        assert!(text.contains("application/problem+json") && text.contains("$context.requestId"), "{wanted}: {text}");
    }
    assert_eq!(
        responses["MISSING_AUTHENTICATION_TOKEN"]["statusCode"], "404",
        "an unknown route gets the same answer as an absent item"
    );
}

#[test]
fn audit_segment_and_its_lock_cannot_be_deleted() {
    let root = root();
    assert_eq!(root["Resources"]["AuditBucket"]["Properties"]["ObjectLockEnabled"], true);
    let statements = root["Resources"]["AuditBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"].as_sequence().unwrap();
    let denied = statements.iter().find(|s| s["Sid"] == "NobodyDeletesOrUnlocks").unwrap();
    assert_eq!((&denied["Effect"], &denied["Principal"]), (&"Deny".into(), &"*".into()));
    assert!(denied["Condition"].is_null(), "there is no exception");
    let actions: Vec<_> = denied["Action"].as_sequence().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
    for action in ["DeleteObject", "DeleteObjectVersion", "BypassGovernanceRetention", "PutBucketVersioning"] {
        assert!(actions.contains(&&*format!("s3:{action}")), "{action}");
    }
}

/// By S3's documentation `s3:if-none-match` is the header of PutObject, CompleteMultipartUpload and CopyObject. The first calls
/// of a multipart upload lack it. An exemption by `s3:ObjectCreationOperation` would allow them, and Cloister uploads nothing in
/// parts.
#[test]
fn audit_object_cannot_be_overwritten_or_replicated() {
    let root = root();
    let statements = root["Resources"]["AuditBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"].as_sequence().unwrap();
    let denied = |sid: &str| statements.iter().find(|s| s["Sid"] == sid).unwrap();
    let puts = denied("NobodyOverwrites");
    assert_eq!((&puts["Effect"], &puts["Principal"], &puts["Action"]), (&"Deny".into(), &"*".into(), &"s3:PutObject".into()));
    assert_eq!(tagged(&puts["Resource"]), "${AuditBucket.Arn}/*");
    let expected: Value = serde_norway::from_str("{\"Null\": {\"s3:if-none-match\": true}}").unwrap();
    assert_eq!(puts["Condition"], expected, "and no exception");
    let replicates = denied("NobodyReplicates");
    assert_eq!((&replicates["Effect"], &replicates["Principal"]), (&"Deny".into(), &"*".into()));
    assert!(replicates["Condition"].is_null() && tagged(&replicates["Resource"]) == "${AuditBucket.Arn}/*");
    let actions: Vec<_> = replicates["Action"].as_sequence().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
    assert!(actions.contains(&"s3:ReplicateObject") && actions.contains(&"s3:ReplicateDelete"), "{actions:?}");
}

/// The parameters that `sam deploy --config-env <environment>` sets.
fn overrides(environment: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(workspace::root().join("samconfig.toml")).unwrap();
    samconfig::parameters(&text, environment).unwrap().into_iter().collect()
}

#[test]
fn production_retains_its_audit_log_for_seven_years_unalterably() {
    let prod = overrides("prod");
    assert_eq!((&*prod["AuditRetentionMode"], &*prod["AuditRetentionDays"]), ("COMPLIANCE", "2557"));
    assert_eq!((&*prod["TenantKeyMode"], &*prod["DeletionProtection"]), ("own", "true"));
    assert_eq!(overrides("default").get("AuditRetentionMode"), None, "a trial can be deleted again");
    let template = root();
    assert_eq!(template["Parameters"]["AuditRetentionMode"]["Default"], "GOVERNANCE");
    assert_eq!(template["Parameters"]["AuditRetentionDays"]["Default"], 1);
    assert_eq!((&template["Parameters"]["TenantSessions"]["Default"], prod.get("TenantSessions")), (&"on".into(), None));
    for (name, value) in &prod {
        let parameter = &template["Parameters"][&**name];
        assert!(!parameter.is_null(), "`{name}` is not a parameter of template.yaml");
        if let Some(allowed) = parameter["AllowedValues"].as_sequence() {
            let fits = |a: &Value| a.as_str() == Some(value) || a.as_u64().is_some_and(|n| n.to_string() == *value);
            assert!(allowed.iter().any(fits), "{name}={value}");
        }
    }
}

/// The text after a tag: `Queue.Arn` of `!GetAtt Queue.Arn`.
fn tagged(value: &Value) -> &str {
    match value {
        Value::Tagged(tagged) => tagged.value.as_str().unwrap_or_default(),
        other => other.as_str().unwrap_or_default(),
    }
}

fn is_dead(queue: &Value) -> bool {
    let name = tagged(&queue["Properties"]["QueueName"]);
    name.ends_with("-dead") || name.ends_with("-dead.fifo")
}

#[test]
fn every_queue_is_encrypted_requires_tls_and_has_a_dlq_of_its_kind() {
    let root = root();
    let queues: BTreeMap<_, _> = of_type(&root, "AWS::SQS::Queue").collect();
    assert!(queues.len() >= 2 * registry::consumers().count());
    let mut given_up_into = Vec::new();
    for (name, queue) in &queues {
        let properties = &queue["Properties"];
        assert_eq!(tagged(&properties["KmsMasterKeyId"]), "DataKey.Arn", "{name}");
        let own = |policy: &Value| policy["Properties"]["Queues"].as_sequence().unwrap().iter().any(|q| tagged(q) == *name);
        let policies: Vec<_> = of_type(&root, "AWS::SQS::QueuePolicy").filter(|(_, policy)| own(policy)).collect();
        assert_eq!(policies.len(), 1, "{name}: a second policy would replace the first");
        let statements = policies[0].1["Properties"]["PolicyDocument"]["Statement"].as_sequence().unwrap();
        let denied = statements.iter().find(|statement| statement["Sid"] == "TlsOnly").unwrap();
        assert_eq!((&denied["Effect"], &denied["Principal"]), (&"Deny".into(), &"*".into()), "{name}");
        if is_dead(queue) {
            assert_eq!(properties["MessageRetentionPeriod"], 14 * 24 * 60 * 60, "{name}");
            assert!(properties["RedrivePolicy"].is_null(), "{name}");
            continue;
        }
        let dead = tagged(&properties["RedrivePolicy"]["deadLetterTargetArn"]).strip_suffix(".Arn").unwrap();
        assert!(is_dead(queues[dead]) && queues[dead]["Properties"]["FifoQueue"] == properties["FifoQueue"], "{name}");
        assert!(
            properties["RedrivePolicy"]["maxReceiveCount"].as_u64().unwrap() >= 3,
            "{name}: one temporary failure must not give a message up"
        );
        let (kept, kept_dead) = (&properties["MessageRetentionPeriod"], &queues[dead]["Properties"]["MessageRetentionPeriod"]);
        assert!(kept.as_u64() < kept_dead.as_u64(), "{name}: a message that is given up late would expire at once");
        given_up_into.push(dead);
    }
    given_up_into.sort_unstable();
    given_up_into.dedup();
    assert_eq!(given_up_into.len(), registry::consumers().count(), "a queue a consumer");
}

#[test]
fn ledgers_stream_has_two_readers_and_both_are_pipes() {
    let root = root();
    let readers: Vec<_> = of_type(&root, "AWS::Pipes::Pipe").map(|(name, pipe)| (name, &pipe["Properties"])).collect();
    assert_eq!(readers.len(), 2, "a third reader of a stream slows down the others");
    let mut kinds = Vec::new();
    for (name, pipe) in readers {
        assert_eq!(tagged(&pipe["Source"]), "LedgerTable.StreamArn", "{name}");
        let stream = &pipe["SourceParameters"]["DynamoDBStreamParameters"];
        assert_eq!(tagged(&stream["DeadLetterConfig"]["Arn"]), "PipesDeadQueue.Arn", "{name}");
        assert_eq!(
            stream["StartingPosition"], "TRIM_HORIZON",
            "{name}: events from before the pipe's creation are delivered too"
        );
        let filters = pipe["SourceParameters"]["FilterCriteria"]["Filters"].as_sequence().unwrap();
        let pattern: serde_json::Value = serde_json::from_str(filters[0]["Pattern"].as_str().unwrap()).unwrap();
        kinds.push(pattern["dynamodb"]["NewImage"]["kind"]["S"][0].as_str().unwrap().to_owned());
        // A pipe carries ids and an envelope, never an item.
        assert!(!pipe["TargetParameters"]["InputTemplate"].is_null(), "{name}");
    }
    kinds.sort_unstable();
    assert_eq!(kinds, ["audit", "event"]);
    for (path, stack) in stacks() {
        for (name, mapping) in of_type(&stack, "AWS::Lambda::EventSourceMapping") {
            let source = tagged(&mapping["Properties"]["EventSourceArn"]);
            assert!(source.contains(":sqs:"), "{}: {name} reads {source}", path.display());
        }
    }
}

#[test]
fn every_consumer_has_valid_batches_and_reports_failed_messages() {
    let root = root();
    for consumer in registry::consumers() {
        let stack = yaml(format!("infra/stacks/{}.yaml", consumer.domain));
        let logical = function::pascal(consumer.name);
        let mapping = &stack["Resources"][format!("{logical}Messages")]["Properties"];
        assert_eq!(mapping["FunctionResponseTypes"][0], "ReportBatchItemFailures", "{}", consumer.name);
        assert!(tagged(&mapping["EventSourceArn"]).ends_with(&format!("-{}", consumer.queue.full_name())), "{}", consumer.name);
        let (batch, window) = (mapping["BatchSize"].as_u64().unwrap(), &mapping["MaximumBatchingWindowInSeconds"]);
        if consumer.queue.is_fifo() {
            assert!(batch <= 10 && window.is_null(), "{}: a FIFO queue has ten a batch, and no window", consumer.name);
        } else if batch > 10 {
            assert!(window.as_u64() >= Some(1), "{}: more than ten take a window", consumer.name);
        }
        if let Some(most) = mapping["ScalingConfig"]["MaximumConcurrency"].as_u64() {
            assert!((2..=1000).contains(&most), "{}", consumer.name);
        }
        let queue = &root["Resources"][queues::logical(&consumer.queue)]["Properties"];
        let timeout = u64::from(consumer.timeout_secs);
        assert_eq!(stack["Resources"][&logical]["Properties"]["Timeout"], timeout, "{}", consumer.name);
        assert!(queue["VisibilityTimeout"].as_u64().unwrap() >= 6 * timeout, "{}", consumer.name);
    }
}

#[test]
fn default_function_timeout_equals_the_codes_constant() {
    let seconds = u64::from(common::request::FUNCTION_TIMEOUT_SECS);
    assert_eq!(root()["Globals"]["Function"]["Timeout"], seconds);
    for endpoint in registry::all() {
        let stack = yaml(format!("infra/stacks/{}.yaml", endpoint.domain));
        assert_eq!(stack["Globals"]["Function"]["Timeout"], seconds, "{}", endpoint.name);
        let own = &stack["Resources"][function::pascal(endpoint.name)]["Properties"]["Timeout"];
        assert!(own.is_null(), "{}", endpoint.name);
    }
}

#[test]
fn every_schedule_is_retried_in_time_and_its_failures_are_kept() {
    for schedule in registry::schedules() {
        let stack = yaml(format!("infra/stacks/{}.yaml", schedule.domain));
        let logical = function::pascal(schedule.name);
        let clock = &stack["Resources"][format!("{logical}Schedule")]["Properties"];
        let rate = format!("rate({} minute", schedule.every_minutes);
        assert!(clock["ScheduleExpression"].as_str().unwrap().starts_with(&rate), "{}", schedule.name);
        let failures = &stack["Resources"][format!("{logical}Failures")]["Properties"];
        let kept = [&clock["Target"]["DeadLetterConfig"]["Arn"], &failures["DestinationConfig"]["OnFailure"]["Destination"]];
        assert!(kept.iter().all(|queue| tagged(queue).ends_with("-schedules-dead")), "{}", schedule.name);
        let age = u64::from(schedule.every_minutes) * 60;
        assert!(clock["Target"]["RetryPolicy"]["MaximumEventAgeInSeconds"].as_u64().unwrap() <= age, "{}", schedule.name);
    }
}

#[test]
fn dead_letters_failing_pipes_and_a_lagging_or_changed_log_are_alarmed() {
    let root = root();
    let alarms: Vec<_> = of_type(&root, "AWS::CloudWatch::Alarm").map(|(_, alarm)| &alarm["Properties"]).collect();
    for alarm in &alarms {
        assert_eq!(tagged(&alarm["AlarmActions"][0]), "AlarmTopic", "{alarm:?}");
    }
    let watched = |wanted: &str| alarms.iter().any(|alarm| tagged(&alarm["Dimensions"][0]["Value"]) == wanted);
    for (name, _) in of_type(&root, "AWS::SQS::Queue").filter(|(_, queue)| is_dead(queue)) {
        assert!(watched(&format!("{name}.QueueName")), "{name}");
    }
    for (name, pipe) in of_type(&root, "AWS::Pipes::Pipe") {
        assert!(watched(tagged(&pipe["Properties"]["Name"])), "{name}");
    }
    let waits = &root["Resources"]["SealAuditWaitsAlarm"]["Properties"];
    assert_eq!(
        (&waits["MetricName"], tagged(&waits["Dimensions"][0]["Value"]), &waits["Threshold"]),
        (&"ApproximateAgeOfOldestMessage".into(), "SealAuditQueue.QueueName", &300.into()),
        "a sealer that does not run logs no lag"
    );
    for metric in ["audit-tampered", "audit-lag", "outbox-missed", "tenants-skipped"] {
        assert!(alarms.iter().any(|alarm| alarm["MetricName"] == metric && alarm["Threshold"] == 0), "{metric}");
    }
    for (name, filter) in of_type(&root, "AWS::Logs::MetricFilter") {
        let domain = match name.strip_suffix("SkippedMetric") {
            Some(domain) => domain.to_lowercase(),
            None if name == "OutboxMissedMetric" => "system".to_owned(),
            None => "audit".to_owned(),
        };
        assert_eq!(tagged(&filter["Properties"]["LogGroupName"]), format!("/${{Prefix}}/{domain}"), "{name}");
    }
}

#[test]
fn tenant_skipped_by_a_schedule_is_counted_in_each_domain_and_alarmed() {
    let root = root();
    let filters: BTreeMap<_, _> = of_type(&root, "AWS::Logs::MetricFilter").collect();
    let looks = registry::schedules().filter(|schedule| schedule.needs.contains(&common::base::Need::Tenants));
    let domains: std::collections::BTreeSet<_> = looks.map(|schedule| schedule.domain).collect();
    assert!(domains.len() >= 5, "{domains:?}");
    for domain in domains {
        let filter = &filters[&*format!("{}SkippedMetric", function::pascal(domain))]["Properties"];
        assert_eq!(filter["FilterPattern"], r#"{ $.event = "tenant.skipped" }"#, "{domain}");
        assert_eq!(filter["MetricTransformations"][0]["MetricName"], "tenants-skipped", "{domain}");
    }
    let alarm = &root["Resources"]["TenantsSkippedAlarm"]["Properties"];
    assert_eq!((&alarm["MetricName"], tagged(&alarm["AlarmActions"][0])), (&"tenants-skipped".into(), "AlarmTopic"));
}

#[test]
fn socket_opens_with_a_ticket_only_and_no_log_contains_it() {
    let root = root();
    let authorizer = &root["Resources"]["SocketAuthorizer"]["Properties"];
    assert_eq!(authorizer["IdentitySource"][0], "route.request.querystring.ticket");
    let routes: Vec<_> = of_type(&root, "AWS::ApiGatewayV2::Route").map(|(_, route)| &route["Properties"]).collect();
    let mut keys: Vec<_> = routes.iter().map(|route| route["RouteKey"].as_str().unwrap()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["$connect", "$default", "$disconnect"]);
    let connect = routes.iter().find(|route| route["RouteKey"] == "$connect").unwrap();
    assert_eq!((&connect["AuthorizationType"], tagged(&connect["AuthorizerId"])), (&"CUSTOM".into(), "SocketAuthorizer"));
    let stage = &root["Resources"]["SocketStage"]["Properties"];
    let format = stage["AccessLogSettings"]["Format"].as_str().unwrap();
    assert!(!format.contains("querystring") && !format.contains("ticket"), "{format}");
    assert_eq!(stage["DefaultRouteSettings"]["DataTraceEnabled"], false, "messages must not be logged");
    assert!(stage["DefaultRouteSettings"]["ThrottlingRateLimit"].as_u64().is_some());
}

#[test]
fn no_secret_is_in_a_template_and_each_is_encrypted() {
    let root = root();
    for (name, secret) in of_type(&root, "AWS::SecretsManager::Secret") {
        let properties = &secret["Properties"];
        assert!(properties["SecretString"].is_null(), "{name}");
        assert_eq!(tagged(&properties["KmsKeyId"]), "DataKey.Arn", "{name}");
    }
    for (name, topic) in of_type(&root, "AWS::SNS::Topic") {
        assert_eq!(tagged(&topic["Properties"]["KmsMasterKeyId"]), "DataKey.Arn", "{name}");
    }
}
