//! Where jobs wait for the log, and what decides which thread stores them. One commit runs at a
//! time, and stores what waits.
//!
//! The writer's thread commits what waits. But a publisher that finds the log at rest commits by
//! itself, and so does the only one there is: a lone message is on its way to its readers without
//! any thread having to be woken. Where there are many messages the log never rests, and the thread
//! gathers them into batches.
//!
//! Publishers run on threads that serve all connections and must not wait for a disk. So one
//! commits only if the last commit was short, and only while the thread looks in on it every now
//! and then: when a commit hangs all the same, the thread has another one of the runtime's wait for
//! the sockets.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use doorbell_protocol::{Code, Error};
use tokio::runtime::Handle;

use super::{Health, Job, closing};
use crate::clock::Clock;
use crate::counters::Sizes;
use crate::limits::{
    COMMIT_ALONE, COMMIT_LOOK, COMMIT_MESSAGES_MAX, COMMIT_SHORT, OUTAGE_LOOK, RETRY_AFTER_SECONDS,
    TOPICS_MAX,
};
use crate::log::{Log, LogError};
use crate::message::Message;
use crate::tail::Tail;

/// Jobs that wait, and what they are stored in.
pub(super) struct CommitQueue {
    state: Mutex<State>,
    /// Wakes the writer's thread, and nobody else waits for it.
    wake: Condvar,
    log: Arc<dyn Log>,
    /// What the log feeds: a message is visible there before it is acknowledged.
    tail: Arc<Tail>,
    clock: Arc<dyn Clock>,
    /// Messages of each commit.
    sizes: Sizes,
    /// What publishers run on, if it can spare a thread for a commit.
    runtime: Option<Handle>,
    /// How long jobs wait for a log that is out of reach.
    patience: Duration,
}

#[derive(Debug)]
struct State {
    /// In the order in which they are to be stored.
    waiting: Vec<Job>,
    /// Whether a commit runs: there is a [`CommitGuard`].
    is_committing: bool,
    thread: Thread,
    /// Whether the end was asked for: what waits is stored, and nothing more is taken in.
    is_closing: bool,
    health: Health,
    /// Commits begun.
    commits: u64,
    /// Commits one after another, up to the last, that were for one job and during which no other
    /// came.
    alone: u32,
    /// When the last commit ended.
    ended: Instant,
    /// How long it was.
    took: Duration,
}

/// What the writer's thread does.
#[derive(Debug, PartialEq, Eq)]
enum Thread {
    /// It sees by itself what waits.
    Awake,
    /// It waits to be woken.
    Asleep,
    /// It waits to be woken, and looks in on publishers that commit.
    Looks,
}

/// A commit that runs, until this is dropped.
struct CommitGuard<'a> {
    queue: &'a CommitQueue,
    began: Instant,
}

impl std::fmt::Debug for CommitQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommitQueue").field("state", &self.state).finish_non_exhaustive()
    }
}

