//! Tables and keys of the project's own template in the in-process emulators.

use std::collections::BTreeMap;
use std::path::Path;

use emulators::{Dynamo, Endpoints, Error, Kms, Overrides, Storage, Template, Which, provision};

fn template_file() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml"))
}

fn endpoints(dynamo: &Dynamo, kms: &Kms) -> Endpoints {
    Endpoints { dynamodb: dynamo.endpoint(), kms: kms.endpoint(), other: None }
}

fn dynamodb(dynamo: &Dynamo) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::from_conf(
        aws_sdk_dynamodb::Config::builder()
            .behavior_version_latest()
            .region(aws_sdk_dynamodb::config::Region::new(emulators::REGION))
            .credentials_provider(aws_credential_types::Credentials::from_keys("local", "local", None))
            .endpoint_url(dynamo.endpoint())
            .build(),
    )
}

#[tokio::test]
async fn every_table_of_the_template_exists_with_its_indexes_stream_and_expiry() {
    let dynamo = Dynamo::start(Storage::Memory).unwrap();
    let kms = Kms::start(None).unwrap();
    let template = Template::load(template_file()).unwrap();
    let made = provision(&template, &endpoints(&dynamo, &kms), Which::DataOnly).await.unwrap();
    let names: Vec<_> = made.tables.keys().map(String::as_str).collect();
    assert_eq!(names, ["EphemeraTable", "KeysTable", "LedgerTable", "RecordsTable"]);

    let client = dynamodb(&dynamo);
    let mut indexes = BTreeMap::new();
    let mut streams = Vec::new();
    let mut expiring = Vec::new();
    for (logical, name) in &made.tables {
        let table = client.describe_table().table_name(name).send().await.unwrap().table.unwrap();
        let mut own: Vec<_> = table
            .global_secondary_indexes()
            .iter()
            .map(|index| {
                let keys: Vec<_> = index.key_schema().iter().map(|key| key.attribute_name().to_owned()).collect();
                (index.index_name().unwrap().to_owned(), keys.join("+"))
            })
            .collect();
        own.sort();
        if !own.is_empty() {
            indexes.insert(logical.as_str(), own);
        }
        if let Some(stream) = table.stream_specification() {
            streams.push((logical.as_str(), stream.stream_view_type().unwrap().to_string()));
        }
        let expiry = client.describe_time_to_live().table_name(name).send().await.unwrap().time_to_live_description.unwrap();
        if let Some(attribute) = expiry.attribute_name() {
            expiring.push((logical.as_str(), attribute.to_owned()));
        }
    }
    let records: Vec<_> = [
        ("all", "ix_all+ix_sort"),
        ("assignee", "ix_assignee+ix_sort"),
        ("due", "ix_due+ix_due_at"),
        ("status", "ix_status+ix_sort"),
        ("status_assignee", "ix_status_assignee+ix_sort"),
        ("token_1", "ix_token_1+ix_sort"),
        ("token_2", "ix_token_2+ix_sort"),
    ]
    .map(|(index, keys)| (index.to_owned(), keys.to_owned()))
    .to_vec();
    let ephemera = vec![("due".to_owned(), "ix_due+ix_due_at".to_owned())];
    assert_eq!(indexes, BTreeMap::from([("EphemeraTable", ephemera), ("RecordsTable", records)]));
    assert_eq!(streams, [("LedgerTable", "NEW_IMAGE".to_owned())]);
    assert_eq!(expiring, [("EphemeraTable", "expires_at".to_owned())]);
}

#[tokio::test]
async fn environment_is_the_templates_and_names_created_resources() {
    let dynamo = Dynamo::start(Storage::Memory).unwrap();
    let kms = Kms::start(None).unwrap();
    let overrides = Overrides::from([
        ("Prefix".to_owned(), "other".to_owned()),
        ("AllowedOrigins".to_owned(), "https://a.example, https://b.example".to_owned()),
    ]);
    let template = Template::load_with(template_file(), &overrides).unwrap();
    let made = provision(&template, &endpoints(&dynamo, &kms), Which::DataOnly).await.unwrap();
    let expected = [
        ("CLOISTER_ALLOWED_ORIGINS", "https://a.example,https://b.example"),
        ("CLOISTER_AUDIT_EXPIRY_DAYS", "never"),
        ("CLOISTER_CHECKPOINT_KEY_ARN", made.keys["CheckpointKey"].as_str()),
        ("CLOISTER_DEPLOYMENT", "other"),
        ("CLOISTER_EPHEMERA_TABLE", "other-ephemera"),
        ("CLOISTER_KEYS_TABLE", "other-keys"),
        ("CLOISTER_LEDGER_TABLE", "other-ledger"),
        ("CLOISTER_MAIL_FROM", "no-reply@cloister.example"),
        ("CLOISTER_OPERATOR_NETWORKS", "127.0.0.0/8,::1/128"),
        ("CLOISTER_POOL_KEY_ARN", made.keys["PoolKey"].as_str()),
        ("CLOISTER_QUEUES", "https://sqs.us-east-1.amazonaws.com/000000000000/other-"),
        ("CLOISTER_RECORDS_TABLE", "other-records"),
        ("CLOISTER_SESSION_IDLE_SECONDS", "900"),
        ("CLOISTER_TENANT_KEY_MODE", "own"),
        ("CLOISTER_TENANT_ROLE_ARN", "none"),
        ("CLOISTER_UPS_PER_MINUTE", "60"),
        ("CLOISTER_UPS_URL", "https://onlinetools.ups.com"),
    ];
    let env: Vec<_> = made.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(env, expected);
}

