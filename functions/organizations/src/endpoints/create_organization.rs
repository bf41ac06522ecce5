//! Creates a tenant with its name and its first administrator. Its keys are created after the answer; until then it has no
//! access.

use crate::{
    domain::{DisplayName, FirstAdmin, OrganizationCreated, Persons, TenantName},
    store::{self, Stored},
    view::OrganizationView,
    work,
};
use common::{
    base::{Error, Need, Result, TenantId},
    identity::{Tenant, TenantStatus, name_claim},
    policy::Action,
    request::{Data, IdempotencyKey, Json, Operation, Platform, PlatformEndpoint, Route, Sample, Subject},
    store::RateLimit,
};
use phi::Email;

common::input! {
    /// The tenant to create.
    pub struct NewOrganization {
        required name: TenantName,
        optional display_name: DisplayName,
        /// The e-mail of the first administrator, who is invited.
        required admin_email: Email,
    }
}

const NAME_TAKEN: Error = Error::conflict("name_taken", "an organization with this name exists already");

#[derive(Debug)]
pub struct CreateOrganization;

impl Operation for CreateOrganization {
    const NAME: &'static str = "create_organization";
    const SUMMARY: &'static str = "Create an organization and invite its first administrator";
    const ROUTE: Route = Route::post("/v1/organizations");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::Tenants];
    const LIMIT: RateLimit = RateLimit::API_STRICT;
    const STATUS: u16 = 201;
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Required;
    const SAMPLE: Sample = Sample::body(
        r#"{"name": "cedar-clinic", "display_name": "Cedar Clinic", "admin_email": "first.admin@cedar-clinic.example"}"#,
    );
    type Input = Json<NewOrganization>;
    type Output = OrganizationView;
}

impl PlatformEndpoint for CreateOrganization {
    const ACTION: Action = Action("createOrganization");
    const OF_TENANT: bool = false;

    fn subject(_: &Self::Input) -> Subject {
        Subject::Platform
    }

    async fn handle(cx: &mut Platform<'_, Self>, Json(new): Self::Input) -> Result<OrganizationView> {
        let NewOrganization { name, display_name, admin_email } = new;
        let (id, now) = (TenantId::new(cx.now()), cx.now());
        let display_name = display_name.map(DisplayName::into_inner);
        let admin = cx.seal(&store::first_admins_place(id), &FirstAdmin { email: admin_email }).await?;
        let tenant = Tenant::new(name.as_str().to_owned(), TenantStatus::Pending, now);
        let item = store::founded(tenant.name.clone(), display_name.clone(), admin.clone(), now)?;
        cx.directory().create(name_claim(name.as_str(), id), NAME_TAKEN);
        let new_tenant = cx.new_tenant(id);
        new_tenant.create(item, Error::internal("tenant id"));
        new_tenant.emit(OrganizationCreated {}.into());
        cx.log("organization.id", id);
        cx.touched("Organization", id);
        cx.location(format!("/v1/organizations/{id}"));
        let status = tenant.status.as_str().to_owned();
        let first_admin = Some(admin);
        let stored = Stored { id, tenant, status, display_name, document: None, persons: None, first_admin, warned_at: None };
        Ok(work::shown(cx, &stored, Persons::default()))
    }
}
