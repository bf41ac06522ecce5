//! A function in the style of the SDK's guide: default configuration, two clients created in init, and in each request the AWS
//! calls of `create_shipment`, in the same order and of the same shape. It does nothing else: no policy, no encryption, no
//! parsing of the body.

use aws_sdk_dynamodb::types::{
    AttributeValue as Value, ConditionCheck, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use aws_sdk_kms::primitives::Blob;
use lambda_http::{Body, Error, Request, RequestExt, Response, request::RequestContext, run, service_fn};
use std::{
    collections::HashMap,
    env::var,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// About the sizes of a shipment, its audit event, its domain event and its idempotency record; see docs/scale.md.
const SEALED: usize = 800;
const AUDIT: usize = 880;
const EVENT: usize = 530;
const ANSWER: usize = 1000;

struct App {
    dynamodb: aws_sdk_dynamodb::Client,
    kms: aws_sdk_kms::Client,
    records: String,
    ledger: String,
    keys: String,
    ephemera: String,
    /// Whether the tenant's gate and keys have been read, which functions cache too.
    warm: AtomicBool,
    next: AtomicU64,
}

impl App {
    async fn request(&self, tenant: &str, user: &str, session: &str) -> Result<(), Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        self.touch(tenant, user, session, now).await?;
        if !self.warm.swap(true, Ordering::Relaxed) {
            self.load(tenant).await?;
        }
        self.commit(tenant, user, now).await
    }

    async fn touch(&self, tenant: &str, user: &str, session: &str, now: u128) -> Result<(), Error> {
        let number = |n: u128| Value::N(n.to_string());
        let update = self
            .dynamodb
            .update_item()
            .table_name(&self.ephemera)
            .key("pk", text(format!("{tenant}#SESSIONS#{user}")))
            .key("sk", text(session))
            .update_expression("SET last_seen = :now, #tat = :tat")
            .condition_expression(
                "#status = :live AND ends_at > :now AND last_seen > :idle AND (attribute_not_exists(#tat) OR #tat < :tat)",
            )
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#tat", "tat_peer")
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":tat", number(now * 1000 + u128::from(self.next.fetch_add(1, Ordering::Relaxed))))
            .expression_attribute_values(":live", text("live"))
            .expression_attribute_values(":idle", number(now - 900_000))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        update.send().await?;
        Ok(())
    }

    /// The tenant's gate and its keys.
    async fn load(&self, tenant: &str) -> Result<(), Error> {
        let gate = self.dynamodb.get_item().table_name(&self.records).consistent_read(true);
        gate.key("pk", text(format!("{tenant}#TENANT"))).key("sk", text("PROFILE")).send().await?;
        let keys = self
            .dynamodb
            .query()
            .table_name(&self.keys)
            .consistent_read(true)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(format!("{tenant}#KEYS")));
        for row in keys.send().await?.items() {
            let get = |name: &str| row.get(name).ok_or_else(|| format!("a key without `{name}`"));
            let purpose = get("purpose")?.as_s().map_err(|_| "purpose")?;
            let version = get("version")?.as_n().map_err(|_| "version")?;
            let arn = get("kms_key_arn")?.as_s().map_err(|_| "kms_key_arn")?;
            let wrapped = get("wrapped")?.as_b().map_err(|_| "wrapped")?;
            let decrypt = self.kms.decrypt().key_id(arn).ciphertext_blob(Blob::new(wrapped.as_ref()));
            let decrypt = decrypt.encryption_context("tenant", tenant).encryption_context("purpose", purpose);
            decrypt.encryption_context("version", version).send().await?;
        }
        Ok(())
    }

    /// Claim, shipment, membership check, audit event, domain event, idempotency record.
    async fn commit(&self, tenant: &str, user: &str, now: u128) -> Result<(), Error> {
        let id = format!("peer-{}-{now}-{}", std::process::id(), self.next.fetch_add(1, Ordering::Relaxed));
        let puts = [
            (&self.records, format!("CLAIM#{id}"), "shipment_id", 40),
            (&self.records, format!("PEER#{id}"), "sealed", SEALED),
            (&self.ledger, format!("PEER_AUDIT#{id}"), "event", AUDIT),
            (&self.ledger, format!("PEER_EVENTS#{id}"), "envelope", EVENT),
            (&self.ephemera, format!("PEER_IDEMPOTENCY#{id}"), "sealed", ANSWER),
        ];
        let all_old = ReturnValuesOnConditionCheckFailure::AllOld;
        let mut items = Vec::with_capacity(puts.len() + 1);
        for (table, partition, name, bytes) in puts {
            let mut item = HashMap::from([
                ("pk".to_owned(), text(format!("{tenant}#{partition}"))),
                ("sk".to_owned(), text("PEER")),
                (name.to_owned(), text("x".repeat(bytes))),
            ]);
            if name == "sealed" && *table == self.records {
                for index in ["ix_all", "ix_status", "ix_token_1", "ix_token_2"] {
                    item.insert(index.to_owned(), text(format!("{tenant}#PEERS")));
                }
                item.insert("ix_sort".to_owned(), text(id.as_str()));
            }
            let put = Put::builder().table_name(table).set_item(Some(item)).condition_expression("attribute_not_exists(pk)");
            let put = put.return_values_on_condition_check_failure(all_old.clone()).build()?;
            items.push(TransactWriteItem::builder().put(put).build());
        }
        let member = ConditionCheck::builder()
            .table_name(&self.records)
            .key("pk", text(format!("{tenant}#MEMBER#{user}")))
            .key("sk", text("MEMBERSHIP"))
            .condition_expression("(#c0 = :c0) AND (#c1 = :c1)")
            .expression_attribute_names("#c0", "version")
            .expression_attribute_names("#c1", "status")
            .expression_attribute_values(":c0", Value::N("1".to_owned()))
            .expression_attribute_values(":c1", text("active"))
            .return_values_on_condition_check_failure(all_old)
            .build()?;
        items.insert(2, TransactWriteItem::builder().condition_check(member).build());
        self.dynamodb.transact_write_items().set_transact_items(Some(items)).send().await?;
        Ok(())
    }
}

fn text(value: impl Into<String>) -> Value {
    Value::S(value.into())
}

async fn create(app: &App, request: Request) -> Result<Response<Body>, Error> {
    let RequestContext::ApiGatewayV1(context) = request.request_context() else { return Err("not a REST API's event".into()) };
    let field = |name: &str| context.authorizer.fields.get(name).and_then(serde_json::Value::as_str).ok_or("no caller");
    app.request(field("tenant_id")?, field("user_id")?, field("session_id")?).await?;
    Ok(Response::builder().status(201).header("content-type", "application/json").body(r#"{"hello":"world"}"#.into())?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = aws_config::load_from_env().await;
    let app = App {
        dynamodb: aws_sdk_dynamodb::Client::new(&config),
        kms: aws_sdk_kms::Client::new(&config),
        records: var("CLOISTER_RECORDS_TABLE")?,
        ledger: var("CLOISTER_LEDGER_TABLE")?,
        keys: var("CLOISTER_KEYS_TABLE")?,
        ephemera: var("CLOISTER_EPHEMERA_TABLE")?,
        warm: AtomicBool::new(false),
        next: AtomicU64::new(0),
    };
    let app = &app;
    run(service_fn(async |request: Request| create(app, request).await)).await
}
