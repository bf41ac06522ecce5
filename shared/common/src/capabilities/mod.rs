//! The operations of permits and deliveries, one subject in each file.

pub(crate) mod api_keys;
pub(crate) mod audit_log;
pub(crate) mod carrier;
pub(crate) mod carrier_webhook;
pub(crate) mod directory;
pub(crate) mod health;
pub(crate) mod invitations;
pub(crate) mod mail;
pub(crate) mod mail_suppression;
pub(crate) mod members;
pub(crate) mod outbox;
pub(crate) mod password_change;
pub(crate) mod password_reset;
pub(crate) mod permissions;
pub(crate) mod refresh;
pub(crate) mod second_factor;
pub(crate) mod session_expiry;
pub(crate) mod socket_tickets;
pub(crate) mod tenant_keys;

pub use audit_log::{
    AuditLog, AuditSealer, AuditSigner, Backlog, Begun, Direction, Finding, FindingPlace, LogHead, NewerNotes, OpenFinding, Put,
    SegmentEntry, StoredCheckpoint, Unsealed,
};
pub use carrier::{AskCarrier, CarrierReply};
pub use carrier_webhook::{CarrierToken, HINTED_AT, PushBody, TokenRequest, Watched};
pub use directory::{Directory, TemporaryPassword};
pub use health::ProcessHealth;
pub use invitations::{Invitation, UserInvited};
pub use mail::{Mail, Mailed, Place, Post, Turn, escaped};
pub use mail_suppression::{MailKind, SuppressedBecause, Suppression};
pub use members::MemberChange;
pub use outbox::Outbox;
pub use password_reset::Addressee;
pub use refresh::Presented;
