use crate::api_keys::{ApiKeyView, ApiKeys, IssuedKey, Stored};
use common::{
    base::{ApiScope, Error, FieldError, KeyBounds, Need, Purpose, Result, Timestamp, VisibleText, network::AllowList},
    identity::{ApiKeyId, KeyTerms},
    policy::Action,
    request::{Data, Endpoint, IdempotencyKey, Issued, Json, Operation, Permit, Route, Sample, Scope},
    store::Version,
};
use std::time::Duration;

common::input! {
    /// The terms of a new key.
    pub struct NewApiKey {
        /// The key's purpose in 1 to 80 characters, for its administrators.
        required name: VisibleText<80>,
        #[schemars(length(min = 1))]
        required scopes: Vec<ApiScope>,
        /// The purposes of use that its requests may state. A key without a purpose gets no health information.
        #[schemars(extend("items" = { "type": "string", "enum": Purpose::USABLE }))]
        required purposes: Vec<Purpose>,
        /// The networks from which its requests may come; if absent, any.
        optional networks: AllowList,
        /// At most a year from now; if absent, ninety days.
        optional expires_at: Timestamp,
    }
}

const SHORTEST: Duration = Duration::from_secs(60 * 60);
const USUAL: Duration = Duration::from_secs(90 * 24 * 60 * 60);
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

impl NewApiKey {
    fn terms(self, now: Timestamp) -> Result<(String, KeyTerms)> {
        let mut errors = Vec::new();
        let mut wrong = |field: &str, message: &str| errors.push(FieldError::new(field, "invalid", message));
        let (mut scopes, mut purposes) = (self.scopes, self.purposes);
        scopes.sort_unstable();
        scopes.dedup();
        purposes.sort_unstable();
        purposes.dedup();
        if scopes.is_empty() {
            wrong("scopes", "a key needs at least one scope");
        }
        let expires_at = self.expires_at.unwrap_or(now.plus(USUAL));
        if expires_at < now.plus(SHORTEST) || expires_at > now.plus(LONGEST) {
            wrong("expires_at", "expected a time between an hour and a year from now");
        }
        if !errors.is_empty() {
            return Err(Error::Invalid(errors));
        }
        let bounds = KeyBounds { scopes, purposes, networks: self.networks.unwrap_or_default() };
        Ok((self.name.into_inner(), KeyTerms { bounds: bounds.into(), expires_at }))
    }
}

/// Creates an API key. The answer contains its text, which is stored nowhere.
#[derive(Debug)]
pub struct CreateApiKey;

impl Operation for CreateApiKey {
    const NAME: &'static str = "create_api_key";
    const SUMMARY: &'static str = "Create an API key, which is shown once";
    const ROUTE: Route = Route::post("/v1/api-keys");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Sessions];
    const STATUS: u16 = 201;
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Required;
    const ISSUED_AGAIN: Option<&'static str> = Some(
        "the key's text was shown once and is not stored: list the keys, and rotate this one (`POST /v1/api-keys/{key_id}/rotate`)",
    );
    const SAMPLE: Sample = Sample::body(r#"{"name":"Warehouse","scopes":["shipments.read"],"purposes":["TREAT"]}"#);
    type Input = Json<NewApiKey>;
    type Output = IssuedKey;
}

impl Endpoint for CreateApiKey {
    const ACTION: Action = Action("createApiKey");
    type Target = ApiKeys;

