//! Records the business associate agreement with a tenant. It takes effect within five seconds, when the caches of the tenant's
//! profile expire.

use crate::{
    domain::{Agreement, DocumentHash, Persons},
    view::OrganizationView,
    work,
};
use common::{
    base::{Need, Result, TenantId, Timestamp},
    identity::BaaTerm,
    policy::Action,
    request::{Data, IfMatch, Json, Operation, Path, Platform, PlatformEndpoint, Route, Sample, Subject},
};
use phi::PersonName;

common::input! {
    /// An agreement and its signatory.
    pub struct NewBaa {
        required signed_at: Timestamp,
        /// At most ten years after `signed_at`.
        required expires_at: Timestamp,
        required signatory: PersonName,
        /// SHA-256 of the signed document.
        required document_sha256: DocumentHash,
    }
}

#[derive(Debug)]
pub struct PutBaa;

impl Operation for PutBaa {
    const NAME: &'static str = "put_baa";
    const SUMMARY: &'static str = "Record an organization's business associate agreement";
    const ROUTE: Route = Route::put("/v1/organizations/{tenant_id}/baa");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal];
    const IF_MATCH: IfMatch = IfMatch::Required;
    const SAMPLE: Sample = Sample::body(
        r#"{"signed_at": "2025-12-01T00:00:00Z", "expires_at": "2030-12-01T00:00:00Z", "signatory": "Ada Sample", "document_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}"#,
    );
    type Input = (Path<TenantId>, Json<NewBaa>);
    type Output = OrganizationView;
}

impl PlatformEndpoint for PutBaa {
    const ACTION: Action = Action("setBaa");

    fn subject((Path(id), _): &Self::Input) -> Subject {
        Subject::Tenant(*id)
    }

    async fn handle(cx: &mut Platform<'_, Self>, (_, Json(new)): Self::Input) -> Result<OrganizationView> {
        let term = BaaTerm { signed_at: new.signed_at, expires_at: new.expires_at };
        let agreement = Agreement::new(term, new.signatory, new.document_sha256, cx.now())?;
        let mut stored = work::customers(work::read_to_change(cx).await?)?;
        cx.check_version(stored.version())?;
        let before = work::persons(cx, stored.persons.as_ref()).await?;
        let persons = Persons { signatory: Some(agreement.signatory.clone()), ..before };
        let sealed = work::seal(cx, &persons, stored.persons.as_ref()).await?;
        let edit = stored.set_agreement(&agreement, sealed);
        work::change(cx, edit, ["baa"]);
        Ok(work::shown(cx, &stored, persons))
    }
}
