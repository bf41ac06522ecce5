//! Endpoints with their types erased, and the lists of them.

use crate::{
    aws::acting::as_function,
    base::{Need, Result, need::declares},
    policy::{Action, Resource},
    request::{
        BatchEndpoint, Data, Deps, Endpoint, IdempotencyKey, IfMatch, Input, Operation, PlatformEndpoint, PublicEndpoint, Route,
        Sample,
        http::{self, Request, Response},
        input::{self, InputSchema},
        pipeline,
    },
    store::RateLimit,
};
use aws_lambda_events::apigw::ApiGatewayProxyResponse;
use lambda_http::{Context, LambdaEvent, request::LambdaRequest};
use schemars::{Schema, SchemaGenerator};
use std::pin::Pin;

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

/// An endpoint with its type erased, for lists.
#[derive(Clone, Copy, Debug)]
pub struct AnyEndpoint {
    pub domain: &'static str,
    pub type_name: &'static str,
    pub name: &'static str,
    pub summary: &'static str,
    pub kind: Kind,
    pub route: Route,
    pub action: Option<Action>,
    /// Cedar's type of its resource.
    pub resource: Option<&'static str>,
    /// The action that shows an existing target, if the target is an item.
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

    /// Handles API Gateway's event.
    pub async fn serve(&self, deps: &Deps, event: LambdaRequest) -> ApiGatewayProxyResponse {
        let own = deps.of_function(self.name);
        let deps = own.as_deref().unwrap_or(deps);
        let event = LambdaEvent::new(event, Context::default());
        let run = |request| as_function(self.name, (self.serve)(deps, request));
        let answer = http::through(event, None, self.body_limit, run).await;
        // `lambda_http` does not export its type, so the answer passes through JSON, as to Lambda.
        let answer = answer.ok().and_then(|answer| serde_json::to_value(answer).ok());
        answer.and_then(|answer| serde_json::from_value(answer).ok()).unwrap_or_default()
    }

    /// Parses an event's input and discards it.
    ///
    /// # Errors
    /// Like [`Input::parse`].
    pub fn read(&self, event: LambdaRequest) -> Result<()> {
        (self.read)(&Request::read(event, self.body_limit))
    }

    /// The schemas of its input and of its output.
    pub fn schemas(&self, schemas: &mut SchemaGenerator) -> (InputSchema, Schema) {
        (self.describe)(schemas)
    }
}

/// Declares a domain's endpoints, `kind module::Type`: one module each, and the list of all.
#[macro_export]
macro_rules! endpoints {
    ($($kind:ident $module:ident::$Type:ident),* $(,)?) => {
        $(mod $module; pub use $module::$Type;)*
        /// Every endpoint of this domain. Only tools and tests read it: a function's binary contains one endpoint.
        pub const ALL: &[$crate::request::AnyEndpoint] = &[$($crate::request::AnyEndpoint::$kind::<$Type>(env!("CARGO_PKG_NAME"), stringify!($Type))),*];
    };
}
