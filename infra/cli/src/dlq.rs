//! `cloister dlq`: lists messages that were given up with their reasons, and moves them back or deletes them.

use crate::Outcome;
use clap::{Args, Subcommand};
use common::{
    background::Queue,
    base::{Error, Result},
    request::Deps,
    run::{Dead, operator::Operator},
};
use serde_json::{Value, json};
use std::fmt::Write;

#[derive(Debug, Args)]
pub(crate) struct Dlq {
    #[command(subcommand)]
    command: Command,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    /// Your name, for the audit log
    #[arg(long = "as", value_name = "NAME", env = "USER", global = true, default_value = "operator")]
    operator: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the messages in the dead-letter queues, with their reasons
    List {
        /// Only this queue's, such as `deliver-notification`
        queue: Option<String>,
    },
    /// Show one complete message
    Show { queue: String, message_id: String },
    /// Move messages back to their queue
    Redrive {
        queue: String,
        #[arg(required_unless_present = "all")]
        message_ids: Vec<String>,
        /// Every message of the queue
        #[arg(long, conflicts_with = "message_ids")]
        all: bool,
    },
    /// Delete messages permanently
    Discard {
        queue: String,
        #[arg(required_unless_present = "all")]
        message_ids: Vec<String>,
        /// Every message of the queue
        #[arg(long, conflicts_with = "message_ids")]
        all: bool,
        /// The reason, as a code for the audit log: `setup-notice`, `handled-by-hand`
        #[arg(long, value_name = "CODE")]
        reason: String,
    },
}

/// The most messages that are listed per queue.
const MOST: usize = 100;

impl Dlq {
    pub(crate) async fn run(&self, deps: &Deps) -> Outcome {
        let operator = Operator::new(deps, &self.operator);
        let done = match &self.command {
            Command::List { queue } => self.list(&operator, queue.as_deref()).await,
            Command::Show { queue, message_id } => self.show(&operator, queue, message_id).await,
            Command::Redrive { queue, message_ids, .. } => self.redrive(&operator, queue, message_ids).await,
            Command::Discard { queue, message_ids, reason, .. } => self.discard(&operator, queue, message_ids, reason).await,
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
            return Ok("No message was given up.".to_owned());
        }
        let mut out = format!("{:<24} {:<38} {:<24} {:<26} {}\n", "queue", "message", "failed at", "schema", "reason");
        for (queue, Dead { message_id, why, .. }) in &found {
            let (at, schema, reason) = match why {
                Some(why) => (why.failed_at.to_string(), why.schema.as_deref().unwrap_or("-"), why.reason.as_str()),
                None => ("-".to_owned(), "-", "unknown: none was recorded"),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{:<24} {message_id:<38} {at:<24} {schema:<26} {reason}", queue.name);
        }
        let _ = write!(out, "\n{} in all. To move one back: cloister dlq redrive QUEUE MESSAGE", found.len());
        if found.iter().any(|(_, dead)| dead.body.is_none()) {
            let _ = write!(out, "\nSome wait behind others of their group: move those back first.");
        }
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
        Ok(self.taken(("moved", &format!("moved back to {name}")), &moved, wanted))
    }

    async fn discard(&self, operator: &Operator<'_>, name: &str, wanted: &[String], reason: &str) -> Result<String> {
        let gone = operator.discard(&queue(name)?, wanted, reason).await?;
        Ok(self.taken(("discarded", &format!("discarded from {name}")), &gone, wanted))
    }

    /// The message ids that were removed, and those that were requested but are left.
    fn taken(&self, (member, done): (&str, &str), taken: &[String], wanted: &[String]) -> String {
        let left: Vec<_> = wanted.iter().filter(|id| !taken.contains(id)).map(String::as_str).collect();
        match (self.json, left.is_empty()) {
            (true, true) => json!({ member: taken }).to_string(),
            (true, false) => json!({ member: taken, "left": left }).to_string(),
            (false, true) => format!("{} {done}.", taken.len()),
            (false, false) => {
                format!("{} {done}. Absent, or behind others of its group: {}.", taken.len(), left.join(", "))
            }
        }
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
    let body = dead.body.as_ref().map(|body| serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.clone())));
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

