//! The declarations of every kind of endpoint.

use crate::{base::Need, request::Input, store::RateLimit};
use schemars::JsonSchema;
use serde::Serialize;

/// The time limit of a function that declares none: each endpoint and the authorizer. `Globals.Function.Timeout`.
pub const FUNCTION_TIMEOUT_SECS: u16 = 10;

/// Whether an endpoint handles PHI. If so, the caller must state a purpose of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    Phi,
    NoPhi,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// A method and a path, such as `POST /v1/shipments/{shipment_id}/void`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    pub method: Method,
    pub path: &'static str,
}

impl Route {
    pub const fn get(path: &'static str) -> Self {
        Self { method: Method::Get, path }
    }
    pub const fn post(path: &'static str) -> Self {
        Self { method: Method::Post, path }
    }
    pub const fn put(path: &'static str) -> Self {
        Self { method: Method::Put, path }
    }
    pub const fn patch(path: &'static str) -> Self {
        Self { method: Method::Patch, path }
    }
    pub const fn delete(path: &'static str) -> Self {
        Self { method: Method::Delete, path }
    }
}

/// The role of the `Idempotency-Key` header for an endpoint. If it is not ignored, the key is stored with the answer, which is a
/// write:
///
/// ```compile_fail,E0080
/// # use common::{base::{Need, Result}, policy::{Action, PlatformResource}, request::{AnyEndpoint, Data, Endpoint, Operation, Permit, Route, Sample, Scope}};
/// # struct Asks;
/// impl Operation for Asks {
///     const ROUTE: Route = Route::post("/v1/asks");
///     const NEEDS: &'static [Need] = &[Need::Read];
/// #   const NAME: &'static str = "asks";
/// #   const SUMMARY: &'static str = "Asks";
/// #   const DATA: Data = Data::NoPhi;
/// #   const SAMPLE: Sample = Sample::NONE;
/// #   type Input = ();
/// #   type Output = ();
/// }
/// # impl Endpoint for Asks {
/// #   const ACTION: Action = Action("ask");
/// #   type Target = PlatformResource;
/// #   async fn target(scope: &Scope<'_, Self>, (): &()) -> Result<PlatformResource> {
/// #       Ok(scope.platform())
/// #   }
/// #   async fn handle(_: &mut Permit<'_, Self>, (): ()) -> Result<()> {
/// #       Ok(())
/// #   }
/// # }
/// # static ASKS: AnyEndpoint = AnyEndpoint::tenant::<Asks>("doc", "Asks");
/// # fn main() {
/// #   println!("{:?}", ASKS);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdempotencyKey {
    Required,
    Optional,
    Ignored,
}

/// The role of the `If-Match` header, the version to change, for an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMatch {
    Required,
    Optional,
    Ignored,
}

/// A successful request: the API's example, the test suite's sample, the template in `events/`.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// JSON, if there is a body.
    pub body: Option<&'static str>,
    pub query: &'static [(&'static str, &'static str)],
}

impl Sample {
    pub const NONE: Self = Self { body: None, query: &[] };

    pub const fn body(body: &'static str) -> Self {
        Self { body: Some(body), query: &[] }
    }
    pub const fn query(query: &'static [(&'static str, &'static str)]) -> Self {
        Self { body: None, query }
    }
}

/// The declarations of every kind of endpoint.
pub trait Operation: Sized + Send + Sync + 'static {
    /// The binary, the function in the template and the name in the audit log, such as `create_shipment`.
    const NAME: &'static str;
    /// One line for readers of the API.
    const SUMMARY: &'static str;
    const ROUTE: Route;
    const DATA: Data;
    const NEEDS: &'static [Need] = &[];
    const LIMIT: RateLimit = RateLimit::API_DEFAULT;
    /// The cost of a call for rate limits, in ordinary calls.
    const COST: u32 = 1;
    /// The status of a success.
    const STATUS: u16 = 200;
    const IDEMPOTENCY: IdempotencyKey = match Self::ROUTE.method {
        Method::Get => IdempotencyKey::Ignored,
        _ => IdempotencyKey::Optional,
    };
    /// The largest accepted body, in bytes. A test checks that the schema allows no larger one.
    const BODY_LIMIT: usize = crate::request::BODY_LIMIT;
    /// For an answer with a value that is shown once (an [`Issued`](crate::request::Issued)): the way to get another, which is
    /// the detail of 409 `already_issued` for a repeated request.
    const ISSUED_AGAIN: Option<&'static str> = None;
    /// If it is not ignored, the handler compares it with the current version: `check_version`.
    const IF_MATCH: IfMatch = IfMatch::Ignored;
    const SAMPLE: Sample;
    type Input: Input;
    type Output: Serialize + JsonSchema + Send;
}

/// The occasion on which a socket's function runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketRoute {
    Connect,
    Disconnect,
    /// A client's frame.
    Message,
}

impl SocketRoute {
    /// API Gateway's name for it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Connect => "$connect",
            Self::Disconnect => "$disconnect",
            Self::Message => "$default",
        }
    }
}