impl CommitQueue {
    /// Nothing waits yet.
    pub(super) fn new(
        log: Arc<dyn Log>,
        tail: Arc<Tail>,
        clock: Arc<dyn Clock>,
        patience: Duration,
    ) -> Self {
        let can_spare = |runtime: &Handle| runtime.metrics().num_workers() > 1;
        // A commit that waits for other machines is for no thread that serves connections.
        let runtime = Handle::try_current().ok().filter(can_spare).filter(|_| !log.is_remote());
        let state = State {
            waiting: Vec::new(),
            is_committing: false,
            thread: Thread::Awake,
            is_closing: false,
            health: Health::default(),
            commits: 0,
            alone: 0,
            ended: Instant::now(),
            took: Duration::MAX,
        };
        let (state, wake) = (Mutex::new(state), Condvar::new());
        Self { state, wake, log, tail, clock, sizes: Sizes::default(), runtime, patience }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a job in: it is stored after all that was taken in before, maybe at once.
    pub(super) fn enter(&self, job: Job) {
        let mut state = self.state();
        if state.is_closing {
            drop(state);
            return job.refuse(&closing());
        }
        if self.runtime.is_some() && state.is_at_rest() {
            self.begin(state, 1).store(&mut vec![job]);
            return;
        }
        if state.is_committing {
            state.alone = 0;
        }
        state.waiting.push(job);
        self.wake_thread(state);
    }

    /// Has the thread look what there is to do, when the commit that runs has ended if there is
    /// one.
    fn wake_thread(&self, mut state: MutexGuard<'_, State>) {
        let wakes = !state.is_committing && state.thread != Thread::Awake;
        if wakes {
            state.thread = Thread::Awake;
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Whether publishes can be stored.
    pub(super) fn health(&self) -> Health {
        if self.failure().is_some() { Health::Failed } else { self.state().health }
    }

    /// Why none can be stored any more, if that is so.
    pub(super) fn failure(&self) -> Option<String> {
        self.log.failure()
    }

    /// Messages of each commit that succeeded.
    pub(super) const fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// Has the thread store what waits, close the log and end.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closing = true;
        self.wake_thread(state);
    }

    /// What the thread does: commits until the end is asked for.
    pub(super) fn serve(&self) {
        let mut jobs = Vec::new();
        loop {
            let mut state = self.wait_within_reach();
            let closing = state.is_closing;
            state.move_batch(self.log.batch_bytes(), &mut jobs);
            let stored = self.begin(state, jobs.len()).store(&mut jobs);
            if stored == 0 && closing {
                break;
            }
        }
        if let Err(error) = self.log.close() {
            tracing::error!(%error, "the log was not closed cleanly");
        }
    }

    /// Waits as [`Self::wait`] does, and then for the machines that have the log, if those are out
    /// of reach. Jobs that have waited too long for them are refused.
    fn wait_within_reach(&self) -> MutexGuard<'_, State> {
        let mut state = self.wait();
        while !state.is_closing
            && let Some(outage) = self.log.outage()
        {
            state.health = Health::Unreachable;
            let is_overdue = |job: &mut Job| job.entered.elapsed() >= self.patience;
            let overdue: Vec<Job> = state.waiting.extract_if(.., is_overdue).collect();
            drop(state);
            for job in overdue {
                job.refuse(&unreachable(&outage));
            }
            std::thread::sleep(OUTAGE_LOOK);
            state = self.wait();
        }
        state
    }

    /// Waits until there is something to do for the thread, and no commit runs. Meanwhile looks in
    /// on publishers for as long as some commit.
    ///
    /// A thread that was woken for jobs lets others run once before it takes them: its waking may
    /// have stopped the one that was about to bring more, and it would commit for the first alone.
    fn wait(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        let mut has_slept = false;
        let mut looks = true;
        let mut commits = state.commits;
        let mut next_look = Instant::now() + COMMIT_LOOK;
        loop {
            let now = Instant::now();
            let is_due = state.is_closing || !state.waiting.is_empty();
            if is_due && !state.is_committing {
                state.thread = Thread::Awake;
                if !std::mem::take(&mut has_slept) || state.waiting.is_empty() {
                    return state;
                }
                drop(state);
                std::thread::yield_now();
                state = self.state();
                continue;
            }
            if looks && now >= next_look {
                let is_the_same = state.commits == commits;
                if state.is_committing && is_the_same {
                    self.spare_a_thread();
                }
                looks = state.is_committing || !is_the_same;
                commits = state.commits;
                next_look = now + COMMIT_LOOK;
            }
            state = if looks {
                state.thread = Thread::Looks;
                let woken = self.wake.wait_timeout(state, next_look - now);
                woken.unwrap_or_else(PoisonError::into_inner).0
            } else {
                state.thread = Thread::Asleep;
                self.wake.wait(state).unwrap_or_else(PoisonError::into_inner)
            };
            has_slept = true;
        }
    }

    /// A thread of the runtime that has nothing to do leaves the sockets to the one that commits,
    /// and would do so for as long as the commit hangs. A task gets it going.
    fn spare_a_thread(&self) {
        if let Some(runtime) = &self.runtime {
            #[allow(clippy::disallowed_methods, reason = "it ends at once")]
            runtime.spawn(async {});
        }
    }

    /// Begins a commit for so many jobs.
    fn begin(&self, mut state: MutexGuard<'_, State>, jobs: usize) -> CommitGuard<'_> {
        assert!(!state.is_committing, "two commits at the same time");
        state.is_committing = true;
        state.alone = match jobs {
            0 => state.alone,
            1 => state.alone.saturating_add(1),
            _ => 0,
        };
        state.commits += 1;
        CommitGuard { queue: self, began: Instant::now() }
    }
}

impl CommitGuard<'_> {
    /// Stored, then visible, then acknowledged. Takes all jobs; returns how many drafts they had.
    fn store(&self, jobs: &mut Vec<Job>) -> usize {
        if jobs.is_empty() {
            return 0;
        }
        let count = jobs.iter().map(|job| job.entries.len()).sum();
        let heads = self.queue.log.heads();
        let is_full = heads.len() >= TOPICS_MAX;
        let mut entries = Vec::with_capacity(count);
        let mut publishers = Vec::with_capacity(jobs.len());
        for Job { entries: own, reply, permit, .. } in jobs.drain(..) {
            let count = own.len();
            // The positions of those that would need one topic too many, as hardly ever.
            let mut refused = Vec::new();
            for (position, entry) in own.into_iter().enumerate() {
                if is_full && heads.get(&entry.draft.topic).is_none() {
                    refused.push(position);
                } else {
                    entries.push(entry);
                }
            }
            publishers.push((count, refused, reply, permit));
        }
        let result = self.queue.log.append(&entries, self.queue.clock.now());
        self.note(result.as_ref().err());
        let mut stored = match result {
            Ok(messages) => {
                assert_eq!(messages.len(), entries.len(), "the log stored another batch");
                self.queue.sizes.observe(messages.len(), 1);
                let last = messages.last().map_or(0, Message::seq);
                assert!(self.queue.tail.visible() >= last, "the log told nobody of {last}");
                Ok(messages.into_iter())
            }
            Err(error) => Err(refusal(&error)),
        };
        for (count, refused, reply, _permit) in publishers {
            let answer = |position| match &mut stored {
                _ if refused.binary_search(&position).is_ok() => Some(Err(too_many_topics())),
                Ok(messages) => messages.next().map(Ok),
                Err(refusal) => Some(Err(refusal.clone())),
            };
            // A publisher that went away needs no answer; its messages are stored.
            let _ = reply.send((0..count).filter_map(answer).collect());
        }
        count
    }

    fn note(&self, error: Option<&LogError>) {
        let health = match error {
            None => Health::Healthy,
            Some(LogError::Full) => Health::Full,
            Some(LogError::Refused(_)) => Health::Refused,
            Some(LogError::Unreachable(_)) => Health::Unreachable,
            Some(LogError::Failed(_) | LogError::Closed) => Health::Failed,
        };
        let before = std::mem::replace(&mut self.queue.state().health, health);
        match error {
            Some(error) if before != health => {
                tracing::error!(%error, "publishes are refused; readers go on");
            }
            None if before != health => tracing::info!("publishes are stored again"),
            _ => {}
        }
    }
}

impl Drop for CommitGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.is_committing = false;
        state.ended = Instant::now();
        state.took = state.ended - self.began;
        if std::thread::panicking() {
            // Nobody knows what was stored.
            state.health = Health::Failed;
            state.is_closing = true;
            state.waiting.drain(..).for_each(|job| job.refuse(&closing()));
        }
        if state.is_closing || !state.waiting.is_empty() {
            self.queue.wake_thread(state);
        }
    }
}