#[tokio::test]
async fn data_folder_is_reused_and_nothing_is_created_twice() {
    let dir = tempfile::tempdir().unwrap();
    let template = Template::load(template_file()).unwrap();
    let start = || {
        let dynamo = Dynamo::start(Storage::File(dir.path().join("tables.sqlite"))).unwrap();
        let kms = Kms::start(Some(dir.path().join("kms.json"))).unwrap();
        (dynamo, kms)
    };

    let (dynamo, kms) = start();
    let all = endpoints(&dynamo, &kms);
    let first = provision(&template, &all, Which::DataOnly).await.unwrap();
    let again = provision(&template, &all, Which::DataOnly).await.unwrap();
    let name = &first.tables["RecordsTable"];
    let item = || aws_sdk_dynamodb::types::AttributeValue::S("kept".to_owned());
    dynamodb(&dynamo).put_item().table_name(name).item("pk", item()).item("sk", item()).send().await.unwrap();
    dynamo.stop();
    kms.stop();

    let (dynamo, kms) = start();
    let later = provision(&template, &endpoints(&dynamo, &kms), Which::DataOnly).await.unwrap();
    for other in [&again, &later] {
        assert_eq!(other.tables, first.tables);
        assert_eq!(other.keys, first.keys);
        assert_eq!(other.env, first.env);
    }
    let kept = dynamodb(&dynamo).get_item().table_name(name).key("pk", item()).key("sk", item()).send().await.unwrap();
    assert!(kept.item.is_some());
}

#[tokio::test]
async fn expired_items_are_deleted_on_request() {
    let dynamo = Dynamo::start(Storage::Memory).unwrap();
    let kms = Kms::start(None).unwrap();
    let template = Template::load(template_file()).unwrap();
    let made = provision(&template, &endpoints(&dynamo, &kms), Which::DataOnly).await.unwrap();
    let client = dynamodb(&dynamo);
    for (key, expires) in [("long ago", "1000000000"), ("far off", "9000000000")] {
        use aws_sdk_dynamodb::types::AttributeValue::{N, S};
        client
            .put_item()
            .table_name(&made.tables["EphemeraTable"])
            .item("pk", S(key.to_owned()))
            .item("sk", S(key.to_owned()))
            .item("expires_at", N(expires.to_owned()))
            .send()
            .await
            .unwrap();
    }
    assert_eq!(dynamo.delete_expired().unwrap(), 1);
}

#[tokio::test]
async fn late_index_shows_writes_of_every_operation_once_it_is_settled() {
    use aws_sdk_dynamodb::types::AttributeValue::{N, S};
    use aws_sdk_dynamodb::types::{Delete, Put, PutRequest, TransactWriteItem, Update, WriteRequest};
    use std::collections::HashMap;
    type Item = HashMap<String, aws_sdk_dynamodb::types::AttributeValue>;

    let dynamo = Dynamo::start_with_late_indexes(Storage::Memory, std::time::Duration::from_secs(1), Default::default).unwrap();
    let kms = Kms::start(None).unwrap();
    let template = Template::load(template_file()).unwrap();
    let made = provision(&template, &endpoints(&dynamo, &kms), Which::DataOnly).await.unwrap();
    let (client, table) = (dynamodb(&dynamo), made.tables["EphemeraTable"].as_str());
    let key = |name: &str| -> Item { [("pk", name), ("sk", name)].map(|(k, v)| (k.to_owned(), S(v.to_owned()))).into() };
    let due = |name: &str, at: &str| -> Item {
        let due = [("ix_due", "list"), ("ix_due_at", at)].map(|(k, v)| (k.to_owned(), S(v.to_owned())));
        key(name).into_iter().chain(due).collect()
    };
    let put = |item: Item| Put::builder().table_name(table).set_item(Some(item)).build().unwrap();
    let shown = async || {
        let query = client.query().table_name(table).index_name("due").key_condition_expression("ix_due = :list");
        let found = query.expression_attribute_values(":list", S("list".to_owned())).send().await.unwrap();
        found
            .items()
            .iter()
            .map(|item| format!("{} {}", item["pk"].as_s().unwrap(), item["ix_due_at"].as_s().unwrap()))
            .collect::<Vec<_>>()
    };

    for name in ["a", "b", "c"] {
        client.put_item().table_name(table).set_item(Some(due(name, "1"))).send().await.unwrap();
    }
    assert_eq!(shown().await, [""; 0]);
    dynamo.settle_indexes();
    assert_eq!(shown().await.len(), 3);

    let moved = client.update_item().table_name(table).set_key(Some(key("a"))).update_expression("SET ix_due_at = :at");
    moved.expression_attribute_values(":at", S("9".to_owned())).send().await.unwrap();
    client.delete_item().table_name(table).set_key(Some(key("b"))).send().await.unwrap();
    let gone = Delete::builder().table_name(table).set_key(Some(key("c"))).build().unwrap();
    let counted = Update::builder().table_name(table).set_key(Some(key("a"))).update_expression("ADD seen :one");
    let counted = counted.expression_attribute_values(":one", N("1".to_owned())).build().unwrap();
    let transaction = client.transact_write_items().transact_items(TransactWriteItem::builder().delete(gone).build());
    let transaction = transaction.transact_items(TransactWriteItem::builder().update(counted).build());
    transaction.transact_items(TransactWriteItem::builder().put(put(due("d", "2"))).build()).send().await.unwrap();
    let refused =
        client.put_item().table_name(table).set_item(Some(due("a", "0"))).condition_expression("attribute_not_exists(pk)");
    refused.send().await.unwrap_err();
    let batch = WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(due("e", "3"))).build().unwrap()).build();
    client.batch_write_item().request_items(table, vec![batch]).send().await.unwrap();

    assert_eq!(shown().await, ["a 1", "b 1", "c 1"]);
    dynamo.settle_indexes();
    assert_eq!(shown().await, ["d 2", "e 3", "a 9"]);
}

