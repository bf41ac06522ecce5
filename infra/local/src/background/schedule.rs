//! EventBridge's schedules: each function runs at its interval, and never twice at once.

use super::{Halt, TaskContext};
use crate::live::{Kind, Ran};
use common::background::AnySchedule;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

/// The first run comes soon after the start, and each schedule's a little later than the previous one's.
const FIRST: Duration = Duration::from_secs(2);
const APART: Duration = Duration::from_millis(300);

/// Runs `schedule` until stopped.
pub(super) async fn run(context: TaskContext, schedule: &'static AnySchedule, place: u32, halt: Halt) {
    let mut clock = interval_at(Instant::now() + FIRST + APART * place, period(schedule.every_minutes, context.time_scale));
    // After a run that takes longer than its interval, only one follows, not every one that was missed.
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = clock.tick() => {}
            () = halt.stopped() => return,
        }
        once(&context, schedule, halt.cut()).await;
    }
}

/// One run, which is dropped on `cut`.
pub(crate) async fn once(context: &TaskContext, schedule: &'static AnySchedule, cut: impl Future<Output = ()>) {
    let began = Instant::now();
    let limit = Duration::from_secs(schedule.timeout_secs.into());
    let work = async {
        tokio::select! {
            outcome = timeout(limit, schedule.run(&context.deps)) => match outcome {
                Ok(Ok(parts)) => Ok(parts),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("timed out".to_owned()),
            },
            () = cut => Err("interrupted: the stack is stopping".to_owned()),
        }
    };
    let (outcome, lines) = context.lines.heard(work).await;
    context.bell.ring();
    let failed = usize::from(outcome.is_err());
    let (items, error) = match outcome {
        Ok(parts) => (parts, None),
        Err(why) => (0, Some(why)),
    };
    let (domain, name, took) = (schedule.domain, schedule.name, began.elapsed());
    context.lines.ran(&Ran { kind: Kind::Schedule, domain, name, items, failed, took, error, lines });
}

fn period(minutes: u32, time_scale: u32) -> Duration {
    Duration::from_secs(u64::from(minutes.max(1)) * 60) / time_scale.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faster_clock_shortens_the_period() {
        assert_eq!(period(1, 1), Duration::from_secs(60));
        assert_eq!(period(60, 600), Duration::from_secs(6));
    }
}
