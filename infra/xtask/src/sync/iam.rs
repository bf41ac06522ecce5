//! Writes the statements of each function's role, from the needs that it declares and from the calls that the pipeline makes for
//! its kind. A function that uses no table gets no statement about tables.

mod grants;

use super::{
    background::SCHEDULES_DEAD,
    calls::Calls,
    function::{Function, Serves},
    queues,
    tenant_credentials::{self, decided},
    yaml::{Node, attribute, list, map, reference, sub},
};
use common::{background::Feed, base::Need};
use grants::{Actions, Grants, log};
use std::collections::BTreeSet;

/// The statements of a function's role.
pub(crate) fn statements(function: &Function) -> Node {
    let grants = Grants::of(function, &Calls::everywhere(function.name));
    let mut statements = vec![
        map! {
            "Sid" => "Log", "Effect" => "Allow", "Action" => list!["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource" => attribute("Logs.Arn"),
        },
        // X-Ray has no resources to name.
        map! {
            "Sid" => "Trace", "Effect" => "Allow", "Action" => list!["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
            "Resource" => "*",
        },
    ];
    statements.extend(own_tables(function));
    statements.extend(tenant_credentials::enter(function));
    if !grants.purposes.is_empty() {
        statements.push(map! {
            "Sid" => "Unwrap", "Effect" => "Allow", "Action" => "kms:Decrypt",
            // Each tenant has its own key, so the encryption context limits the statement.
            "Resource" => sub("arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/*"),
            "Condition" => map! {
                "StringEquals" => map! {
                    DEPLOYMENT_OF_KEY => reference("Prefix"),
                    "kms:EncryptionContext:purpose" => grants.purposes.iter().copied().collect::<Node>(),
                },
                "StringLike" => map! { "kms:EncryptionContext:tenant" => "ten_*" },
                "Null" => map! { "kms:EncryptionContext:version" => "false" },
            },
        });
    }
    statements.extend(user_pool(function));
    statements.extend(function.needs(Need::TenantKeys).then(tenant_keys).into_iter().flatten());
    statements.extend(of_queues(function));
    statements.extend(function.needs(Need::Carrier).then(carrier).into_iter().flatten());
    statements.extend(function.needs(Need::Mail).then(mail));
    let pushes = function.needs(Need::Push) && Calls::own(function.name).has("socket_api", "ManageConnections");
    statements.extend(pushes.then(push));
    statements.extend(of_log(function));
    Node::List(statements)
}

/// Whether the function wraps or unwraps branch keys.
pub(crate) fn uses_branch_keys(function: &Function) -> bool {
    !Grants::of(function, &Calls::everywhere(function.name)).purposes.is_empty() || function.needs(Need::TenantKeys)
}

/// The function's table calls in a tenant, limited by a condition.
pub(crate) fn tables(function: &Function, data_key: &Node, within: &Node) -> Vec<Node> {
    of_tables(&Grants::of(function, &Calls::in_a_tenant(function.name)), data_key, Some(within))
}

/// The function's table calls by its own role: in every tenant if tenants are not separated.
fn own_tables(function: &Function) -> Vec<Node> {
    let key = reference("DataKeyArn");
    let bounds = tenant_credentials::bounds(function);
    let separated = of_tables(&Grants::of(function, &Calls::own(function.name)), &key, bounds.as_ref());
    let together = of_tables(&Grants::of(function, &Calls::everywhere(function.name)), &key, bounds.as_ref());
    either(&separated, together)
}

/// Merges the statements of a function's own role for separated and for unseparated tenants. The second set includes the first.
fn either(separated: &[Node], together: Vec<Node>) -> Vec<Node> {
    let own = |statement: &Node| separated.iter().find(|own| own.get("Sid") == statement.get("Sid"));
    let merged = together.into_iter().map(|statement| match own(&statement) {
        Some(own) if *own == statement => statement,
        // A choice within a choice would have a side that is never reached.
        own => tenant_credentials::if_on(
            own.map_or_else(tenant_credentials::nothing, |own| decided(own, true)),
            decided(&statement, false),
        ),
    });
    merged.collect()
}

fn of_tables(grants: &Grants, data_key: &Node, within: Option<&Node>) -> Vec<Node> {
    let tables = [
        ("Records", "RecordsTable", &grants.records),
        ("Ledger", "LedgerTable", &grants.ledger),
        ("Keys", "KeysTable", &grants.keys),
        ("Ephemera", "EphemeraTable", &grants.ephemera),
    ];
    let mut statements: Vec<_> =
        tables.into_iter().filter_map(|(sid, parameter, actions)| table(sid, parameter, actions)).collect();
    statements.extend(indexes(&grants.indexes));
    statements.extend(grants.ephemera_due.then(|| {
        let index = sub(format!("{}/index/due", table_arn("EphemeraTable")));
        map! { "Sid" => "EphemeraDue", "Effect" => "Allow", "Action" => "dynamodb:Query", "Resource" => index }
    }));
    if let Some(condition) = within {
        for statement in &mut statements {
            if let Node::Map(members) = statement {
                members.push(("Condition".to_owned(), condition.clone()));
            }
        }
    }
    if !statements.is_empty() {
        statements.push(at_rest(data_key, "OpenTables", &["kms:Decrypt"], &["dynamodb"]));
    }
    statements
}

fn table(sid: &str, parameter: &str, actions: &Actions) -> Option<Node> {
    let allowed = || {
        map! {
            "Sid" => sid, "Effect" => "Allow",
            "Action" => actions.iter().map(|action| format!("dynamodb:{action}")).collect::<Node>(),
            "Resource" => sub(table_arn(parameter)),
        }
    };
    (!actions.is_empty()).then(allowed)
}

fn table_arn(parameter: &str) -> String {
    format!("arn:${{AWS::Partition}}:dynamodb:${{AWS::Region}}:${{AWS::AccountId}}:table/${{{parameter}}}")
}

/// An index supports only queries, so it gets its own statement for `Query`.
fn indexes(names: &BTreeSet<&'static str>) -> Option<Node> {
    let arn = |name: &&str| sub(format!("{}/index/{name}", table_arn("RecordsTable")));
    let resource = || match names.first() {
        // All indexes, which includes any other name.
        Some(all @ &"*") => arn(all),
        _ => names.iter().map(arn).collect(),
    };
    let allowed = || map! { "Sid" => "Indexes", "Effect" => "Allow", "Action" => "dynamodb:Query", "Resource" => resource() };
    (!names.is_empty()).then(allowed)
}

/// The use of a key at rest, only through the services that store the data.
pub(crate) fn use_data_key(sid: &str, actions: &[&str], services: &[&str]) -> Node {
    at_rest(&reference("DataKeyArn"), sid, actions, services)
}

fn at_rest(key: &Node, sid: &str, actions: &[&str], services: &[&str]) -> Node {
    let mut via: Vec<_> = services.iter().map(|service| sub(format!("{service}.${{AWS::Region}}.amazonaws.com"))).collect();
    let via = if via.len() == 1 { via.remove(0) } else { Node::List(via) };
    let action = if let [action] = actions { Node::from(*action) } else { actions.iter().copied().collect() };
    map! {
        "Sid" => sid, "Effect" => "Allow", "Action" => action, "Resource" => key.clone(),
        "Condition" => map! { "StringEquals" => map! { "kms:ViaService" => via } },
    }
}

/// The function's calls to the user pool: for sign-in, or for the directory.
fn user_pool(function: &Function) -> Option<Node> {
    let mut needed = Actions::new();
    if function.needs(Need::SignIn) {
        needed.extend(["AdminInitiateAuth", "AdminRespondToAuthChallenge", "DescribeUserPoolClient"]);
    }
    if function.needs(Need::SignIn) && function.needs(Need::Passwords) {
        needed.insert("AdminSetUserPassword");
    }
    if function.needs(Need::Directory) {
        needed.extend([
            "AdminAddUserToGroup",
            "AdminCreateUser",
            "AdminDeleteUser",
            "AdminDisableUser",
            "AdminEnableUser",
            "AdminGetUser",
            "AdminListGroupsForUser",
            "AdminRemoveUserFromGroup",
            "AdminSetUserPassword",
            "AdminUserGlobalSignOut",
        ]);
    }
    let calls = Calls::own(function.name);
    needed.retain(|action| calls.has("user_pool", action));
    let allowed = || {
        map! {
            "Sid" => "UserPool", "Effect" => "Allow",
            "Action" => needed.iter().map(|action| format!("cognito-idp:{action}")).collect::<Node>(),
            "Resource" => sub("arn:${AWS::Partition}:cognito-idp:${AWS::Region}:${AWS::AccountId}:userpool/${UserPool}"),
        }
    };
    (!needed.is_empty()).then(allowed)
}

/// The deployment's tag on an existing key. Keys have no names, so the tag separates the deployments.
///
/// Source: KMS, "Use tags to control access to KMS keys".
const DEPLOYMENT_OF_KEY: &str = "aws:ResourceTag/cloister:deployment";

/// A tenant's KMS key is tagged with the deployment, and its alias contains deployment and tenant. Wrapping is limited to a
/// tenant's encryption context.
fn tenant_keys() -> [Node; 7] {
    let keys = || sub("arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/*");
    let aliases = || sub("arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:alias/${Prefix}-ten_*");
    let asked = || map! { "aws:RequestTag/cloister:deployment" => reference("Prefix") };
    let own = || map! { DEPLOYMENT_OF_KEY => reference("Prefix") };
    [
        // A key has no name before it is created.
        map! {
            "Sid" => "MakeTenantKeys", "Effect" => "Allow", "Action" => "kms:CreateKey", "Resource" => "*",
            "Condition" => map! { "StringEquals" => asked() },
        },
        // A new key has no tag yet. A key of another deployment must never get our tag.
        map! {
            "Sid" => "TagNewKeys", "Effect" => "Allow", "Action" => "kms:TagResource", "Resource" => keys(),
            "Condition" => map! { "StringEquals" => asked(), "Null" => map! { DEPLOYMENT_OF_KEY => "true" } },
        },
        map! {
            "Sid" => "TagTenantKeys", "Effect" => "Allow", "Action" => "kms:TagResource", "Resource" => keys(),
            "Condition" => map! {
                "StringEquals" => map! {
                    "aws:RequestTag/cloister:deployment" => reference("Prefix"), DEPLOYMENT_OF_KEY => reference("Prefix"),
                },
            },
        },
        // `CreateAlias` needs permission on the alias and on the key. It cannot depend on the key's tags, because they take some
        // minutes to become effective, and a retry that found no alias would create another key. Wrapping requires the tag.
        map! {
            "Sid" => "NameTenantKeys", "Effect" => "Allow", "Action" => "kms:CreateAlias", "Resource" => list![aliases(), keys()],
            "Condition" => map! { "StringEquals" => map! { "kms:CallerAccount" => reference("AWS::AccountId") } },
        },
        map! {
            "Sid" => "FindTenantKeys", "Effect" => "Allow", "Action" => "kms:DescribeKey", "Resource" => keys(),
            "Condition" => map! { "StringLike" => map! { "kms:RequestAlias" => sub("alias/${Prefix}-ten_*") } },
        },
        map! {
            "Sid" => "RotateTenantKeys", "Effect" => "Allow", "Action" => "kms:EnableKeyRotation", "Resource" => keys(),
            "Condition" => map! { "StringEquals" => own() },
        },
        map! {
            "Sid" => "Wrap", "Effect" => "Allow", "Action" => "kms:GenerateDataKeyWithoutPlaintext", "Resource" => keys(),
            "Condition" => map! {
                "StringEquals" => own(), "StringLike" => map! { "kms:EncryptionContext:tenant" => "ten_*" },
            },
        },
    ]
}

/// A consumer receives from its own queue. Enqueuing functions send to those queues of their domain that are filled directly.
/// Failed runs of schedules go to their dead-letter queue.
fn of_queues(function: &Function) -> Vec<Node> {
    let mut statements = Vec::new();
    let mut key = Actions::new();
    if let Serves::Consumer(consumer) = function.serves {
        statements.push(map! {
            "Sid" => "TakeMessages", "Effect" => "Allow",
            "Action" =>
                list!["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"],
            "Resource" => queues::arn(&consumer.queue),
        });
        key.insert("kms:Decrypt");
    }
    if function.needs(Need::Enqueue) {
        let own = registry::consumers().filter(|c| c.domain == function.domain && c.queue.feed == Feed::Direct);
        statements.push(map! {
            "Sid" => "PutMessages", "Effect" => "Allow", "Action" => list!["sqs:GetQueueAttributes", "sqs:SendMessage"],
            "Resource" => own.map(|consumer| queues::arn(&consumer.queue)).collect::<Node>(),
        });
        key.extend(["kms:Decrypt", "kms:GenerateDataKey"]);
    }
    if function.needs(Need::Waiting) {
        let waiting = registry::consumers().filter(|c| c.waits);
        statements.push(map! {
            "Sid" => "PutBack", "Effect" => "Allow", "Action" => "sqs:SendMessage",
            "Resource" => waiting.map(|consumer| queues::arn(&consumer.queue)).collect::<Node>(),
        });
        key.extend(["kms:Decrypt", "kms:GenerateDataKey"]);
    }
    if matches!(function.serves, Serves::Schedule(_)) {
        statements.push(map! {
            "Sid" => "GiveUp", "Effect" => "Allow", "Action" => "sqs:SendMessage", "Resource" => sub(SCHEDULES_DEAD),
        });
        key.extend(["kms:Decrypt", "kms:GenerateDataKey"]);
    }
    if !key.is_empty() {
        statements.push(use_data_key("OpenQueues", &key.into_iter().collect::<Vec<_>>(), &["sqs"]));
    }
    statements
}

fn carrier() -> [Node; 2] {
    [
        map! {
            "Sid" => "CarrierSecret", "Effect" => "Allow", "Action" => "secretsmanager:GetSecretValue",
            "Resource" => reference("UpsSecret"),
        },
        use_data_key("OpenSecret", &["kms:Decrypt"], &["secretsmanager"]),
    ]
}

fn mail() -> Node {
    let ses = |what: &str| sub(format!("arn:${{AWS::Partition}}:ses:${{AWS::Region}}:${{AWS::AccountId}}:{what}"));
    map! {
        "Sid" => "SendMail", "Effect" => "Allow", "Action" => "ses:SendEmail",
        "Resource" => list![ses("configuration-set/${Prefix}-mail"), ses("identity/*")],
        "Condition" => map! { "StringEquals" => map! { "ses:FromAddress" => reference("MailFrom") } },
    }
}

fn push() -> Node {
    map! {
        "Sid" => "Push", "Effect" => "Allow", "Action" => "execute-api:ManageConnections",
        "Resource" => sub(
            "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${SocketApi}/live/*/@connections/*",
        ),
    }
}

/// The function's calls on a tenant's objects of the sealed log. `folder` is the resource of each kind of object, and `listed`
/// the prefix of their keys.
pub(crate) fn objects_in_a_tenant(
    function: &Function,
    data_key: &Node,
    folder: impl Fn(&str) -> Node,
    listed: impl Fn(&str) -> Node,
) -> Vec<Node> {
    objects(function, &Calls::in_a_tenant(function.name), data_key, folder, listed)
}

/// The sealer writes only segments, and the signer only checkpoints.
fn objects(
    function: &Function,
    calls: &Calls,
    data_key: &Node,
    folder: impl Fn(&str) -> Node,
    listed: impl Fn(&str) -> Node,
) -> Vec<Node> {
    if !log(function) {
        return Vec::new();
    }
    let [seals, signs, reads] = [Need::SealLog, Need::SignLog, Need::ReadLog].map(|need| function.needs(need));
    let (mut statements, mut kinds, mut writes) = (Vec::new(), Vec::new(), false);
    for (sid, kind, place, may_read, may_write) in [
        ("Segments", "segments", "audit/segments", true, seals),
        ("Checkpoints", "checkpoints", "audit/checkpoints", signs || reads, signs),
    ] {
        let needed = [("GetObject", may_read), ("GetObjectVersion", may_read), ("PutObject", may_write)];
        let actions: Vec<_> = needed.iter().filter(|(action, may)| *may && calls.has(place, action)).map(|(a, _)| *a).collect();
        if actions.is_empty() {
            continue;
        }
        kinds.push(kind);
        writes |= actions.contains(&"PutObject");
        let actions = actions.iter().map(|action| format!("s3:{action}")).collect::<Node>();
        statements.push(map! { "Sid" => sid, "Effect" => "Allow", "Action" => actions, "Resource" => folder(kind) });
    }
    if kinds.is_empty() {
        return statements;
    }
    // Without this permission S3 answers 403 instead of 404 for an absent object or version. S3 checks it with the object's key
    // as the prefix. A listing reveals keys only, which consist of ids and numbers.
    statements.push(map! {
        "Sid" => "WhichObjects", "Effect" => "Allow", "Action" => list!["s3:ListBucket", "s3:ListBucketVersions"],
        "Resource" => sub("arn:${AWS::Partition}:s3:::${AuditBucket}"),
        "Condition" => map! { "StringLike" => map! { "s3:prefix" => kinds.into_iter().map(&listed).collect::<Node>() } },
    });
    let mut key = vec!["kms:Decrypt"];
    key.extend(writes.then_some("kms:GenerateDataKey"));
    statements.push(at_rest(data_key, "OpenSegments", &key, &["s3"]));
    statements
}

/// The sealed log: its objects, and its signature.
fn of_log(function: &Function) -> Vec<Node> {
    let own = |calls: &Calls| {
        objects(function, calls, &reference("DataKeyArn"), tenant_credentials::folder, tenant_credentials::listed)
    };
    let mut statements = either(&own(&Calls::own(function.name)), own(&Calls::everywhere(function.name)));
    if !log(function) {
        return statements;
    }
    let calls = Calls::own(function.name);
    if calls.has("checkpoint_key", "GetPublicKey") {
        statements.push(map! {
            "Sid" => "PublicKey", "Effect" => "Allow", "Action" => "kms:GetPublicKey", "Resource" => reference("CheckpointKeyArn"),
        });
    }
    if function.needs(Need::SignLog) {
        statements.push(map! {
            "Sid" => "Sign", "Effect" => "Allow", "Action" => "kms:Sign", "Resource" => reference("CheckpointKeyArn"),
            "Condition" => map! {
                "StringEquals" => map! { "kms:SigningAlgorithm" => "ED25519_SHA_512", "kms:MessageType" => "RAW" },
            },
        });
    }
    statements
}
