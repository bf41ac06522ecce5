//! Where a process begins: Lambda's entry points, an operator's tools.

pub(crate) mod init;
pub mod lambda;
pub mod operator;
pub(crate) mod redrive;
pub mod scale;

pub use redrive::Dead;
