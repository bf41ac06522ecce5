//! Requests as sent: the permissions that each needs, its signer, and the answer if it is refused.

use super::{
    super::{
        ADMINISTRATOR, OPERATOR,
        account::Account,
        calls::{Call, RequiredPermissions},
        function_key,
        gate::{Decision, Gate},
    },
    gate, template,
};
use crate::Provisioned;
use serde_json::{Value, json};

const TENANT: &str = "ten_0190a8f6b2c07d3e8f4a5b6c7d8e9f00";
const OTHER: &str = "ten_0190a8f6b2c07d3e8f4a5b6c7d8e9f01";
const PLATFORM: &str = "ten_00000000000070008000000000000000";

fn account() -> Account {
    Account::new(&template(), &Provisioned::default()).unwrap()
}

/// A call of AWS's JSON protocol.
fn asked(service: &str, target: &str, body: &Value) -> Result<Vec<(String, String)>, String> {
    let body = body.to_string();
    let call = Call::new("POST", "https://service.example/", vec![("x-amz-target", target)], body.as_bytes());
    pairs(call.asked(service, &account(), None).map_err(|e| e.to_string())?)
}

#[expect(clippy::unnecessary_wraps, reason = "its callers compare results")]
fn pairs(asked: RequiredPermissions) -> Result<Vec<(String, String)>, String> {
    let short = |resource: String| resource.replace("arn:aws:", "").replace(":us-east-1:000000000000:", ":");
    Ok(asked.asks.into_iter().map(|ask| (ask.action, short(ask.resource))).collect())
}

fn texts(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(action, resource)| ((*action).to_owned(), (*resource).to_owned())).collect()
}

fn key(pk: &str) -> Value {
    json!({ "pk": { "S": pk }, "sk": { "S": "x" } })
}

const OPEN: (&str, &str) = ("kms:Decrypt", "kms:key/DataKey");

#[test]
fn dynamodb_needs_permission_for_each_item_and_table() {
    let dynamodb = |operation: &str, body: Value| asked("dynamodb", &format!("DynamoDB_20120810.{operation}"), &body);
    let (records, ledger) = ("dynamodb:table/cloister-records", "dynamodb:table/cloister-ledger");
    for operation in ["GetItem", "UpdateItem", "DeleteItem"] {
        let found = dynamodb(operation, json!({ "TableName": "cloister-records", "Key": key("a#b") }));
        assert_eq!(found, Ok(texts(&[(&format!("dynamodb:{operation}"), records), OPEN])));
    }
    let put = json!({ "TableName": "cloister-records", "Item": key("a#b"), "ReturnValuesOnConditionCheckFailure": "ALL_OLD" });
    assert_eq!(dynamodb("PutItem", put), Ok(texts(&[("dynamodb:PutItem", records), OPEN])));
    let batch = json!({ "RequestItems": {
        "cloister-records": { "Keys": [key("a#b"), key("c#d")] }, "cloister-ledger": { "Keys": [key("a#b")] },
    } });
    let expected = [("dynamodb:BatchGetItem", ledger), ("dynamodb:BatchGetItem", records), OPEN, OPEN];
    let sorted = |mut asked: Vec<_>| {
        asked.sort();
        asked
    };
    assert_eq!(dynamodb("BatchGetItem", batch).map(sorted), Ok(texts(&expected)));
    let write = json!({ "RequestItems": { "cloister-records": [
        { "DeleteRequest": { "Key": key("a#b") } }, { "PutRequest": { "Item": key("a#b") } },
    ] } });
    assert_eq!(dynamodb("BatchWriteItem", write), Ok(texts(&[("dynamodb:BatchWriteItem", records), OPEN])));
    let items = json!({ "TransactItems": [
        { "Put": { "TableName": "cloister-records", "Item": key("a#b") } },
        { "Update": { "TableName": "cloister-ledger", "Key": key("a#b") } },
        { "Delete": { "TableName": "cloister-records", "Key": key("a#b") } },
        { "ConditionCheck": { "TableName": "cloister-records", "Key": key("a#b") } },
    ] });
    let expected = [
        ("dynamodb:PutItem", records),
        ("dynamodb:UpdateItem", ledger),
        ("dynamodb:DeleteItem", records),
        ("dynamodb:ConditionCheckItem", records),
        OPEN,
        OPEN,
    ];
    assert_eq!(dynamodb("TransactWriteItems", items), Ok(texts(&expected)));
    let get = json!({ "TransactItems": [{ "Get": { "TableName": "cloister-records", "Key": key("a#b") } }] });
    assert_eq!(dynamodb("TransactGetItems", get), Ok(texts(&[("dynamodb:GetItem", records), OPEN])));
    let query = |index: Option<&str>, attribute: &str| {
        json!({
            "TableName": "cloister-records", "IndexName": index, "KeyConditionExpression": "#h = :h AND sk > :s",
            "ExpressionAttributeNames": { "#h": attribute }, "ExpressionAttributeValues": { ":h": { "S": "a#b" } },
        })
    };
    assert_eq!(dynamodb("Query", query(None, "pk")), Ok(texts(&[("dynamodb:Query", records), OPEN])));
    let index = ("dynamodb:Query", "dynamodb:table/cloister-records/index/all");
    assert_eq!(dynamodb("Query", query(Some("all"), "ix_all")), Ok(texts(&[index, OPEN])));
    for (operation, body) in [
        ("Query", query(Some("all"), "pk")),
        ("Query", query(Some("nothing"), "pk")),
        ("GetItem", json!({ "TableName": "elsewhere", "Key": key("a#b") })),
        ("GetItem", json!({ "TableName": "cloister-records", "Key": { "sk": { "S": "x" } } })),
        ("TransactWriteItems", json!({ "TransactItems": [{ "Get": {} }] })),
        ("ExecuteStatement", json!({ "Statement": "SELECT" })),
        ("CreateTable", json!({})),
    ] {
        assert!(dynamodb(operation, body.clone()).is_err(), "{operation} {body}");
    }
}

