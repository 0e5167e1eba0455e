//! Who commits. There is one turn, and whoever has it stores what waits.
//!
//! A thread takes the turn for what waits, and lets retention take its steps between batches. But a
//! publisher that finds the log at rest takes it itself, and so does the only one there is: a lone
//! message is on its way to its readers without any thread having to be woken. Where there are many
//! messages the log never rests, and the thread gathers them into batches.
//!
//! Publishers run on threads that serve all connections and must not wait for a disk. So one commits
//! only if the last turn was short, and only while the thread looks in on it every now and then: when a
//! commit hangs all the same, the thread has another one of the runtime's wait for the sockets.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use doorbell_protocol::{Code, Error};
use tokio::runtime::Handle;

use super::{Condition, Job, closing};
use crate::clock::unix_micros;
use crate::limits::{
    COMMIT_ALONE, COMMIT_LOOK, COMMIT_MESSAGES_MAX, COMMIT_SHORT, EXPIRE_MESSAGES_MAX, TOPICS_MAX,
};
use crate::log::{Log, LogError};
use crate::message::Message;
use crate::tail::Tail;

/// Where jobs wait, and what they are stored in.
pub(super) struct Desk {
    state: Mutex<State>,
    /// Wakes the thread.
    wake: Condvar,
    log: Arc<dyn Log>,
    tail: Arc<Tail>,
    /// What publishers run on, if it can spare a thread for a commit.
    runtime: Option<Handle>,
}

#[derive(Debug)]
struct State {
    waiting: Vec<Job>,
    /// Whether somebody has the turn.
    taken: bool,
    thread: Thread,
    closing: bool,
    condition: Condition,
    /// Turns begun.
    turns: u64,
    /// Drafts stored by publishers since the thread last had the turn.
    unexpired: usize,
    /// Turns one after another, up to the last, that were for one job and during which no other came.
    alone: u32,
    /// When the last turn ended, and how long it was.
    ended: Instant,
    took: Duration,
}

/// What the thread does.
#[derive(Debug, PartialEq, Eq)]
enum Thread {
    /// It sees by itself what waits.
    Awake,
    /// It waits to be woken.
    Asleep,
    /// It waits to be woken, and looks in on publishers that commit.
    Looks,
}

