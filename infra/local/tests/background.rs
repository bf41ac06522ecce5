//! Tests background work from outside: events that reach their consumers, messages that no consumer understands, sockets, and a
//! stop during work.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper's failure is the test's")]

use axum::http::Method;
use local::{
    Data, Kind, NoSocket, Observer, Options, Ran, Served, Socket, SocketInput, Stack,
    client::{Answer, Client},
};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};

/// The speed of retries and schedules.
const TIME_SCALE: u32 = 600;
const PATIENCE: Duration = Duration::from_secs(40);

/// Sends every run to the test.
#[derive(Debug)]
struct Watch(UnboundedSender<Ran>);

impl Observer for Watch {
    fn served(&self, _: &Served) {}
    fn ran(&self, run: &Ran) {
        // The test may have ended.
        let _ = self.0.send(run.clone());
    }
}

struct Running {
    stack: Stack,
    runs: Mutex<UnboundedReceiver<Ran>>,
}

async fn start(data: Data) -> Running {
    let (told, runs) = unbounded_channel();
    let options = Options { data, observer: Some(Arc::new(Watch(told))), time_scale: TIME_SCALE, ..Options::default() };
    Running { stack: Stack::start(options).await.unwrap(), runs: Mutex::new(runs) }
}

impl Running {
    async fn ask(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> Answer {
        let authorization = format!("Bearer {token}");
        let key = format!("key-{}", common::base::Uuid::from_bytes(common::base::random::bytes()));
        let mut headers =
            vec![("authorization", authorization.as_str()), ("x-purpose-of-use", "TREAT"), ("idempotency-key", key.as_str())];
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        let body = body.map(|b| b.to_string()).unwrap_or_default();
        Client::new(self.stack.base_url()).send(&method, path, &headers, body).await.unwrap()
    }

    async fn sign_in(&self, email: &str) -> String {
        let client = Client::new(self.stack.base_url());
        let answer = local::sign_in(&client, self.stack.users(), email, self.stack.password().unwrap()).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json["access_token"].as_str().unwrap().to_owned()
    }

    async fn register(&self, token: &str, tracking_number: &str) {
        let address =
            json!({"line1": "100 Example Street", "city": "Springfield", "state": "IL", "postal_code": "62701", "country": "US"});
        let body = json!({"tracking_number": tracking_number, "recipient": {"name": "Ada Sample", "address": address}});
        let created = self.ask(Method::POST, "/v1/shipments", token, Some(body)).await;
        assert_eq!(created.status, 201, "{}", created.text);
    }

    /// Waits for a matching run, and returns it.
    #[expect(clippy::await_holding_lock, reason = "one test, one waiter")]
    async fn ran(&self, wanted: impl Fn(&Ran) -> bool) -> Ran {
        let mut runs = self.runs.lock().unwrap();
        let found = async {
            loop {
                let run = runs.recv().await.unwrap();
                if wanted(&run) {
                    return run;
                }
            }
        };
        timeout(PATIENCE, found).await.unwrap()
    }

    /// The tenant's domain events that are still in the outbox.
    async fn outbox(&self, tenant: &str) -> Vec<String> {
        let env = self.stack.env();
        let partition = format!("{}#EVENTS", self.stack.handover().tenants[tenant]);
        let query = json!({
            "TableName": env["CLOISTER_LEDGER_TABLE"],
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": { ":pk": { "S": partition } },
        });
        let page = aws(&env["AWS_ENDPOINT_URL_DYNAMODB"], "DynamoDB_20120810.Query", "dynamodb", &query).await;
        page["Items"].as_array().unwrap().iter().map(|item| item["sk"]["S"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until settled events have left the tenant's outbox empty.
    async fn outbox_empties(&self, tenant: &str) {
        while !self.outbox(tenant).await.is_empty() {
            self.ran(|run| run.name == "settle_outbox").await;
        }
    }

    /// Moves the expiry of every unused ticket into the past.
    async fn expire_tickets(&self) {
        let (endpoint, table) = (&self.stack.env()["AWS_ENDPOINT_URL_DYNAMODB"], &self.stack.env()["CLOISTER_EPHEMERA_TABLE"]);
        let scan = json!({
            "TableName": table,
            "FilterExpression": "contains(pk, :kind)",
            "ExpressionAttributeValues": { ":kind": { "S": "#TICKET#" } },
        });
        let found = aws(endpoint, "DynamoDB_20120810.Scan", "dynamodb", &scan).await;
        let tickets = found["Items"].as_array().unwrap();
        assert_eq!(tickets.len(), 1, "{found}");
        for ticket in tickets {
            let update = json!({
                "TableName": table,
                "Key": { "pk": ticket["pk"], "sk": ticket["sk"] },
                "UpdateExpression": "SET good_until = :past, expires_at = :past",
                "ExpressionAttributeValues": { ":past": { "N": "1" } },
            });
            aws(endpoint, "DynamoDB_20120810.UpdateItem", "dynamodb", &update).await;
        }
    }

    async fn sqs(&self, action: &str, input: Value) -> Value {
        aws(&self.stack.env()["AWS_ENDPOINT_URL"], &format!("AmazonSQS.{action}"), "sqs", &input).await
    }

    fn queue(&self, name: &str) -> String {
        format!("{}{name}", self.stack.env()["CLOISTER_QUEUES"])
    }

    async fn waiting(&self, queue: &str) -> u64 {
        let input = json!({ "QueueUrl": self.queue(queue), "AttributeNames": ["All"] });
        let attributes = self.sqs("GetQueueAttributes", input).await["Attributes"].take();
        let count = |name: &str| attributes[name].as_str().map_or(0, |n| n.parse::<u64>().unwrap());
        count("ApproximateNumberOfMessages") + count("ApproximateNumberOfMessagesNotVisible")
    }
}

/// One call of AWS's JSON protocol.
async fn aws(endpoint: &str, target: &str, scope: &str, input: &Value) -> Value {
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential=local/20000101/us-east-1/{scope}/aws4_request, SignedHeaders=host, Signature=0");
    let headers = [
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-target", target),
        ("x-amz-date", "20000101T000000Z"),
        ("authorization", authorization.as_str()),
    ];
    let answer = Client::new(endpoint).send(&Method::POST, "/", &headers, input.to_string()).await.unwrap();
    assert_eq!(answer.status, 200, "{target}: {}", answer.text);
    answer.json
}

#[tokio::test(flavor = "multi_thread")]
async fn event_reaches_its_consumers_and_leaves_the_outbox() {
    let running = start(Data::Ephemeral).await;
    let acme = running.sign_in("marketer@acme-health.example").await;
    let birch = running.sign_in("marketer@birch-clinic.example").await;
    running.register(&acme, "1ZCIETST0111111114").await;
    running.register(&birch, "1ZCIETST0111111114").await;
    let settled = running.ran(|run| run.name == "settle_outbox").await;
    assert_eq!((settled.kind, settled.domain, settled.failed, &settled.error), (Kind::Consumer, "system", 0, &None));
    let tenants = &running.stack.handover().tenants;
    assert!(settled.lines.iter().all(|line| tenants.values().any(|id| line["tenant.id"] == *id)), "{settled:?}");
    for tenant in ["acme-health", "birch-clinic"] {
        running.outbox_empties(tenant).await;
    }
    running.stack.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn event_committed_before_a_stop_is_delivered_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let kept = || Data::Kept(dir.path().to_owned());
    let running = start(kept()).await;
    let token = running.sign_in("marketer@acme-health.example").await;
    running.register(&token, "1ZCIETST0111111114").await;
    // It may be in the stream, on the bus, in a queue or in a running function.
    running.stack.stop().await.unwrap();

    let running = start(kept()).await;
    running.outbox_empties("acme-health").await;
    running.stack.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_message_reaches_the_dlq_and_delays_no_other() {
    let running = start(Data::Ephemeral).await;
    let poison = json!({ "QueueUrl": running.queue("settle-outbox"), "MessageBody": "{\"synthetic\": \"poison\"}" });
    running.sqs("SendMessage", poison).await;
    let failed = running.ran(|run| run.name == "settle_outbox" && run.failed == 1).await;
    assert_eq!(failed.kind, Kind::Consumer);
    let token = running.sign_in("marketer@acme-health.example").await;
    running.register(&token, "1ZCIETST0111111114").await;
    running.outbox_empties("acme-health").await;
    // Five tries, each of which waits until its window has passed; then the queue moves it at the next poll.
    let moved = async { while running.waiting("settle-outbox-dead").await == 0 {} };
    timeout(2 * PATIENCE, moved).await.unwrap();
    assert_eq!(running.waiting("settle-outbox").await, 0);
    running.stack.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ticket_opens_one_socket_and_used_expired_or_forged_ones_open_none() {
    let running = start(Data::Ephemeral).await;
    let token = running.sign_in("marketer@acme-health.example").await;
    let ticket = running.ask(Method::POST, "/v1/notifications/tickets", &token, None).await;
    assert!((200..300).contains(&ticket.status), "{}", ticket.text);
    let url = ticket.json["url"].as_str().unwrap();
    let base = &running.stack.env()["CLOISTER_SOCKETS_URL"];
    assert!(url.starts_with(&format!("{base}?ticket=")), "{url}");

    let mut socket = Socket::open(url).await.unwrap();
    assert_eq!(running.ran(|run| run.kind == Kind::Socket).await.name, "connect");
    socket.say(r#"{"type":"synthetic"}"#).await.unwrap();
    match socket.hear(PATIENCE).await {
        SocketInput::Text(text) => assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["type"], "error", "{text}"),
        other => panic!("{other:?}"),
    }
    for refused in [url.to_owned(), format!("{base}?ticket=made-up"), base.clone()] {
        assert_eq!(Socket::open(&refused).await.unwrap_err(), NoSocket::Refused(401), "{refused}");
    }
    let late = running.ask(Method::POST, "/v1/notifications/tickets", &token, None).await;
    running.expire_tickets().await;
    let url = late.json["url"].as_str().unwrap();
    assert_eq!(Socket::open(url).await.unwrap_err(), NoSocket::Refused(401));

    // The other tenant's ticket opens the other tenant's socket, and the first stays open.
    let other = running.sign_in("marketer@birch-clinic.example").await;
    let ticket = running.ask(Method::POST, "/v1/notifications/tickets", &other, None).await;
    let second = Socket::open(ticket.json["url"].as_str().unwrap()).await.unwrap();
    let connected = running.ran(|run| run.name == "connect").await;
    assert_eq!(connected.lines[0]["tenant.id"], running.stack.handover().tenants["birch-clinic"]);
    second.close().await;
    socket.close().await;
    running.ran(|run| run.name == "disconnect").await;
    running.stack.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stack_stops_within_five_seconds_with_open_sockets_and_running_work() {
    let running = start(Data::Ephemeral).await;
    let token = running.sign_in("marketer@acme-health.example").await;
    let ticket = running.ask(Method::POST, "/v1/notifications/tickets", &token, None).await;
    let mut socket = Socket::open(ticket.json["url"].as_str().unwrap()).await.unwrap();
    running.register(&token, "1ZCIETST0111111114").await;
    let heard = tokio::spawn(async move {
        loop {
            match socket.hear(PATIENCE).await {
                SocketInput::Closed(code) => return code,
                SocketInput::Nothing => panic!("the socket was left open"),
                SocketInput::Text(_) => {}
            }
        }
    });
    timeout(Duration::from_secs(5), running.stack.stop()).await.unwrap().unwrap();
    assert_eq!(heard.await.unwrap(), Some(1012));
}

#[tokio::test(flavor = "multi_thread")]
async fn ups_emulator_is_controlled_through_its_routes() {
    let running = start(Data::Ephemeral).await;
    let client = Client::new(running.stack.base_url());
    let json = [("content-type", "application/json")];
    let body = json!({ "tracking_number": "1ZCIETST0111111114", "status": "DELIVERED" }).to_string();
    let moved = client.send(&Method::POST, "/_ups/advance", &json, body).await.unwrap();
    assert_eq!(moved.status, 200, "{}", moved.text);
    let packages = client.send(&Method::GET, "/_ups/packages", &[], "").await.unwrap();
    assert_eq!(packages.json["packages"].as_array().map(Vec::len), Some(1), "{}", packages.text);
    let mails = client.send(&Method::GET, "/_mail", &[("accept", "application/json")], "").await.unwrap();
    assert_eq!((mails.status, &mails.json), (200, &json!({ "mails": [] })));
    running.stack.stop().await.unwrap();
}
