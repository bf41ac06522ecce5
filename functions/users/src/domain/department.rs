//! The department of a user, as the tenant names it.

/// A department's name. Equal names mean the same department.
pub type Department = common::base::VisibleText<100>;
