//! A guarded connector over a scripted one.

use super::*;
use crate::base::time::ManualClock;
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use futures_util::FutureExt;
use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

#[derive(Clone, Copy, Debug)]
enum Does {
    Says(u16),
    Breaks,
    Hangs,
}

#[derive(Clone, Debug)]
struct Wire {
    does: Arc<Mutex<Does>>,
    calls: Arc<AtomicUsize>,
}

impl HttpConnector for Wire {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let does = *self.does.lock().unwrap();
        HttpConnectorFuture::new(async move {
            match does {
                Does::Says(status) => Ok(HttpResponse::new(status.try_into().unwrap(), SdkBody::empty())),
                Does::Breaks => Err(ConnectorError::io("connection reset".into())),
                Does::Hangs => std::future::pending().await,
            }
        })
    }
}

struct World {
    clock: Arc<ManualClock>,
    wire: Wire,
    resilience: Resilience,
    service: Service,
}

impl World {
    fn of(service: Service) -> Self {
        let clock = Arc::new(ManualClock::at(1_000_000));
        let wire = Wire { does: Arc::new(Mutex::new(Does::Says(200))), calls: Arc::default() };
        let shared: Arc<dyn Clock> = clock.clone();
        Self { clock, wire, resilience: Resilience::new(&shared), service }
    }

    fn will(&self, does: Does) {
        *self.wire.does.lock().unwrap() = does;
    }

    fn connector(&self) -> SharedHttpConnector {
        Guarded::new(SharedHttpConnector::new(self.wire.clone()), &self.resilience, self.service).shared()
    }

    /// The status of an answer, or the reason why there is none.
    async fn attempt(&self, number: u32) -> Result<u16, String> {
        let mut request = HttpRequest::new(SdkBody::empty());
        request.headers_mut().insert("amz-sdk-request", format!("ttl=20260101T000000Z; attempt={number}; max=3"));
        let answer = self.connector().call(request).await;
        answer.map(|answer| answer.status().as_u16()).map_err(|e| std::error::Error::source(&e).unwrap().to_string())
    }

    async fn call(&self) -> Result<u16, String> {
        self.attempt(1).await
    }

    fn calls(&self) -> usize {
        self.wire.calls.load(Ordering::SeqCst)
    }

    fn state(&self) -> ServiceState {
        self.resilience.guard(self.service).state()
    }

    async fn open(&self) {
        self.will(Does::Breaks);
        for _ in 0..circuit::FAILURES - 1 {
            self.call().await.unwrap_err();
        }
        self.clock.advance(circuit::LASTING);
        assert_eq!(self.state().circuit, Some(CircuitState::Closed));
        self.call().await.unwrap_err();
        assert_eq!(self.state().circuit, Some(CircuitState::Open));
    }
}

fn refused<T>(why: Refused) -> Result<T, String> {
    Err(why.to_string())
}

#[tokio::test]
async fn failing_service_is_not_called_until_a_probe_succeeds() {
    let world = World::of(Service::Kms);
    world.open().await;
    let before = world.calls();
    for _ in 0..10 {
        assert_eq!(world.call().await, refused(Refused::Open));
    }
    assert_eq!(world.calls(), before, "nothing reaches the wire");

    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.state().circuit, Some(CircuitState::HalfOpen));
    world.will(Does::Hangs);
    let mut probe = Box::pin(world.call());
    assert!(probe.as_mut().now_or_never().is_none());
    assert_eq!(world.call().await, refused(Refused::Open), "one probe at a time");
    assert_eq!(world.calls(), before + 1);
    // A dropped probe has no result, so the next call becomes the probe.
    drop(probe);
    world.will(Does::Says(200));
    assert_eq!(world.call().await, Ok(200));
    assert_eq!(world.state().circuit, Some(CircuitState::Closed));
    assert_eq!(world.call().await, Ok(200));
}

#[tokio::test]
async fn server_errors_open_the_circuit_and_refusals_do_not() {
    for (status, state) in
        [(400, CircuitState::Closed), (429, CircuitState::Closed), (500, CircuitState::Open), (503, CircuitState::Open)]
    {
        let world = World::of(Service::DynamoDb);
        world.will(Does::Says(status));
        for _ in 0..20 {
            let _ = world.call().await;
            world.clock.advance(Duration::from_millis(100));
        }
        let told = world.state().circuit.unwrap();
        assert_eq!(told == CircuitState::Closed, state == CircuitState::Closed, "{status}: {told:?}");
    }
}

