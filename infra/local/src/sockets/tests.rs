//! The WebSocket gateway with test functions.

use super::*;
use crate::{
    client,
    socket_client::{NoSocket, Socket, SocketInput},
};
use aws_lambda_events::{apigw::ApiGatewayProxyResponse, encodings::Body};
use axum::http::Method;
use serde_json::{Map, Value};
use tokio::{net::TcpListener, sync::mpsc::UnboundedSender, task::JoinHandle};

const PATIENCE: Duration = Duration::from_secs(10);

/// Accepts one ticket, answers `echo`, and reports every event.
#[derive(Debug)]
struct Echo(UnboundedSender<(&'static str, Value)>);

impl Functions for Echo {
    async fn authorize(&self, client: &Client) -> Result<Option<Map<String, Value>>, Refused> {
        match client.query("ticket") {
            Some("good" | "refused-by-connect") => Ok(Some(Map::from_iter([("tenant_id".to_owned(), "ten_1".into())]))),
            Some("denied") => Ok(None),
            Some("down") => Err(Refused::Unavailable),
            _ => Err(Refused::Unauthorized),
        }
    }

    async fn serve(&self, route: &'static str, event: Value) -> Option<ApiGatewayProxyResponse> {
        let _ = self.0.send((route, event.clone()));
        let mut answer = ApiGatewayProxyResponse::default();
        let refused = event["queryStringParameters"]["ticket"] == "refused-by-connect";
        answer.status_code = if refused { 403 } else { 200 };
        answer.body = match event["body"].as_str() {
            Some("fail") => return None,
            Some("echo") => Some(Body::Text("echoed".to_owned())),
            _ => None,
        };
        Some(answer)
    }
}

struct Gateway {
    base: String,
    events: mpsc::UnboundedReceiver<(&'static str, Value)>,
    ending: Ending,
    serving: JoinHandle<()>,
}

impl Gateway {
    async fn start(time_scale: u32) -> Self {
        let (told, events) = mpsc::unbounded_channel();
        let (sockets, ending) = Sockets::new(Echo(told), time_scale);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = listener.local_addr().unwrap().to_string();
        let service = sockets.router().into_make_service_with_connect_info::<SocketAddr>();
        let serving = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { base, events, ending, serving }
    }

    async fn open(&self, query: &str) -> Result<Socket, NoSocket> {
        Socket::open(&format!("ws://{}/ws{query}", self.base)).await
    }

    /// The next event of that route.
    async fn event(&mut self, route: &str) -> Value {
        let found = async {
            loop {
                let (of, event) = self.events.recv().await.unwrap();
                if of == route {
                    return event["requestContext"].clone();
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap()
    }

    async fn connected(&mut self) -> (Socket, String) {
        let socket = self.open("?ticket=good").await.unwrap();
        let id = self.event("$connect").await["connectionId"].as_str().unwrap().to_owned();
        (socket, id)
    }

    async fn manage(&self, method: Method, id: &str, body: impl Into<axum::body::Bytes>) -> client::Answer {
        let path = format!("/ws/@connections/{}", id.replace('=', "%3D"));
        client::Client::new(format!("http://{}", self.base)).send(&method, &path, &[], body).await.unwrap()
    }
}

fn text(text: &str) -> SocketInput {
    SocketInput::Text(text.to_owned())
}

#[tokio::test]
async fn refused_client_gets_no_socket() {
    let gateway = Gateway::start(1).await;
    for (query, status) in [
        ("", 401),
        ("?ticket=", 401),
        ("?ticket=bad", 401),
        ("?ticket=denied", 403),
        ("?ticket=down", 500),
        ("?ticket=refused-by-connect", 403),
    ] {
        let refused = gateway.open(query).await.unwrap_err();
        assert_eq!(refused, NoSocket::Refused(status), "{query}");
    }
    gateway.serving.abort();
}

#[tokio::test]
async fn frame_runs_its_function_and_its_answer_is_sent_back() {
    let mut gateway = Gateway::start(1).await;
    let (mut socket, id) = gateway.connected().await;
    socket.say("echo").await.unwrap();
    assert_eq!(socket.hear(PATIENCE).await, text("echoed"));
    let context = gateway.event("$default").await;
    assert_eq!((&context["connectionId"], &context["authorizer"]["tenant_id"]), (&json!(id), &json!("ten_1")));

    socket.say("fail").await.unwrap();
    match socket.hear(PATIENCE).await {
        SocketInput::Text(text) => assert!(text.contains("Internal server error"), "{text}"),
        other => panic!("{other:?}"),
    }
    socket.close().await;
    assert_eq!(gateway.event("$disconnect").await["disconnectStatusCode"], 1005);
    gateway.serving.abort();
}

#[tokio::test]
async fn management_api_reaches_a_connection_until_it_closes() {
    let mut gateway = Gateway::start(1).await;
    let (mut socket, id) = gateway.connected().await;
    assert_eq!(gateway.manage(Method::POST, &id, "hello").await.status, 200);
    assert_eq!(socket.hear(PATIENCE).await, text("hello"));
    let seen = gateway.manage(Method::GET, &id, "").await;
    assert_eq!((seen.status, seen.json["identity"]["sourceIp"].as_str()), (200, Some("127.0.0.1")));
    assert!(seen.json["connectedAt"].as_str().unwrap().parse::<common::base::Timestamp>().is_ok());
    assert_eq!(gateway.manage(Method::POST, &id, vec![b'x'; 128 * 1024 + 1]).await.status, 413);

    assert_eq!(gateway.manage(Method::DELETE, &id, "").await.status, 204);
    assert_eq!(socket.hear(PATIENCE).await, SocketInput::Closed(Some(1000)));
    for method in [Method::POST, Method::GET, Method::DELETE] {
        let gone = gateway.manage(method, &id, "").await;
        assert_eq!((gone.status, gone.header("x-amzn-errortype")), (410, Some("GoneException")));
    }
    assert_eq!(gateway.event("$disconnect").await["disconnectStatusCode"], 1000);
    assert_eq!(gateway.manage(Method::POST, "never-there", "x").await.status, 410);
    gateway.serving.abort();
}

#[tokio::test]
async fn frame_that_is_too_large_ends_its_socket() {
    let mut gateway = Gateway::start(1).await;
    let (mut socket, _) = gateway.connected().await;
    socket.say("x".repeat(FRAME + 1)).await.unwrap();
    assert_eq!(socket.hear(PATIENCE).await, SocketInput::Closed(Some(1009)));
    assert_eq!(gateway.event("$disconnect").await["disconnectStatusCode"], 1009);
    gateway.serving.abort();
}

#[tokio::test]
async fn idle_socket_ends_after_its_timeout() {
    // Ten minutes become twenty milliseconds.
    let mut gateway = Gateway::start(30_000).await;
    let (mut socket, _) = gateway.connected().await;
    assert_eq!(socket.hear(PATIENCE).await, SocketInput::Closed(Some(1001)));
    assert_eq!(gateway.event("$disconnect").await["disconnectStatusCode"], 1001);
    gateway.serving.abort();
}

#[tokio::test]
async fn client_that_does_not_read_is_closed_and_delays_no_other() {
    let mut gateway = Gateway::start(1).await;
    let (slow, id) = gateway.connected().await;
    let (mut quick, other) = gateway.connected().await;
    let large = "x".repeat(MESSAGE);
    let mut accepted = 0;
    let refused = loop {
        match gateway.manage(Method::POST, &id, large.clone()).await.status {
            200 => accepted += 1,
            status => break status,
        }
        assert!(accepted < 1000, "the queue of frames is unbounded");
    };
    assert_eq!(refused, 429);
    assert_eq!(gateway.manage(Method::POST, &id, "x").await.status, 410);
    assert_eq!(gateway.event("$disconnect").await["disconnectStatusCode"], 1013);
    assert_eq!(gateway.manage(Method::POST, &other, "hello").await.status, 200);
    assert_eq!(quick.hear(PATIENCE).await, text("hello"));
    drop(slow);
    gateway.serving.abort();
}

#[tokio::test]
async fn stopping_stack_closes_every_socket_and_runs_every_function() {
    let mut gateway = Gateway::start(1).await;
    let (mut one, _) = gateway.connected().await;
    let (mut two, _) = gateway.connected().await;
    let Gateway { ending, mut events, serving, .. } = gateway;
    let (first, second, ()) = tokio::join!(one.hear(PATIENCE), two.hear(PATIENCE), ending.stop());
    assert_eq!((first, second), (SocketInput::Closed(Some(1012)), SocketInput::Closed(Some(1012))));
    let routes: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).map(|(route, _)| route).collect();
    assert_eq!(routes, ["$disconnect", "$disconnect"]);
    serving.abort();
}
