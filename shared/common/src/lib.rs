//! Everything a function needs and nothing a function may skip: the pipeline that every request goes through, with its
//! types; the tenant's keys; the unit of work; audit, idempotency, limits.
//!
//! Start at [`pipeline`](self) — `src/pipeline.rs` — and at [`Endpoint`].

mod acting;
mod api_key;
#[cfg(test)]
mod arbitrary;
mod audit;
mod audit_log;
pub mod authorizer;
mod aws;
mod background;
mod batch;
mod breaker;
mod budget;
mod cache;
mod carrier;
mod ceiling;
pub mod cognito;
mod commit;
mod config;
mod cursor;
mod db;
mod deps;
mod directory;
mod door;
mod endpoint;
mod error;
mod founding;
mod headers;
pub mod id;
mod idempotency;
pub mod input;
mod invitations;
mod issued;
mod keyring;
pub mod lambda;
mod last_admin;
mod limit;
mod mail;
mod members;
mod membership;
pub mod network;
mod objects;
pub mod operator;
mod outbox;
mod password_change;
mod pending;
mod permit;
mod pipeline;
pub mod policy;
mod principal;
mod public;
mod quotas;
pub mod random;
mod refresh;
mod request;
mod reset;
mod resilience;
mod roots;
pub mod scale;
mod scheme;
mod scope;
mod second_factor;
mod second_wall;
mod session;
mod session_end;
mod sockets;
mod stored;
mod story;
mod suppression;
mod table;
pub mod telemetry;
mod tenant;
mod ticket;
mod time;
pub mod token_generation;
mod under_way;
mod unit;
mod visible;
mod vitals;
mod webhook;

pub use acting::Roles;
pub use api_key::{ApiKeyId, ApiKeyText, KeyTerms, Malformed};
pub use audit_log::{
    AuditLog, AuditSealer, AuditSigner, Backlog, Begun, Direction, Finding, FindingPlace, LogHead, NewerNotes, OpenFinding, Put,
    SegmentEntry, StoredCheckpoint, Unsealed,
};
pub use aws::{Aws, https};
pub use background::{
    AnyConsumer, AnySchedule, Background, CONTENDED, Consumer, Dead, DeadLetter, Delivery, DueItem, Feed, Incoming, Part, Queue,
    Schedule, Tick, WakeUp,
};
pub use batch::{BatchItem, BatchOutput};
pub use budget::Budget;
pub use cache::CacheStats;
pub use carrier::{AskCarrier, Asked};
pub use ceiling::CEILING;
pub use config::{Config, ConfigError};
pub use db::Query as TableQuery;
pub use deps::Deps;
pub use directory::{Directory, TemporaryPassword};
pub use door::{Door, PerNetwork};
pub use endpoint::{
    AnyEndpoint, BatchEndpoint, Data, Endpoint, FUNCTION_TIMEOUT_SECS, IdempotencyKey, IfMatch, Kind, Method, Need, Operation,
    PlatformEndpoint, PublicEndpoint, Route, Sample, Subject,
};
pub use error::{AuthFailure, Cause, Error, FieldError, Problem, Refusal, Result};
pub use id::{EventId, SessionId, TenantId, UserId, Uuid};
pub use input::{Entries, Input, Json, Limit, List, PageSize, Patch, Path, PathId, Query};
pub use invitations::{Invitation, UserInvited};
pub use issued::Issued;
pub use keyring::{CACHED_FOR, TenantKeyMode};
pub use limit::RateLimit;
pub use mail::{Mail, Mailed, Place, Post, Turn, escaped};
pub use members::{MemberChange, OpenSession};
pub use membership::{MemberPii, Membership};
pub use objects::ObjectVersion;
pub use outbox::{AnyEvent, DomainEvent, Envelope, Event, Message, Outbox, Schema, Undecodable};
pub use pending::{PendingSignIn, PoolSecret};
pub use permit::{Batch, Permit, Platform};
pub use policy::{
    Action, Answer, Asked as AskedOfPolicy, Attribute, Organization, Permission, PlatformResource, Reach, Resource, Viewed,
};
pub use principal::{ApiScope, Grant, Identity, KeyBounds, Principal, Purpose, Role, SessionKind};
pub use public::{Leave, Public};
pub use quotas::{MOST_ITEM_BYTES, size as item_size};
pub use refresh::{Presented, RefreshToken};
pub use request::{BODY_LIMIT, EXPOSED_HEADERS};
pub use reset::Addressee;
pub use resilience::{CircuitState, ServiceState};
pub use scope::{FoundMember, Reader, Scope};
pub use second_factor::{SecondFactor, Spent};
pub use session_end::{EndReason, SessionEnded};
pub use sockets::{AnySocket, Caller, Pushed, Socket, SocketRoute};
pub use stored::{Kept, Listed, Stored};
pub use suppression::{MailKind, SuppressedBecause, Suppression};
pub use table::{Index, Item, Key, Row, Version};
pub use tenant::{BAA_WARNINGS, BaaTerm, Settings, Tenant, TenantStatus, name_claim, profile_key};
pub use ticket::Ticket;
pub use time::{Clock, SystemClock, Timestamp};
pub use unit::{Changes, Condition, Edit};
pub use visible::VisibleText;
pub use vitals::{GateState, Vitals};
pub use webhook::{CarrierToken, HINTED_AT, PushBody, TokenRequest, Watched};
