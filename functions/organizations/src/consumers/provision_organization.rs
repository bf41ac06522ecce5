//! Creates a new tenant's keys, activates the tenant, and invites its first administrator.
//!
//! The keys come first, in their own transaction, because the invitation is sealed under them. A second transaction then
//! activates the tenant and adds its first administrator as a member. After a crash in between, the tenant is pending and has
//! keys, and the message is delivered again.

use crate::{
    domain::{FirstAdmin, OrganizationActivated, OrganizationCreated},
    store::{self, Stored},
};
use common::{
    background::{Background, CONTENDED, Consumer, Delivery, Feed, Incoming, Queue},
    base::{Error, Grant, Need, Result, Role},
    capabilities::Invitation,
    identity::TenantStatus,
};

#[derive(Debug)]
pub struct ProvisionOrganization;

impl Background for ProvisionOrganization {
    const NAME: &'static str = "provision_organization";
    const SUMMARY: &'static str = "Create a new tenant's keys and invite its first administrator";
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::TenantKeys];
    const WAITS: bool = false;
    type Part = ();

    async fn handle(cx: &mut Delivery<'_, Self>, (): &()) -> Result<()> {
        cx.make_keys().await?;
        cx.changes().changed(["keys"]);
        Ok(())
    }

    async fn after(cx: &mut Delivery<'_, Self>, (): &()) -> Result<()> {
        let id = cx.tenant();
        let mut stored = Stored::read(cx.reader(), id).await?;
        if stored.tenant.status != TenantStatus::Pending {
            return Ok(());
        }
        let sealed = stored.first_admin.take().ok_or(Error::internal("no first administrator"))?;
        let FirstAdmin { email } = cx.open_platforms(&store::first_admins_place(id), &sealed).await?;
        let grants = vec![Grant::always(Role::TenantAdmin)];
        let member = cx.invite(Invitation { email, name: None, grants, department: None }).await?;
        cx.touched("Organization", id);
        cx.touched("User", member.user);
        let edit = stored.activate();
        let changes = cx.changes();
        changes.edit(edit, CONTENDED);
        changes.changed(["status"]);
        changes.emit(OrganizationActivated {}.into());
        Ok(())
    }
}

impl Consumer for ProvisionOrganization {
    const QUEUE: Queue = Queue::new("provision-organization", Feed::Events);
    type Message = OrganizationCreated;

    async fn parts(cx: &Incoming<'_, Self>, _: OrganizationCreated) -> Result<Vec<()>> {
        cx.about("Organization", cx.tenant());
        Ok(vec![()])
    }
}
