//! What runs by itself: the pipes, a queue's messages into its consumer, and schedules.

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

/// How long what is running may take to finish once it is told to stop. After that it is cut off: it is made to bear that, and
/// its messages go back to their queues.
const GRACE: Duration = Duration::from_millis(1500);

/// What all of it shares.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(crate) deps: Arc<Deps>,
    pub(crate) lines: Arc<Lines>,
    pub(crate) gate: Arc<Gate>,
    /// The emulator of queues.
    pub(crate) other: Calls,
    /// How much faster than elsewhere the clock of schedules and retries goes; 1 or more.
    pub(crate) time_scale: u32,
    /// Rings when a function may have written or sent something.
    pub(crate) bell: Bell,
}

/// The pipes, mappings and schedules, running.
#[derive(Debug)]
pub(crate) struct Background {
    tasks: JoinSet<()>,
    halter: Halter,
}

impl Background {
    /// Starts them all, on what the template declares.
    ///
    /// # Errors
    /// Names a pipe or a queue that cannot be made out.
    pub(crate) async fn start(ground: Ground, dynamodb: Calls, dir: &Path, made: &Provisioned) -> Result<Self, Error> {
        let mut tasks = JoinSet::new();
        let (halter, halt) = Halter::new();
        let positions = Arc::new(Positions::open(dir)?);
        let pipes = made.pipes.iter().map(Pipe::new).collect::<Result<Vec<_>, _>>()?;
        for pipe in pipes {
            let plumbing = Plumbing {
                dynamodb: dynamodb.clone(),
                other: ground.other.clone(),
                positions: positions.clone(),
                bell: ground.bell.clone(),
            };
            tasks.spawn(pipe.run(plumbing, halt.clone()));
        }
        for consumer in registry::consumers() {
            let mapping = Mapping::new(ground.clone(), consumer, &made.queues_by_name).await?;
            tasks.spawn(mapping.run(halt.clone()));
        }
        for (place, schedule) in (0..).zip(registry::schedules()) {
            tasks.spawn(schedule::run(ground.clone(), schedule, place, halt.clone()));
        }
        Ok(Self { tasks, halter })
    }

    /// Lets what runs finish, for a bounded time, and starts nothing new.
    pub(crate) async fn stop(mut self) {
        self.halter.stop();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            self.halter.cut();
            let ended = async { while self.tasks.join_next().await.is_some() {} };
            // A queue that does not answer keeps nobody: its messages are seen again when their time is up.
            let _ = tokio::time::timeout(GRACE, ended).await;
        }
    }
}
