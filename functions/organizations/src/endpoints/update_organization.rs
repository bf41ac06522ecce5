//! Changes a tenant's display name and contacts. Its name cannot be changed.

use crate::{domain::DisplayName, view::OrganizationView, work};
use common::{
    base::{Need, Result, TenantId},
    policy::Action,
    request::{Data, IfMatch, Json, Operation, Patch, Path, Platform, PlatformEndpoint, Route, Sample, Subject},
};
use phi::Email;

common::input! {
    /// The fields to change.
    pub struct OrganizationPatch { patch display_name: DisplayName, optional contacts: ContactsPatch }
}

common::input! {
    /// The contacts of the organization.
    pub struct ContactsPatch { patch security: Email, patch technical: Email, patch billing: Email }
}

#[derive(Debug)]
pub struct UpdateOrganization;

impl Operation for UpdateOrganization {
    const NAME: &'static str = "update_organization";
    const SUMMARY: &'static str = "Change an organization's display name and contacts";
    const ROUTE: Route = Route::patch("/v1/organizations/{tenant_id}");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal];
    const IF_MATCH: IfMatch = IfMatch::Required;
    const SAMPLE: Sample =
        Sample::body(r#"{"display_name": "Acme Health, Inc.", "contacts": {"security": "security@acme-health.example"}}"#);
    type Input = (Path<TenantId>, Json<OrganizationPatch>);
    type Output = OrganizationView;
}

impl PlatformEndpoint for UpdateOrganization {
    const ACTION: Action = Action("updateOrganization");

    fn subject((Path(id), _): &Self::Input) -> Subject {
        Subject::Tenant(*id)
    }

    async fn handle(cx: &mut Platform<'_, Self>, (_, Json(patch)): Self::Input) -> Result<OrganizationView> {
        let mut stored = work::read_to_change(cx).await?;
        cx.check_version(stored.version())?;
        let before = work::persons(cx, stored.persons.as_ref()).await?;
        let mut persons = before.clone();
        if let Some(contacts) = patch.contacts {
            contacts.security.apply(&mut persons.security_contact);
            contacts.technical.apply(&mut persons.technical_contact);
            contacts.billing.apply(&mut persons.billing_contact);
        }
        let mut display_name = stored.display_name.clone();
        match patch.display_name {
            Patch::Keep => {}
            Patch::Clear => display_name = None,
            Patch::Set(name) => display_name = Some(name.into_inner()),
        }
        let mut changed = Vec::new();
        if display_name != stored.display_name {
            changed.push("display_name");
        }
        if persons != before {
            changed.push("contacts");
        }
        if !changed.is_empty() {
            let sealed = match persons == before {
                true => None,
                false => Some(work::seal(cx, &persons, stored.persons.as_ref()).await?),
            };
            let edit = stored.set_profile(display_name, sealed);
            work::change(cx, edit, changed);
        }
        Ok(work::shown(cx, &stored, persons))
    }
}
