//! Grants a user a role, for a term or permanently. It is valid from the user's next request on.

use crate::{
    domain::{self, NamedRole, Term, UserRolesChanged},
    view::UserView,
    work::{self, RoleGrant},
};
use common::{
    base::{Error, FieldError, Need, Result, Timestamp, UserId},
    capabilities::MemberChange,
    policy::Action,
    request::{Data, Endpoint, IfMatch, Json, Operation, Path, Permit, Route, Sample, Scope},
    store::Version,
};

common::input! {
    /// The term of the role. Permanent if absent.
    pub struct GrantTerm {
        optional valid_from: Timestamp,
        /// The time from which the role is no longer valid.
        optional valid_until: Timestamp,
    }
}

#[derive(Debug)]
pub struct GrantRole;

impl Operation for GrantRole {
    const NAME: &'static str = "grant_role";
    const SUMMARY: &'static str = "Grant a user a role, for a term or permanently";
    const ROUTE: Route = Route::put("/v1/users/{user_id}/roles/{role}");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::Sessions];
    const IF_MATCH: IfMatch = IfMatch::Optional;
    const SAMPLE: Sample = Sample::body(r#"{"valid_until": "2099-12-31T00:00:00Z"}"#);
    type Input = (Path<UserId>, Path<NamedRole>, Json<GrantTerm>);
    type Output = UserView;
}

impl Endpoint for GrantRole {
    const ACTION: Action = Action("grantRole");
    type Target = RoleGrant;

    async fn target(scope: &Scope<'_, Self>, (Path(user), Path(NamedRole(role)), _): &Self::Input) -> Result<RoleGrant> {
        RoleGrant::read(scope.reader(), *user, *role).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, (Path(user), Path(NamedRole(role)), Json(term)): Self::Input) -> Result<UserView> {
        cx.log("user.id", user);
        if !domain::for_people(role) {
            let message = "expected a role that a tenant can grant to people".to_owned();
            return Err(Error::Invalid(vec![FieldError::new("role", "not_for_people", message)]));
        }
        let member = &cx.target().member;
        cx.check_version(Version(member.version))?;
        let term = Term::new(term.valid_from, term.valid_until, cx.now())?;
        let Some(grants) = domain::granted(&member.grants, role, term) else { return work::shown(cx, member).await };
        let change = MemberChange { grants: Some(grants), ..MemberChange::default() };
        let member = work::change(cx, member, change, "grants", UserRolesChanged { user_id: user }).await?;
        work::shown(cx, &member).await
    }
}
