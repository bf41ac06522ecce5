//! Endpoints: what one is, in four kinds, and the list of them all.

use crate::{
    aws::acting::as_function,
    base::{AuthFailure, Result},
    policy::{Action, Resource},
    request::{
        Batch, Deps, Input, PerNetwork, Permit, Platform, Public, Scope,
        http::{Request, Response},
        input::{self, InputSchema},
        pipeline,
    },
    store::RateLimit,
};
use aws_lambda_events::apigw::{ApiGatewayProxyRequest, ApiGatewayProxyResponse};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use std::{future::Future, pin::Pin};

/// What a function may take that states no time limit of its own: each endpoint and the authorizer. `Globals.Function.Timeout`.
pub const FUNCTION_TIMEOUT_SECS: u16 = 10;

/// Whether PHI passes through an endpoint. If so, the caller states a purpose of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    Phi,
    NoPhi,
}

/// Something that an endpoint's role may do beyond what every endpoint does (touch its session, read its tenant's gate,
/// write an audit event). `template.yaml`'s IAM is written from it, and a handler that uses what is not declared does
/// not compile:
/// ```
/// # use common::{Action, AnyEndpoint, Data, Endpoint, Need, Operation, Permit, PlatformResource, Result, Route, Sample, Scope};
/// struct Writes;
/// impl Operation for Writes {
///     const NEEDS: &'static [Need] = &[Need::Write];
/// #   const NAME: &'static str = "writes";
/// #   const SUMMARY: &'static str = "Writes";
/// #   const ROUTE: Route = Route::post("/v1/writes");
/// #   const DATA: Data = Data::NoPhi;
/// #   const SAMPLE: Sample = Sample::NONE;
/// #   type Input = ();
/// #   type Output = ();
///     // …
/// }
/// impl Endpoint for Writes {
/// #   const ACTION: Action = Action("write");
/// #   type Target = PlatformResource;
/// #   async fn target(scope: &Scope<'_, Self>, (): &()) -> Result<PlatformResource> {
/// #       Ok(scope.platform())
/// #   }
///     async fn handle(cx: &mut Permit<'_, Self>, (): ()) -> Result<()> {
///         cx.changes();
///         Ok(())
///     }
///     // …
/// }
/// # static WRITES: AnyEndpoint = AnyEndpoint::tenant::<Writes>("doc", "Writes");
/// # fn main() {
/// #   println!("{:?}", WRITES);
/// # }
/// ```
/// ```compile_fail,E0080
/// # use common::{Action, AnyEndpoint, Data, Endpoint, Need, Operation, Permit, PlatformResource, Result, Route, Sample, Scope};
/// # struct Writes;
/// # impl Operation for Writes {
/// const NEEDS: &'static [Need] = &[Need::Read];
/// #   const NAME: &'static str = "writes";
/// #   const SUMMARY: &'static str = "Writes";
/// #   const ROUTE: Route = Route::post("/v1/writes");
/// #   const DATA: Data = Data::NoPhi;
/// #   const SAMPLE: Sample = Sample::NONE;
/// #   type Input = ();
/// #   type Output = ();
/// # }
/// # impl Endpoint for Writes {
/// #   const ACTION: Action = Action("write");
/// #   type Target = PlatformResource;
/// #   async fn target(scope: &Scope<'_, Self>, (): &()) -> Result<PlatformResource> {
/// #       Ok(scope.platform())
/// #   }
/// #   async fn handle(cx: &mut Permit<'_, Self>, (): ()) -> Result<()> {
/// #       cx.changes();
/// #       Ok(())
/// #   }
/// # }
/// # static WRITES: AnyEndpoint = AnyEndpoint::tenant::<Writes>("doc", "Writes");
/// # fn main() {
/// #   println!("{:?}", WRITES);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// Read business items.
    Read,
    /// Change business items. Includes reading them.
    Write,
    /// Unwrap the tenant's branch key: seal and open.
    Seal,
    /// Unwrap the tenant's search key: search tokens and cursors.
    Search,
    /// Start, refresh and end sessions.
    Sessions,
    /// Try the codes of somebody's second factor.
    SecondFactor,
    /// Ask Cognito about a password or a refresh token.
    SignIn,
    /// Keep Cognito, the directory of users and the claims to e-mails in line with memberships.
    Directory,
    /// Set passwords in Cognito, and find accounts by their e-mail's token.
    Passwords,
    /// See which tenants there are, and what is due in them.
    Tenants,
    /// Put messages into our own queues.
    Enqueue,
    /// Ask the carrier: its secret, the token and the gate that all functions share.
    Carrier,
    /// Send mail, through the gate that all functions share.
    Mail,
    /// Send to open sockets, and close them.
    Push,
    /// Seal the audit log: unsealed events, segments, heads.
    SealLog,
    /// Read the sealed audit log.
    ReadLog,
    /// Sign the audit log's checkpoints.
    SignLog,
    /// See which checkpoints the bucket keeps, whatever the table says.
    ListLog,
    /// Take events out of the outbox, or have them told again.
    Outbox,
    /// See how the gates stand that all functions share.
    Gates,
    /// Make a tenant's keys.
    TenantKeys,
    /// Put messages back into their queues that waited while their tenant was stopped.
    Waiting,
}

