//! The newest messages in memory, and the readers that wait for the next one.
//!
//! The log feeds it: what became durable, whoever appended it, is pushed here; that makes it
//! visible and wakes the readers of just those topics. The tail knows nothing of storage or of what
//! a reader does with a message.
//!
//! A wake-up is a level, not an edge: a [`Waiter`] holds the first seq that its reader has not
//! looked at, so a reader that marks it seen, reads, and only then waits misses nothing, whatever
//! happens between two of these steps. It holds the last one too, so that a reader need not look at
//! what others published after that.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockWriteGuard};
use std::task::{Context, Poll, Waker};

use atomic_waker::AtomicWaker;
use doorbell_protocol::topic::Pattern;
use doorbell_protocol::{Code, Error, Filter, Topic};
use foldhash::HashMap;
use slab::Slab;

use crate::limits::{CLAIMS_MAX, TAIL_BYTES_MAX, TAIL_MESSAGES_MAX, VISITOR_NAMES_MAX};
use crate::log::{Feed, Log, Page, Query, Ring};
use crate::message::Message;
use crate::patterns::PatternTrie;
use crate::visitors::Visitor;

/// Recent messages, and the readers that wait.
#[derive(Debug, Default)]
pub struct Tail {
    recent: RwLock<Recent>,
    /// Never locked together with `recent`.
    waiting: Mutex<Waiting>,
    /// The wakers that one batch has found, empty between two batches: its room is kept.
    woken: Mutex<Vec<Waker>>,
    /// The newest seq that readers may see.
    visible: AtomicU64,
    /// What all claims are for.
    claimed: AtomicUsize,
}

#[derive(Debug, Default)]
struct Recent {
    ring: Ring,
    /// Everything above this seq is in the ring.
    floor: u64,
}

#[derive(Debug, Default)]
struct Waiting {
    /// By topic the readers that named it.
    exact: HashMap<Topic, Slab<Arc<Waiter>>>,
    /// By pattern the readers that wait for whatever matches it.
    wild: PatternTrie<Slab<Arc<Waiter>>>,
}

impl Tail {
    /// A tail that is told of every message from now on. It reaches no further back.
    pub fn follow(log: &dyn Log) -> Arc<Self> {
        let tail = Arc::new(Self::default());
        // Nobody reads yet what may be pushed meanwhile.
        let last = log.follow(tail.clone());
        tail.recent_mut().forget_through(last);
        tail.visible.fetch_max(last, Ordering::AcqRel);
        tail
    }

    /// The newest seq that readers may see. It never falls.
    pub fn visible(&self) -> u64 {
        self.visible.load(Ordering::Acquire)
    }

    /// Reads a page of what is visible; `None` if it reaches further back than the tail does.
    pub fn read(&self, query: &Query<'_>) -> Option<Page> {
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
        if query.after < recent.floor {
            return None;
        }
        let until = query.until.min(self.visible.load(Ordering::Acquire));
        Some(recent.ring.read(&Query { until, ..*query }))
    }

    /// Registers a reader of these filters until the registration is dropped.
    pub fn register(self: &Arc<Self>, filters: &[Filter]) -> Registration {
        let waiter = Arc::new(Waiter::default());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut exact = Vec::new();
        let mut wild = Vec::new();
        for pattern in filters.iter().flat_map(Filter::patterns) {
            match pattern {
                Pattern::Exact(topic) => {
                    let waiters = waiting.exact.entry(topic.clone()).or_default();
                    exact.push((topic.clone(), waiters.insert(waiter.clone())));
                }
                Pattern::Wild(text) => {
                    let waiters = waiting.wild.value_mut(text);
                    wild.push((text.clone(), waiters.insert(waiter.clone())));
                }
            }
        }
        drop(waiting);
        Registration { tail: self.clone(), waiter, exact: exact.into(), wild: wild.into() }
    }
}

