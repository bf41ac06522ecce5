//! Background work: the code that queues and schedules run. It has a pipeline like a request's: one tenant's scope, the handler,
//! ONE transaction with the change, its audit event and its domain events. Because a queue delivers each message at least once,
//! the transaction also contains a record that the message was handled.
//!
//! | Kind | Started by | Deduplicated by |
//! |---|---|---|
//! | [`Consumer`] | a queue's messages | the message's id and the part's name, in the transaction of the effect |
//! | [`Schedule`] | the clock | the state that it reads: due work is no longer due afterwards |

pub(crate) mod dead_letter;
mod delivery;
mod message;
pub(crate) mod queue;
mod round;
mod run;
pub(crate) mod sockets;
mod waiting;

pub use dead_letter::DeadLetter;
pub use delivery::{Delivery, DueItem, Incoming, JobScope, Tick};
pub(crate) use delivery::{JobContext, TENANTS_AT_ONCE};
pub use message::WakeUp;
pub use queue::{Feed, Queue};
pub(crate) use run::{IN_FLIGHT, consume, tick};
pub use sockets::{AnySocket, Caller, Pushed, Socket};

use crate::{
    aws::acting::as_function,
    base::{Error, Need, Result, TenantId, Timestamp},
    request::Deps,
    store::{Message, Schema},
};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use std::{future::Future, pin::Pin};

/// The error of an operation whose condition requires that nothing has changed since a read. The part's work is repeated at once,
/// with the current data.
pub const CONTENDED: Error = Error::Contended;

/// The parts of a message's work: each part has its own transaction and deduplication.
pub trait Part: Send + Sync {
    /// Distinguishes the part from the others of the same message, and is the same at each delivery. An id, or empty.
    fn name(&self) -> String;
}

/// The whole message, if it has no parts.
impl Part for () {
    fn name(&self) -> String {
        String::new()
    }
}

/// The declarations of consumers and schedules, and their work in one tenant.
pub trait Background: Sized + Send + Sync + 'static {
    /// The binary, the function in the template and the name in the audit log, such as `deliver_notification`.
    const NAME: &'static str;
    /// One line for readers of the template.
    const SUMMARY: &'static str;
    const NEEDS: &'static [Need] = &[];
    /// The time limit of one run; a queue hides its messages for six times as long.
    const TIMEOUT_SECS: u16 = 30;
    /// Whether it waits while its tenant is suspended or archived: messages are stored, and schedules skip the tenant. Work that
    /// keeps the platform itself in order does not wait.
    const WAITS: bool = true;
    type Part: Part;

    /// The work of one part. Its [`Delivery::changes`] are committed once, with their event and records. If the part was handled
    /// before, nothing is committed.
    fn handle(cx: &mut Delivery<'_, Self>, part: &Self::Part) -> impl Future<Output = Result<()>> + Send;

    /// Effects that cannot be in a transaction, such as sending. It runs after the commit, and again at each redelivery, with its
    /// own unit of work: so it reads what is recorded as sent, sends the rest, and records that.
    fn after(cx: &mut Delivery<'_, Self>, part: &Self::Part) -> impl Future<Output = Result<()>> + Send {
        let _ = (cx, part);
        async { Ok(()) }
    }
}

/// Work that is started by a queue's messages.
pub trait Consumer: Background {
    const QUEUE: Queue;
    type Message: Message;

    /// The parts of a message. It only reads.
    fn parts(cx: &Incoming<'_, Self>, message: Self::Message) -> impl Future<Output = Result<Vec<Self::Part>>> + Send;
}

/// Work that is started by the clock.
pub trait Schedule: Background {
    const EVERY_MINUTES: u32;
    /// Whether its work opens health information. Then a tenant without a business associate agreement in force is skipped.
    const UNDER_AGREEMENT: bool = false;

    /// The number of tenants in a slice, if it goes through the tenants in rounds that runs share, because all of them may take
    /// longer than the time until the next run.
    const IN_ROUNDS_OF: Option<usize> = None;

    /// The work that is due now, by tenant.
    fn due(cx: &Tick<'_, Self>) -> impl Future<Output = Result<Vec<(TenantId, Self::Part)>>> + Send;
}

type Consume = for<'a> fn(&'a Deps, SqsEvent, Option<Timestamp>) -> Pin<Box<dyn Future<Output = SqsBatchResponse> + Send + 'a>>;
type Run = for<'a> fn(&'a Deps, Option<Timestamp>) -> Pin<Box<dyn Future<Output = Result<usize>> + Send + 'a>>;

