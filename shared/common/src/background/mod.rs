//! Work that nobody waits for: what queues and schedules run. It goes through a pipeline of the shape of a request's: one
//! tenant's scope, the handler, ONE transaction with the change, its audit event and its domain events; and, because a queue
//! tells everything at least once, a record that the message has been handled.
//!
//! | Kind | Woken by | Deduplicated by |
//! |---|---|---|
//! | [`Consumer`] | a queue's messages | the message's id and the part's name, in the transaction of the effect |
//! | [`Schedule`] | the clock | the state that it finds: what is due is no longer due afterwards |

pub(crate) mod dead_letter;
mod delivery;
mod message;
pub(crate) mod queue;
mod round;
mod run;
pub(crate) mod sockets;
mod waiting;

pub use dead_letter::DeadLetter;
pub use delivery::{Delivery, DueItem, Incoming, Tick};
pub(crate) use delivery::{Ground, TENANTS_AT_ONCE};
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

/// The error of an operation whose condition says that nothing has changed since it was read. The part's work is done again,
/// at once, from what is there then.
pub const CONTENDED: Error = Error::conflict("contended", "what was read has changed since");

/// Into what the work of one message falls: each part has a transaction, and a deduplication, of its own.
pub trait Part: Send + Sync {
    /// Tells it from the other parts of the same message, the same at each delivery. An id, or nothing.
    fn name(&self) -> String;
}

/// The whole message, where it does not fall into parts.
impl Part for () {
    fn name(&self) -> String {
        String::new()
    }
}

/// What consumers and schedules say of themselves, and the work that they do in one tenant.
pub trait Background: Sized + Send + Sync + 'static {
    /// The binary, the function in the template and the name in the audit log, as `deliver_notification`.
    const NAME: &'static str;
    /// One line for the template's readers.
    const SUMMARY: &'static str;
    const NEEDS: &'static [Need] = &[];
    /// What one run may take; a queue hides its messages six times as long.
    const TIMEOUT_SECS: u16 = 30;
    /// Whether it waits while its tenant is suspended or archived: messages are put aside, and schedules pass the tenant by. What
    /// keeps the platform itself in order goes on.
    const WAITS: bool = true;
    type Part: Part;

    /// The work of one part. What it puts into [`Delivery::changes`] is committed once, with all that belongs to it; where it
    /// was handled before, nothing is.
    fn handle(cx: &mut Delivery<'_, Self>, part: &Self::Part) -> impl Future<Output = Result<()>> + Send;

    /// What cannot be in a transaction: sends. It runs after the commit, and again at each redelivery, with a unit of work of
    /// its own: so it asks what is recorded as sent, sends, and records.
    fn after(cx: &mut Delivery<'_, Self>, part: &Self::Part) -> impl Future<Output = Result<()>> + Send {
        let _ = (cx, part);
        async { Ok(()) }
    }
}

/// What a queue's messages run.
pub trait Consumer: Background {
    const QUEUE: Queue;
    type Message: Message;

    /// Into which parts the message falls. Reads only.
    fn parts(cx: &Incoming<'_, Self>, message: Self::Message) -> impl Future<Output = Result<Vec<Self::Part>>> + Send;
}

/// What the clock runs.
pub trait Schedule: Background {
    const EVERY_MINUTES: u32;
    /// Whether what follows opens health information: then a tenant without a business associate agreement in force is passed by.
    const UNDER_AGREEMENT: bool = false;

    /// So many tenants at a time are looked at, in rounds that runs share: where all of them may take longer than until the next run.
    const IN_ROUNDS_OF: Option<usize> = None;

    /// What there is to do now, in which tenants.
    fn due(cx: &Tick<'_, Self>) -> impl Future<Output = Result<Vec<(TenantId, Self::Part)>>> + Send;
}

type Consume = for<'a> fn(&'a Deps, SqsEvent, Option<Timestamp>) -> Pin<Box<dyn Future<Output = SqsBatchResponse> + Send + 'a>>;
type Run = for<'a> fn(&'a Deps, Option<Timestamp>) -> Pin<Box<dyn Future<Output = Result<usize>> + Send + 'a>>;

/// A consumer with its type forgotten, for lists of them.
#[derive(Clone, Copy, Debug)]
pub struct AnyConsumer {
    pub domain: &'static str,
    pub type_name: &'static str,
    pub name: &'static str,
    pub summary: &'static str,
    pub needs: &'static [Need],
    pub timeout_secs: u16,
    pub queue: Queue,
    /// Whether messages of a tenant that is stopped are put aside.
    pub waits: bool,
    /// What it understands.
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

    /// Handles Lambda's event: answers which messages are to come again.
    pub async fn consume(&self, deps: &Deps, event: SqsEvent) -> SqsBatchResponse {
        as_function(self.name, (self.consume)(deps, event, None)).await
    }
}

/// A schedule with its type forgotten, for lists of them.
#[derive(Clone, Copy, Debug)]
pub struct AnySchedule {
    pub domain: &'static str,
    pub type_name: &'static str,
    pub name: &'static str,
    pub summary: &'static str,
    pub needs: &'static [Need],
    pub timeout_secs: u16,
    pub every_minutes: u32,
    /// Whether tenants that are stopped are passed by.
    pub waits: bool,
    /// So many tenants at a time are looked at, where it goes through them in rounds.
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

    /// One run: how many parts it had.
    ///
    /// # Errors
    /// The first of what failed, after all the rest was tried.
    pub async fn run(&self, deps: &Deps) -> Result<usize> {
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
