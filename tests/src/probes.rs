//! Endpoints for tests only, with kinds and failures that no shipped endpoint has.

use common::{
    base::{Error, Need, Result, TenantId},
    policy::{Action, PlatformResource},
    request::{Data, Endpoint, Operation, Path, PathId, Permit, Platform, PlatformEndpoint, Route, Sample, Scope, Subject},
};
use schemars::JsonSchema;
use serde::Serialize;

common::id! {
    /// A tenant in a path.
    struct TenantInPath = "ten"
}
impl PathId for TenantInPath {
    const NAME: &'static str = "tenant_id";
}

#[derive(Debug, Serialize, JsonSchema)]
struct Seen {
    tenant_id: TenantId,
}

/// Panics while it holds a permit.
#[derive(Debug)]
struct Panics;

impl Operation for Panics {
    const NAME: &'static str = "panics";
    const SUMMARY: &'static str = "Panics";
    const ROUTE: Route = Route::get("/v1/test/panics");
    const DATA: Data = Data::NoPhi;
    const SAMPLE: Sample = Sample::NONE;
    type Input = ();
    type Output = Seen;
}

impl Endpoint for Panics {
    const ACTION: Action = Action("viewReadiness");
    type Target = PlatformResource;
    async fn target(_: &Scope<'_, Self>, (): &()) -> Result<Self::Target> {
        Ok(PlatformResource("test".to_owned()))
    }
    async fn handle(_: &mut Permit<'_, Self>, (): ()) -> Result<Seen> {
        panic!("a panic's message, which nobody may see")
    }
}

/// Reads a tenant's profile from the platform.
#[derive(Debug)]
struct LooksAtTenant;

impl Operation for LooksAtTenant {
    const NAME: &'static str = "looks_at_tenant";
    const SUMMARY: &'static str = "Looks at a tenant";
    const ROUTE: Route = Route::get("/v1/test/tenants/{tenant_id}");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read];
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<TenantInPath>;
    type Output = Seen;
}

impl PlatformEndpoint for LooksAtTenant {
    const ACTION: Action = Action("suspendOrganization");
    fn subject(Path(id): &Self::Input) -> Subject {
        Subject::Tenant(TenantId::from_uuid(*id.uuid()))
    }
    async fn handle(cx: &mut Platform<'_, Self>, _: Self::Input) -> Result<Seen> {
        let profile = cx.reader().get(&common::store::Key::new("TENANT", "PROFILE")).await?.ok_or(Error::NotFound)?;
        Ok(Seen { tenant_id: profile.tenant()? })
    }
}

/// These endpoints, as a list of a domain's endpoints has them.
pub const PROBES: &[common::request::AnyEndpoint] = &[
    common::request::AnyEndpoint::tenant::<Panics>("suite", "Panics"),
    common::request::AnyEndpoint::platform::<LooksAtTenant>("suite", "LooksAtTenant"),
];