/// A consumer with its type erased, for lists.
#[derive(Clone, Copy, Debug)]
pub struct AnyConsumer {
    pub domain: &'static str,
    pub type_name: &'static str,
    pub name: &'static str,
    pub summary: &'static str,
    pub needs: &'static [Need],
    pub timeout_secs: u16,
    pub queue: Queue,
    /// Whether messages of a stopped tenant are stored until it is active.
    pub waits: bool,
    /// The schemas that it consumes.
    pub schemas: &'static [Schema],
    consume: Consume,
}

impl AnyConsumer {
    #[doc(hidden)]
    pub const fn of<C: Consumer>(domain: &'static str, type_name: &'static str) -> Self {
        Self {
            domain,
            type_name,
            name: C::NAME,
            summary: C::SUMMARY,
            needs: C::NEEDS,
            timeout_secs: C::TIMEOUT_SECS,
            queue: C::QUEUE,
            waits: C::WAITS,
            schemas: <C::Message as Message>::SCHEMAS,
            consume: |deps, event, deadline| Box::pin(consume::<C>(deps, event, deadline)),
        }
    }

    /// Handles Lambda's event; returns the messages that must be redelivered.
    pub async fn consume(&self, deps: &Deps, event: SqsEvent) -> SqsBatchResponse {
        let own = deps.of_function(self.name);
        let deps = own.as_deref().unwrap_or(deps);
        as_function(self.name, (self.consume)(deps, event, None)).await
    }
}

/// A schedule with its type erased, for lists.
#[derive(Clone, Copy, Debug)]
pub struct AnySchedule {
    pub domain: &'static str,
    pub type_name: &'static str,
    pub name: &'static str,
    pub summary: &'static str,
    pub needs: &'static [Need],
    pub timeout_secs: u16,
    pub every_minutes: u32,
    /// Whether stopped tenants are skipped.
    pub waits: bool,
    /// The number of tenants in a slice, if it goes through the tenants in rounds.
    pub in_rounds_of: Option<usize>,
    run: Run,
}

impl AnySchedule {
    #[doc(hidden)]
    pub const fn of<S: Schedule>(domain: &'static str, type_name: &'static str) -> Self {
        Self {
            domain,
            type_name,
            name: S::NAME,
            summary: S::SUMMARY,
            needs: S::NEEDS,
            timeout_secs: S::TIMEOUT_SECS,
            every_minutes: S::EVERY_MINUTES,
            waits: S::WAITS,
            in_rounds_of: S::IN_ROUNDS_OF,
            run: |deps, deadline| Box::pin(tick::<S>(deps, deadline)),
        }
    }

    /// One run; returns the number of its parts.
    ///
    /// # Errors
    /// The first failure, after everything else was tried.
    pub async fn run(&self, deps: &Deps) -> Result<usize> {
        let own = deps.of_function(self.name);
        let deps = own.as_deref().unwrap_or(deps);
        as_function(self.name, (self.run)(deps, None)).await
    }
}

/// Declares a domain's consumers: `consumers! { deliver_notification::DeliverNotification }`.
#[macro_export]
macro_rules! consumers {
    ($($module:ident::$Type:ident),* $(,)?) => {
        $(mod $module; pub use $module::$Type;)*
        /// Every consumer of this domain. Only tools and tests read it.
        pub const CONSUMERS: &[$crate::background::AnyConsumer] =
            &[$($crate::background::AnyConsumer::of::<$Type>(env!("CARGO_PKG_NAME"), stringify!($Type))),*];
    };
}

/// Declares a domain's schedules: `schedules! { send_digests::SendDigests }`.
#[macro_export]
macro_rules! schedules {
    ($($module:ident::$Type:ident),* $(,)?) => {
        $(mod $module; pub use $module::$Type;)*
        /// Every schedule of this domain. Only tools and tests read it.
        pub const SCHEDULES: &[$crate::background::AnySchedule] =
            &[$($crate::background::AnySchedule::of::<$Type>(env!("CARGO_PKG_NAME"), stringify!($Type))),*];
    };
}
