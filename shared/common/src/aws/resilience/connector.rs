//! The connector of one service, under its guard.

use super::{
    Resilience, Service,
    circuit::CallOutcome,
    deadline,
    guard::{Guard, Refused},
};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector},
    orchestrator::HttpRequest,
    result::ConnectorError,
};
use std::sync::Arc;

/// The header in which the SDKs send the attempt number: `attempt=2; max=3`.
const ATTEMPT: &str = "amz-sdk-request";

#[derive(Clone, Debug)]
pub(crate) struct Guarded {
    inner: SharedHttpConnector,
    guard: Arc<Guard>,
}

impl Guarded {
    pub(crate) fn new(inner: SharedHttpConnector, resilience: &Resilience, service: Service) -> Self {
        Self { inner, guard: resilience.guard(service) }
    }

    pub(crate) fn shared(self) -> SharedHttpConnector {
        SharedHttpConnector::new(self)
    }
}

impl HttpConnector for Guarded {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { inner, guard } = self.clone();
        let deadline = deadline();
        HttpConnectorFuture::new(async move {
            // The error is of a kind that the SDK does not retry, because a retry would be refused as well.
            let refused = |why: Refused| ConnectorError::other(why.into(), None);
            let entered = guard.clone().enter(is_retry(&request), deadline).await.map_err(refused)?;
            let (time, is_cut) = guard.time(deadline);
            match tokio::time::timeout(time, inner.call(request)).await {
                Ok(answer) => {
                    let failed = answer.as_ref().map_or_else(|e| !e.is_user(), |answer| answer.status().is_server_error());
                    entered.ended(if failed { CallOutcome::Failed } else { CallOutcome::Answered });
                    answer
                }
                // The attempt had less time than the service's policy grants.
                Err(_) if is_cut => Err(refused(Refused::Late)),
                Err(slow) => {
                    entered.ended(CallOutcome::Failed);
                    Err(ConnectorError::timeout(slow.into()))
                }
            }
        })
    }
}

fn is_retry(request: &HttpRequest) -> bool {
    let attempt = request.headers().get(ATTEMPT).into_iter().flat_map(|pairs| pairs.split(';'));
    attempt.filter_map(|pair| pair.trim().strip_prefix("attempt=")).any(|n| n != "1")
}