pub(crate) const fn declares(needs: &[Need], wanted: Need) -> bool {
    let mut i = 0;
    while i < needs.len() {
        let same = needs[i] as u8 == wanted as u8;
        let includes = matches!((needs[i], wanted), (Need::Write, Need::Read));
        if same || includes {
            return true;
        }
        i += 1;
    }
    false
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

/// A method and a path, as `POST /v1/shipments/{shipment_id}/void`.
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

/// What the `Idempotency-Key` header is to an endpoint. One that is not ignored is kept with the answer, which is a write:
///
/// ```compile_fail,E0080
/// # use common::{Action, AnyEndpoint, Data, Endpoint, Need, Operation, Permit, PlatformResource, Result, Route, Sample, Scope};
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

/// What the `If-Match` header, the version that is to be changed, is to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMatch {
    Required,
    Optional,
    Ignored,
}

/// A request that succeeds: the API's example, the suite's sample, the template in `events/`.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// JSON, where there is a body.
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

/// What every kind of endpoint says of itself.
pub trait Operation: Sized + Send + Sync + 'static {
    /// The binary, the function in the template and the name in the audit log, as `create_shipment`.
    const NAME: &'static str;
    /// One line for the API's readers.
    const SUMMARY: &'static str;
    const ROUTE: Route;
    const DATA: Data;
    const NEEDS: &'static [Need] = &[];
    const LIMIT: RateLimit = RateLimit::API_DEFAULT;
    /// How many ordinary calls a call is worth to the limits.
    const COST: u32 = 1;
    /// The status of success.
    const STATUS: u16 = 200;
    const IDEMPOTENCY: IdempotencyKey = match Self::ROUTE.method {
        Method::Get => IdempotencyKey::Ignored,
        _ => IdempotencyKey::Optional,
    };
    /// The largest body that is read, in bytes. A test sees that the largest that the schema allows is no larger.
    const BODY_LIMIT: usize = crate::request::BODY_LIMIT;
    /// Where the answer shows something once (an [`Issued`](crate::request::Issued)), how its caller gets another: the detail of 409
    /// `already_issued`, which a repeated request gets.
    const ISSUED_AGAIN: Option<&'static str> = None;
    /// Where it is not ignored, the work compares it with the version that is there: `check_version`.
    const IF_MATCH: IfMatch = IfMatch::Ignored;
    const SAMPLE: Sample;
    type Input: Input;
    type Output: Serialize + JsonSchema + Send;
}

/// An endpoint of the caller's own tenant.
pub trait Endpoint: Operation {
    const ACTION: Action;
    type Target: Resource;

