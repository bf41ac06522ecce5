//! A process that dies between two awaits: its future is dropped, and never runs again.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

/// Runs `work` until it has been polled `polls` times, then drops it. `None` if it was dropped.
pub async fn kill_after<T>(polls: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Runs `work` to its end. Returns its result, and the number of polls.
pub async fn polls<T>(work: impl Future<Output = T>) -> (T, usize) {
    let count = Arc::new(AtomicUsize::new(0));
    let mut work = pin!(work);
    let result = std::future::poll_fn(|cx| {
        count.fetch_add(1, Ordering::Relaxed);
        work.as_mut().poll(cx)
    })
    .await;
    (result, count.load(Ordering::Relaxed))
}