impl Feed for Tail {
    /// Makes stored messages visible and wakes their readers.
    ///
    /// # Panics
    ///
    /// When the seqs do not rise: a reader would miss one.
    fn push(&self, batch: &[Message]) {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return };
        let visible = self.visible();
        assert!(first.seq() > visible, "seq {} after {visible}", first.seq());
        {
            let mut recent = self.recent_mut();
            for message in batch.iter().filter(|message| message.is_told()) {
                recent.ring.push(message.clone());
            }
            while recent.ring.len() > TAIL_MESSAGES_MAX || recent.ring.bytes() > TAIL_BYTES_MAX {
                let Some(oldest) = recent.ring.pop() else {
                    break;
                };
                recent.floor = oldest.seq();
            }
            self.visible.store(last.seq(), Ordering::Release);
        }
        self.wake(batch);
    }

    /// Lets go of what the log no longer holds, so that retention means the same to every reader.
    fn trim(&self, first_held: u64) {
        self.recent_mut().forget_through(first_held - 1);
    }

    /// Has every reader look at what lies behind it, as if there were a message for each.
    fn skip(&self, through: u64) {
        let first = self.visible() + 1;
        self.recent_mut().forget_through(through);
        self.visible.fetch_max(through, Ordering::AcqRel);
        let mut woken = Vec::new();
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut note_all = |waiters: &Slab<Arc<Waiter>>| {
            woken.extend(waiters.iter().filter_map(|(_, waiter)| waiter.note(first, through)));
        };
        waiting.exact.values().for_each(&mut note_all);
        waiting.wild.for_each(&mut note_all);
        drop(waiting);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl Tail {
    fn recent_mut(&self) -> RwLockWriteGuard<'_, Recent> {
        self.recent.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells every waiter of the whole batch, and only then wakes their readers: one that runs at
    /// once finds all of it, not the first message alone.
    fn wake(&self, batch: &[Message]) {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for run in batch.chunk_by(|one, next| one.topic() == next.topic()) {
            // What waits for its time is for nobody now.
            let mut told = run.iter().filter(|message| message.is_told());
            let Some(first) = told.next() else { continue };
            let last = told.next_back().unwrap_or(first);
            let topic = first.topic();
            let mut note = |waiter: &Waiter| woken.extend(waiter.note(first.seq(), last.seq()));
            let mut note_all = |waiters: &Slab<Arc<Waiter>>| {
                waiters.iter().for_each(|(_, waiter)| note(waiter));
            };
            waiting.exact.get(topic).into_iter().for_each(&mut note_all);
            waiting.wild.matching(topic.as_str(), &mut note_all);
        }
        drop(waiting);
        woken.drain(..).for_each(Waker::wake);
    }
}

impl Recent {
    /// Leaves what has this seq or a lower one to the log.
    fn forget_through(&mut self, seq: u64) {
        while self.ring.oldest().is_some_and(|message| message.seq() <= seq) {
            self.ring.pop();
        }
        self.floor = self.floor.max(seq);
    }
}

/// One reader's wake-up.
#[derive(Debug)]
pub struct Waiter {
    /// The first wanted seq that was pushed since the reader last looked, or `NOTHING`.
    first_unseen: AtomicU64,
    /// The last wanted seq that was pushed.
    last: AtomicU64,
    /// The task that waits, if one does.
    waker: AtomicWaker,
}

const NOTHING: u64 = u64::MAX;

impl Default for Waiter {
    fn default() -> Self {
        let (first_unseen, last) = (AtomicU64::new(NOTHING), AtomicU64::new(0));
        Self { first_unseen, last, waker: AtomicWaker::new() }
    }
}

impl Waiter {
    /// Notes that messages from `first` to `last` were pushed, of which those two are wanted.
    /// Returns whom to wake, if that is not done yet.
    fn note(&self, first: u64, last: u64) -> Option<Waker> {
        // Before the mark: a reader that takes the mark finds this last seq, or a later one.
        self.last.fetch_max(last, Ordering::AcqRel);
        // A reader that is marked already has been woken and has not looked yet.
        let is_new = self.first_unseen.fetch_min(first, Ordering::AcqRel) == NOTHING;
        if is_new { self.waker.take() } else { None }
    }

    /// Wakes its reader although nothing was pushed.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// Marks everything seen and returns the first and the last seq that were not, if there were
    /// any.
    pub fn mark_seen(&self) -> Option<(u64, u64)> {
        let first = self.first_unseen.swap(NOTHING, Ordering::AcqRel);
        (first != NOTHING).then(|| (first, self.last.load(Ordering::Acquire)))
    }

    /// Ready when something unseen is there; until then the task is woken when it is.
    pub fn poll_unseen(&self, context: &mut Context<'_>) -> Poll<()> {
        self.waker.register(context.waker());
        match self.first_unseen.load(Ordering::Acquire) {
            NOTHING => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }
}

/// A reader's place among those that wait; dropping it leaves nothing behind.
#[derive(Debug)]
pub struct Registration {
    tail: Arc<Tail>,
    waiter: Arc<Waiter>,
    /// Where it stands under each topic and pattern.
    exact: Box<[(Topic, usize)]>,
    wild: Box<[(Arc<str>, usize)]>,
}

impl Registration {
    /// The wake-up of this reader.
    pub fn waiter(&self) -> &Arc<Waiter> {
        &self.waiter
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut waiting = self.tail.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (topic, key) in &self.exact {
            if let Some(waiters) = waiting.exact.get_mut(topic) {
                waiters.remove(*key);
                if waiters.is_empty() {
                    waiting.exact.remove(topic);
                }
            }
        }
        for (pattern, key) in &self.wild {
            waiting.wild.release(pattern, |waiters| {
                waiters.remove(*key);
                !waiters.is_empty()
            });
        }
    }
}

/// A reader's share of what all readers together may wait for, counted in the names that it waits
/// by: a topic is one, a pattern one for each segment. What is dropped is given back.
#[derive(Debug)]
pub struct NamesClaim {
    tail: Arc<Tail>,
    visitor: Visitor,
    names: u32,
}

impl NamesClaim {
    /// For nothing yet, of a reader of this visitor's.
    pub fn new(tail: &Arc<Tail>, visitor: &Visitor) -> Self {
        Self { tail: tail.clone(), visitor: visitor.clone(), names: 0 }
    }

    /// Claims some more names.
    ///
    /// # Errors
    ///
    /// That the readers of the visitor would have more than [`VISITOR_NAMES_MAX`], or all readers
    /// together more than [`CLAIMS_MAX`].
    pub fn grow(&mut self, names: u32) -> Result<(), Error> {
        let refused = |whose: &str, limit: usize| {
            let text = format!("{names} names more than the {limit} that {whose} may wait by");
            Error::new(Code::TooManySubscriptions, text)
        };
        if !self.visitor.claim(names) {
            return Err(refused("the readers of one visitor", VISITOR_NAMES_MAX as usize));
        }
        let claimed = self.tail.claimed.fetch_add(names as usize, Ordering::Relaxed);
        self.names += names;
        if claimed + names as usize > CLAIMS_MAX {
            self.shrink(names);
            return Err(refused("all readers", CLAIMS_MAX));
        }
        Ok(())
    }

    /// Gives some of them back.
    pub fn shrink(&mut self, names: u32) {
        self.names -= names;
        self.tail.claimed.fetch_sub(names as usize, Ordering::Relaxed);
        self.visitor.give_back(names);
    }
}

/// A reader that goes on for another one is never refused what that one had.
impl Clone for NamesClaim {
    fn clone(&self) -> Self {
        self.tail.claimed.fetch_add(self.names as usize, Ordering::Relaxed);
        // Its own visitor is counted for what is asked anew.
        Self { tail: self.tail.clone(), visitor: Visitor::default(), names: self.names }
    }
}

impl Drop for NamesClaim {
    fn drop(&mut self) {
        self.shrink(self.names);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;
    use std::time::Instant;

    use doorbell_protocol::{Draft, Epoch};

    use super::*;

    /// A reader that looks at its mark the moment it is woken.
    struct Looker {
        waiter: Arc<Waiter>,
        seen: Mutex<Vec<(u64, u64)>>,
    }

    impl Wake for Looker {
        fn wake(self: Arc<Self>) {
            self.seen.lock().unwrap().extend(self.waiter.mark_seen());
            let waker = Waker::from(self.clone());
            assert!(self.waiter.poll_unseen(&mut Context::from_waker(&waker)).is_pending());
        }
    }

    /// What readers of these filters see when they are woken for the batches, each of messages of
    /// the given topics.
    fn seen(filters: &[&str], batches: &[&[&str]]) -> Vec<Vec<(u64, u64)>> {
        let tail = Arc::new(Tail::default());
        let mut readers = Vec::new();
        for filter in filters {
            let registration = tail.register(&[filter.parse().unwrap()]);
            let waiter = registration.waiter.clone();
            let looker = Arc::new(Looker { waiter, seen: Mutex::default() });
            looker.clone().wake();
            readers.push((registration, looker));
        }
        let mut seqs = 1..;
        for topics in batches {
            let message = |(topic, seq): (&&str, u64)| {
                let draft = Draft::text(topic.parse().unwrap(), "x", 10).unwrap();
                Message::new(&draft, Epoch::from_bits(1).id(seq), seq, None, Instant::now())
            };
            let batch: Vec<_> = topics.iter().zip(&mut seqs).map(message).collect();
            tail.push(&batch);
        }
        readers.iter().map(|(_, looker)| looker.seen.lock().unwrap().clone()).collect()
    }

    #[test]
    fn a_reader_that_looks_at_once_finds_the_whole_batch() {
        let [exact, wild, other] =
            seen(&["a", "*", "b"], &[&["a"; 16], &["a"], &["a", "a"]]).try_into().unwrap();
        assert_eq!(exact, [(1, 16), (17, 17), (18, 19)]);
        assert_eq!(wild, exact);
        assert_eq!(other, []);
    }

    #[test]
    fn topics_that_take_turns_in_a_batch_wake_each_reader_once() {
        let batch = ["b", "a", "a", "b", "a", "c", "b"];
        let seen = seen(&["a", "b", "a,b", "*", "c"], &[&batch]);
        assert_eq!(seen, [[(2, 5)], [(1, 7)], [(1, 7)], [(1, 7)], [(6, 6)]]);
    }
}
