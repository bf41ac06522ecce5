//! The services of which the code uses only a few operations.

use super::{Ask, Call, Malformed, arn, ask, at_rest};
use crate::iam::account::Account;
use serde_json::Value;

fn not_understood(service: &str, operation: &str) -> Malformed {
    Malformed(format!("{service}'s {operation} is not supported"))
}

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html>
pub(super) fn sqs(operation: &str, body: &Value, account: &Account) -> Result<Vec<Ask>, Malformed> {
    let (action, of_key): (&str, &[&str]) = match operation {
        "SendMessage" | "SendMessageBatch" => ("SendMessage", &["GenerateDataKey", "Decrypt"]),
        "ReceiveMessage" => ("ReceiveMessage", &["Decrypt"]),
        "DeleteMessage" | "DeleteMessageBatch" => ("DeleteMessage", &[]),
        "ChangeMessageVisibility" | "ChangeMessageVisibilityBatch" => ("ChangeMessageVisibility", &[]),
        "GetQueueAttributes" | "GetQueueUrl" | "ListMessageMoveTasks" | "StartMessageMoveTask" => (operation, &[]),
        _ => return Err(not_understood("SQS", operation)),
    };
    let name = match body["QueueUrl"].as_str().or(body["SourceArn"].as_str()) {
        Some(named) => named.rsplit(['/', ':']).next().unwrap_or(named),
        None => body["QueueName"].as_str().ok_or_else(|| not_understood("SQS", operation))?,
    };
    let queue = arn("sqs", name);
    let key = || account.queue_key(&queue);
    let key = if of_key.is_empty() { None } else { key() };
    let of_key = of_key.iter().filter_map(|action| Some(at_rest(key.as_deref()?, "sqs", action, &[("aws:sqs:arn", &queue)])));
    Ok([ask(format!("sqs:{action}"), &queue)].into_iter().chain(of_key).collect())
}

/// The operations that need AWS credentials.
pub(super) fn cognito(operation: &str, body: &Value) -> Result<Vec<Ask>, Malformed> {
    let known = operation.starts_with("Admin") || operation == "DescribeUserPoolClient";
    let pool = body["UserPoolId"].as_str().filter(|_| known).ok_or_else(|| not_understood("Cognito", operation))?;
    Ok(vec![ask(format!("cognito-idp:{operation}"), arn("cognito-idp", format_args!("userpool/{pool}")))])
}

pub(super) fn secrets(operation: &str, body: &Value, account: &Account) -> Result<Vec<Ask>, Malformed> {
    let named = body["SecretId"].as_str().filter(|named| named.starts_with("arn:") && operation == "GetSecretValue");
    let secret = named.ok_or_else(|| not_understood("Secrets Manager", operation))?;
    let key = account.property_of("AWS::SecretsManager::Secret", secret, "KmsKeyId");
    let key = key.as_ref().and_then(Value::as_str).map(|key| at_rest(key, "secretsmanager", "Decrypt", &[("SecretARN", secret)]));
    Ok([ask("secretsmanager:GetSecretValue", secret)].into_iter().chain(key).collect())
}

/// A mail is sent from an identity and with a configuration set, either the given or the identity's.
/// <https://docs.aws.amazon.com/ses/latest/dg/control-user-access.html>
pub(super) fn ses(call: &Call<'_>, account: &Account) -> Result<Vec<Ask>, Malformed> {
    let unknown = || not_understood("SES", call.path);
    if (call.method, call.path) != ("POST", "/v2/email/outbound-emails") {
        return Err(unknown());
    }
    let body: Value = serde_json::from_slice(call.body).map_err(|_| unknown())?;
    let from = body["FromEmailAddress"].as_str().ok_or_else(unknown)?;
    let (display, address) = match from.rsplit_once('<') {
        Some((display, address)) => (Some(display.trim().trim_matches('"')), address.trim_end_matches('>')),
        None => (None, from),
    };
    let domain = address.rsplit('@').next().unwrap_or(address);
    let set = body["ConfigurationSetName"].as_str().map(str::to_owned).or_else(|| {
        let attributes = account.property_of("AWS::SES::EmailIdentity", domain, "ConfigurationSetAttributes")?;
        attributes["ConfigurationSetName"].as_str().map(str::to_owned)
    });
    let to = body["Destination"].as_object().into_iter().flat_map(|all| all.values());
    let to: Vec<_> = to.filter_map(Value::as_array).flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    let about = |resource: String| {
        let ask =
            ask("ses:SendEmail", arn("ses", resource)).with("ses:FromAddress", [address]).with("ses:Recipients", to.clone());
        display.into_iter().fold(ask, |ask, display| ask.with("ses:FromDisplayName", [display]))
    };
    let set = set.map(|set| about(format!("configuration-set/{set}")));
    Ok([about(format!("identity/{domain}"))].into_iter().chain(set).collect())
}

/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-control-access-iam.html>
pub(super) fn sockets(call: &Call<'_>, account: &Account) -> Result<Vec<Ask>, Malformed> {
    let path = call.path.replace("%40connections", "@connections");
    let unknown = || not_understood("API Gateway", call.path);
    let (before, id) = path.split_once("/@connections/").ok_or_else(unknown)?;
    let (api, stage) = match call.host.split_once(".execute-api.") {
        Some((api, _)) => (api, before.trim_start_matches('/').to_owned()),
        // The local socket API and its stage have their own address.
        None => (
            account.reference("SocketApi").ok_or_else(unknown)?,
            account.property("SocketStage", "StageName").ok_or_else(unknown)?,
        ),
    };
    let resource = arn("execute-api", format_args!("{api}/{stage}/{}/@connections/{id}", call.method));
    Ok(vec![ask("execute-api:ManageConnections", resource)])
}

/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html>
pub(super) fn sts(call: &Call<'_>) -> Result<Vec<Ask>, Malformed> {
    let form: std::collections::BTreeMap<String, String> = form_urlencoded::parse(call.body).into_owned().collect();
    let get = |name: &str| form.get(name).map(String::as_str);
    match get("Action") {
        // This operation needs no permission.
        Some("GetCallerIdentity") => return Ok(Vec::new()),
        Some("AssumeRole") => {}
        other => return Err(not_understood("STS", other.unwrap_or_default())),
    }
    let known = ["Action", "Version", "RoleArn", "RoleSessionName", "DurationSeconds"];
    if let Some(other) = form.keys().find(|name| !known.contains(&name.as_str()) && !name.starts_with("Tags.member.")) {
        return Err(not_understood("STS", other));
    }
    let role = get("RoleArn").ok_or_else(|| not_understood("STS", "AssumeRole"))?;
    let tags: Vec<_> =
        (1..=50).map_while(|n| Some((get(&format!("Tags.member.{n}.Key"))?, get(&format!("Tags.member.{n}.Value"))?))).collect();
    let about = |action: &str| {
        let mut ask = ask(action, role);
        if let Some(name) = get("RoleSessionName") {
            ask = ask.with("sts:RoleSessionName", [name]);
        }
        if !tags.is_empty() {
            ask = ask.with("aws:TagKeys", tags.iter().map(|(name, _)| *name));
        }
        tags.iter().fold(ask, |ask, (name, value)| ask.with(&format!("aws:RequestTag/{name}"), [*value]))
    };
    let tag = (!tags.is_empty()).then(|| about("sts:TagSession"));
    Ok([about("sts:AssumeRole")].into_iter().chain(tag).collect())
}
