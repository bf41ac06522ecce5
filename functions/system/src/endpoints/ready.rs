use common::{
    base::{Error, Need, Result},
    capabilities::ProcessHealth,
    policy::{Action, PlatformResource},
    request::{Data, Endpoint, Operation, Permit, Route, Sample, Scope},
};
use schemars::JsonSchema;
use serde::Serialize;

/// Whether the platform can work for the caller's tenant.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Readiness {
    pub status: Status,
    pub dependencies: Dependencies,
    /// The process that answered, which is one of many, and the circuit breakers that all processes share.
    pub process: ProcessHealth,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Ready,
    /// Some requests will fail; the dependencies give the reason.
    Degraded,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Dependencies {
    /// Every answered request has read and written it. If it is down, the answer is a 503 instead of this one.
    pub dynamodb: State,
    /// Whether the tenant's branch key is available. A key in memory is used for at most 15 minutes during a KMS outage.
    pub kms: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Ok,
    Unavailable,
}

/// Reports whether the services that the platform depends on answer.
#[derive(Debug)]
pub struct Ready;

impl Operation for Ready {
    const NAME: &'static str = "ready";
    const SUMMARY: &'static str = "Check that the platform is ready";
    const ROUTE: Route = Route::get("/v1/ready");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Breakers, Need::Seal];
    const SAMPLE: Sample = Sample::NONE;
    type Input = ();
    type Output = Readiness;
}

impl Endpoint for Ready {
    const ACTION: Action = Action("viewReadiness");
    type Target = PlatformResource;

    async fn target(scope: &Scope<'_, Self>, (): &()) -> Result<PlatformResource> {
        Ok(scope.platform())
    }

    async fn handle(cx: &mut Permit<'_, Self>, (): ()) -> Result<Readiness> {
        let kms = match cx.unlock().await {
            Ok(()) => State::Ok,
            Err(Error::Unavailable { service: "kms", .. }) => State::Unavailable,
            Err(other) => return Err(other),
        };
        let process = cx.health().await?;
        let status = if kms == State::Ok && !process.is_cut_off() { Status::Ready } else { Status::Degraded };
        Ok(Readiness { status, dependencies: Dependencies { dynamodb: State::Ok, kms }, process })
    }
}

#[cfg(test)]
mod tests {
    use common::base::Role;
    use serde_json::{Value, json};
    use std::time::Duration;
    use testing::{Answer, App, Fault, Tenant, find};

    fn told(answer: &Answer) -> Value {
        json!([answer.json["status"], answer.json["dependencies"]])
    }

    fn cache<'a>(answer: &'a Answer, name: &str) -> &'a Value {
        answer.json["process"]["caches"].as_array().unwrap().iter().find(|cache| cache["name"] == name).unwrap()
    }

    #[tokio::test]
    async fn administrator_sees_the_cache_statistics() {
        let app = App::start().await;
        let ask = || app.as_role(Tenant::Acme, Role::TenantAdmin).call(find(super::super::ALL, "ready"));
        let before = ask().await;
        let again = ask().await;
        let hits = |answer: &Answer, name| cache(answer, name)["hits"].as_u64().unwrap();
        for name in ["gate", "keys"] {
            assert_eq!(hits(&again, name), hits(&before, name) + 1, "{name}: {}", again.text);
            assert_eq!(cache(&again, name)["loads"], cache(&before, name)["loads"], "{name}");
        }
        app.clock().advance(Duration::from_secs(5));
        let later = ask().await;
        assert_eq!(hits(&later, "gate"), hits(&again, "gate"), "a profile is cached for five seconds");
        let caches = later.json["process"]["caches"].as_array().unwrap();
        let names: Vec<_> = caches.iter().map(|cache| cache["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["gate", "keys", "wrapped_keys", "tenant_credentials", "tenant_quotas"]);
        assert_eq!(hits(&later, "tenant_quotas"), hits(&again, "tenant_quotas") + 1);
    }

    #[tokio::test]
    async fn administrator_sees_that_all_services_answer() {
        let app = App::start().await;
        let answer = app.as_role(Tenant::Acme, Role::TenantAdmin).call(find(super::super::ALL, "ready")).await;
        assert_eq!(told(&answer), json!(["ready", {"dynamodb": "ok", "kms": "ok"}]), "{}", answer.text);
        let events = app.audit(Tenant::Acme).await;
        assert_eq!(events.iter().filter(|e| e["type"] == "api.ready" && e["outcome"] == "success").count(), 1);
    }

    #[tokio::test]
    async fn administrator_sees_the_breaker_open_and_close() {
        let app = App::start().await;
        // Advances past the time for which a key may stay in memory.
        app.clock().advance(common::store::CACHED_FOR);
        app.wire().fail("kms", 0, 100, Fault::Gone);
        let ask = || app.as_role(Tenant::Acme, Role::TenantAdmin).call(find(super::super::ALL, "ready"));
        let circuit = |answer: &Answer| {
            let services = answer.json["process"]["services"].as_array().unwrap();
            services.iter().find(|service| service["name"] == "kms").unwrap()["circuit"].clone()
        };
        assert_eq!(circuit(&ask().await), "closed", "three attempts");
        app.clock().advance(Duration::from_secs(1));
        assert_eq!(circuit(&ask().await), "open", "six, over a second");
        app.reset_calls();
        assert_eq!(told(&ask().await), json!(["degraded", {"dynamodb": "ok", "kms": "unavailable"}]));
        assert_eq!(app.calls().kms.len(), 0, "no call is made");
        let line = app.log_lines().pop().unwrap();
        assert_eq!(line["http.status"], 200, "{line}");

        app.wire().heal();
        app.clock().advance(Duration::from_secs(1));
        let healed = ask().await;
        assert_eq!((&healed.json["status"], circuit(&healed)), (&json!("ready"), json!("closed")), "{}", healed.text);
        let gates = json!([
            {"name": "ups", "circuit": "closed", "calls_left": app.deps().config().ups_per_minute},
            {"name": "ses", "circuit": "closed", "calls_left": 600},
        ]);
        assert_eq!(healed.json["process"]["gates"], gates);
    }

    #[tokio::test]
    async fn administrator_sees_that_kms_does_not_answer() {
        let app = App::start().await;
        // Advances past the time for which a key may stay in memory.
        app.clock().advance(common::store::CACHED_FOR);
        let caller = app.as_role(Tenant::Acme, Role::Auditor);
        app.wire().fail("kms", 0, 100, Fault::Gone);
        let answer = caller.call(find(super::super::ALL, "ready")).await;
        assert_eq!(told(&answer), json!(["degraded", {"dynamodb": "ok", "kms": "unavailable"}]), "{}", answer.text);
        let keys = cache(&answer, "keys");
        assert_eq!(keys["failures"], 1, "{keys}");
    }

    #[tokio::test]
    async fn viewer_cannot_call_ready() {
        let app = App::start().await;
        let answer = app.as_role(Tenant::Birch, Role::Viewer).call(find(super::super::ALL, "ready")).await;
        assert_eq!((answer.status, answer.code()), (403, "forbidden"));
        let events = app.audit(Tenant::Birch).await;
        assert_eq!(events.iter().filter(|e| e["type"] == "api.ready" && e["status"] == 403).count(), 1);
    }
}
