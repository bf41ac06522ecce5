//! The platform on one machine. Every function runs in this process, behind a gateway that sends it API Gateway's events. Pipes,
//! queues and schedules run in the background, over emulators of AWS.
//!
//! Handlers get the same events and settings as on AWS. It listens on loopback only, and contains only synthetic data.

mod background;
mod calls;
mod carrier;
pub mod client;
mod digests;
mod error;
mod gateway;
mod handover;
mod ledger;
mod live;
mod mailbox;
mod operators;
mod pipes;
mod roles;
mod seed;
mod sign_in;
mod socket_client;
mod sockets;
mod stack;

pub use carrier::{Account, Carrier};
pub use error::Error;
pub use handover::Handover;
pub use ledger::{AuditLog, Seen};
pub use live::{Kind, Observer, Ran, Served};
pub use seed::{PLATFORM, TENANTS, User, join};
pub use sign_in::sign_in;
pub use socket_client::{NoSocket, Socket, SocketInput};
pub use stack::{Data, Options, Stack};
