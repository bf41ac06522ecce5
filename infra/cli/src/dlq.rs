//! `cloister dlq`: what was given up, why, and its way back.

use crate::Outcome;
use clap::{Args, Subcommand};
use common::{Dead, Deps, Error, Queue, Result, operator::Operator};
use serde_json::{Value, json};
use std::fmt::Write;

#[derive(Debug, Args)]
pub(crate) struct Dlq {
    #[command(subcommand)]
    command: Command,
    /// Answer as JSON
    #[arg(long, global = true)]
    json: bool,
    /// Who does this, for the audit log
    #[arg(long = "as", value_name = "NAME", env = "USER", global = true, default_value = "operator")]
    operator: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What lies in the dead-letter queues, and why
    List {
        /// Only this queue's, as `deliver-notification`
        queue: Option<String>,
    },
    /// One message, whole
    Show { queue: String, message_id: String },
    /// Put messages back into the queue that they came from
    Redrive {
        queue: String,
        #[arg(required_unless_present = "all")]
        message_ids: Vec<String>,
        /// Every message of the queue
        #[arg(long, conflicts_with = "message_ids")]
        all: bool,
    },
}

/// What is listed of a queue at most.
const MOST: usize = 100;

impl Dlq {
    pub(crate) async fn run(&self, deps: &Deps) -> Outcome {
        let operator = Operator::new(deps, &self.operator);
        let done = match &self.command {
            Command::List { queue } => self.list(&operator, queue.as_deref()).await,
            Command::Show { queue, message_id } => self.show(&operator, queue, message_id).await,
            Command::Redrive { queue, message_ids, .. } => self.redrive(&operator, queue, message_ids).await,
        };
        match done {
            Ok(text) => Outcome::done(text),
            Err(Error::Unavailable { service, cause }) => {
                Outcome::failed(format!("`{service}` is unavailable: {}", cause.as_str()))
            }
            Err(Error::Invalid(fields)) => {
                Outcome::failed(fields.iter().map(|f| f.message.as_str()).collect::<Vec<_>>().join("; "))
            }
            Err(error) => Outcome::failed(error.to_string()),
        }
    }

