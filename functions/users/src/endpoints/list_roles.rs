//! Lists all roles.

use crate::{domain, work::Users};
use common::{
    base::{Need, Result, Role},
    policy::Action,
    request::{Data, Endpoint, Operation, Permit, Route, Sample, Scope},
};
use schemars::JsonSchema;
use serde::Serialize;

/// A role.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RoleView {
    pub role: Role,
    pub description: &'static str,
    /// The roles from which it inherits: it has all their permissions.
    pub inherits: &'static [Role],
    /// Whether a tenant can grant it to people.
    pub grantable: bool,
    /// Whether it always requires a second factor.
    pub mfa_always: bool,
    /// Whether it requires a second factor in this tenant.
    pub mfa_required: bool,
}

/// All roles.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RoleList {
    pub items: Vec<RoleView>,
}

#[derive(Debug)]
pub struct ListRoles;

impl Operation for ListRoles {
    const NAME: &'static str = "list_roles";
    const SUMMARY: &'static str = "List all roles";
    const ROUTE: Route = Route::get("/v1/roles");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read];
    const SAMPLE: Sample = Sample::NONE;
    type Input = ();
    type Output = RoleList;
}

impl Endpoint for ListRoles {
    const ACTION: Action = Action("listRoles");
    type Target = Users;

    async fn target(scope: &Scope<'_, Self>, (): &()) -> Result<Users> {
        Ok(Users(scope.tenant()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, (): ()) -> Result<RoleList> {
        let (_, tenant) = cx.own_membership().await?;
        let view = |role| {
            let mfa_always = wants_second_factor(role);
            RoleView {
                role,
                description: description(role),
                inherits: role.inherits(),
                grantable: domain::for_people(role),
                mfa_always,
                mfa_required: mfa_always || tenant.settings.mfa_roles.contains(&role),
            }
        };
        Ok(RoleList { items: Role::ALL.into_iter().map(view).collect() })
    }
}

/// The same rule as `guard.mfa`; a test compares them.
const fn wants_second_factor(role: Role) -> bool {
    matches!(role, Role::TenantAdmin | Role::Auditor | Role::SuperAdmin)
}

const fn description(role: Role) -> &'static str {
    match role {
        Role::SuperAdmin => "Runs the platform; sees no health information",
        Role::TenantAdmin => "Administers a tenant: its users, settings and keys; does everything that a marketer does",
        Role::Provider => "Treats patients; changes the shipments that are assigned to them",
        Role::Marketer => "Registers and manages shipments",
        Role::Analyst => "Reads de-identified figures",
        Role::Viewer => "Sees shipments, and changes nothing",
        Role::Auditor => "Reads the audit log and the list of users; sees no health information",
        Role::ApiUser => "A program with an API key",
    }
}
