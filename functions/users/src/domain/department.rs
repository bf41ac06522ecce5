//! Where in a tenant somebody works, in the tenant's own words.

/// A department's name. Names that are equal are the same department.
pub type Department = common::VisibleText<100>;
