//! The needs that a function declares, beyond those that every function has.

/// A capability that an endpoint's role has beyond those of every endpoint. Every endpoint may touch its session, read its
/// tenant's profile and write an audit event. `template.yaml`'s IAM statements are generated from the declared needs. A handler
/// that uses an undeclared need does not compile:
/// ```
/// # use common::{base::{Need, Result}, policy::{Action, PlatformResource}, request::{AnyEndpoint, Data, Endpoint, Operation, Permit, Route, Sample, Scope}};
/// struct Writes;
/// impl Operation for Writes {
///     const NEEDS: &'static [Need] = &[Need::Write];
/// #   const NAME: &'static str = "writes";
/// #   const SUMMARY: &'static str = "Writes";
/// #   const ROUTE: Route = Route::post("/v1/writes");
/// #   const DATA: Data = Data::NoPhi;
/// #   const SAMPLE: Sample = Sample::NONE;
/// #   type Input = ();
/// #   type Output = ();
///     // …
/// }
/// impl Endpoint for Writes {
/// #   const ACTION: Action = Action("write");
/// #   type Target = PlatformResource;
/// #   async fn target(scope: &Scope<'_, Self>, (): &()) -> Result<PlatformResource> {
/// #       Ok(scope.platform())
/// #   }
///     async fn handle(cx: &mut Permit<'_, Self>, (): ()) -> Result<()> {
///         cx.changes();
///         Ok(())
///     }
///     // …
/// }
/// # static WRITES: AnyEndpoint = AnyEndpoint::tenant::<Writes>("doc", "Writes");
/// # fn main() {
/// #   println!("{:?}", WRITES);
/// # }
/// ```
/// ```compile_fail,E0080
/// # use common::{base::{Need, Result}, policy::{Action, PlatformResource}, request::{AnyEndpoint, Data, Endpoint, Operation, Permit, Route, Sample, Scope}};
/// # struct Writes;
/// # impl Operation for Writes {
/// const NEEDS: &'static [Need] = &[Need::Read];
/// #   const NAME: &'static str = "writes";
/// #   const SUMMARY: &'static str = "Writes";
/// #   const ROUTE: Route = Route::post("/v1/writes");
/// #   const DATA: Data = Data::NoPhi;
/// #   const SAMPLE: Sample = Sample::NONE;
/// #   type Input = ();
/// #   type Output = ();
/// # }
/// # impl Endpoint for Writes {
/// #   const ACTION: Action = Action("write");
/// #   type Target = PlatformResource;
/// #   async fn target(scope: &Scope<'_, Self>, (): &()) -> Result<PlatformResource> {
/// #       Ok(scope.platform())
/// #   }
/// #   async fn handle(cx: &mut Permit<'_, Self>, (): ()) -> Result<()> {
/// #       cx.changes();
/// #       Ok(())
/// #   }
/// # }
/// # static WRITES: AnyEndpoint = AnyEndpoint::tenant::<Writes>("doc", "Writes");
/// # fn main() {
/// #   println!("{:?}", WRITES);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// Read business items.
    Read,
    /// Change business items. Includes reading them.
    Write,
    /// Unwrap the tenant's branch key, to seal and open.
    Seal,
    /// Unwrap the tenant's search key, for search tokens and cursors.
    Search,
    /// Start, refresh and end sessions.
    Sessions,
    /// Verify the codes of a user's second factor.
    SecondFactor,
    /// Call Cognito with a password or a refresh token.
    SignIn,
    /// Keep Cognito, the directory of users and the claims to e-mails in line with memberships.
    Directory,
    /// Set passwords in Cognito, and find accounts by their e-mail's token.
    Passwords,
    /// List the tenants and their due items.
    Tenants,
    /// Put messages into our own queues.
    Enqueue,
    /// Call the carrier: its secret, the token, and the circuit breaker that all functions share.
    Carrier,
    /// Send mail, limited by the circuit breaker that all functions share.
    Mail,
    /// Send to open sockets, and close them.
    Push,
    /// Seal the audit log: unsealed events, segments, heads.
    SealLog,
    /// Read the sealed audit log.
    ReadLog,
    /// Sign the audit log's checkpoints.
    SignLog,
    /// Delete events from the outbox, or let the stream emit them again.
    Outbox,
    /// Read the state of the circuit breakers that all functions share.
    Breakers,
    /// Create a tenant's keys.
    TenantKeys,
    /// Put messages that waited for a stopped tenant back into their queues.
    Waiting,
}

/// Fails the build of a function that calls the enclosing method and does not declare its needs: `needs!(E, Write, Sessions);`.
macro_rules! needs {
    ($Function:ident, $($need:ident),+) => {
        const {
            $(assert!(
                $crate::base::need::declares($Function::NEEDS, $crate::base::Need::$need),
                concat!("this function uses `Need::", stringify!($need), "`: add it to NEEDS")
            );)+
        }
    };
}
pub(crate) use needs;

/// Whether `needs` includes `wanted`. `Write` includes `Read`.
pub(crate) const fn declares(needs: &[Need], wanted: Need) -> bool {
    let mut i = 0;
    while i < needs.len() {
        let same = needs[i] as u8 == wanted as u8;
        let includes = matches!((needs[i], wanted), (Need::Write, Need::Read));
        if same || includes {
            return true;
        }
        i += 1;
    }
    false
}
