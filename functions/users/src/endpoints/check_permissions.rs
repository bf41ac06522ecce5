//! Says whether the caller may do certain things, as things stand, and which policies say so.
//!
//! Nothing that is asked about is read, but where a colleague works, as far as the caller may see that colleague. So an answer tells of
//! policies, and not of what exists.

use crate::work::{Myself, Person};
use common::{
    Action, Answer, AskedOfPolicy, Data, Endpoint, Error, FieldError, IdempotencyKey, Json, List, Need, Operation, Permit,
    Resource, Result, Route, Sample, Scope, UserId, input::FromJson,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;

/// How many questions one request may ask.
const MOST: usize = 100;
/// How long a name or an id may be, in characters.
const LONGEST: usize = 200;

common::input! {
    /// What the caller wants to know.
    pub struct Questions { required checks: Checks }
}

/// 1 to 100 questions.
#[derive(Debug)]
pub struct Checks(Vec<Check>);

common::input! {
    /// May I do this to that?
    pub(crate) struct Check {
        /// As `updateShipment`.
        required action: Name,
        required resource: Thing,
    }
}

common::input! {
    /// What it would be done to.
    pub(crate) struct Thing {
        /// As `Shipment`.
        required r#type: Name,
        /// Which one; a role of somebody's is `<user id>/<role>`. Without it, any of the tenant that is nobody's in particular.
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
    // It changes nothing: asked again, it is answered by what is so then.
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Ignored;
    // A hundred questions, and a read for most of them.
    const COST: u32 = 5;
    // A hundred questions of three names each, of 200 characters that JSON writes as twelve bytes.
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