impl State {
    /// Whether a publisher may store its messages itself.
    fn is_at_rest(&self) -> bool {
        self.thread == Thread::Looks
            && !self.is_committing
            && self.waiting.is_empty()
            && self.alone > 0
            && self.took <= COMMIT_SHORT
            // One that is not known to be the only publisher leaves the others time to gather: at
            // most a third of it goes to such commits.
            && (self.alone >= COMMIT_ALONE || self.ended.elapsed() >= 2 * self.took)
    }

    /// Takes what waits, as much as is stored at once, at least one job if there is any.
    fn move_batch(&mut self, bytes_max: usize, jobs: &mut Vec<Job>) {
        let (mut messages, mut bytes) = (0, 0);
        let fits = |job: &&Job| {
            messages += job.entries.len();
            bytes += job.bytes();
            messages <= COMMIT_MESSAGES_MAX && bytes <= bytes_max
        };
        let first = usize::from(!self.waiting.is_empty());
        let count = self.waiting.iter().take_while(fits).count().max(first);
        jobs.extend(self.waiting.drain(..count));
    }
}

/// What is said while the machines that have the log are out of reach.
pub(crate) fn unreachable(reason: &str) -> Error {
    let text = format!("the log is out of reach ({reason}); try again in {RETRY_AFTER_SECONDS} s");
    Error::new(Code::LogUnreachable, text)
}

fn too_many_topics() -> Error {
    let text = format!("the server holds {TOPICS_MAX} topics, which is the limit");
    Error::new(Code::TooManyTopics, text)
}

/// What a publisher is told of it.
pub(crate) fn refusal(error: &LogError) -> Error {
    match error {
        LogError::Full => Error::new(Code::StorageFull, "no room left to store messages"),
        LogError::Refused(reason) => {
            let text = format!("the message was not stored ({reason}); the next one may be");
            Error::new(Code::Unavailable, text)
        }
        LogError::Unreachable(reason) => unreachable(reason),
        LogError::Failed(reason) => {
            let text = format!("{reason}; publishes are refused until a restart");
            Error::new(Code::LogFailed, text)
        }
        LogError::Closed => closing(),
    }
}