    /// A message of Acme with an unknown schema has used all its tries and is in the dead-letter queue.
    async fn given_up() -> App {
        let app = App::start().await;
        let now = common::base::Clock::now(app.clock());
        let body = json!({
            "id": common::base::EventId::new(now), "tenant_id": app.tenant_id(Tenant::Acme), "actor": "synthetic", "on_behalf_of": null,
            "cause": common::base::EventId::new(now), "correlation_id": "test", "schema": "shipment.created", "version": 1,
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

    /// SQS returns it once more, and then nothing.
    fn lies_there(app: &App) {
        let message = r#"{"Messages": [{"MessageId": "m1", "ReceiptHandle": "r1", "Body": "{}",
            "Attributes": {"MessageGroupId": "g1", "MessageDeduplicationId": "d1"}}]}"#;
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
    async fn given_up_message_is_listed_with_its_reason_and_audited() {
        let app = given_up().await;
        let listed = run(&app, "list deliver-notification").await;
        assert!(listed.exit == 0 && listed.text.contains("m1") && listed.text.contains("does_not_fit"), "{listed:?}");
        assert_eq!(acts(&app, &common::base::TenantId::PLATFORM.to_string()).await, ["api.view_dead_letters"]);
        assert_eq!(run(&app, "list no-such-queue").await.exit, 1);
    }

    /// A test fails at its end for a call that the operator's role does not allow.
    #[tokio::test]
    async fn messages_of_every_queue_are_listed_discarded_and_put_back() {
        let app = App::start().await;
        for queue in registry::queues() {
            let name = queue.name;
            for words in
                [format!("list {name}"), format!("discard {name} m1 --reason setup-notice"), format!("redrive {name} m1")]
            {
                app.wire().heal();
                lies_there(&app);
                let no_way_back = words.starts_with("redrive") && Dead::OTHERS.contains(&queue);
                let outcome = run(&app, &words).await;
                assert_eq!(outcome.exit, u8::from(no_way_back), "{words}: {}", outcome.text);
            }
        }
    }

    /// Stores the reason that a consumer records for a message.
    async fn left(app: &App, queue: &str, message_id: &str, tenant: Tenant) {
        let pk = format!("{}#DEAD_LETTERS#{queue}", common::base::TenantId::PLATFORM);
        let tenant = app.tenant_id(tenant).to_string();
        let texts =
            [("tenant_id", tenant.as_str()), ("reason", "dependency_unavailable: s3"), ("failed_at", "2026-01-01T12:00:00.000Z")];
        app.put_raw("EphemeraTable", &pk, message_id, &texts).await;
        let update = app.raw().update_item().table_name(&app.provisioned().tables["EphemeraTable"]);
        let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
        let update = update.key("pk", text(&pk)).key("sk", text(message_id)).update_expression("SET receives = :five");
        let five = aws_sdk_dynamodb::types::AttributeValue::N("5".to_owned());
        update.expression_attribute_values(":five", five).send().await.unwrap();
    }

    /// From a group of 25 messages a FIFO queue returns ten, and then nothing until those are deleted.
    async fn a_group_was_given_up() -> App {
        let app = App::start().await;
        let group = format!("{}#AUDIT", app.tenant_id(Tenant::Acme));
        for n in 0..25 {
            left(&app, "seal-audit", &format!("m{n:02}"), Tenant::Acme).await;
        }
        // Its message was moved back by other means.
        left(&app, "seal-audit", "old", Tenant::Birch).await;
        ten_of(&app, &group);
        app
    }

    fn ten_of(app: &App, group: &str) {
        let message = |n: usize| {
            json!({
                "MessageId": format!("m{n:02}"), "ReceiptHandle": format!("r{n:02}"), "Body": json!({ "wake_up": group }).to_string(),
                "Attributes": {"MessageGroupId": group, "MessageDeduplicationId": format!("d{n:02}")},
            })
        };
        let ten = json!({"Messages": (0..10).map(message).collect::<Vec<_>>()}).to_string();
        app.wire().heal();
        app.wire().fail("ReceiveMessage", 0, 1, Fault::Says(200, ten.leak()));
        app.wire().fail("ReceiveMessage", 0, 100, Fault::Says(200, "{}"));
        app.wire().fail("ChangeMessageVisibilityBatch", 0, 100, Fault::Says(200, r#"{"Successful": [], "Failed": []}"#));
        app.wire().fail("DeleteMessage", 0, 100, Fault::Says(200, "{}"));
    }

    #[tokio::test]
    async fn every_message_of_a_fifo_group_is_listed_and_shown() {
        let app = a_group_was_given_up().await;
        let listed = run(&app, "list seal-audit --json").await;
        let listed: Vec<Value> = serde_json::from_str(&listed.text).unwrap();
        let ids: Vec<_> = listed.iter().map(|dead| dead["message_id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids, (0..25).map(|n| format!("m{n:02}")).collect::<Vec<_>>());
        assert!(listed.iter().all(|dead| dead["why"]["reason"] == "dependency_unavailable: s3"));
        assert_eq!(listed.iter().filter(|dead| dead["body"].is_null()).count(), 15);

        let group = format!("{}#AUDIT", app.tenant_id(Tenant::Acme));
        ten_of(&app, &group);
        let text = run(&app, "list seal-audit").await.text;
        assert!(text.contains("25 in all") && text.contains("behind others"), "{text}");
        ten_of(&app, &group);
        let shown: Value = serde_json::from_str(&run(&app, "show seal-audit m20 --json").await.text).unwrap();
        assert_eq!((&shown["message_id"], &shown["body"]), (&json!("m20"), &Value::Null));
    }

    /// As SQS returns them: ten of a group at most, each for the last time.
    async fn last_tries(app: &App, tenants: &[(Tenant, std::ops::Range<usize>)]) -> usize {
        let consumer = registry::consumers().find(|consumer| consumer.name == "seal_audit").unwrap();
        let records = tenants.iter().flat_map(|(tenant, numbers)| {
            let group = format!("{}#AUDIT", app.tenant_id(*tenant));
            numbers.clone().map(move |n| {
                json!({
                    "messageId": format!("m{n:02}"), "body": json!({ "wake_up": group }).to_string(), "messageAttributes": {},
                    "attributes": {"ApproximateReceiveCount": "5", "MessageGroupId": group},
                })
            })
        });
        let event = json!({ "Records": records.collect::<Vec<_>>() });
        consumer.consume(app.deps(), serde_json::from_value(event).unwrap()).await.batch_item_failures.len()
    }

    #[tokio::test]
    async fn untried_message_is_listed_with_the_reason_of_the_failed_one_before_it() {
        let app = App::start().await;
        let acme = app.tenant_id(Tenant::Acme);
        app.wire().fail_about("TransactWriteItems", format!("{acme}#HEAD"), Fault::Refused("AccessDenied"));
        for numbers in [0..10, 10..20, 20..25] {
            let others = if numbers.start == 0 { 25..27 } else { 27..27 };
            let failed = last_tries(&app, &[(Tenant::Acme, numbers.clone()), (Tenant::Birch, others)]).await;
            assert_eq!(failed, numbers.len(), "Birch's are handled");
        }
        ten_of(&app, &format!("{acme}#AUDIT"));
        let listed: Vec<Value> = serde_json::from_str(&run(&app, "list seal-audit --json").await.text).unwrap();
        let ids: Vec<_> = listed.iter().map(|dead| dead["message_id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids, (0..25).map(|n| format!("m{n:02}")).collect::<Vec<_>>());
        for (n, dead) in listed.iter().enumerate() {
            let reason = dead["why"]["reason"].as_str().unwrap();
            let first = format!("behind m{:02}: ", n / 10 * 10);
            assert_eq!(reason.starts_with(&first), n % 10 != 0, "{reason}");
            assert!(reason.contains("unavailable"), "{reason}");
            assert_eq!((&dead["why"]["tenant_id"], &dead["why"]["receives"]), (&json!(acme), &json!(5)));
        }
    }

    #[tokio::test]
    async fn message_behind_others_of_its_group_is_not_moved_and_reported() {
        let app = a_group_was_given_up().await;
        for words in ["redrive seal-audit m20", "discard seal-audit m20 --reason handled-by-hand"] {
            ten_of(&app, &format!("{}#AUDIT", app.tenant_id(Tenant::Acme)));
            let refused = run(&app, words).await;
            assert!(refused.exit == 1 && refused.text.contains("behind others of its group"), "{refused:?}");
        }
        assert!(!app.calls().sqs.iter().any(|call| call == "DeleteMessage" || call == "SendMessage"));
    }

    #[tokio::test]
    async fn unmoved_and_unknown_messages_are_named_with_the_moved_ones() {
        for (command, done) in [("redrive", "moved back to"), ("discard", "discarded from")] {
            let app = a_group_was_given_up().await;
            app.wire().fail("SendMessage", 0, 100, Fault::Says(200, r#"{"MessageId": "m99", "MD5OfMessageBody": ""}"#));
            let reason = if command == "discard" { " --reason handled-by-hand" } else { "" };
            let words = format!("{command} seal-audit m20 m03 unknown{reason}");
            let text = run(&app, &words).await;
            let expected = format!("1 {done} seal-audit. Absent, or behind others of its group: m20, unknown.");
            assert_eq!((text.exit, text.text), (0, expected));
            let acme = app.tenant_id(Tenant::Acme).to_string();
            assert_eq!(acts(&app, &acme).await.len(), 1);
            assert_eq!(app.calls().sqs.iter().filter(|call| *call == "DeleteMessage").count(), 1);

            ten_of(&app, &format!("{acme}#AUDIT"));
            app.wire().fail("SendMessage", 0, 100, Fault::Says(200, r#"{"MessageId": "m99", "MD5OfMessageBody": ""}"#));
            let json = run(&app, &format!("{command} seal-audit m04 m21{reason} --json")).await;
            let member = if command == "discard" { "discarded" } else { "moved" };
            assert_eq!(serde_json::from_str::<Value>(&json.text).unwrap(), json!({member: ["m04"], "left": ["m21"]}));
        }
    }

    /// SQS allows ids of 128 characters, so an id must not grow each time its message is moved back.
    #[tokio::test]
    async fn redriven_message_gets_an_id_of_bounded_length() {
        let app = a_group_was_given_up().await;
        let group = format!("{}#AUDIT", app.tenant_id(Tenant::Acme));
        let attributes = json!({"MessageGroupId": group, "MessageDeduplicationId": "x".repeat(128)});
        let message = json!({"MessageId": "m03", "ReceiptHandle": "r03", "Body": "{}", "Attributes": attributes});
        app.wire().heal();
        app.wire().fail("ReceiveMessage", 0, 1, Fault::Says(200, json!({ "Messages": [message] }).to_string().leak()));
        app.wire().fail("ReceiveMessage", 0, 100, Fault::Says(200, "{}"));
        app.wire().fail("DeleteMessage", 0, 100, Fault::Says(200, "{}"));
        // SQS answers with the id of another message.
        let sent = Fault::Says(200, r#"{"MessageId": "m99", "MD5OfMessageBody": ""}"#);
        app.wire().fail_about("SendMessage", r#""MessageDeduplicationId":"again-m03""#, sent);
        let moved = run(&app, "redrive seal-audit m03").await;
        assert_eq!((moved.exit, moved.text.as_str()), (0, "1 moved back to seal-audit."));
    }

    #[tokio::test]
    async fn discarded_message_is_deleted_and_audited_with_the_reason() {
        let app = a_group_was_given_up().await;
        let acme = app.tenant_id(Tenant::Acme).to_string();
        for reason in ["x", "no free text", "Ada", "", &"x".repeat(65)] {
            let words: Vec<_> = ["dlq", "discard", "seal-audit", "m03", "--reason", reason].into();
            let line = Line::parse_from(words);
            let refused = Dlq { operator: "tester".to_owned(), ..line.dlq }.run(app.deps()).await;
            assert!(refused.exit == 1 && refused.text.contains("a reason is a code"), "{refused:?}");
        }
        assert_eq!((acts(&app, &acme).await, app.calls().sqs), (Vec::<String>::new(), Vec::<String>::new()));
        assert!(Line::try_parse_from(["dlq", "discard", "seal-audit", "m03"]).is_err(), "a reason is required");

        let discarded = run(&app, "discard seal-audit m03 m04 --reason setup-notice").await;
        assert_eq!((discarded.exit, discarded.text.as_str()), (0, "2 discarded from seal-audit."));
        assert_eq!(acts(&app, &acme).await, ["api.discard_dead_letter", "api.discard_dead_letter"]);
        let events = app.audit(Tenant::Acme).await;
        let event = events.iter().find(|event| event["type"] == "api.discard_dead_letter").unwrap();
        assert_eq!((&event["reason"], &event["resources"][0]["id"]), (&json!("setup-notice"), &json!("m03")));
        assert!(!app.calls().sqs.iter().any(|call| call == "SendMessage"), "nothing is moved back");
        let left = app.dump("EphemeraTable").await;
        let of_queue = |row: &&_| {
            let row: &std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue> = row;
            row["pk"].as_s().unwrap().ends_with("#DEAD_LETTERS#seal-audit")
        };
        assert_eq!(left.iter().filter(of_queue).count(), 24, "of 26 reasons");
        assert!(app.audit(Tenant::Birch).await.iter().all(|event| event["type"] != "api.discard_dead_letter"));
    }

    #[tokio::test]
    async fn redrive_is_audited_before_the_message_is_moved() {
        let app = given_up().await;
        let acme = app.tenant_id(Tenant::Acme).to_string();
        app.wire().fail("TransactWriteItems", 0, 100, Fault::Gone);
        assert_eq!(run(&app, "redrive deliver-notification m1").await.exit, 1);
        assert_eq!(
            app.calls().sqs,
            ["ReceiveMessage", "ChangeMessageVisibilityBatch"],
            "messages that were not moved become visible again"
        );
        assert_eq!(acts(&app, &acme).await, [""; 0]);

        app.wire().heal();
        lies_there(&app);
        let moved = run(&app, "redrive deliver-notification m1").await;
        assert_eq!((moved.exit, moved.text.as_str()), (0, "1 moved back to deliver-notification."));
        assert_eq!(acts(&app, &acme).await, ["api.redrive_dead_letter"]);
        let left = app.dump("EphemeraTable").await;
        assert!(!left.iter().any(|row| row["pk"].as_s().unwrap().contains("DEAD_LETTERS#")));
    }
}

/// The same with real queues.
#[cfg(test)]
mod over_queues {
    use super::*;
    use aws_sdk_dynamodb::types::AttributeValue;
    use common::base::TenantId;
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

    /// A message in the dead-letter queue with its consumer's reason. Returns its id.
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
    async fn given_up_message_is_shown_with_its_reason_and_redrive_is_audited() {
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
    async fn message_behind_a_hundred_others_is_shown_and_moved_alone() {
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
    async fn failures_of_pipes_and_schedules_are_listed_and_discarded_not_moved() {
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
            let (queue, message_ids) = (name.to_owned(), vec![id.to_owned()]);
            let discard = Command::Discard { queue, message_ids, all: false, reason: "done-by-a-later-run".to_owned() };
            assert_eq!(json(&run(&app, discard).await), json!({ "discarded": [id] }));
            assert_eq!(run(&app, show(name, id)).await, Outcome::failed("not found"));
        }
    }
}
