//! AWS and UPS on one machine, with neither an account nor Docker.
//!
//! Four emulators, each for what it does faithfully:
//! - [`Dynamo`]: DynamoDB, linked in (dynoxide).
//! - [`Kms`]: KMS, a stand-in of our own with real cryptography.
//! - [`MiniStack`]: everything else of AWS, a child process.
//! - [`Ups`]: UPS, a stand-in of our own, which can be told what happens and what goes wrong.
//!
//! [`provision()`] then makes in them the resources that `template.yaml` declares. Everything listens on loopback only, and
//! each emulator runs on a thread or process of its own: it outlives the async runtime that started it.

pub mod apigateway;
mod clock;
mod dir_lock;
mod dynamo;
mod error;
mod forward;
mod http_client;
pub mod iam;
mod kms;
mod lag;
mod ministack;
mod provision;
mod server;
mod template;
pub mod ups;
mod venv;

pub use dir_lock::DirLock;
pub use dynamo::{Dynamo, Storage};
pub use error::Error;
pub use kms::{Keys, Kms};
pub use ministack::{MiniStack, Options as MiniStackOptions};
pub use provision::{Endpoints, Pipe, PipeTarget, Provisioned, Which, provision};
pub use template::{Overrides, Template, TemplateError};
pub use ups::{Options as UpsOptions, Ups};
pub use venv::Venv;

/// The region that every emulated resource is in.
pub const REGION: &str = "us-east-1";

/// The account that every emulated resource belongs to. It is the one MiniStack uses.
pub const ACCOUNT: &str = "000000000000";
