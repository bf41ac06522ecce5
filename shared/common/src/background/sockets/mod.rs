//! Sockets: what runs when a client connects, says something or goes, and how anything else reaches the clients of a user.
//!
//! API Gateway keeps the connections; a function sees one event at a time. Who is at the other end was settled once, when a
//! ticket was taken at the handshake ([`crate::identity::ticket`]), and whether their session still lives is asked with every frame.
//! What is sent holds ids and codes: content is fetched through the API, after its policy.

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

/// What a route of the socket API runs.
pub trait Socket: Sized + Send + Sync + 'static {
    /// The binary, the function in the template and the name in the audit log, as `connect`.
    const NAME: &'static str;
    /// One line for the template's readers.
    const SUMMARY: &'static str;
    const ROUTE: SocketRoute;
    const NEEDS: &'static [Need] = &[];
    const TIMEOUT_SECS: u16 = 10;
    /// What a client says; nothing where it comes or goes.
    type Frame: DeserializeOwned + Send;

    /// The work, for a caller whose session lives (where it goes, it may not). A refusal is told to the caller.
    fn handle(cx: &mut Caller<'_, Self>, frame: Self::Frame) -> impl Future<Output = Result<()>> + Send;
}

type Serve = for<'a> fn(
    &'a Deps,
    ApiGatewayWebsocketProxyRequest,
    Option<Timestamp>,
) -> Pin<Box<dyn Future<Output = ApiGatewayProxyResponse> + Send + 'a>>;

/// A socket's function with its type forgotten, for lists of them.
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

    /// Serves API Gateway's event. Of the answer only the status counts, and only to a client that connects.
    pub async fn serve(&self, deps: &Deps, event: ApiGatewayWebsocketProxyRequest) -> ApiGatewayProxyResponse {
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