#[tokio::test]
async fn failures_of_one_service_do_not_affect_another() {
    let mut world = World::of(Service::Kms);
    world.open().await;
    world.service = Service::DynamoDb;
    world.will(Does::Says(200));
    assert_eq!(world.call().await, Ok(200));
}

#[tokio::test]
async fn service_with_a_shared_breaker_has_no_process_circuit() {
    let world = World::of(Service::Ses);
    world.will(Does::Breaks);
    for _ in 0..20 {
        assert_eq!(world.call().await, Err("connection reset".to_owned()));
        world.clock.advance(Duration::from_secs(1));
    }
    assert_eq!((world.calls(), world.state().circuit), (20, None));
}

#[tokio::test]
async fn call_over_the_concurrency_limit_is_refused_until_one_ends() {
    let world = World::of(Service::Secrets);
    world.will(Does::Hangs);
    let mut hanging: Vec<_> = (0..world.state().at_once).map(|_| Box::pin(world.call())).collect();
    for call in &mut hanging {
        assert!(call.as_mut().now_or_never().is_none());
    }
    assert_eq!(world.state().in_flight, world.state().at_once);
    world.will(Does::Says(200));
    assert_eq!(world.call().await, refused(Refused::Full));
    assert_eq!(world.calls(), world.state().at_once, "it has not reached the wire");

    let mut waiting = Box::pin(world.call());
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(hanging.pop());
    assert_eq!(waiting.await, Ok(200));
    drop(hanging);
    assert_eq!(world.state().in_flight, 0);
}

#[tokio::test]
async fn retries_end_with_their_budget_and_calls_do_not() {
    let world = World::of(Service::Sqs);
    let burst = world.state().retries_left;
    for _ in 0..burst {
        assert_eq!(world.attempt(2).await, Ok(200));
    }
    assert_eq!((world.attempt(2).await, world.attempt(3).await), (refused(Refused::Spent), refused(Refused::Spent)));
    assert_eq!(world.calls(), usize::try_from(burst).unwrap());
    for _ in 0..5 {
        assert_eq!(world.call().await, Ok(200));
    }
    assert_eq!((world.attempt(2).await, world.attempt(2).await), (Ok(200), refused(Refused::Spent)));
}

#[tokio::test]
async fn no_attempt_starts_after_or_outlives_the_deadline() {
    let world = World::of(Service::DynamoDb);
    let end = world.clock.now().plus(Duration::from_secs(10));
    within(end, async {
        assert_eq!(world.call().await, Ok(200));
        // The remaining time is shorter than an attempt may take.
        world.clock.advance(Duration::from_secs(10) - ANSWER - Duration::from_millis(20));
        world.will(Does::Hangs);
        assert_eq!(world.call().await, refused(Refused::Late));
        assert_eq!(world.calls(), 2);
        world.clock.advance(Duration::from_millis(20));
        assert_eq!(world.call().await, refused(Refused::Late));
        assert_eq!(world.calls(), 2, "not started");
    })
    .await;
    // The service is not at fault that the attempt was cut short.
    let guard = world.resilience.guard(world.service);
    assert_eq!(guard.state().circuit, Some(CircuitState::Closed));
    assert_eq!(guard.state().in_flight, 0);
}

#[tokio::test]
async fn hanging_service_counts_as_failed_after_the_timeout() {
    let world = World::of(Service::DynamoDb);
    world.will(Does::Hangs);
    let started = std::time::Instant::now();
    world.call().await.unwrap_err();
    let policy = world.service.policy();
    assert!((policy.attempt..policy.call).contains(&started.elapsed()), "{:?}", started.elapsed());
}

#[test]
fn every_service_has_a_policy_with_attempts_within_the_call() {
    for (index, service) in Service::ALL.into_iter().enumerate() {
        let policy = service.policy();
        assert_eq!(service as usize, index);
        assert!(policy.attempt <= policy.call && policy.attempts > 0 && policy.at_once > 0, "{policy:?}");
    }
}