#[test]
fn other_services_need_the_operations_permissions() {
    let account = account();
    let queue = "sqs:cloister-release-messages";
    let sent = texts(&[("sqs:SendMessage", queue), ("kms:GenerateDataKey", "kms:key/DataKey"), OPEN]);
    let url = json!({ "QueueUrl": "https://sqs.us-east-1.amazonaws.com/000000000000/cloister-release-messages" });
    assert_eq!(asked("sqs", "AmazonSQS.SendMessageBatch", &url), Ok(sent));
    assert_eq!(asked("sqs", "AmazonSQS.DeleteMessageBatch", &url), Ok(texts(&[("sqs:DeleteMessage", queue)])));
    assert!(asked("sqs", "AmazonSQS.PurgeQueue", &url).is_err());
    let pool = json!({ "UserPoolId": "us-east-1_Local" });
    let target = "AWSCognitoIdentityProviderService.AdminGetUser";
    let expected = texts(&[("cognito-idp:AdminGetUser", "cognito-idp:userpool/us-east-1_Local")]);
    assert_eq!(asked("cognito-idp", target, &pool), Ok(expected));
    assert!(asked("cognito-idp", "AWSCognitoIdentityProviderService.DeleteUserPool", &pool).is_err());
    let secret = account.reference("UpsSecret").unwrap();
    let expected = texts(&[("secretsmanager:GetSecretValue", "secretsmanager:secret:cloister/ups-AbCdEf"), OPEN]);
    assert_eq!(asked("secretsmanager", "secretsmanager.GetSecretValue", &json!({ "SecretId": secret })), Ok(expected));
    assert!(asked("secretsmanager", "secretsmanager.PutSecretValue", &json!({ "SecretId": secret })).is_err());

    let rest = |method: &str, uri: &str, headers: Vec<(&str, &str)>, service: &str, body: &str| {
        let call = Call::new(method, uri, headers, body.as_bytes());
        pairs(call.asked(service, &account, None).map_err(|e| e.to_string())?)
    };
    let bucket = account.reference("AuditBucket").unwrap();
    let object = format!("https://{bucket}.s3.us-east-1.amazonaws.com/segments/a/0.jsonl");
    let arn = format!("s3:::{bucket}/segments/a/0.jsonl");
    assert_eq!(rest("GET", &object, vec![], "s3", ""), Ok(texts(&[("s3:GetObject", &arn), OPEN])));
    let version = format!("{object}?versionId=7&x-id=GetObject");
    assert_eq!(rest("GET", &version, vec![], "s3", ""), Ok(texts(&[("s3:GetObjectVersion", &arn), OPEN])));
    let put = texts(&[("s3:PutObject", &arn), ("kms:GenerateDataKey", "kms:key/DataKey")]);
    let path_style = format!("http://127.0.0.1:1/{bucket}/segments/a/0.jsonl");
    assert_eq!(rest("PUT", &path_style, vec![("if-none-match", "*")], "s3", "x"), Ok(put));
    let list = format!("https://{bucket}.s3.us-east-1.amazonaws.com/?versions&prefix=checkpoints%2Fa%2F");
    assert_eq!(rest("GET", &list, vec![], "s3", ""), Ok(texts(&[("s3:ListBucketVersions", &format!("s3:::{bucket}"))])));
    assert!(rest("GET", &format!("{object}?acl"), vec![], "s3", "").is_err());
    assert!(rest("POST", &format!("{object}?uploads"), vec![], "s3", "").is_err());
    assert!(rest("PUT", &object, vec![("x-amz-object-lock-legal-hold", "ON")], "s3", "").is_err());

    let mail = json!({ "FromEmailAddress": "no-reply@cloister.example", "Destination": { "ToAddresses": ["a@b.example"] } });
    let sent = rest("POST", "https://email.us-east-1.amazonaws.com/v2/email/outbound-emails", vec![], "ses", &mail.to_string());
    let identity = ("ses:SendEmail", "ses:identity/cloister.example");
    assert_eq!(sent, Ok(texts(&[identity, ("ses:SendEmail", "ses:configuration-set/cloister-mail")])));
    let socket =
        rest("POST", "https://abc.execute-api.us-east-1.amazonaws.com/live/%40connections/x%3D", vec![], "execute-api", "");
    let connection = "execute-api:abc/live/POST/@connections/x%3D";
    assert_eq!(socket, Ok(texts(&[("execute-api:ManageConnections", connection)])));

    let role = "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A000000000000%3Arole%2Fx&RoleSessionName=n";
    let assumed = rest("POST", "https://sts.example/", vec![], "sts", role);
    assert_eq!(assumed, Ok(texts(&[("sts:AssumeRole", "iam::000000000000:role/x")])));
    let tagged = format!("{role}&Tags.member.1.Key=tenant&Tags.member.1.Value={TENANT}");
    let both = [("sts:AssumeRole", "iam::000000000000:role/x"), ("sts:TagSession", "iam::000000000000:role/x")];
    assert_eq!(rest("POST", "https://sts.example/", vec![], "sts", &tagged), Ok(texts(&both)));
    assert!(rest("POST", "https://sts.example/", vec![], "sts", &format!("{role}&Policy=x")).is_err(), "a session's policy");
    assert!(rest("POST", "https://sts.example/", vec![], "sts", "Action=GetFederationToken").is_err());
}

