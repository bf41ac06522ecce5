//! Tells whether the caller may do certain actions now, and which policies decide.
//!
//! The endpoint does not read the resources in the questions, except for the department of a colleague whom the caller may see.
//! So an answer depends on the policies and does not show which resources exist.

use crate::work::{Myself, Person};
use common::{
    base::{Error, FieldError, Need, Result, UserId},
    policy::{Action, PermissionAnswer, PermissionQuestion, Resource},
    request::{Data, Endpoint, IdempotencyKey, Json, List, Operation, Permit, Route, Sample, Scope, input::FromJson},
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;

/// The largest number of questions in a request.
const MOST: usize = 100;
/// The largest length of a name or an id, in characters.
const LONGEST: usize = 200;

common::input! {
    /// The questions of the caller.
    pub struct Questions { required checks: Checks }
}

/// 1 to 100 questions.
#[derive(Debug)]
pub struct Checks(Vec<Check>);

common::input! {
    /// May the caller do this action on this resource?
    pub(crate) struct Check {
        /// Such as `updateShipment`.
        required action: Name,
        required resource: Thing,
    }
}

common::input! {
    /// The resource of the action.
    pub(crate) struct Thing {
        /// Such as `Shipment`.
        required r#type: Name,
        /// The id of the resource; that of a user's role is `<user id>/<role>`. Without it, any resource of the tenant that is
        /// assigned to nobody.
        optional id: Name,
    }
}

/// A name or an id.
#[derive(Debug, JsonSchema)]
#[schemars(inline)]
pub(crate) struct Name(#[schemars(length(max = LONGEST))] String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let fits = text.chars().count() <= LONGEST;
        if fits { Ok(Self(text)) } else { Err(serde::de::Error::custom("expected at most 200 characters")) }
    }
}

impl FromJson for Checks {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        let many = value.as_array().is_some_and(|checks| !(1..=MOST).contains(&checks.len()));
        if many {
            errors.push(FieldError::new(at, "invalid", "expected 1 to 100 questions"));
            return None;
        }
        List::from_json(value, at, errors).map(|List(checks)| Self(checks))
    }
}

impl JsonSchema for Checks {
    fn schema_name() -> Cow<'static, str> {
        "Checks".into()
    }
    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "array", "minItems": 1, "maxItems": MOST, "items": schemas.subschema_for::<Check>(),
        })
    }
}

/// One answer for each question, in the same order.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Answers {
    pub results: Vec<PermissionAnswer>,
}

#[derive(Debug)]
pub struct CheckPermissions;

impl Operation for CheckPermissions {
    const NAME: &'static str = "check_permissions";
    const SUMMARY: &'static str = "Check whether the caller may do certain actions, and by which policy";
    const ROUTE: Route = Route::post("/v1/permissions/check");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read];
    // The endpoint changes nothing, so a repeated request is evaluated again.
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Ignored;
    // A hundred questions, most of which need a read.
    const COST: u32 = 5;
    // A hundred questions of three names each, of 200 characters that JSON may write in twelve bytes.
    const BODY_LIMIT: usize = 1024 * 1024;
    const SAMPLE: Sample = Sample::body(
        r#"{"checks": [{"action": "createShipment", "resource": {"type": "Shipments"}}, {"action": "inviteUser", "resource": {"type": "Users"}}]}"#,
    );
    type Input = Json<Questions>;
    type Output = Answers;
}

impl Endpoint for CheckPermissions {
    const ACTION: Action = Action("checkPermissions");
    type Target = Myself;

    async fn target(scope: &Scope<'_, Self>, _: &Self::Input) -> Result<Myself> {
        Ok(Myself { user: scope.principal().user(), tenant: scope.tenant() })
    }

    async fn handle(cx: &mut Permit<'_, Self>, Json(Questions { checks: Checks(checks) }): Self::Input) -> Result<Answers> {
        let (mut results, mut unknown) = (Vec::with_capacity(checks.len()), Vec::new());
        for (i, Check { action: Name(action), resource: Thing { r#type: Name(kind), id } }) in checks.into_iter().enumerate() {
            let id = id.map(|Name(id)| id);
            let department = department(cx, &kind, id.as_deref()).await?;
            match cx.may(&PermissionQuestion { action, resource: kind, id, department })? {
                Some(answer) => results.push(answer),
                None => {
                    let message = "the action does not exist, or does not apply to this type of resource".to_owned();
                    unknown.push(FieldError::new(format!("checks.{i}.action"), "unknown_action", message));
                }
            }
        }
        if unknown.is_empty() { Ok(Answers { results }) } else { Err(Error::Invalid(unknown)) }
    }
}

/// The department of the user in a question. Policies only compare it with the caller's department, so the answer does not reveal
/// the department of a user who works elsewhere.
async fn department(cx: &Permit<'_, CheckPermissions>, kind: &str, id: Option<&str>) -> Result<Option<String>> {
    let asked = id.filter(|_| kind == Person::TYPE).and_then(|id| id.parse::<UserId>().ok());
    let Some(user) = asked.filter(|user| *user != cx.principal().user()) else { return Ok(None) };
    Ok(cx.member(user).await?.and_then(|member| member.department))
}
