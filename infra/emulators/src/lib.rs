//! AWS and UPS on one machine, without an account and without Docker.
//!
//! Four emulators:
//! - [`Dynamo`]: DynamoDB, linked in (dynoxide).
//! - [`Kms`]: KMS, our own, with real cryptography.
//! - [`MiniStack`]: everything else of AWS, a child process.
//! - [`Ups`]: UPS, our own; tests control its packages and faults.
//!
//! [`provision()`] then creates the resources that `template.yaml` declares. Everything listens on loopback only. Each emulator
//! runs on its own thread or process, so it outlives the async runtime that started it.

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

/// The Region of every emulated resource.
pub const REGION: &str = "us-east-1";

/// The account of every emulated resource. MiniStack uses the same.
pub const ACCOUNT: &str = "000000000000";
