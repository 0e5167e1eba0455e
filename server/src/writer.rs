//! Group commit: one thread stores everything that waits in one batch, makes it visible, and only
//! then answers the publishers. Between batches it lets retention take its steps.
//!
//! The queue is bounded by the bytes of what is in flight: a permit is taken before a draft enters
//! and goes back when its publisher is answered.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use doorbell_protocol::{Code, Draft, Error};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

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

/// An accepted draft; resolves when it is stored and visible, or refused.
pub type Pending = oneshot::Receiver<Result<Message, Error>>;

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Job>,
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

#[derive(Debug)]
struct Job {
    draft: Draft,
    reply: oneshot::Sender<Result<Message, Error>>,
    /// Held until the publisher is answered.
    permit: OwnedSemaphorePermit,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Hands a draft to the thread once there is room for it. Drafts are stored in the order in
    /// which these calls return.
    pub async fn submit(&self, draft: Draft) -> Result<Pending, Error> {
        let permits = draft.weight().min(self.room_bytes).div_ceil(PERMIT_BYTES);
        let permits = u32::try_from(permits).unwrap_or(u32::MAX);
        let room = self.room.clone().acquire_many_owned(permits);
        let permit = tokio::time::timeout(PUBLISH_WAIT_MAX, room)
            .await
            .map_err(|_| busy(self.room_bytes))?
            .map_err(|_| closing())?;
        let (reply, pending) = oneshot::channel();
        {
            let mut state = self.queue.state();
            if state.closing {
                return Err(closing());
            }
            state.waiting.push(Job { draft, reply, permit });
        }
        self.queue.wake.notify_one();
        Ok(pending)
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
            let _ = job.reply.send(Err(closing()));
        }
    }
}

impl Run {
    fn run(self) {
        let _refuse = RefuseAtEnd(&self.queue);
        let mut next_expiry = Instant::now() + self.expire_every;
        loop {
            let (jobs, closing) = self.take(next_expiry);
            let stored = jobs.len();
            if stored > 0 {
                self.store(jobs);
            } else if closing {
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

    /// Waits for drafts until retention is due; also returns whether the end was asked for.
    fn take(&self, until: Instant) -> (Vec<Job>, bool) {
        let mut state = self.queue.state();
        while state.waiting.is_empty() && !state.closing {
            let pause = until.saturating_duration_since(Instant::now());
            if pause.is_zero() {
                break;
            }
            let woken = self.queue.wake.wait_timeout(state, pause);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        let rest = state.waiting.len().min(COMMIT_MESSAGES_MAX);
        let rest = state.waiting.split_off(rest);
        (std::mem::replace(&mut state.waiting, rest), state.closing)
    }

    /// Stored, then visible, then acknowledged.
    fn store(&self, jobs: Vec<Job>) {
        let mut drafts = Vec::with_capacity(jobs.len());
        let mut publishers = Vec::with_capacity(jobs.len());
        for Job { draft, reply, permit } in jobs {
            let heads = self.log.heads();
            if heads.len() >= TOPICS_MAX && heads.get(&draft.topic).is_none() {
                let text = format!("the server holds {TOPICS_MAX} topics, which is the limit");
                let _ = reply.send(Err(Error::new(Code::TooManyTopics, text)));
                continue;
            }
            drafts.push(draft);
            publishers.push((reply, permit));
        }
        let result = self.log.append(&drafts, unix_micros());
        self.note(result.as_ref().err());
        match result {
            Ok(messages) => {
                assert_eq!(messages.len(), publishers.len(), "the log stored another batch");
                self.tail.push(&messages);
                for ((reply, _permit), message) in publishers.into_iter().zip(messages) {
                    // A publisher that went away needs no answer; its message is stored.
                    let _ = reply.send(Ok(message));
                }
            }
            Err(error) => {
                let refusal = refusal(&error);
                for (reply, _permit) in publishers {
                    let _ = reply.send(Err(refusal.clone()));
                }
            }
        }
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

fn refusal(error: &LogError) -> Error {
    match error {
        LogError::Full => Error::new(Code::StorageFull, "no room left to store messages"),
        LogError::Failed(_) => {
            Error::new(Code::LogFailed, "storage failed; publishes are refused until a restart")
        }
        LogError::Closed => closing(),
    }
}
