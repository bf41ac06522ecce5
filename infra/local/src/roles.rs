//! Gives each function its own access key, with which the gate evaluates IAM for each of its calls. Calls of the stack itself,
//! such as the seed's, are not evaluated.

use emulators::iam::{ADMINISTRATOR, Gate, function_key};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Roles(pub(crate) Arc<Gate>);

impl common::aws::Roles for Roles {
    fn access_key(&self, function: Option<&'static str>) -> String {
        function.map_or_else(|| ADMINISTRATOR.to_owned(), function_key)
    }

    fn tenant_role(&self, function: Option<&'static str>) -> Option<String> {
        self.0.tenant_role_of(function?).map(str::to_owned)
    }
}
