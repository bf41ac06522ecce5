//! Creating, rotating and revoking API keys.

use crate::{
    base::{Error, Grant, Result, Role, SessionId, SessionKind, TenantId, Timestamp, Uuid, need::needs, random},
    identity::{
        ApiKeyId, ApiKeyText, EndReason, KeyTerms, membership,
        session::{self, Session},
        session_end,
    },
    request::{Endpoint, Permit},
    store::{
        changes::{Condition, Edit, Ending, Op},
        item::{Item, Table},
    },
};

impl<E: Endpoint> Permit<'_, E> {
    /// Creates the member as which a new key acts.
    pub fn found_api_key(&mut self, id: ApiKeyId) {
        let item = Item::new(membership::key(id.user())).text("status", membership::status(true, false)).number("version", 1);
        self.changes().put(Table::Records, item, Condition::Absent, Error::internal("api key exists"));
    }

    /// Creates a secret of a key: its text, which is stored nowhere, and its session.
    ///
    /// # Errors
    /// Internal if the session cannot be serialised.
    pub fn issue_api_key(&mut self, id: ApiKeyId, terms: KeyTerms) -> Result<(ApiKeyText, SessionId)> {
        needs!(E, Sessions);
        let (tenant, now) = (self.tenant(), self.now());
        let text = ApiKeyText::new(id);
        let session = SessionId::from_uuid(Uuid::from_bytes(random::bytes()));
        let item = Session {
            user: id.user(),
            session,
            kind: SessionKind::ApiKey,
            grants: vec![Grant::always(Role::ApiUser)].into(),
            membership_version: 1,
            department: None,
            mfa_enrolled: false,
            mfa_at: None,
            bounds: Some(terms.bounds),
            ip: String::new(),
            user_agent: String::new(),
            created_at: now,
            expires_at: terms.expires_at,
            look_at: terms.expires_at,
        };
        self.changes().put(Table::Ephemera, item.into_item(), Condition::Absent, Error::internal("session exists"));
        let secret = Item::new(text.key())
            .text("tenant_id", tenant)
            .text("session_id", session)
            .number("ends_at", terms.expires_at.as_millis());
        self.effects.elsewhere(TenantId::PLATFORM).create(secret, Error::internal("secret exists"));
        Ok((text, session))
    }

    /// Ends a secret of a key at `at`, which may be now.
    pub fn end_api_key_secret(&mut self, id: ApiKeyId, session: SessionId, at: Timestamp) {
        needs!(E, Sessions);
        let changed = Error::conflict("changed", "the key has just been changed by somebody else");
        if at <= self.now() {
            self.changes().end_session(Ending::of(id.user(), session, EndReason::KeyRotated), changed);
            return;
        }
        let edit = Edit::of(session::key(id.user(), session)).number("ends_at", at.as_millis()).due(session_end::LIST, at);
        self.changes().ops.push((Op::Edit { table: Table::Ephemera, edit }, changed));
    }

    /// Revokes a key: its member, and all of its secrets, from their next request on.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn revoke_api_key(&mut self, id: ApiKeyId) -> Result<()> {
        let user = id.user();
        let edit = Edit::of(membership::key(user)).text("status", membership::status(false, false)).add("version", 1);
        self.changes().edit(edit, Error::NotFound);
        for session in self.sessions(user).await? {
            self.changes().end_session(Ending::of(user, session.session, EndReason::KeyRevoked), Error::NotFound);
        }
        Ok(())
    }
}
