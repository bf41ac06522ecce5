//! The entry points of processes: Lambda functions and operators' tools.

pub(crate) mod init;
pub mod lambda;
pub mod operator;
pub(crate) mod redrive;
pub mod scale;

pub use redrive::Dead;