    async fn target(scope: &Scope<'_, Self>, _: &Self::Input) -> Result<ApiKeys> {
        Ok(ApiKeys(scope.tenant()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, Json(new): Self::Input) -> Result<IssuedKey> {
        let now = cx.now();
        let (name, terms) = new.terms(now)?;
        let key = ApiKeyId::new(now);
        cx.found_api_key(key);
        let (text, session) = cx.issue_api_key(key, terms.clone())?;
        let (tenant, created_by) = (cx.tenant(), cx.principal().user());
        let (hint, version) = (text.hint(), Version::FIRST);
        let (previous, revoked_at) = (None, None);
        let stored =
            Stored { tenant, key, name, hint, terms, session, previous, created_by, created_at: now, revoked_at, version };
        cx.changes().create(stored.item(), Error::internal("api key exists"));
        cx.changes().changed(["api_key"]);
        cx.touched("ApiKey", key);
        cx.etag(version);
        Ok(IssuedKey { api_key: Issued::new(text.to_text()), key: ApiKeyView::of(stored, &[], now) })
    }
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{authorizer, endpoint};
    use common::{
        base::{Clock, Identity, Role},
        request::AnyEndpoint,
    };
    use serde_json::{Value, json};
    use std::time::Duration;
    use testing::{Answer, App, Client, Tenant};

    fn admin(app: &App, tenant: Tenant) -> Client<'_> {
        app.as_role(tenant, Role::TenantAdmin)
    }

    async fn create(app: &App, tenant: Tenant, body: Value) -> Answer {
        let session = app.open_session(tenant, Role::TenantAdmin).await;
        app.as_identity(session).call(endpoint("create_api_key")).json(body).await
    }

    fn body() -> Value {
        json!({"name": "Warehouse", "scopes": ["audit.read"], "purposes": ["TREAT"], "networks": ["192.0.2.0/24"]})
    }

    /// The caller identity that the authorizer derives from a key.
    async fn identity(app: &App, key: &str) -> Option<Identity> {
        let allowed = app.authorize(&authorizer(app), &format!("Bearer {key}")).await.ok()?;
        let text = |name: &str| allowed.context[name].as_str().unwrap().to_owned();
        Some(Identity {
            tenant: text("tenant_id").parse().unwrap(),
            user: text("user_id").parse().unwrap(),
            session: text("session_id").parse().unwrap(),
            expires_at: common::base::Timestamp::from_millis(text("exp").parse::<i64>().unwrap() * 1000),
        })
    }

    /// An endpoint that a key may call; its answer does not matter here.
    fn scoped() -> AnyEndpoint {
        *testing::find(crate::endpoints::ALL, "list_api_keys")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn api_key_is_shown_once_stored_hashed_and_valid_for_its_tenant_only() {
        let app = App::with_cognito().await;
        let made = create(&app, Tenant::Acme, body()).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let key = made.json["api_key"].as_str().unwrap();
        let mut all = serde_json::to_string(&app.log_lines()).unwrap();
        all += &serde_json::to_string(&app.audit(Tenant::Acme).await).unwrap();
        for table in ["RecordsTable", "LedgerTable", "EphemeraTable"] {
            all += &format!("{:?}", app.dump(table).await);
        }
        assert!(!all.contains(key) && !all.contains(&key[9..40]), "the key's text is stored nowhere");
        let list = admin(&app, Tenant::Acme).call(endpoint("list_api_keys")).await;
        assert_eq!((list.json["items"].as_array().unwrap().len(), &list.json["items"][0]["last_used_at"]), (1, &Value::Null));
        assert!(list.json["items"][0].get("api_key").is_none() && key.ends_with(list.json["items"][0]["hint"].as_str().unwrap()));
        assert_eq!(admin(&app, Tenant::Birch).call(endpoint("list_api_keys")).await.json["items"], json!([]));

        let who = identity(&app, key).await.unwrap();
        assert_eq!(who.tenant, app.tenant_id(Tenant::Acme));
        // A key is refused before the policy is evaluated, if the schema declares the action for users only.
        let refused = app.as_identity(who.clone()).call(&scoped()).await;
        assert_eq!((refused.status, refused.code()), (403, "forbidden"));
        let event = app.audit(Tenant::Acme).await.into_iter().rfind(|e| e["type"] == "api.list_api_keys").unwrap();
        assert_eq!(json!([event["actor"]["type"], event["actor"]["id"]]), json!(["api_key", made.json["key_id"]]));
        assert_eq!(event["policy"]["ids"], json!([]));
        app.clock().advance(std::time::Duration::from_secs(60));
        app.as_identity(who).call(&scoped()).from_ip("198.51.100.1").await;
        let last = app.clock().now();
        let used = admin(&app, Tenant::Acme).call(endpoint("list_api_keys")).await;
        assert_eq!(used.json["items"][0]["last_used_at"], json!(last));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn invalid_api_key_is_refused_and_counted() {
        let app = App::with_cognito().await;
        let made = create(&app, Tenant::Acme, body()).await;
        let key = made.json["api_key"].as_str().unwrap().to_owned();
        let swapped = format!("{}{}", &key[..79], if key.ends_with('0') { '1' } else { '0' });
        let other = common::identity::ApiKeyText::parse(&key).map(|_| key.replacen("clo_live_", "clo_test_", 1)).unwrap();
        for wrong in [&swapped, &other, &key[..79].to_owned(), &format!("{key}0")] {
            assert!(identity(&app, wrong).await.is_none(), "{wrong}");
        }
        let events = app.platform_audit().await;
        assert!(events.iter().any(|e| e["type"] == "api.authorizer" && e["reason"] == "invalid_api_key"), "{events:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rotated_key_overlaps_and_revoked_key_stops_at_its_next_request() {
        let app = App::with_cognito().await;
        let made = create(&app, Tenant::Acme, body()).await;
        let old = made.json["api_key"].as_str().unwrap().to_owned();
        let id = made.json["key_id"].as_str().unwrap().to_owned();
        let call = |name: &str, tenant| admin(&app, tenant).call(endpoint(name)).path("key_id", &id);
        let stranger = call("rotate_api_key", Tenant::Birch).json(json!({})).await;
        assert_eq!(stranger.status, 404, "{}", stranger.text);
        let rotated = call("rotate_api_key", Tenant::Acme).json(json!({"overlap_hours": 2})).await;
        assert_eq!(rotated.status, 200, "{}", rotated.text);
        let new = rotated.json["api_key"].as_str().unwrap().to_owned();
        assert_ne!(old, new);
        let works = async |key: &str| {
            let who = identity(&app, key).await.unwrap();
            app.as_identity(who).call(&scoped()).await.status
        };
        // 403 means a valid key without the scope; 401 an invalid key.
        assert_eq!([works(&old).await, works(&new).await], [403, 403]);
        app.clock().advance(Duration::from_secs(2 * 3600));
        assert_eq!([works(&old).await, works(&new).await], [401, 403]);

        let stranger = admin(&app, Tenant::Birch).call(endpoint("revoke_api_key")).path("key_id", &id).await;
        assert_eq!(stranger.status, 401, "that session has expired: {}", stranger.text);
        let session = app.open_session(Tenant::Acme, Role::TenantAdmin).await;
        let revoked = app.as_identity(session.clone()).call(endpoint("revoke_api_key")).path("key_id", &id).await;
        assert_eq!(revoked.status, 204, "{}", revoked.text);
        assert_eq!(works(&new).await, 401);
        let again = app.as_identity(session).call(endpoint("revoke_api_key")).path("key_id", &id).await;
        assert_eq!(again.status, 409, "{}", again.text);
    }

    #[tokio::test]
    async fn invalid_key_terms_are_reported_and_creation_needs_step_up() {
        let app = App::start().await;
        let now = app.clock().now();
        for (field, wrong) in [
            ("name", json!({"name": " ", "scopes": ["audit.read"], "purposes": []})),
            ("scopes", json!({"name": "a", "scopes": [], "purposes": []})),
            ("scopes.0", json!({"name": "a", "scopes": ["everything"], "purposes": []})),
            ("purposes.0", json!({"name": "a", "scopes": ["audit.read"], "purposes": ["ETREAT"]})),
            ("networks.0", json!({"name": "a", "scopes": ["audit.read"], "purposes": [], "networks": ["10.0.0.1/8"]})),
            ("expires_at", json!({"name": "a", "scopes": ["audit.read"], "purposes": [], "expires_at": now.to_string()})),
        ] {
            let refused = create(&app, Tenant::Acme, wrong).await;
            assert_eq!(refused.status, 422, "{field}: {}", refused.text);
            assert_eq!(refused.json["errors"][0]["field"], field, "{}", refused.text);
        }
        let session = app.open_session(Tenant::Acme, Role::TenantAdmin).await;
        app.clock().advance(Duration::from_secs(601));
        let late = app.as_identity(session).call(endpoint("create_api_key")).json(body()).await;
        assert_eq!((late.status, late.code()), (403, "step_up_required"));
    }
}
