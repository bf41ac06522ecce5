//! Tenants, members, sessions and credentials, as they are stored in the tables.

pub(crate) mod admin_count;
pub(crate) mod api_key;
pub(crate) mod invitation;
pub(crate) mod membership;
pub(crate) mod open_sessions;
pub(crate) mod pending_sign_in;
pub(crate) mod refresh_token;
pub(crate) mod second_factor;
pub(crate) mod session;
pub(crate) mod session_end;
pub(crate) mod sign_in_epoch;
pub(crate) mod tenant;
pub(crate) mod ticket;

pub use api_key::{ApiKeyId, ApiKeyText, KeyTerms, Malformed};
pub use membership::{MemberPii, Membership};
pub use open_sessions::OpenSession;
pub use pending_sign_in::{PendingSignIn, PoolSecret};
pub use refresh_token::RefreshToken;
pub use second_factor::{SecondFactor, Spent};
pub use session_end::{EndReason, SessionEnded};
pub use tenant::{BAA_WARNINGS, BaaTerm, Settings, Tenant, TenantStatus, name_claim, profile_key};
pub use ticket::Ticket;
