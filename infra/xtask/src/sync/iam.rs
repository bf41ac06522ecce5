//! What each function may do: its role's statements, written from what it declares and from what the pipeline does for its
//! kind. A function that never sees a table has no statement about it.

use super::{
    function::{Function, Serves},
    yaml::{Node, attribute, list, map, reference, sub},
};
use common::{IdempotencyKey, Kind, Need};
use std::collections::BTreeSet;

type Actions = BTreeSet<&'static str>;

/// Calls on each table, and the purposes of the wrapped keys that may be unwrapped.
#[derive(Debug, Default)]
struct Grants {
    records: Actions,
    ledger: Actions,
    keys: Actions,
    ephemera: Actions,
    purposes: BTreeSet<&'static str>,
    cognito: bool,
}

impl Grants {
    fn of(function: &Function) -> Self {
        let mut grants = Self::default();
        match function.serves {
            Serves::Endpoint(endpoint) if endpoint.kind == Kind::Public => grants.public(function, endpoint.audited),
            Serves::Endpoint(endpoint) => grants.signed_in(function, endpoint.idempotency != IdempotencyKey::Ignored),
            Serves::Other(_) if function.is_authorizer() => {
                // Whose tenant a user is; and a refused credential goes on record.
                grants.records.insert("GetItem");
                grants.ledger.insert("UpdateItem");
            }
            Serves::Other(_) => {}
        }
        if function.needs(Need::Seal) {
            grants.purposes.insert("branch");
        }
        if function.needs(Need::Search) {
            grants.purposes.insert("search");
        }
        if !grants.purposes.is_empty() {
            grants.keys.insert("Query");
        }
        grants.cognito = function.needs(Need::SignIn);
        grants
    }

    /// Touches its session, reads its tenant's gate, leaves an audit event; and what it declares.
    fn signed_in(&mut self, function: &Function, takes_key: bool) {
        let (write, read) = (function.needs(Need::Write), function.needs(Need::Read) || function.needs(Need::Write));
        self.ephemera.insert("UpdateItem");
        self.records.insert("GetItem");
        self.ledger.insert("UpdateItem");
        if read {
            self.records.insert("Query");
        }
        if read && takes_key {
            // A target is read along with the record of the idempotency key.
            self.records.insert("BatchGetItem");
            self.ephemera.insert("BatchGetItem");
        }
        if write {
            self.records.extend(["ConditionCheckItem", "DeleteItem", "PutItem", "UpdateItem"]);
            self.ledger.insert("PutItem");
        }
        if write && takes_key {
            // The answer is kept, sealed.
            self.ephemera.insert("PutItem");
            self.purposes.insert("branch");
        }
    }

    /// Counts against its caller's address, leaves an audit event; and what it declares.
    fn public(&mut self, function: &Function, audited: bool) {
        if audited {
            self.ephemera.insert("UpdateItem");
            self.ledger.extend(["PutItem", "UpdateItem"]);
        }
        if function.needs(Need::Read) {
            self.records.insert("GetItem");
        }
        if function.needs(Need::Sessions) {
            // A session holds Cognito's token, sealed.
            self.ephemera.extend(["DeleteItem", "GetItem", "PutItem", "UpdateItem"]);
            self.purposes.insert("branch");
        }
    }
}

/// The statements of a function's role.
pub(crate) fn statements(function: &Function) -> Node {
    let grants = Grants::of(function);
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
    let tables = [
        ("Records", "RecordsTable", &grants.records),
        ("Ledger", "LedgerTable", &grants.ledger),
        ("Keys", "KeysTable", &grants.keys),
        ("Ephemera", "EphemeraTable", &grants.ephemera),
    ];
    for (sid, parameter, actions) in tables {
        statements.extend(table(sid, parameter, actions));
    }
    if tables.iter().any(|(_, _, actions)| !actions.is_empty()) {
        statements.push(map! {
            "Sid" => "OpenTables", "Effect" => "Allow", "Action" => "kms:Decrypt", "Resource" => reference("DataKeyArn"),
            "Condition" => map! { "StringEquals" => map! { "kms:ViaService" => sub("dynamodb.${AWS::Region}.amazonaws.com") } },
        });
    }
    if !grants.purposes.is_empty() {
        statements.push(map! {
            "Sid" => "Unwrap", "Effect" => "Allow", "Action" => "kms:Decrypt",
            // Each tenant has a key of its own, so what is named is what the key must have wrapped.
            "Resource" => sub("arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/*"),
            "Condition" => map! {
                "StringEquals" => map! { "kms:EncryptionContext:purpose" => grants.purposes.iter().copied().collect::<Node>() },
                "StringLike" => map! { "kms:EncryptionContext:tenant" => "ten_*" },
                "Null" => map! { "kms:EncryptionContext:version" => "false" },
            },
        });
    }
    if grants.cognito {
        statements.push(map! {
            "Sid" => "SignIn", "Effect" => "Allow",
            "Action" => list![
                "cognito-idp:AdminInitiateAuth", "cognito-idp:AdminRespondToAuthChallenge", "cognito-idp:DescribeUserPoolClient",
            ],
            "Resource" => sub("arn:${AWS::Partition}:cognito-idp:${AWS::Region}:${AWS::AccountId}:userpool/${UserPool}"),
        });
    }
    Node::List(statements)
}

/// An index answers queries and nothing else, so `Query` is granted on it by a statement of its own.
fn table(sid: &str, parameter: &str, actions: &Actions) -> Vec<Node> {
    let arn = format!("arn:${{AWS::Partition}}:dynamodb:${{AWS::Region}}:${{AWS::AccountId}}:table/${{{parameter}}}");
    let mut statements = Vec::new();
    if !actions.is_empty() {
        statements.push(map! {
            "Sid" => sid, "Effect" => "Allow",
            "Action" => actions.iter().map(|action| format!("dynamodb:{action}")).collect::<Node>(),
            "Resource" => sub(arn.clone()),
        });
    }
    if parameter == "RecordsTable" && actions.contains("Query") {
        statements.push(map! {
            "Sid" => "Indexes", "Effect" => "Allow", "Action" => "dynamodb:Query", "Resource" => sub(format!("{arn}/index/*")),
        });
    }
    statements
}
