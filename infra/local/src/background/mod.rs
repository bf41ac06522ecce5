//! Background work: the pipes, the delivery of queues' messages to consumers, and schedules.

mod halt;
mod mapping;
mod message;
pub(crate) mod schedule;

pub(crate) use halt::{Bell, Halt, Halter};

use crate::{
    Error,
    calls::Calls,
    live::Lines,
    pipes::{Pipe, Plumbing, Positions},
};
use common::request::Deps;
use emulators::{Provisioned, iam::Gate};
use mapping::Mapping;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// How long running work may take after a stop. Then it is dropped, which consumers and schedules must tolerate, and its messages
/// return to their queues.
const GRACE: Duration = Duration::from_millis(1500);

/// The state that background tasks share.
#[derive(Clone, Debug)]
pub(crate) struct TaskContext {
    pub(crate) deps: Arc<Deps>,
    pub(crate) lines: Arc<Lines>,
    pub(crate) gate: Arc<Gate>,
    /// The URL of the queue emulator.
    pub(crate) other: Calls,
    /// The speed of schedules and retries relative to real time; 1 or more.
    pub(crate) time_scale: u32,
    /// Rings when a function may have written or sent something.
    pub(crate) bell: Bell,
}

/// The running pipes, mappings and schedules.
#[derive(Debug)]
pub(crate) struct Background {
    tasks: JoinSet<()>,
    halter: Halter,
}

impl Background {
    /// Starts all of the template's.
    ///
    /// # Errors
    /// Names an invalid pipe or queue.
    pub(crate) async fn start(context: TaskContext, dynamodb: Calls, dir: &Path, made: &Provisioned) -> Result<Self, Error> {
        let mut tasks = JoinSet::new();
        let (halter, halt) = Halter::new();
        let positions = Arc::new(Positions::open(dir)?);
        let pipes = made.pipes.iter().map(Pipe::new).collect::<Result<Vec<_>, _>>()?;
        for pipe in pipes {
            let plumbing = Plumbing {
                dynamodb: dynamodb.clone(),
                other: context.other.clone(),
                positions: positions.clone(),
                bell: context.bell.clone(),
            };
            tasks.spawn(pipe.run(plumbing, halt.clone()));
        }
        for consumer in registry::consumers() {
            let mapping = Mapping::new(context.clone(), consumer, &made.queues_by_name).await?;
            tasks.spawn(mapping.run(halt.clone()));
        }
        for (place, schedule) in (0..).zip(registry::schedules()) {
            tasks.spawn(schedule::run(context.clone(), schedule, place, halt.clone()));
        }
        Ok(Self { tasks, halter })
    }

    /// Lets running work finish, for a bounded time, and starts no new work.
    pub(crate) async fn stop(mut self) {
        self.halter.stop();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            self.halter.cut();
            let ended = async { while self.tasks.join_next().await.is_some() {} };
            // If a queue does not answer, do not wait: its messages become visible again after their timeout.
            let _ = tokio::time::timeout(GRACE, ended).await;
        }
    }
}
