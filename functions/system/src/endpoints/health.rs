use common::{
    base::{Need, Result},
    request::{Data, Operation, Public, PublicEndpoint, Route, Sample},
};
use schemars::JsonSchema;
use serde::Serialize;

/// The function answers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Alive {
    /// Always `ok`.
    pub status: &'static str,
    pub version: &'static str,
}

/// Returns `ok` if the function runs. It calls no service; `ready` reports on the services.
#[derive(Debug)]
pub struct Health;

impl Operation for Health {
    const NAME: &'static str = "health";
    const SUMMARY: &'static str = "Check that the API runs";
    const ROUTE: Route = Route::get("/v1/health");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[];
    const SAMPLE: Sample = Sample::NONE;
    type Input = ();
    type Output = Alive;
}

impl PublicEndpoint for Health {
    const AUDITED: bool = false;

    async fn handle(_: &mut Public<'_, Self>, (): ()) -> Result<Alive> {
        Ok(Alive { status: "ok", version: env!("CARGO_PKG_VERSION") })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testing::{App, find};

    #[tokio::test]
    async fn health_is_public_and_makes_no_calls() {
        let app = App::start().await;
        let before = app.platform_audit().await.len();
        let answer = app.anonymous().call(find(super::super::ALL, "health")).await;
        assert_eq!((answer.status, answer.json), (200, json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")})));
        assert_eq!(app.calls(), testing::Calls::default());
        assert_eq!(app.platform_audit().await.len(), before);
    }
}
