//! The current function, in a process that runs all of them: a test, or the local stack. There each call is signed by the role of
//! the function that makes it, as on AWS. A deployed function has its own process, whose credentials are its role's.

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};
use aws_smithy_runtime_api::client::{
    identity::{IdentityFuture, ResolveCachedIdentity, ResolveIdentity, SharedIdentityResolver},
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::config_bag::ConfigBag;
use std::{fmt::Debug, sync::Arc};

tokio::task_local! {
    static FUNCTION: &'static str;
}

/// Runs the work as the named function.
pub(crate) async fn as_function<T>(name: &'static str, work: impl Future<Output = T>) -> T {
    FUNCTION.scope(name, work).await
}

/// The current function; `None` outside all functions, where an operator's tool runs.
fn function() -> Option<&'static str> {
    FUNCTION.try_with(|name| *name).ok()
}

/// The AWS identities of the functions.
pub trait Roles: Debug + Send + Sync {
    /// The access key that signs a function's calls or, outside all functions, an operator's.
    fn access_key(&self, function: Option<&'static str>) -> String;
    /// The ARN of the role whose sessions see one tenant each, if the function has one.
    fn tenant_role(&self, function: Option<&'static str>) -> Option<String>;
}

/// The credentials of the current function.
#[derive(Clone, Debug)]
pub(crate) struct Acting(pub(crate) Arc<dyn Roles>);

impl Acting {
    pub(crate) fn tenant_role(&self) -> Option<String> {
        self.0.tenant_role(function())
    }
}

impl ProvideCredentials for Acting {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let key = self.0.access_key(function());
        future::ProvideCredentials::ready(Ok::<_, CredentialsError>(Credentials::new(key, "synthetic", None, None, "acting")))
    }
}

/// Selects the signing credentials at each call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EachCall;

impl ResolveCachedIdentity for EachCall {
    fn resolve_cached_identity<'a>(
        &'a self,
        resolver: SharedIdentityResolver,
        components: &'a RuntimeComponents,
        config: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        IdentityFuture::new(async move { resolver.resolve_identity(components, config).await })
    }
}
