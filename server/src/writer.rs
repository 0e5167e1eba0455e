//! Group commit: one thread stores everything that waits in one batch, makes it visible, and only
//! then answers the publishers. Between batches it lets retention take its steps.
//!
//! Drafts that come together enter together and are answered together: who publishes much takes one
//! turn for many of them. The queue is bounded by the bytes of what is in flight: a permit is taken
//! before drafts enter and goes back when their publisher is answered.

use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use doorbell_protocol::{Code, Draft, Error};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot};

use crate::clock::unix_micros;
use crate::limits::{
    COMMIT_MESSAGES_MAX, EXPIRE_MESSAGES_MAX, PUBLISH_WAIT_MAX, RETRY_AFTER_SECONDS, TOPICS_MAX,
};
use crate::log::{Log, LogError};
use crate::message::Message;
use crate::tail::Tail;

/// The way into the log.
#[derive(Debug)]
pub struct Writer {
    queue: Arc<Queue>,
    room: Arc<Semaphore>,
    room_bytes: usize,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Bytes that one permit of the semaphore stands for.
const PERMIT_BYTES: usize = 64;

/// What became of one draft: a message that is stored and visible, or a refusal.
pub type Answer = Result<Message, Error>;

/// Drafts that were submitted together; resolves to the answer to each, in their order.
#[derive(Debug)]
pub struct Pending {
    answers: oneshot::Receiver<Vec<Answer>>,
    drafts: usize,
}

impl Future for Pending {
    type Output = Vec<Answer>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let gone = || Error::new(Code::LogFailed, "storage ended; publishes are refused");
        let drafts = self.drafts;
        Pin::new(&mut self.answers)
            .poll(context)
            .map(|answers| answers.unwrap_or_else(|_| vec![Err(gone()); drafts]))
    }
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Job>,
    /// Whether the thread waits to be woken: while it works it looks here by itself.
    asleep: bool,
    closing: bool,
    condition: Condition,
}

/// Whether publishes can be stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Condition {
    /// They can.
    #[default]
    Healthy,
    /// There was no room for the newest batch; the next one may find some.
    Full,
    /// A write failed: nothing more is stored until the log is opened again.
    Failed,
}

/// Drafts with one publisher, never none.
#[derive(Debug)]
struct Job {
    drafts: Vec<Draft>,
    reply: oneshot::Sender<Vec<Answer>>,
    /// Held until the publisher is answered.
    permit: OwnedSemaphorePermit,
}

impl Job {
    fn refuse(self, refusal: &Error) {
        let _ = self.reply.send(vec![Err(refusal.clone()); self.drafts.len()]);
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) {
        let mut state = self.state();
        if state.closing {
            drop(state);
            return job.refuse(&closing());
        }
        state.waiting.push(job);
        let asleep = std::mem::take(&mut state.asleep);
        drop(state);
        if asleep {
            self.wake.notify_one();
        }
    }
}