    async fn list(&self, operator: &Operator<'_>, wanted: Option<&str>) -> Result<String> {
        let queues = match wanted {
            Some(name) => vec![queue(name)?],
            None => registry::queues().collect(),
        };
        let mut found = Vec::new();
        for queue in queues {
            found.extend(operator.dead_letters(&queue, MOST).await?.into_iter().map(|dead| (queue, dead)));
        }
        if self.json {
            return Ok(Value::Array(found.iter().map(|(queue, dead)| as_json(queue, dead)).collect()).to_string());
        }
        if found.is_empty() {
            return Ok("Nothing was given up.".to_owned());
        }
        let mut out = format!("{:<24} {:<38} {:<24} {:<26} {}\n", "queue", "message", "failed at", "schema", "reason");
        for (queue, Dead { message_id, why, .. }) in &found {
            let (at, schema, reason) = match why {
                Some(why) => (why.failed_at.to_string(), why.schema.as_deref().unwrap_or("-"), why.reason.as_str()),
                None => ("-".to_owned(), "-", "not known: it left none"),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{:<24} {message_id:<38} {at:<24} {schema:<26} {reason}", queue.name);
        }
        let _ = write!(out, "\n{} in all. Put back with: cloister dlq redrive QUEUE MESSAGE", found.len());
        Ok(out)
    }

    async fn show(&self, operator: &Operator<'_>, name: &str, message_id: &str) -> Result<String> {
        let queue = queue(name)?;
        let dead = operator.dead_letters(&queue, usize::MAX).await?.into_iter().find(|dead| dead.message_id == message_id);
        let shown = as_json(&queue, &dead.ok_or(Error::NotFound)?);
        Ok(if self.json { shown.to_string() } else { format!("{shown:#}") })
    }

    async fn redrive(&self, operator: &Operator<'_>, name: &str, wanted: &[String]) -> Result<String> {
        let moved = operator.redrive(&queue(name)?, wanted).await?;
        Ok(if self.json { json!({ "moved": moved }).to_string() } else { format!("{} put back into {name}.", moved.len()) })
    }
}

fn queue(name: &str) -> Result<Queue> {
    registry::queues().find(|queue| queue.name == name).ok_or_else(|| {
        let known = registry::queues().map(|queue| queue.name).collect::<Vec<_>>().join(", ");
        Error::invalid("queue", "unknown", format!("no such queue; there are {known}"))
    })
}

fn as_json(queue: &Queue, dead: &Dead) -> Value {
    let why = dead.why.as_ref().map(|why| {
        json!({
            "tenant_id": why.tenant,
            "event_id": why.event_id,
            "schema": why.schema,
            "reason": why.reason,
            "failed_at": why.failed_at,
            "receives": why.receives,
        })
    });
    let body = serde_json::from_str(&dead.body).unwrap_or_else(|_| Value::String(dead.body.clone()));
    json!({ "queue": queue.name, "message_id": dead.message_id, "why": why, "body": body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use testing::{App, Fault, Tenant};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        dlq: Dlq,
    }

    async fn run(app: &App, words: &str) -> Outcome {
        let line = Line::parse_from(std::iter::once("dlq").chain(words.split_whitespace()));
        Dlq { operator: "tester".to_owned(), ..line.dlq }.run(app.deps()).await
    }

    /// A message of Acme's that cannot be understood has had its last try, and lies in the dead-letter queue.
    async fn given_up() -> App {
        let app = App::start().await;
        let now = common::Clock::now(app.clock());
        let body = json!({
            "id": common::EventId::new(now), "tenant_id": app.tenant_id(Tenant::Acme), "actor": "synthetic", "on_behalf_of": null,
            "cause": common::EventId::new(now), "correlation_id": "test", "schema": "shipment.created", "version": 99,
            "occurred_at": now, "payload": {},
        });
        let event = json!({"Records": [{
            "messageId": "m1", "body": body.to_string(), "attributes": {"ApproximateReceiveCount": "5"}, "messageAttributes": {},
        }]});
        let consumer = registry::consumers().find(|consumer| consumer.name == "deliver_notification").unwrap();
        let failed = consumer.consume(app.deps(), serde_json::from_value(event).unwrap()).await;
        assert_eq!(failed.batch_item_failures.len(), 1);
        lies_there(&app);
        app
    }

    /// SQS hands it out once more, and then nothing.
    fn lies_there(app: &App) {
        let message = r#"{"Messages": [{"MessageId": "m1", "ReceiptHandle": "r1", "Body": "{}"}]}"#;
        app.wire().fail("ReceiveMessage", 0, 1, Fault::Says(200, message));
        app.wire().fail("ReceiveMessage", 0, 100, Fault::Says(200, "{}"));
        app.wire().fail("ChangeMessageVisibilityBatch", 0, 100, Fault::Says(200, r#"{"Successful": [], "Failed": []}"#));
        app.wire().fail("DeleteMessage", 0, 100, Fault::Says(200, "{}"));
        app.wire().fail("SendMessage", 0, 100, Fault::Says(200, r#"{"MessageId": "m2", "MD5OfMessageBody": ""}"#));
    }

    async fn acts(app: &App, tenant: &str) -> Vec<String> {
        let (rows, log) = (app.dump("LedgerTable").await, format!("{tenant}#AUDIT"));
        let of_tenant = rows.iter().filter(|row| row["pk"].as_s().unwrap() == &log);
        let events = of_tenant.map(|row| serde_json::from_str::<Value>(row["event"].as_s().unwrap()).unwrap());
        let acts = events.filter(|event| event["actor"]["id"] == "tester");
        acts.map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    #[tokio::test]
    async fn what_was_given_up_is_listed_with_its_reason_and_that_is_on_record() {
        let app = given_up().await;
        let listed = run(&app, "list deliver-notification").await;
        assert!(listed.exit == 0 && listed.text.contains("m1") && listed.text.contains("unknown_schema"), "{listed:?}");
        assert_eq!(acts(&app, &common::TenantId::PLATFORM.to_string()).await, ["api.view_dead_letters"]);
        assert_eq!(run(&app, "list no-such-queue").await.exit, 1);
    }

    #[tokio::test]
    async fn what_is_put_back_is_on_its_tenants_record_first() {
        let app = given_up().await;
        let acme = app.tenant_id(Tenant::Acme).to_string();
        app.wire().fail("TransactWriteItems", 0, 100, Fault::Gone);
        assert_eq!(run(&app, "redrive deliver-notification m1").await.exit, 1);
        assert_eq!(app.calls().sqs, ["ReceiveMessage", "ChangeMessageVisibilityBatch"], "what was not moved shows again");
        assert_eq!(acts(&app, &acme).await, [""; 0]);

        app.wire().heal();
        lies_there(&app);
        let moved = run(&app, "redrive deliver-notification m1").await;
        assert_eq!((moved.exit, moved.text.as_str()), (0, "1 put back into deliver-notification."));
        assert_eq!(acts(&app, &acme).await, ["api.redrive_dead_letter"]);
        let left = app.dump("EphemeraTable").await;
        assert!(!left.iter().any(|row| row["pk"].as_s().unwrap().contains("DEAD_LETTERS#")));
    }
}

/// The same over queues that are really there.
#[cfg(test)]
mod over_queues {
    use super::*;
    use aws_sdk_dynamodb::types::AttributeValue;
    use common::TenantId;
    use testing::{App, Tenant};

    const QUEUE: &str = "deliver-notification";

    async fn run(app: &App, command: Command) -> Outcome {
        Dlq { command, json: true, operator: "ada".to_owned() }.run(app.deps()).await
    }

    fn list(queue: &str) -> Command {
        Command::List { queue: Some(queue.to_owned()) }
    }

    fn show(queue: &str, message_id: &str) -> Command {
        Command::Show { queue: queue.to_owned(), message_id: message_id.to_owned() }
    }

    fn redrive(queue: &str, message_id: &str) -> Command {
        Command::Redrive { queue: queue.to_owned(), message_ids: vec![message_id.to_owned()], all: false }
    }

    fn json(outcome: &Outcome) -> Value {
        assert_eq!(outcome.exit, 0, "{}", outcome.text);
        serde_json::from_str(&outcome.text).unwrap()
    }

    /// A message in the dead-letter queue, with the reason that its consumer left: its id.
    async fn given_up(app: &App, body: &Value) -> String {
        let sent = app.sqs("SendMessage", "deliver-notification-dead", json!({ "MessageBody": body.to_string() })).await;
        let id = sent["MessageId"].as_str().unwrap().to_owned();
        let text = |v: &str| AttributeValue::S(v.to_owned());
        let item = app
            .raw()
            .put_item()
            .table_name(&app.provisioned().tables["EphemeraTable"])
            .item("pk", text(&format!("{}#DEAD_LETTERS#{QUEUE}", TenantId::PLATFORM)))
            .item("sk", text(&id))
            .item("tenant_id", text(&app.tenant_id(Tenant::Acme).to_string()))
            .item("schema", text("shipment.created"))
            .item("reason", text("internal: message does_not_fit"))
            .item("failed_at", text("2026-01-01T12:00:00.000Z"))
            .item("receives", AttributeValue::N("5".to_owned()));
        item.send().await.unwrap();
        id
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_given_up_is_shown_with_its_reason_and_put_back_on_record() {
        let app = App::with_cognito().await;
        let id = given_up(&app, &json!({ "synthetic": 1 })).await;

        let listed = json(&run(&app, list(QUEUE)).await);
        assert_eq!((listed.as_array().unwrap().len(), &listed[0]["message_id"]), (1, &json!(id)));
        assert_eq!(listed[0]["why"]["reason"], "internal: message does_not_fit");
        assert_eq!(listed[0]["body"], json!({ "synthetic": 1 }));
        assert_eq!(json(&run(&app, show(QUEUE, &id)).await), listed[0]);
        assert_eq!(run(&app, redrive(QUEUE, "no-such-message")).await, Outcome::failed("not found"));
        assert_eq!(json(&run(&app, redrive(QUEUE, &id)).await), json!({ "moved": [id] }));
        assert_eq!(json(&run(&app, list(QUEUE)).await), json!([]));
        let back = app.sqs("ReceiveMessage", QUEUE, json!({ "MaxNumberOfMessages": 10 })).await;
        assert_eq!(back["Messages"][0]["Body"], json!({ "synthetic": 1 }).to_string());
        let events = app.audit(Tenant::Acme).await;
        let moved: Vec<_> = events.iter().filter(|e| e["type"] == "api.redrive_dead_letter").collect();
        assert_eq!((moved.len(), &moved[0]["actor"]["id"], &moved[0]["resources"][0]["id"]), (1, &json!("ada"), &json!(id)));
        let other = app.audit(Tenant::Birch).await;
        assert!(!other.iter().any(|e| e["type"] == "api.redrive_dead_letter"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_message_behind_a_hundred_others_is_shown_and_put_back_and_they_stay() {
        let app = App::with_cognito().await;
        for _ in 0..12 {
            let entries: Vec<_> = (0..10).map(|i| json!({ "Id": i.to_string(), "MessageBody": "{}" })).collect();
            app.sqs("SendMessageBatch", "deliver-notification-dead", json!({ "Entries": entries })).await;
        }
        let id = given_up(&app, &json!({ "synthetic": 1 })).await;
        assert_eq!(json(&run(&app, list(QUEUE)).await).as_array().unwrap().len(), MOST);
        assert_eq!(json(&run(&app, show(QUEUE, &id)).await)["body"], json!({ "synthetic": 1 }));
        assert_eq!(json(&run(&app, redrive(QUEUE, &id)).await), json!({ "moved": [id] }));
        let all = Command::Redrive { queue: QUEUE.to_owned(), message_ids: Vec::new(), all: true };
        assert_eq!(json(&run(&app, all).await)["moved"].as_array().unwrap().len(), 120);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_pipes_and_schedules_gave_up_is_listed_and_shown_and_not_put_back() {
        let app = App::with_cognito().await;
        for name in ["pipes", "schedules"] {
            let sent = app.sqs("SendMessage", &format!("{name}-dead"), json!({ "MessageBody": r#"{"synthetic":1}"# })).await;
            let id = sent["MessageId"].as_str().unwrap();
            let shown = json!({ "queue": name, "message_id": id, "why": null, "body": { "synthetic": 1 } });
            let listed = json(&run(&app, Command::List { queue: None }).await);
            assert!(listed.as_array().unwrap().contains(&shown), "{listed}");
            assert_eq!(json(&run(&app, show(name, id)).await), shown);
            let refused = run(&app, redrive(name, id)).await;
            assert!(refused.exit == 1 && refused.text.contains("is put back"), "{}", refused.text);
            assert_eq!(json(&run(&app, show(name, id)).await), shown);
        }
    }
}
