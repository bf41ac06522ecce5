use common::{
    base::{Error, Result},
    request::{Data, Operation, Public, PublicEndpoint, Route, Sample},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::{borrow::Cow, sync::LazyLock};

/// Written by `cargo xtask sync` from the endpoints themselves.
const TEXT: &str = include_str!("../../../../docs/openapi.json");

static PARSED: LazyLock<Option<Value>> = LazyLock::new(|| serde_json::from_str(TEXT).ok());

/// The API's description, OpenAPI 3.1.
#[derive(Clone, Copy, Debug)]
pub struct Description(&'static Value);

impl Serialize for Description {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(s)
    }
}

impl JsonSchema for Description {
    fn schema_name() -> Cow<'static, str> {
        "Openapi".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "description": "an OpenAPI 3.1 document"})
    }
}

/// Returns the API's description. It is public.
#[derive(Debug)]
pub struct Openapi;

impl Operation for Openapi {
    const NAME: &'static str = "openapi";
    const SUMMARY: &'static str = "Get this API's description";
    const ROUTE: Route = Route::get("/v1/openapi.json");
    const DATA: Data = Data::NoPhi;
    const SAMPLE: Sample = Sample::NONE;
    type Input = ();
    type Output = Description;
}

impl PublicEndpoint for Openapi {
    const AUDITED: bool = false;

    async fn handle(_: &mut Public<'_, Self>, (): ()) -> Result<Description> {
        PARSED.as_ref().map(Description).ok_or(Error::internal("openapi"))
    }
}

#[cfg(test)]
mod tests {
    use testing::{App, find};

    #[tokio::test]
    async fn openapi_document_is_public_and_as_committed() {
        let app = App::start().await;
        let answer = app.anonymous().call(find(super::super::ALL, "openapi")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json, serde_json::from_str::<serde_json::Value>(super::TEXT).unwrap());
    }
}
