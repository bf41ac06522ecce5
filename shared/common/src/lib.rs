//! Everything a function needs and nothing a function may skip: the pipeline that every request goes through, with its
//! types; the tenant's keys; the unit of work; audit, idempotency, limits.
//!
//! Start at [`pipeline`](self) — `src/pipeline.rs` — and at [`Endpoint`].

#[cfg(test)]
mod arbitrary;

pub mod audit;
pub mod aws;
pub mod background;
pub mod base;
pub mod capabilities;
pub mod identity;
pub mod policy;
pub mod request;
pub mod run;
pub mod store;

pub use run::lambda;

// Until every caller names the room.
pub use aws::{Aws, CircuitState, ObjectVersion, Roles, ServiceState, cognito, https};
pub use background::{
    AnyConsumer, AnySchedule, AnySocket, Background, CONTENDED, Caller, Consumer, DeadLetter, Delivery, DueItem, Feed, Incoming,
    Part, Pushed, Queue, Schedule, Socket, Tick, WakeUp,
};
pub use base::{
    ApiScope, AuthFailure, Budget, CacheStats, Cause, Clock, Config, ConfigError, Error, EventId, FieldError, Grant, Identity,
    Kept, KeyBounds, Listed, Need, Principal, Problem, Purpose, Refusal, Result, Role, SessionId, SessionKind, Stored,
    SystemClock, TenantId, TenantKeyMode, Timestamp, UserId, Uuid, VisibleText, id, network, random, telemetry,
};
pub use capabilities::{
    Addressee, AskCarrier, Asked, AuditLog, AuditSealer, AuditSigner, Backlog, Begun, CarrierToken, Direction, Directory,
    Finding, FindingPlace, HINTED_AT, Invitation, LogHead, Mail, MailKind, Mailed, MemberChange, NewerNotes, OpenFinding, Outbox,
    Place, Post, Presented, PushBody, Put, SegmentEntry, StoredCheckpoint, SuppressedBecause, Suppression, TemporaryPassword,
    TokenRequest, Turn, Unsealed, UserInvited, Vitals, Watched, escaped,
};
pub use identity::{
    ApiKeyId, ApiKeyText, BAA_WARNINGS, BaaTerm, EndReason, KeyTerms, Malformed, MemberPii, Membership, OpenSession,
    PendingSignIn, PoolSecret, RefreshToken, SecondFactor, SessionEnded, Settings, Spent, Tenant, TenantStatus, Ticket,
    name_claim, profile_key,
};
pub use policy::{Action, Answer, AskedOfPolicy, Attribute, Organization, Permission, PlatformResource, Reach, Resource, Viewed};
pub use request::{
    AnyEndpoint, BODY_LIMIT, Batch, BatchEndpoint, BatchItem, BatchOutput, Data, Deps, Door, EXPOSED_HEADERS, Endpoint, Entries,
    FUNCTION_TIMEOUT_SECS, FoundMember, IdempotencyKey, IfMatch, Input, Issued, Json, Kind, Leave, Limit, List, Method,
    Operation, PageSize, Patch, Path, PathId, PerNetwork, Permit, Platform, PlatformEndpoint, Public, PublicEndpoint, Query,
    Reader, Route, Sample, Scope, SocketRoute, Subject, authorizer, input, token_generation,
};
pub use run::{Dead, operator, scale};
pub use store::{
    AnyEvent, CACHED_FOR, CEILING, Changes, Condition, DomainEvent, Edit, Envelope, Event, GateState, Index, Item, Key,
    MOST_ITEM_BYTES, Message, RateLimit, Row, Schema, TableQuery, Undecodable, Version, item_size,
};
