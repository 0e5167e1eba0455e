//! The order to stop, as a value passed in; and tasks that outlive the one that began them.
//!
//! A session asks at every turn whether the order has come, and there may be a great many of them
//! that turn often: for them it is a flag to look at and a waker to leave behind once. A task that
//! waits for little else awaits the token.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use slab::Slab;
use tokio_util::sync::CancellationToken;

/// The order to stop. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    token: CancellationToken,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    is_given: AtomicBool,
    waiting: Mutex<Slab<Waker>>,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Slab<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stop {
    /// Gives the order.
    pub fn cancel(&self) {
        self.shared.is_given.store(true, Ordering::Release);
        self.token.cancel();
        // Nobody comes to the list after this that has not seen the flag.
        let waiting = std::mem::take(&mut *self.shared.waiting());
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// For a task that asks at every turn.
    pub fn signal(&self) -> StopSignal {
        StopSignal { shared: self.shared.clone(), waiting: None }
    }
}

impl Deref for Stop {
    type Target = CancellationToken;

    fn deref(&self) -> &CancellationToken {
        &self.token
    }
}

/// What a task asks at every turn whether to stop.
#[derive(Debug)]
pub struct StopSignal {
    shared: Arc<Shared>,
    /// Its place in the list, and the waker that stands there.
    waiting: Option<(usize, Waker)>,
}

impl StopSignal {
    /// Whether the order was given.
    pub fn is_stopped(&self) -> bool {
        self.shared.is_given.load(Ordering::Acquire)
    }

    /// Ready when the order was given; until then the task is woken when it is.
    pub fn poll_stopped(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_stopped() {
            return Poll::Ready(());
        }
        let known = |(_, waker): &(usize, Waker)| waker.will_wake(context.waker());
        if self.waiting.as_ref().is_some_and(known) {
            return Poll::Pending;
        }
        let waker = context.waker().clone();
        let mut list = self.shared.waiting();
        if self.shared.is_given.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let place = match &self.waiting {
            Some((place, _)) => {
                list[*place].clone_from(&waker);
                *place
            }
            None => list.insert(waker.clone()),
        };
        drop(list);
        self.waiting = Some((place, waker));
        Poll::Pending
    }
}

impl Drop for StopSignal {
    fn drop(&mut self) {
        if let Some((place, _)) = &self.waiting {
            self.shared.waiting().try_remove(*place);
        }
    }
}

/// Goes on with a connection in a task of its own. Its socket holds a guard for which the end of
/// the server waits, as for any tracked task.
#[allow(clippy::disallowed_methods, reason = "the one place for such tasks")]
pub(crate) fn detach(connection: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(connection);
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use futures_util::FutureExt;

    use super::*;

    /// A waker that counts.
    fn counting_waker() -> (Waker, Arc<AtomicUsize>) {
        #[derive(Default)]
        struct Count(Arc<AtomicUsize>);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let count = Count::default();
        let shared = count.0.clone();
        (Arc::new(count).into(), shared)
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_and_who_comes_later_need_not_wait() {
        let stop = Stop::default();
        let mut waiting = stop.signal();
        let (woken, count) = counting_waker();
        let mut context = Context::from_waker(&woken);
        assert!(waiting.poll_stopped(&mut context).is_pending());
        stop.cancel();
        assert_eq!(count.load(Ordering::Relaxed), 1);
        assert!(waiting.poll_stopped(&mut context).is_ready());
        let mut late = stop.signal();
        assert_eq!(poll_fn(|c| late.poll_stopped(c)).now_or_never(), Some(()));
        assert!(stop.is_cancelled());
    }

    #[tokio::test]
    async fn who_goes_away_leaves_nothing_behind() {
        let stop = Stop::default();
        let mut waiting = stop.signal();
        for _ in 0..2 {
            assert_eq!(poll_fn(|c| waiting.poll_stopped(c)).now_or_never(), None);
        }
        assert_eq!(stop.shared.waiting().len(), 1);
        drop(waiting);
        assert!(stop.shared.waiting().is_empty());
    }
}
