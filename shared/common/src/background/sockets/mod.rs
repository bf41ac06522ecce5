//! Sockets: the functions for a client that connects, sends a frame or disconnects, and the way to reach a user's clients.
//!
//! API Gateway keeps the connections; a function sees one event at a time. The user was identified once, by the ticket at the
//! handshake ([`crate::identity::ticket`]). Every frame checks that their session is still live. Frames contain ids and codes;
//! the content is read through the API, which evaluates its policy.

use crate::{
    aws::acting::as_function,
    base::{Need, Result, Timestamp},
    request::{Deps, SocketRoute},
};
mod connections;
mod run;

pub use connections::Pushed;
pub use run::Caller;

pub(crate) use connections::Sockets;
pub(crate) use run::serve;

use aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayWebsocketProxyRequest};
use serde::de::DeserializeOwned;
use std::{future::Future, pin::Pin};

/// The handler of a route of the socket API.
pub trait Socket: Sized + Send + Sync + 'static {
    /// The binary, the function in the template and the name in the audit log, such as `connect`.
    const NAME: &'static str;
    /// One line for readers of the template.
    const SUMMARY: &'static str;
    const ROUTE: SocketRoute;
    const NEEDS: &'static [Need] = &[];
    const TIMEOUT_SECS: u16 = 10;
    /// A client's frame; `()` for connecting and disconnecting.
    type Frame: DeserializeOwned + Send;

    /// The work, for a caller with a live session (for disconnecting, the session may have ended). The caller gets an error frame
    /// for a refusal.
    fn handle(cx: &mut Caller<'_, Self>, frame: Self::Frame) -> impl Future<Output = Result<()>> + Send;
}

type Serve = for<'a> fn(
    &'a Deps,
    ApiGatewayWebsocketProxyRequest,
    Option<Timestamp>,
) -> Pin<Box<dyn Future<Output = ApiGatewayProxyResponse> + Send + 'a>>;

/// A socket's function with its type erased, for lists.
#[derive(Clone, Copy, Debug)]
pub struct AnySocket {
    pub domain: &'static str,
    pub type_name: &'static str,
    pub name: &'static str,
    pub summary: &'static str,
    pub route: SocketRoute,
    /// `$connect`, `$disconnect` or `$default`.
    pub route_key: &'static str,
    pub needs: &'static [Need],
    pub timeout_secs: u16,
    serve: Serve,
}

impl AnySocket {
    #[doc(hidden)]
    pub const fn of<S: Socket>(domain: &'static str, type_name: &'static str) -> Self {
        Self {
            domain,
            type_name,
            name: S::NAME,
            summary: S::SUMMARY,
            route: S::ROUTE,
            route_key: S::ROUTE.key(),
            needs: S::NEEDS,
            timeout_secs: S::TIMEOUT_SECS,
            serve: |deps, event, deadline| Box::pin(serve::<S>(deps, event, deadline)),
        }
    }

    /// Handles API Gateway's event. Only the status of the answer matters, and only to a client that connects.
    pub async fn serve(&self, deps: &Deps, event: ApiGatewayWebsocketProxyRequest) -> ApiGatewayProxyResponse {
        let own = deps.of_function(self.name);
        let deps = own.as_deref().unwrap_or(deps);
        as_function(self.name, (self.serve)(deps, event, None)).await
    }
}

/// Declares a domain's sockets: `sockets! { connect::Connect, message::Message }`.
#[macro_export]
macro_rules! sockets {
    ($($module:ident::$Type:ident),* $(,)?) => {
        $(mod $module; pub use $module::$Type;)*
        /// Every function of this domain's sockets. Only tools and tests read it.
        pub const SOCKETS: &[$crate::background::AnySocket] =
            &[$($crate::background::AnySocket::of::<$Type>(env!("CARGO_PKG_NAME"), stringify!($Type))),*];
    };
}