/// The turn, until it is dropped.
struct Turn<'a> {
    desk: &'a Desk,
    began: Instant,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Desk {
    /// Nothing waits yet.
    pub(super) fn new(log: Arc<dyn Log>, tail: Arc<Tail>) -> Self {
        let can_spare = |runtime: &Handle| runtime.metrics().num_workers() > 1;
        let runtime = Handle::try_current().ok().filter(can_spare);
        let state = State {
            waiting: Vec::new(),
            taken: false,
            thread: Thread::Awake,
            closing: false,
            condition: Condition::default(),
            turns: 0,
            unexpired: 0,
            alone: 0,
            ended: Instant::now(),
            took: Duration::MAX,
        };
        Self { state: Mutex::new(state), wake: Condvar::new(), log, tail, runtime }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a job in: it is stored after all that was taken in before, maybe at once.
    pub(super) fn enter(&self, job: Job) {
        let mut state = self.state();
        if state.closing {
            drop(state);
            return job.refuse(&closing());
        }
        if self.runtime.is_some() && state.is_at_rest(job.drafts.len()) {
            state.unexpired += job.drafts.len();
            let _turn = self.begin(state, 1);
            self.store(&mut vec![job]);
            return;
        }
        if state.taken {
            state.alone = 0;
        }
        state.waiting.push(job);
        self.wake_thread(state);
    }

    /// Has the thread look what there is to do, at the end of the turn if somebody has it.
    fn wake_thread(&self, mut state: MutexGuard<'_, State>) {
        let wakes = !state.taken && state.thread != Thread::Awake;
        if wakes {
            state.thread = Thread::Awake;
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Whether publishes can be stored.
    pub(super) fn condition(&self) -> Condition {
        self.state().condition
    }

    /// Has the thread store what waits, close the log and end.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closing = true;
        self.wake_thread(state);
    }

    /// What the thread does: takes turns until the end is asked for.
    pub(super) fn serve(&self, expire_every: Duration) {
        let mut next_expiry = Instant::now() + expire_every;
        let mut jobs = Vec::new();
        loop {
            let mut state = self.wait(next_expiry);
            let closing = state.closing;
            let unexpired = std::mem::take(&mut state.unexpired);
            state.move_batch(&mut jobs);
            let turn = self.begin(state, jobs.len());
            let stored = self.store(&mut jobs);
            if stored == 0 && closing {
                break;
            }
            if stored > 0 || Instant::now() >= next_expiry {
                // As many steps as what was stored can have made necessary.
                let more = self.expire(1 + (stored + unexpired) / EXPIRE_MESSAGES_MAX);
                let pause = if more { Duration::ZERO } else { expire_every };
                next_expiry = Instant::now() + pause;
            }
            drop(turn);
        }
        if let Err(error) = self.log.close() {
            tracing::error!(%error, "the log was not closed cleanly");
        }
    }

    /// Waits until there is something to do for the thread, which is retention when that is due, and
    /// nobody has the turn. Meanwhile looks in on publishers for as long as some commit.
    ///
    /// A thread that was woken for jobs lets the others run once before it takes them: woken, it may have
    /// taken the core from the one that was about to bring more, and would commit for the first alone.
    fn wait(&self, until: Instant) -> MutexGuard<'_, State> {
        let mut state = self.state();
        let mut has_slept = false;
        let mut looks = true;
        let mut turns = state.turns;
        let mut next_look = Instant::now() + COMMIT_LOOK;
        loop {
            let now = Instant::now();
            let is_due = state.closing || !state.waiting.is_empty() || now >= until;
            if is_due && !state.taken {
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
                let is_the_same = state.turns == turns;
                if state.taken && is_the_same {
                    self.spare_a_thread();
                }
                looks = state.taken || !is_the_same;
                turns = state.turns;
                next_look = now + COMMIT_LOOK;
            }
            let (thread, next) =
                if looks { (Thread::Looks, next_look) } else { (Thread::Asleep, until) };
            state.thread = thread;
            let woken = self.wake.wait_timeout(state, next - now);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            has_slept = true;
        }
    }

    /// A thread of the runtime that has nothing to do waits for one that has the turn to wait for the
    /// sockets, and would do so for as long as the commit hangs. A task gets it going.
    fn spare_a_thread(&self) {
        if let Some(runtime) = &self.runtime {
            #[allow(clippy::disallowed_methods, reason = "it ends at once")]
            runtime.spawn(async {});
        }
    }

    fn begin(&self, mut state: MutexGuard<'_, State>, jobs: usize) -> Turn<'_> {
        state.taken = true;
        state.alone = match jobs {
            0 => state.alone,
            1 => state.alone.saturating_add(1),
            _ => 0,
        };
        state.turns += 1;
        Turn { desk: self, began: Instant::now() }
    }

    /// Stored, then visible, then acknowledged. Takes all jobs; returns how many drafts they had.
    fn store(&self, jobs: &mut Vec<Job>) -> usize {
        if jobs.is_empty() {
            return 0;
        }
        let count = jobs.iter().map(|job| job.drafts.len()).sum();
        let heads = self.log.heads();
        let is_full = heads.len() >= TOPICS_MAX;
        let mut drafts = Vec::with_capacity(count);
        let mut publishers = Vec::with_capacity(jobs.len());
        for Job { drafts: own, reply, permit } in jobs.drain(..) {
            let count = own.len();
            // The positions of those that would need one topic too many, as hardly ever.
            let mut refused = Vec::new();
            for (position, draft) in own.into_iter().enumerate() {
                if is_full && heads.get(&draft.topic).is_none() {
                    refused.push(position);
                } else {
                    drafts.push(draft);
                }
            }
            publishers.push((count, refused, reply, permit));
        }
        let result = self.log.append(&drafts, unix_micros());
        self.note(result.as_ref().err());
        let mut stored = match result {
            Ok(messages) => {
                assert_eq!(messages.len(), drafts.len(), "the log stored another batch");
                let last = messages.last().map_or(0, Message::seq);
                assert!(self.tail.visible() >= last, "the log told nobody of {last}");
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
        let condition = match error {
            None => Condition::Healthy,
            Some(LogError::Full) => Condition::Full,
            Some(LogError::Failed(_) | LogError::Closed) => Condition::Failed,
        };
        let before = std::mem::replace(&mut self.state().condition, condition);
        match error {
            Some(error) if before != condition => {
                tracing::error!(%error, "publishes are refused; readers go on");
            }
            None if before != condition => tracing::info!("publishes are stored again"),
            _ => {}
        }
    }

    /// Lets retention take at most so many steps; returns whether more are due.
    fn expire(&self, steps: usize) -> bool {
        for _ in 0..steps {
            match self.log.expire(unix_micros()) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => {
                    tracing::warn!(%error, "retention could not let go of old messages");
                    return false;
                }
            }
        }
        true
    }
}

impl State {
    /// Whether a publisher may store so many drafts itself.
    fn is_at_rest(&self, drafts: usize) -> bool {
        self.thread == Thread::Looks
            && !self.taken
            && self.waiting.is_empty()
            && self.unexpired + drafts <= EXPIRE_MESSAGES_MAX
            && self.alone > 0
            && self.took <= COMMIT_SHORT
            // Who is not known to be the only one leaves the others time to gather: at most a third of it
            // goes to such commits.
            && (self.alone >= COMMIT_ALONE || self.ended.elapsed() >= 2 * self.took)
    }

    /// Takes what waits, as much as is stored at once, at least one job if there is any.
    fn move_batch(&mut self, jobs: &mut Vec<Job>) {
        let mut drafts = 0;
        let fits = |job: &&Job| {
            drafts += job.drafts.len();
            drafts <= COMMIT_MESSAGES_MAX
        };
        let first = usize::from(!self.waiting.is_empty());
        let count = self.waiting.iter().take_while(fits).count().max(first);
        jobs.extend(self.waiting.drain(..count));
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.desk.state();
        state.taken = false;
        state.ended = Instant::now();
        state.took = state.ended - self.began;
        if std::thread::panicking() {
            // Nobody knows what was stored.
            state.condition = Condition::Failed;
            state.closing = true;
            state.waiting.drain(..).for_each(|job| job.refuse(&closing()));
        }
        if state.closing || !state.waiting.is_empty() {
            self.desk.wake_thread(state);
        }
    }
}

fn too_many_topics() -> Error {
    let text = format!("the server holds {TOPICS_MAX} topics, which is the limit");
    Error::new(Code::TooManyTopics, text)
}

fn refusal(error: &LogError) -> Error {
    match error {
        LogError::Full => Error::new(Code::StorageFull, "no room left to store messages"),
        LogError::Failed(_) => {
            Error::new(Code::LogFailed, "storage failed; publishes are refused until a restart")
        }
        LogError::Closed => closing(),
    }
}