impl Writer {
    /// Starts the thread. `room_bytes` bounds the publishes in flight; `expire_every` is how often
    /// retention looks at an idle log.
    pub fn start(
        log: Arc<dyn Log>,
        tail: Arc<Tail>,
        room_bytes: usize,
        expire_every: Duration,
    ) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let run = Run { queue: queue.clone(), log, tail, expire_every };
        let thread =
            std::thread::Builder::new().name("log-writer".into()).spawn(move || run.run())?;
        Ok(Self {
            queue,
            room: Arc::new(Semaphore::new(room_bytes / PERMIT_BYTES)),
            room_bytes,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Hands drafts to the thread once there is room for them. They are stored in the order in which
    /// these calls return.
    pub async fn submit(&self, drafts: Vec<Draft>) -> Pending {
        let (reply, answers) = oneshot::channel();
        let pending = Pending { answers, drafts: drafts.len() };
        match self.room_for(&drafts).await {
            Ok(permit) => self.queue.push(Job { drafts, reply, permit }),
            Err(error) => {
                let _ = reply.send(vec![Err(error); drafts.len()]);
            }
        }
        pending
    }

    async fn room_for(&self, drafts: &[Draft]) -> Result<OwnedSemaphorePermit, Error> {
        let bytes = drafts.iter().map(Draft::weight).sum::<usize>();
        let permits = bytes.min(self.room_bytes).div_ceil(PERMIT_BYTES);
        let permits = u32::try_from(permits).unwrap_or(u32::MAX);
        // There nearly always is some, and then no timer is needed.
        match self.room.clone().try_acquire_many_owned(permits) {
            Ok(permit) => return Ok(permit),
            Err(TryAcquireError::Closed) => return Err(closing()),
            Err(TryAcquireError::NoPermits) => {}
        }
        let room = self.room.clone().acquire_many_owned(permits);
        let permit = tokio::time::timeout(PUBLISH_WAIT_MAX, room).await;
        permit.map_err(|_| busy(self.room_bytes))?.map_err(|_| closing())
    }

    /// Whether publishes can be stored.
    pub fn condition(&self) -> Condition {
        self.queue.state().condition
    }

    /// Stores what waits, closes the log and ends the thread. Blocks until that is done.
    pub fn close(&self) {
        self.queue.state().closing = true;
        self.queue.wake.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the log's writer ended in a panic");
        }
    }
}

fn busy(room_bytes: usize) -> Error {
    Error::new(
        Code::Busy,
        format!(
            "publishes in flight hold {room_bytes} bytes, which is the limit; \
             try again in {RETRY_AFTER_SECONDS} s"
        ),
    )
}

fn closing() -> Error {
    Error::new(Code::Unavailable, "the server is stopping")
}

/// What the thread works with.
struct Run {
    queue: Arc<Queue>,
    log: Arc<dyn Log>,
    tail: Arc<Tail>,
    expire_every: Duration,
}

/// Refuses what waits, and all that comes, when the thread ends for whatever reason.
struct RefuseAtEnd<'a>(&'a Queue);

impl Drop for RefuseAtEnd<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.closing = true;
        if std::thread::panicking() {
            state.condition = Condition::Failed;
        }
        for job in state.waiting.drain(..) {
            job.refuse(&closing());
        }
    }
}

impl Run {
    fn run(self) {
        let _refuse = RefuseAtEnd(&self.queue);
        let mut next_expiry = Instant::now() + self.expire_every;
        let mut jobs = Vec::new();
        loop {
            let closing = self.take(&mut jobs, next_expiry);
            let stored = self.store(&mut jobs);
            if stored == 0 && closing {
                break;
            }
            if stored > 0 || Instant::now() >= next_expiry {
                // As many steps as a batch can have made necessary.
                let more = self.expire(1 + stored / EXPIRE_MESSAGES_MAX);
                let pause = if more { Duration::ZERO } else { self.expire_every };
                next_expiry = Instant::now() + pause;
            }
        }
        if let Err(error) = self.log.close() {
            tracing::error!(%error, "the log was not closed cleanly");
        }
    }

    /// Waits for a batch until retention is due; returns whether the end was asked for.
    fn take(&self, jobs: &mut Vec<Job>, until: Instant) -> bool {
        let mut state = self.queue.state();
        while state.waiting.is_empty() && !state.closing {
            let pause = until.saturating_duration_since(Instant::now());
            if pause.is_zero() {
                break;
            }
            state.asleep = true;
            let woken = self.queue.wake.wait_timeout(state, pause);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            state.asleep = false;
        }
        let mut drafts = 0;
        let fits = |job: &&Job| {
            drafts += job.drafts.len();
            drafts <= COMMIT_MESSAGES_MAX
        };
        let first = usize::from(!state.waiting.is_empty());
        let count = state.waiting.iter().take_while(fits).count().max(first);
        jobs.extend(state.waiting.drain(..count));
        state.closing
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
                self.tail.push(&messages);
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
        let before = std::mem::replace(&mut self.queue.state().condition, condition);
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
                Ok(more) => {
                    self.tail.trim(self.log.bounds().first);
                    if !more {
                        return false;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "retention could not let go of old messages");
                    return false;
                }
            }
        }
        true
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
