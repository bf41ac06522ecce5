//! Says what the caller may do: action by action, by their roles and now.

use crate::work::Myself;
use common::{Action, Data, Endpoint, Operation, Permission, Permit, Result, Role, Route, Sample, Scope};
use schemars::JsonSchema;
use serde::Serialize;

/// What the caller may do.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Permissions {
    /// The roles that hold now. What they inherit is in the answers.
    pub roles: Vec<Role>,
    pub items: Vec<Permission>,
}

#[derive(Debug)]
pub struct ViewPermissions;

impl Operation for ViewPermissions {
    const NAME: &'static str = "view_permissions";
    const SUMMARY: &'static str = "What may I do";
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