/// Sends a signed GetItem of the records table. Returns the answer if it is refused.
fn get(gate: &Gate, access_key: &str, token: Option<&str>, table: &str, pk: &str) -> Option<(u16, String)> {
    let credential =
        format!("AWS4-HMAC-SHA256 Credential={access_key}/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=h");
    let mut headers = vec![("authorization", credential.as_str()), ("x-amz-target", "DynamoDB_20120810.GetItem")];
    headers.extend(token.map(|token| ("x-amz-security-token", token)));
    let body = json!({ "TableName": table, "Key": key(pk) }).to_string();
    match gate.judge(&Call::new("POST", "http://127.0.0.1:1/", headers, body.as_bytes())) {
        Decision::Passes { .. } => None,
        Decision::Answered(answer) => Some((answer.status, answer.body)),
    }
}

fn assume(gate: &Gate, access_key: &str, role: &str, tenant: &str) -> (u16, String) {
    let credential = format!("AWS4-HMAC-SHA256 Credential={access_key}/20260101/us-east-1/sts/aws4_request, SignedHeaders=h");
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", "AssumeRole").append_pair("RoleArn", role).append_pair("RoleSessionName", "n");
    form.append_pair("Tags.member.1.Key", "tenant").append_pair("Tags.member.1.Value", tenant);
    let body = form.finish();
    match gate.judge(&Call::new("POST", "http://127.0.0.1:1/", vec![("authorization", &credential)], body.as_bytes())) {
        Decision::Passes { .. } => panic!("the gate itself answers for STS"),
        Decision::Answered(answer) => (answer.status, answer.body),
    }
}