#[tokio::test]
async fn unsupported_resource_or_property_is_refused() {
    let dynamo = Dynamo::start(Storage::Memory).unwrap();
    let kms = Kms::start(None).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("template.yaml");
    let cases = [
        (
            "Resources: { Odd: { Type: AWS::Neptune::DBCluster } }",
            "resource `Odd`: `AWS::Neptune::DBCluster` is neither created locally nor listed as without a counterpart",
        ),
        (
            "Resources: { Table: { Type: AWS::DynamoDB::Table, Properties: { TableName: t, Odd: 1 } } }",
            "resource `Table`: the local stack does not support the property `Odd`",
        ),
        ("Resources: { Key: { Type: AWS::KMS::Key } }", "resource `Key`: a key without an alias could not be found again"),
        (
            "Resources: { Table: { Type: AWS::DynamoDB::Table, Properties: { TableName: !Ref Nobody } } }",
            "Table.TableName: `Nobody` is not in the template",
        ),
    ];
    for (text, expected) in cases {
        std::fs::write(&file, text).unwrap();
        let template = Template::load(&file).unwrap();
        let error = provision(&template, &endpoints(&dynamo, &kms), Which::DataOnly).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn stopped_emulator_frees_its_port() {
    let dynamo = Dynamo::start(Storage::Memory).unwrap();
    let kms = Kms::start(None).unwrap();
    let address = |url: String| url.trim_start_matches("http://").to_owned();
    let addresses = [address(dynamo.endpoint()), address(kms.endpoint())];
    dynamo.stop();
    kms.stop();
    for address in addresses {
        std::net::TcpListener::bind(address).unwrap();
    }
}

#[test]
fn absent_parameter_and_invalid_value_are_refused() {
    let overrides = Overrides::from([("Prefx".to_owned(), "x".to_owned())]);
    let error = Template::load_with(template_file(), &overrides).unwrap_err();
    assert_eq!(error.to_string(), "parameter `Prefx`: the template has no such parameter");
    let overrides = Overrides::from([("TenantKeyMode".to_owned(), "none".to_owned())]);
    let error = Template::load_with(template_file(), &overrides).unwrap_err();
    assert_eq!(error.to_string(), "parameter `TenantKeyMode`: `none` is not an allowed value");
    for (name, value, why) in [
        ("AllowedOrigins", "https://a.example,*", "`*` does not match the allowed pattern"),
        ("AllowedOrigins", "http://a.example", "`http://a.example` does not match the allowed pattern"),
        ("OperatorNetworks", "198.51.100.0/24,everywhere", "`everywhere` does not match the allowed pattern"),
        ("Prefix", "Cloister", "`Cloister` does not match the allowed pattern"),
        ("DeployingRole", "deployer", "`deployer` does not match the allowed pattern"),
        ("SessionIdleSeconds", "59", "`59` is out of its bounds"),
        ("SessionIdleSeconds", "soon", "`soon` is not a number"),
    ] {
        let overrides = Overrides::from([(name.to_owned(), value.to_owned())]);
        let error = Template::load_with(template_file(), &overrides).unwrap_err();
        assert_eq!(error.to_string(), format!("parameter `{name}`: {why}"));
    }
}

#[tokio::test]
async fn invalid_state_file_prevents_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kms.json");
    std::fs::write(&file, "[]").unwrap();
    assert!(matches!(Kms::start(Some(file)), Err(Error::State { .. })));
}
