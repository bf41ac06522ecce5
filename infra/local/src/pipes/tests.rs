//! A pipe over a real stream, with a queue that can fail.

use super::*;
use crate::{background::Halter, calls::DYNAMODB};
use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use emulators::{Dynamo, PipeTarget, Storage};
use std::{
    net::SocketAddr,
    path::Path,
    sync::{Mutex, PoisonError},
};
use tokio::{
    net::TcpListener,
    sync::Notify,
    task::JoinHandle,
    time::{Duration, timeout},
};

const TABLE: &str = "synthetic-ledger";
const PATIENCE: Duration = Duration::from_secs(20);

/// A queue that refuses its first few calls and accepts all later ones.
#[derive(Clone, Debug, Default)]
struct Queue(Arc<Held>);

#[derive(Debug, Default)]
struct Held {
    refusals: Mutex<u32>,
    /// The group and the body of each message.
    taken: Mutex<Vec<(String, String)>>,
    more: Notify,
}

impl Queue {
    fn refusing(calls: u32) -> Self {
        Self(Arc::new(Held { refusals: Mutex::new(calls), ..Held::default() }))
    }

    fn serve(&self, listener: TcpListener) -> JoinHandle<()> {
        let routes = Router::new().route("/", post(take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() })
    }

    fn bodies(&self) -> Vec<String> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(_, body)| body.clone()).collect()
    }

    async fn holds(&self, count: usize) {
        let enough = async {
            while self.bodies().len() < count {
                self.0.more.notified().await;
            }
        };
        timeout(PATIENCE, enough).await.unwrap_or_else(|_| panic!("{:?}", self.bodies()));
    }
}

async fn take(State(queue): State<Queue>, body: String) -> Result<Json<Value>, StatusCode> {
    {
        let mut refusals = queue.0.refusals.lock().unwrap();
        if *refusals > 0 {
            *refusals -= 1;
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
    }
    let input: Value = serde_json::from_str(&body).unwrap();
    let entries = input["Entries"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let taken = entries.iter().map(|entry| (text(&entry["MessageGroupId"]), text(&entry["MessageBody"])));
    queue.0.taken.lock().unwrap().extend(taken);
    queue.0.more.notify_one();
    Ok(Json(json!({ "Successful": [], "Failed": [] })))
}

async fn table(tables: &Calls) {
    let input = json!({
        "TableName": TABLE,
        "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }, { "AttributeName": "sk", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }, { "AttributeName": "sk", "KeyType": "RANGE" }],
        "BillingMode": "PAY_PER_REQUEST",
        "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_IMAGE" },
    });
    tables.call(DYNAMODB, "CreateTable", &input).await.unwrap();
}

async fn put(tables: &Calls, kind: &str, number: u32) {
    let item = json!({ "pk": { "S": "ten_1#X" }, "sk": { "S": format!("{kind}{number}") }, "kind": { "S": kind } });
    tables.call(DYNAMODB, "PutItem", &json!({ "TableName": TABLE, "Item": item })).await.unwrap();
}

fn pipe() -> Pipe {
    Pipe::new(&emulators::Pipe {
        name: "synthetic".to_owned(),
        table: TABLE.to_owned(),
        filters: vec![json!({ "eventName": ["INSERT"], "dynamodb": { "NewImage": { "kind": { "S": ["event"] } } } })],
        batch_size: 7,
        retries: None,
        dead_letters: None,
        input_template: r#"{"sk": <$.dynamodb.Keys.sk.S>}"#.to_owned(),
        target: PipeTarget::Queue {
            url: "http://127.0.0.1/queue".to_owned(),
            group: Some("$.dynamodb.Keys.pk.S".to_owned()),
            deduplication: None,
        },
    })
    .unwrap()
}

/// Runs the pipe until the queue has so many messages, and stops it.
async fn until(tables: &Calls, at: SocketAddr, dir: &Path, queue: &Queue, count: usize) {
    let (halter, halt) = Halter::new();
    let plumbing = Plumbing {
        dynamodb: tables.clone(),
        other: Calls::new(&format!("http://{at}")),
        positions: Arc::new(Positions::open(dir).unwrap()),
        bell: Bell::new(),
    };
    let (mut ear, before) = (plumbing.bell.ear(), plumbing.positions.of("synthetic"));
    let running = tokio::spawn(pipe().run(plumbing.clone(), halt));
    queue.holds(count).await;
    // Otherwise records whose position is not stored would be sent again.
    let noted = async {
        while plumbing.positions.of("synthetic") == before {
            ear.rung().await;
        }
    };
    timeout(PATIENCE, noted).await.unwrap();
    halter.stop();
    timeout(PATIENCE, running).await.unwrap().unwrap();
}

fn bodies(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers.into_iter().map(|number| format!(r#"{{"sk": "event{number}"}}"#)).collect()
}

#[tokio::test]
async fn target_gets_everything_in_order_after_a_failure() {
    let dynamo = Dynamo::start(Storage::Memory).unwrap();
    let (tables, dir) = (Calls::new(&dynamo.endpoint()), tempfile::tempdir().unwrap());
    table(&tables).await;
    for number in 0..30 {
        put(&tables, "event", number).await;
        put(&tables, "audit", number).await;
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let queue = Queue::refusing(3);
    let back_up = async {
        for _ in 0..2 {
            // It closes the connection.
            drop(listener.accept().await.unwrap());
        }
        queue.serve(listener).await
    };
    tokio::select! {
        ended = back_up => panic!("{ended:?}"),
        () = until(&tables, at, dir.path(), &queue, 30) => {}
    }
    assert_eq!(queue.bodies(), bodies(0..30));
    assert!(queue.0.taken.lock().unwrap().iter().all(|(group, _)| group == "ten_1#X"));
    dynamo.stop();
}

#[tokio::test]
async fn next_run_continues_where_the_last_one_stopped() {
    let dynamo = Dynamo::start(Storage::Memory).unwrap();
    let (tables, dir) = (Calls::new(&dynamo.endpoint()), tempfile::tempdir().unwrap());
    table(&tables).await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (at, queue) = (listener.local_addr().unwrap(), Queue::default());
    let served = queue.serve(listener);
    for number in 0..3 {
        put(&tables, "event", number).await;
    }
    until(&tables, at, dir.path(), &queue, 3).await;
    for number in 3..6 {
        put(&tables, "event", number).await;
    }
    until(&tables, at, dir.path(), &queue, 6).await;
    assert_eq!(queue.bodies(), bodies(0..6));
    served.abort();
    dynamo.stop();
}
