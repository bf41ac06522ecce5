//! Says whether the caller may do certain things, as things stand, and which policies say so.
//!
//! Nothing that is asked about is read, but where a colleague works, as far as the caller may see that colleague. So an answer tells of
//! policies, and not of what exists.

use crate::work::{Myself, Person};
use common::{
    Action, Answer, AskedOfPolicy, Data, Endpoint, Error, FieldError, Json, Need, Operation, Permit, Resource, Result, Route,
    Sample, Scope, UserId,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// How many questions one request may ask.
const MOST: usize = 100;
/// How long a name or an id may be, in bytes.
const LONGEST: usize = 200;

common::input! {
    /// What the caller wants to know.
    pub struct Questions { required checks: Checks }
}

/// 1 to 100 questions.
#[derive(Debug)]
pub struct Checks(Vec<Check>);

/// May I do this to that?
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Check {
    /// As `updateShipment`.
    pub action: String,
    pub resource: Thing,
}

/// What it would be done to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Thing {
    /// As `Shipment`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which one; a role of somebody's is `<user id>/<role>`. Without it, any of the tenant that is nobody's in particular.
    #[serde(default)]
    pub id: Option<String>,
}

impl<'de> Deserialize<'de> for Checks {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let checks = Vec::<Check>::deserialize(d)?;
        let short = |check: &Check| {
            let id = check.resource.id.as_deref().unwrap_or_default();
            [&check.action, &check.resource.kind, id].iter().all(|text| text.len() <= LONGEST)
        };
        if (1..=MOST).contains(&checks.len()) && checks.iter().all(short) {
            Ok(Self(checks))
        } else {
            Err(serde::de::Error::custom("expected 1 to 100 questions, of names and ids of at most 200 bytes"))
        }
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

/// An answer to each question, in their order.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Answers {
    pub results: Vec<Answer>,
}

#[derive(Debug)]
pub struct CheckPermissions;

impl Operation for CheckPermissions {
    const NAME: &'static str = "check_permissions";
    const SUMMARY: &'static str = "May I do this, and which policy says so";
    const ROUTE: Route = Route::post("/v1/permissions/check");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read];
    // A hundred questions, and a read for most of them.
    const COST: u32 = 5;
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
        for (i, Check { action, resource: Thing { kind, id } }) in checks.into_iter().enumerate() {
            let department = department(cx, &kind, id.as_deref()).await?;
            match cx.may(&AskedOfPolicy { action, resource: kind, id, department })? {
                Some(answer) => results.push(answer),
                None => {
                    let message = "there is no such action, or it is not done to such a thing".to_owned();
                    unknown.push(FieldError::new(format!("checks.{i}.action"), "unknown_action", message));
                }
            }
        }
        if unknown.is_empty() { Ok(Answers { results }) } else { Err(Error::Invalid(unknown)) }
    }
}

/// Where a user works whom the caller asks about. Policies compare it with where the caller works, and with nothing else: so of
/// somebody who works elsewhere it is not told, even by an answer.
async fn department(cx: &Permit<'_, CheckPermissions>, kind: &str, id: Option<&str>) -> Result<Option<String>> {
    let asked = id.filter(|_| kind == Person::TYPE).and_then(|id| id.parse::<UserId>().ok());
    let Some(user) = asked.filter(|user| *user != cx.principal().user()) else { return Ok(None) };
    Ok(cx.member(user).await?.and_then(|member| member.department))
}
