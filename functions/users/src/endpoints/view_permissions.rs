//! Shows the caller's permissions: one answer for each action, for their current roles.

use crate::work::Myself;
use common::{
    base::{Result, Role},
    policy::{Action, Permission},
    request::{Data, Endpoint, Operation, Permit, Route, Sample, Scope},
};
use schemars::JsonSchema;
use serde::Serialize;

/// The caller's permissions.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Permissions {
    /// The roles that are valid now. The answers include the permissions that they inherit.
    pub roles: Vec<Role>,
    pub items: Vec<Permission>,
}

#[derive(Debug)]
pub struct ViewPermissions;

impl Operation for ViewPermissions {
    const NAME: &'static str = "view_permissions";
    const SUMMARY: &'static str = "Show the caller's permissions";
    const ROUTE: Route = Route::get("/v1/permissions");
    const DATA: Data = Data::NoPhi;
    const SAMPLE: Sample = Sample::NONE;
    type Input = ();
    type Output = Permissions;
}

impl Endpoint for ViewPermissions {
    const ACTION: Action = Action("viewPermissions");
    type Target = Myself;

    async fn target(scope: &Scope<'_, Self>, (): &()) -> Result<Myself> {
        Ok(Myself { user: scope.principal().user(), tenant: scope.tenant() })
    }

    async fn handle(cx: &mut Permit<'_, Self>, (): ()) -> Result<Permissions> {
        Ok(Permissions { roles: cx.principal().roles().to_vec(), items: cx.permissions()? })
    }
}
