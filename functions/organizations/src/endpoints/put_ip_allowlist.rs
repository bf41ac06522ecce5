//! Sets the networks from which a tenant's members may call. The caller's own address must be in the list, so that a mistake is
//! refused here and does not lock the caller out.

use crate::{view::OrganizationView, work};
use common::{
    base::{Error, Need, Result, TenantId, network::AllowList},
    policy::Action,
    request::{Data, IfMatch, Json, Operation, Path, Platform, PlatformEndpoint, Route, Sample, Subject},
};

common::input! {
    /// Networks in CIDR, at most a hundred. If empty, members may call from anywhere.
    pub struct NewAllowlist { required networks: AllowList }
}

#[derive(Debug)]
pub struct PutIpAllowlist;

impl Operation for PutIpAllowlist {
    const NAME: &'static str = "put_ip_allowlist";
    const SUMMARY: &'static str = "Set the networks from which an organization's members may call";
    const ROUTE: Route = Route::put("/v1/organizations/{tenant_id}/ip-allowlist");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal];
    const IF_MATCH: IfMatch = IfMatch::Required;
    const SAMPLE: Sample = Sample::body(r#"{"networks": ["192.0.2.0/24", "127.0.0.0/8", "2001:db8::/32"]}"#);
    type Input = (Path<TenantId>, Json<NewAllowlist>);
    type Output = OrganizationView;
}

impl PlatformEndpoint for PutIpAllowlist {
    const ACTION: Action = Action("setIpAllowlist");

    fn subject((Path(id), _): &Self::Input) -> Subject {
        Subject::Tenant(*id)
    }

    async fn handle(cx: &mut Platform<'_, Self>, (_, Json(new)): Self::Input) -> Result<OrganizationView> {
        let NewAllowlist { networks } = new;
        let is_member = cx.principal().tenant() == cx.tenant();
        if is_member && !networks.is_empty() && !networks.allows(cx.source_ip()) {
            let message = "the list would lock you out: it does not contain the address of this request";
            return Err(Error::invalid("networks", "would_lock_out", message));
        }
        let mut stored = work::read_to_change(cx).await?;
        cx.check_version(stored.version())?;
        let edit = stored.set_networks(networks)?;
        work::change(cx, edit, ["allowed_networks"]);
        let persons = work::persons(cx, stored.persons.as_ref()).await?;
        Ok(work::shown(cx, &stored, persons))
    }
}