#[test]
fn function_reads_only_the_platforms_and_its_sessions_partition() {
    let gate = gate();
    let own = function_key("get_shipment");
    assert_eq!(get(&gate, &own, None, "cloister-records", &format!("{PLATFORM}#TENANT")), None);
    let (status, refusal) = get(&gate, &own, None, "cloister-records", &format!("{TENANT}#TENANT")).unwrap();
    assert_eq!(status, 400);
    for word in ["AccessDeniedException", "assumed-role/cloister-get_shipment/", "dynamodb:GetItem", "table/cloister-records"] {
        assert!(refusal.contains(word), "{word}: {refusal}");
    }
    let [refused] = gate.take_refused().try_into().unwrap();
    assert_eq!((refused.role.as_str(), refused.action.as_str()), ("get_shipment", "dynamodb:GetItem"));
    assert!(get(&gate, &own, None, "cloister-keys", &format!("{PLATFORM}#KEYS")).is_some(), "it may only query keys");

    let role = gate.tenant_role_of("get_shipment").unwrap().to_owned();
    let (status, session) = assume(&gate, &own, &role, TENANT);
    assert_eq!(status, 200, "{session}");
    let element = |name: &str| session.split_once(&format!("<{name}>")).unwrap().1.split_once("</").unwrap().0.to_owned();
    let (access_key, token) = (element("AccessKeyId"), element("SessionToken"));
    let by = |token: Option<&str>, pk: String| get(&gate, &access_key, token, "cloister-records", &pk).is_none();
    assert!(by(Some(&token), format!("{TENANT}#TENANT")));
    assert!(!by(Some(&token), format!("{OTHER}#TENANT")));
    assert!(!by(Some(&token), format!("{PLATFORM}#TENANT")));
    assert!(!by(Some(&token), format!("{TENANT}0#TENANT")), "an id with the same prefix");
    assert!(!by(Some("another"), format!("{TENANT}#TENANT")), "a token of another session");
    assert!(!by(None, format!("{TENANT}#TENANT")), "no token");

    let another = gate.tenant_role_of("seal_audit").unwrap().to_owned();
    assert_eq!(assume(&gate, &own, &another, TENANT).0, 403, "another function's sessions");
    assert_eq!(assume(&gate, &own, &role, "usr_1").0, 403, "no tenant's");
    assert_eq!(assume(&gate, &access_key, &role, TENANT).0, 403, "a session of a session, without its token");
}

#[test]
fn unknown_signer_is_refused() {
    let gate = gate();
    let pk = format!("{PLATFORM}#TENANT");
    assert_eq!(get(&gate, ADMINISTRATOR, None, "cloister-records", &pk), None);
    assert_eq!(get(&gate, OPERATOR, None, "cloister-records", &pk), None);
    for access_key in ["function.nothing", "somebody", "ASIA0", ""] {
        let (status, answer) = get(&gate, access_key, None, "cloister-records", &pk).unwrap();
        assert_eq!(status, 400);
        assert!(answer.contains("UnrecognizedClientException"), "{answer}");
    }
    let unsigned = |headers| gate.judge(&Call::new("POST", "http://127.0.0.1:1/", headers, b"{}"));
    let target = |target| vec![("x-amz-target", target)];
    assert!(matches!(unsigned(target("DynamoDB_20120810.GetItem")), Decision::Answered(_)));
    assert!(matches!(unsigned(target("AWSCognitoIdentityProviderService.RevokeToken")), Decision::Passes { .. }));
    assert!(matches!(unsigned(target("AWSCognitoIdentityProviderService.AdminGetUser")), Decision::Answered(_)));
    assert!(matches!(unsigned(vec![]), Decision::Passes { .. }), "the call is not to AWS");
}
