//! Delayed indexes for a caller in this process, without the proxy's connection.

use super::Front;
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use std::{fmt, sync::Arc};

/// A connector that does for the proxy's calls what the proxy does. `inner` makes all other calls.
#[derive(Clone)]
pub(super) struct Direct {
    pub(super) inner: SharedHttpConnector,
    pub(super) front: Arc<Front>,
    /// The proxy's URL.
    pub(super) proxy: String,
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct").field("proxy", &self.proxy).finish_non_exhaustive()
    }
}

impl HttpConnector for Direct {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let (inner, front) = (self.inner.clone(), self.front.clone());
        if request.uri().trim_end_matches('/') != self.proxy {
            return inner.call(request);
        }
        HttpConnectorFuture::new(async move {
            // Over a connection the caller waits before and after the call, and may be killed there.
            tokio::task::yield_now().await;
            let answer = front.answer(request.headers().get(super::TARGET), request.body().bytes().unwrap_or_default());
            let Some((status, said)) = answer else {
                request.set_uri(front.table_url.as_str()).map_err(|error| ConnectorError::other(error.into(), None))?;
                return inner.call(request).await;
            };
            tokio::task::yield_now().await;
            let mut response = HttpResponse::new(status.into(), SdkBody::from(said));
            response.headers_mut().insert("content-type", super::CONTENT_TYPE);
            Ok(response)
        })
    }
}
