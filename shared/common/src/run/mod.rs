//! Where a process begins: Lambda's entry points, an operator's tools.

pub mod lambda;
pub mod operator;
pub mod scale;