    /// What the caller wants to act on. Reads only, before the policy is asked.
    fn target(scope: &Scope<'_, Self>, input: &Self::Input) -> impl Future<Output = Result<Self::Target>> + Send;

    /// The work. A [`Permit`] exists only once the policy has said yes.
    fn handle(cx: &mut Permit<'_, Self>, input: Self::Input) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// What a platform endpoint's request is about, and what the policy is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The deployment.
    Platform,
    /// The tenant named in the path: its profile, as [`Organization`](crate::policy::Organization).
    Tenant(crate::base::TenantId),
}

/// An endpoint about a tenant named in the path, or about the deployment: for the platform's operators, and for a tenant's own
/// administrators where the policy says so. Its scope opens after the policy has said yes, it is recorded in the caller's log
/// and in the tenant's, and it never carries PHI.
pub trait PlatformEndpoint: Operation {
    const ACTION: Action;
    /// Whether its requests are about tenants; otherwise they are about the platform.
    const OF_TENANT: bool = true;
    /// What the request is about.
    fn subject(input: &Self::Input) -> Subject;
    fn handle(cx: &mut Platform<'_, Self>, input: Self::Input) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// An endpoint for callers who have not signed in. [`Operation::LIMIT`] is what it takes of an e-mail's budget, where one is named.
pub trait PublicEndpoint: Operation {
    const PER_NETWORK: PerNetwork = PerNetwork::Failures(RateLimit::FAILURES);
    /// What credentials that do not fit are called here: a password, the answer to a challenge, a token.
    const REFUSED: AuthFailure = AuthFailure::InvalidCredentials;
    /// Whether its successes are counted on the record, one event for each network and minute: where a partner's service sends more
    /// than anybody reads, and what a request changes is nobody's business. Its writes are in no transaction then.
    const COUNTED: bool = false;
    /// Whether its requests are recorded. Only what tells nothing of anybody is not.
    const AUDITED: bool = true;
    fn handle(cx: &mut Public<'_, Self>, input: Self::Input) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// An endpoint that does one thing to many items, each in a transaction of its own.
pub trait BatchEndpoint: Operation<Output = crate::request::BatchOutput<Self::Done>> {
    const ACTION: Action;
    type Target: Resource;
    type Item: Send + Sync;
    type Done: Serialize + JsonSchema + Send;

    fn target(scope: &Scope<'_, Self>, input: &Self::Input) -> impl Future<Output = Result<Self::Target>> + Send;
    fn items(input: Self::Input) -> Vec<Self::Item>;
    /// One item's work, with changes of its own.
    fn handle(cx: &mut Batch<'_, Self>, item: Self::Item) -> impl Future<Output = Result<Self::Done>> + Send;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Tenant,
    Platform,
    Public,
    Batch,
}

type Serve = for<'a> fn(&'a Deps, Request) -> Pin<Box<dyn Future<Output = Response> + Send + 'a>>;
type Read = fn(&Request) -> Result<()>;
type Describe = fn(&mut SchemaGenerator) -> (InputSchema, Schema);

/// An endpoint with its type forgotten, for lists of them.
#[derive(Clone, Copy, Debug)]
pub struct AnyEndpoint {
    pub domain: &'static str,
    pub type_name: &'static str,
    pub name: &'static str,
    pub summary: &'static str,
    pub kind: Kind,
    pub route: Route,
    pub action: Option<Action>,
    /// Cedar's type of what it acts on.
    pub resource: Option<&'static str>,
    /// The action by which an existing target is seen, where the target is an item.
    pub view: Option<Action>,
    pub data: Data,
    pub needs: &'static [Need],
    pub limit: RateLimit,
    pub cost: u32,
    pub status: u16,
    pub idempotency: IdempotencyKey,
    pub if_match: IfMatch,
    pub audited: bool,
    pub has_body: bool,
    pub reads_body: bool,
    pub body_limit: usize,
    pub issued_again: Option<&'static str>,
    pub sample: Sample,
    serve: Serve,
    read: Read,
    describe: Describe,
}

impl AnyEndpoint {
    const fn describe_as<E: Operation>(domain: &'static str, type_name: &'static str, kind: Kind, serve: Serve) -> Self {
        const {
            assert!(matches!(E::DATA, Data::NoPhi) || declares(E::NEEDS, Need::Seal), "PHI is sealed: add Need::Seal to NEEDS");
            assert!(E::SAMPLE.body.is_some() == E::Input::HAS_BODY, "a sample has a body exactly where the input has one");
            let keeps = !matches!(E::IDEMPOTENCY, IdempotencyKey::Ignored);
            assert!(
                !keeps || declares(E::NEEDS, Need::Write),
                "an idempotency key is kept: add Need::Write to NEEDS, or ignore it"
            );
        }
        Self {
            domain,
            type_name,
            name: E::NAME,
            summary: E::SUMMARY,
            kind,
            route: E::ROUTE,
            action: None,
            resource: None,
            view: None,
            data: E::DATA,
            needs: E::NEEDS,
            limit: E::LIMIT,
            cost: E::COST,
            status: E::STATUS,
            idempotency: E::IDEMPOTENCY,
            if_match: E::IF_MATCH,
            audited: true,
            has_body: E::Input::HAS_BODY,
            reads_body: E::Input::READS_BODY,
            body_limit: E::BODY_LIMIT,
            issued_again: E::ISSUED_AGAIN,
            sample: E::SAMPLE,
            serve,
            read: |request| input::parse::<E::Input>(request).map(drop),
            describe: |schemas| {
                let mut input = InputSchema::default();
                E::Input::describe(schemas, &mut input);
                (input, schemas.subschema_for::<E::Output>())
            },
        }
    }

    #[doc(hidden)]
    pub const fn tenant<E: Endpoint>(domain: &'static str, type_name: &'static str) -> Self {
        let mut any = Self::describe_as::<E>(domain, type_name, Kind::Tenant, |d, r| Box::pin(pipeline::run::<E>(d, r)));
        any.action = Some(E::ACTION);
        any.resource = Some(E::Target::TYPE);
        any.view = E::Target::VIEW;
        any
    }
    #[doc(hidden)]
    pub const fn platform<E: PlatformEndpoint>(domain: &'static str, type_name: &'static str) -> Self {
        const { assert!(matches!(E::DATA, Data::NoPhi), "a platform endpoint never carries PHI") }
        let mut any =
            Self::describe_as::<E>(domain, type_name, Kind::Platform, |d, r| Box::pin(pipeline::run_platform::<E>(d, r)));
        any.action = Some(E::ACTION);
        any.resource = Some(if E::OF_TENANT { crate::policy::Organization::TYPE } else { crate::policy::PlatformResource::TYPE });
        any.view = if E::OF_TENANT { crate::policy::Organization::VIEW } else { None };
        any
    }
    #[doc(hidden)]
    pub const fn public<E: PublicEndpoint>(domain: &'static str, type_name: &'static str) -> Self {
        const { assert!(matches!(E::DATA, Data::NoPhi), "a public endpoint never carries PHI") }
        let mut any = Self::describe_as::<E>(domain, type_name, Kind::Public, |d, r| Box::pin(pipeline::run_public::<E>(d, r)));
        any.audited = E::AUDITED;
        any
    }
    #[doc(hidden)]
    pub const fn batch<E: BatchEndpoint>(domain: &'static str, type_name: &'static str) -> Self {
        let mut any = Self::describe_as::<E>(domain, type_name, Kind::Batch, |d, r| Box::pin(pipeline::run_batch::<E>(d, r)));
        any.action = Some(E::ACTION);
        any.resource = Some(E::Target::TYPE);
        any.view = E::Target::VIEW;
        any
    }

    /// Serves API Gateway's event.
    pub async fn serve(&self, deps: &Deps, event: ApiGatewayProxyRequest) -> ApiGatewayProxyResponse {
        as_function(self.name, (self.serve)(deps, Request::from_event(event, None, self.body_limit))).await.into_event()
    }

    /// Reads an event's input, and does nothing with it.
    ///
    /// # Errors
    /// As [`Input::parse`].
    pub fn read(&self, event: ApiGatewayProxyRequest) -> Result<()> {
        (self.read)(&Request::from_event(event, None, self.body_limit))
    }

    /// The schemas of its input and of its output.
    pub fn schemas(&self, schemas: &mut SchemaGenerator) -> (InputSchema, Schema) {
        (self.describe)(schemas)
    }
}

/// Declares a domain's endpoints, `kind module::Type`: one module each, and the list of them all.
#[macro_export]
macro_rules! endpoints {
    ($($kind:ident $module:ident::$Type:ident),* $(,)?) => {
        $(mod $module; pub use $module::$Type;)*
        /// Every endpoint of this domain. Only tools and tests read it: a function's binary names one type.
        pub const ALL: &[$crate::request::AnyEndpoint] = &[$($crate::request::AnyEndpoint::$kind::<$Type>(env!("CARGO_PKG_NAME"), stringify!($Type))),*];
    };
}
