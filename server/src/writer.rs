//! Group commit: what waits is stored in one batch, which makes it visible, and only then are the
//! publishers answered. Which thread commits, and when, is in `queue`.
//!
//! Drafts that come together are one job, stored and answered together. The queue is bounded by the
//! bytes of what is in flight: a permit is taken before drafts enter and goes back when their
//! publisher is answered.

mod queue;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use doorbell_protocol::{Code, Error};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot};

use self::queue::CommitQueue;
pub(crate) use self::queue::{refusal, unreachable};
use crate::clock::Clock;
use crate::counters::Sizes;
use crate::limits::{PUBLISH_WAIT_DEFAULT, RETRY_AFTER_SECONDS};
use crate::log::{Entry, Log};
use crate::message::Message;
use crate::stop::detach;
use crate::tail::Tail;

/// The way into the log.
#[derive(Debug)]
pub struct Writer {
    queue: Arc<CommitQueue>,
    /// Permits for the bytes in flight.
    permits: Arc<Semaphore>,
    /// What all permits stand for: a larger job takes all of them.
    room: PublishRoom,
    /// Taken when it is joined.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What publishes that are not stored yet may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishRoom {
    /// What they may hold together.
    pub bytes: usize,
    /// How long one may wait for room, and for a log on other machines that are out of reach.
    pub wait: Duration,
}

impl From<usize> for PublishRoom {
    fn from(bytes: usize) -> Self {
        Self { bytes, wait: PUBLISH_WAIT_DEFAULT }
    }
}

/// Bytes that one permit of the semaphore stands for.
const PERMIT_BYTES: usize = 64;

/// What became of one draft: a message that is stored and visible, or a refusal.
pub type Answer = Result<Message, Error>;

/// Drafts that were submitted together; resolves to the answer to each, in their order.
#[derive(Debug)]
pub struct Pending {
    answers: oneshot::Receiver<Vec<Answer>>,
    /// How many answers there will be.
    drafts: usize,
}

impl Pending {
    /// What is answered already.
    pub(crate) fn answered(answers: Vec<Answer>) -> Self {
        let drafts = answers.len();
        let (reply, receiver) = oneshot::channel();
        let _ = reply.send(answers);
        Self { answers: receiver, drafts }
    }

    /// The same answers, which somebody else looks at first.
    pub(crate) fn after(self, look: impl FnOnce(&[Answer]) + Send + 'static) -> Self {
        let drafts = self.drafts;
        let (reply, receiver) = oneshot::channel();
        detach(async move {
            let answers = self.await;
            look(&answers);
            // Nobody may wait for them any more.
            let _ = reply.send(answers);
        });
        Self { answers: receiver, drafts }
    }
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

/// Whether publishes can be stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Health {
    /// They can.
    #[default]
    Healthy,
    /// There was no room for the newest batch; the next one may find some.
    Full,
    /// The newest batch was not written; the next one may be.
    Refused,
    /// The machines that have the log are out of reach; it goes on by itself when they are not.
    Unreachable,
    /// Nothing more is stored until the log is opened again.
    Failed,
}

/// Drafts with one publisher, never none.
#[derive(Debug)]
struct Job {
    entries: Vec<Entry>,
    /// Takes an answer to each draft, in their order.
    reply: oneshot::Sender<Vec<Answer>>,
    /// Held until the publisher is answered.
    permit: OwnedSemaphorePermit,
    /// When it came in.
    entered: Instant,
}

impl Job {
    /// What its messages hold, more or less.
    fn bytes(&self) -> usize {
        self.permit.num_permits() * PERMIT_BYTES
    }

    fn refuse(self, refusal: &Error) {
        let _ = self.reply.send(vec![Err(refusal.clone()); self.entries.len()]);
    }
}

impl Writer {
    /// Starts the thread. `room` bounds the publishes in flight. Publishers commit by themselves
    /// only if this is called in a runtime with several threads.
    pub fn start(
        log: Arc<dyn Log>,
        tail: Arc<Tail>,
        room: PublishRoom,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let queue = Arc::new(CommitQueue::new(log, tail, clock, room.wait));
        let thread = {
            let queue = queue.clone();
            let run = move || queue.serve();
            std::thread::Builder::new().name("log-writer".into()).spawn(run)?
        };
        Ok(Self {
            queue,
            permits: Arc::new(Semaphore::new(room.bytes / PERMIT_BYTES)),
            room,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Lets drafts in once there is room for them. They are stored in the order in which these
    /// calls return.
    pub async fn submit(&self, entries: Vec<Entry>) -> Pending {
        let (reply, answers) = oneshot::channel();
        let pending = Pending { answers, drafts: entries.len() };
        match self.room_for(&entries).await {
            Ok(permit) => {
                let entered = Instant::now();
                self.queue.enter(Job { entries, reply, permit, entered });
            }
            Err(error) => {
                let _ = reply.send(vec![Err(error); entries.len()]);
            }
        }
        pending
    }

    async fn room_for(&self, entries: &[Entry]) -> Result<OwnedSemaphorePermit, Error> {
        let bytes = entries.iter().map(|entry| entry.draft.weight()).sum::<usize>();
        let permits = bytes.min(self.room.bytes).div_ceil(PERMIT_BYTES);
        let permits = u32::try_from(permits).unwrap_or(u32::MAX);
        // There nearly always is some, and then no timer is needed.
        match self.permits.clone().try_acquire_many_owned(permits) {
            Ok(permit) => return Ok(permit),
            Err(TryAcquireError::Closed) => return Err(closing()),
            Err(TryAcquireError::NoPermits) => {}
        }
        let room = self.permits.clone().acquire_many_owned(permits);
        let permit = tokio::time::timeout(self.room.wait, room).await;
        permit.map_err(|_| busy(self.room.bytes))?.map_err(|_| closing())
    }

    /// Whether publishes can be stored.
    pub fn health(&self) -> Health {
        self.queue.health()
    }

    /// Why publishes are refused, if they are for good.
    pub fn failure(&self) -> Option<String> {
        self.queue.failure()
    }

    /// Messages of each commit that succeeded.
    pub fn commit_sizes(&self) -> &Sizes {
        self.queue.sizes()
    }

    /// Stores what waits, closes the log and ends the thread. Blocks until that is done.
    pub fn close(&self) {
        self.queue.close();
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
