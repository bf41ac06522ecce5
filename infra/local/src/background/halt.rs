//! Wakes and stops background tasks.

use std::sync::Arc;
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    /// No new work starts.
    Stopping,
    /// Running work is dropped.
    Cut,
}

/// Stops all holders of its [`Halt`]. Dropping it stops them at once.
#[derive(Debug)]
pub(crate) struct Halter(watch::Sender<Phase>);

/// The current phase of stopping.
#[derive(Clone, Debug)]
pub(crate) struct Halt(watch::Receiver<Phase>);

impl Halter {
    pub(crate) fn new() -> (Self, Halt) {
        let (sender, receiver) = watch::channel(Phase::Running);
        (Self(sender), Halt(receiver))
    }
    /// Start no new work.
    pub(crate) fn stop(&self) {
        self.0.send_replace(Phase::Stopping);
    }
    /// Drop running work.
    pub(crate) fn cut(&self) {
        self.0.send_replace(Phase::Cut);
    }
}

impl Halt {
    pub(crate) fn stopping(&self) -> bool {
        *self.0.borrow() >= Phase::Stopping || self.0.has_changed().is_err()
    }
    /// Resolves when no new work may start.
    pub(crate) async fn stopped(&self) {
        self.reached(Phase::Stopping).await;
    }
    /// Resolves when running work must be dropped.
    pub(crate) async fn cut(&self) {
        self.reached(Phase::Cut).await;
    }

    async fn reached(&self, phase: Phase) {
        // If the halter is gone, the stack has stopped.
        let _ = self.0.clone().wait_for(|now| *now >= phase).await;
    }
}

/// Wakes all waiting tasks, and tasks that will wait next: no ring is lost, but several rings may wake a task only once.
#[derive(Clone, Debug)]
pub(crate) struct Bell(Arc<watch::Sender<u64>>);

/// A receiver of a [`Bell`].
#[derive(Debug)]
pub(crate) struct Ear(watch::Receiver<u64>);

impl Bell {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
    pub(crate) fn ring(&self) {
        self.0.send_modify(|rings| *rings = rings.wrapping_add(1));
    }
    pub(crate) fn ear(&self) -> Ear {
        Ear(self.0.subscribe())
    }
}

impl Ear {
    /// Resolves at the first ring since the last call.
    pub(crate) async fn rung(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn ring_before_a_wait_wakes_it_once() {
        let bell = Bell::new();
        let mut ear = bell.ear();
        bell.ring();
        bell.ring();
        assert!(timeout(SOON, ear.rung()).await.is_ok());
        assert!(timeout(SOON, ear.rung()).await.is_err());
    }

    #[tokio::test]
    async fn stopping_precedes_cutting_and_a_dropped_halter_is_both() {
        let (halter, halt) = Halter::new();
        assert!(!halt.stopping() && timeout(SOON, halt.stopped()).await.is_err());
        halter.stop();
        assert!(halt.stopping() && timeout(SOON, halt.stopped()).await.is_ok());
        assert!(timeout(SOON, halt.cut()).await.is_err());
        drop(halter);
        assert!(timeout(SOON, halt.cut()).await.is_ok());
    }
}
